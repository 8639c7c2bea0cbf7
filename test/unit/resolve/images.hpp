// Small images and lists in a store, for the tests of resolving.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/require/requirements.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::resolve {

inline const manifest::Platform linux_amd64{"linux", "amd64", "", "", {}};
inline const manifest::Platform linux_ppc64le{"linux", "ppc64le", "", "", {}};

/// Puts an image with that salt into the store; its entry, which requires that.
inline manifest::Descriptor put_image(registry::ImageStore& store,
                                      const manifest::Platform& platform, std::string_view salt,
                                      const std::string& required = {}, bool in_manifest = false) {
  manifest::ImageConfig config;
  config.platform = platform;
  config.author = salt;
  const std::string bytes = manifest::emit(config);
  manifest::ImageManifest image{
      .config = {.media_type = std::string(manifest::media_type::oci_config),
                 .digest = manifest::Digest::of(bytes),
                 .size = bytes.size()},
      .layers = {}};
  manifest::Annotations annotations;
  if (!required.empty()) {
    annotations[std::string(require::requires_annotation)] = required;
  }
  if (in_manifest) {
    image.annotations = annotations;
  }
  test::unwrap(store.put_blob(image.config, *memory_content(bytes), {}));
  const manifest::Document document = manifest::Document::of(image);
  test::unwrap(store.put_manifest(document, std::nullopt));
  manifest::Descriptor entry = document.descriptor();
  entry.platform = platform;
  if (!in_manifest) {
    entry.annotations = annotations;
  }
  return entry;
}

inline manifest::Document put_list(registry::ImageStore& store,
                                   std::vector<manifest::Descriptor> entries,
                                   const std::string& tag, const std::string& variants = {}) {
  manifest::Index index{.manifests = std::move(entries)};
  if (!variants.empty()) {
    index.annotations[std::string(require::variants_annotation)] = variants;
  }
  manifest::Document document = manifest::Document::of(index);
  test::unwrap(store.put_manifest(document, tag));
  return document;
}

inline node::Node make_node(const manifest::Platform& platform,
                            std::string_view runtime = "containerd:2.1",
                            std::string name = "worker") {
  return {.name = std::move(name),
          .machine = {.platform = platform},
          .runtime = test::unwrap(manifest::parse_runtime(runtime))};
}

/// A node of Kubernetes' with that many GPUs.
inline node::Node make_gpu_node(std::uint64_t gpus) {
  node::Node node = make_node(linux_amd64);
  node.is_described = true;
  node.allocatable.cpu_millis = 8000;
  node.allocatable.memory_bytes = std::uint64_t{64} << 30;
  node.allocatable.others["nvidia.com/gpu"] = gpus;
  return node;
}

inline constexpr std::string_view one_gpu = R"({"gpu":{"count":1,"vendor":"nvidia"}})";

}  // namespace fnimage::resolve

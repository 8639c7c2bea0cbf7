// A small list of two platforms with one shared layer, put into any store.
#pragma once

#include <string>
#include <vector>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::test {

inline manifest::Descriptor put_bytes(registry::ImageStore& store, std::string bytes,
                                      std::string_view media_type) {
  manifest::Descriptor blob{.media_type = std::string(media_type),
                            .digest = manifest::Digest::of(std::string_view(bytes)),
                            .size = bytes.size()};
  unwrap(store.put_blob(blob, *memory_content(std::move(bytes)), {}));
  return blob;
}

/// One platform's image: a layer of its own and one that all platforms share.
inline manifest::Descriptor put_image(registry::ImageStore& store, std::string_view platform) {
  manifest::ImageConfig config;
  config.platform = unwrap(manifest::Platform::parse(platform));
  config.diff_ids = {manifest::Digest::of("shared tar"), manifest::Digest::of(platform)};
  manifest::ImageManifest image{
      .config = put_bytes(store, emit(config), manifest::media_type::oci_config), .layers = {}};
  image.layers.push_back(put_bytes(store, "shared layer", manifest::media_type::oci_layer_gzip));
  image.layers.push_back(
      put_bytes(store, "layer of " + std::string(platform), manifest::media_type::oci_layer_gzip));
  const auto document = manifest::Document::of(image);
  unwrap(store.put_manifest(document, std::nullopt));
  auto descriptor = document.descriptor();
  descriptor.platform = config.platform;
  return descriptor;
}

/// The list for amd64 and ppc64le under `tag`.
inline manifest::Document put_list(registry::ImageStore& store, const std::string& tag) {
  manifest::Index index;
  index.put(put_image(store, "linux/amd64"));
  index.put(put_image(store, "linux/ppc64le"));
  auto document = manifest::Document::of(index);
  unwrap(store.put_manifest(document, tag));
  return document;
}

}  // namespace fnimage::test

#include "support.hpp"

#include <fmt/format.h>

#include <fnimage/layer/layer.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::sbom {

using test::unwrap;

namespace {

manifest::Descriptor put_text(registry::ImageStore& store, std::string text,
                              std::string_view type) {
  manifest::Descriptor blob{.media_type = std::string(type),
                            .digest = manifest::Digest::of(std::string_view(text)),
                            .size = text.size()};
  unwrap(store.put_blob(blob, *memory_content(std::move(text)), {}));
  return blob;
}

std::string header(const std::string& path, std::size_t size, char kind, std::string_view link) {
  std::string block(512, '\0');
  block.replace(0, path.size(), path);
  block.replace(100, 8, std::string("0000644\0", 8));
  block.replace(108, 8, std::string("0000000\0", 8));
  block.replace(116, 8, std::string("0000000\0", 8));
  block.replace(124, 12, fmt::format("{:011o}", size) + '\0');
  block.replace(136, 12, std::string("00000000000\0", 12));
  block.replace(148, 8, "        ");
  block[156] = kind;
  block.replace(157, link.size(), link);
  block.replace(257, 8, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  block.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return block;
}

}  // namespace

std::string small_status(std::string_view architecture) {
  return fmt::format(
      "Package: libstdc++6\nStatus: install ok installed\nInstalled-Size: 2745\n"
      "Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>\nArchitecture: {0}\n"
      "Source: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1\nDepends: libc6 (>= 2.34)\n"
      "Description: GNU Standard C++ Library v3\n Long text.\nHomepage: http://gcc.gnu.org/\n\n"
      "Package: libc6\nStatus: install ok installed\nArchitecture: {0}\nVersion: 2.36-9\n"
      "Source: glibc\nMaintainer: nobody\n\n"
      "Package: python3-x\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2~rc1-1\n"
      "Depends: libc6, libstdc++6\nHomepage: not a url\n",
      architecture);
}

std::string make_tar(const LayerFiles& files) {
  std::string tar;
  for (const auto& [path, text] : files) {
    if (path.ends_with('@')) {
      tar += header(path.substr(0, path.size() - 1), 0, '2', text);
      continue;
    }
    tar += header(path, text.size(), '0', {}) + text;
    tar.append((512 - text.size() % 512) % 512, '\0');
  }
  return tar.append(1024, '\0');
}

manifest::Descriptor put_test_image(registry::ImageStore& store, const TestImage& image,
                                    const std::string& tag) {
  manifest::ImageConfig config;
  config.platform = unwrap(manifest::Platform::parse(image.platform));
  config.created = image.created;
  std::vector<manifest::Descriptor> layers;
  for (const LayerFiles& files : image.layers) {
    const std::string tar = make_tar(files);
    config.diff_ids.push_back(manifest::Digest::of(std::string_view(tar)));
    layers.push_back(put_text(store, tar, manifest::media_type::oci_layer));
  }
  const auto document = manifest::Document::of(manifest::ImageManifest{
      .config = put_text(store, emit(config), manifest::media_type::oci_config),
      .layers = layers,
      .annotations = image.annotations});
  unwrap(store.put_manifest(document, tag.empty() ? std::nullopt : std::optional(tag)));
  manifest::Descriptor descriptor = document.descriptor();
  descriptor.platform = config.platform;
  return descriptor;
}

Result<std::vector<Contents>> contents_of(registry::ImageStore& store,
                                          const registry::Selector& selector,
                                          Diagnostics& diagnostics) {
  const test::TempDir directory;
  WorkerPool pool(2);
  FNIMAGE_TRY(const std::vector<check::Image> images, check::find_images(store, selector, {}));
  return read_all_contents(store, images, "hello", directory.path(), pool, diagnostics);
}

Contents small_contents() {
  const auto store = registry::make_memory_store("memory");
  put_test_image(*store,
                 {.layers = {{{"etc/os-release", std::string(os_release)},
                              {"var/lib/dpkg/status", small_status()}}}},
                 "image");
  return unwrap(contents_of(*store, "image")).front();
}

nlohmann::json parsed(const std::string& document) {
  return nlohmann::json::parse(document);
}

}  // namespace fnimage::sbom

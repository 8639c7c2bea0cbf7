// What the archive tests share: a store in memory with images, a directory for files.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <fnimage/archive/open.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/layer/tar_file.hpp>
#include <fnimage/layer/tar_writer.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "sample_image.hpp"

namespace fnimage::archive {

class ArchiveFixture : public ::testing::Test {
 protected:
  /// Locations with paths below the test's directory.
  [[nodiscard]] registry::Location location(const std::string& text) const {
    registry::Location parsed = test::unwrap(registry::parse_location(text));
    if (parsed.is_path()) {
      parsed.directory = directory_.path() / parsed.directory;
    }
    return parsed;
  }
  Result<registry::OpenedImage> try_open(const std::string& text) {
    return open_image(location(text), client_, local_store_);
  }
  registry::OpenedImage open(const std::string& text) { return test::unwrap(try_open(text)); }

  /// In the test's directory; its exit status.
  [[nodiscard]] int shell(const std::string& command) const {
    const std::string line = "cd '" + directory_.path().string() + "' && " + command;
    return std::system(line.c_str());  // NOLINT(concurrency-mt-unsafe)
  }
  [[nodiscard]] std::string member(const std::string& file, const std::string& name) const {
    const auto tar = test::unwrap(layer::TarFile::open(directory_ / file));
    return test::unwrap(read_all(*test::unwrap(test::unwrap(tar.content(name))->open()), 1 << 20));
  }

  /// Every manifest and blob of it is there with the right bytes.
  static bool reads_whole(registry::ImageStore& store, const manifest::Document& root) {
    return reads_all(store, root.digest());
  }
  static bool reads_all(registry::ImageStore& store, const registry::Selector& selector) {
    registry::ImageParts parts;
    if (!parts.add(store, selector)) {
      return false;
    }
    for (const auto& blob : parts.blobs()) {
      const auto content = store.blob(blob);
      if (!content || !store.has_blob(blob).value_or(false)) {
        return false;
      }
      const auto reader = (*content)->open();
      if (!reader || !read_all(**reader, blob.size)) {
        return false;
      }
    }
    return true;
  }
  static void expect_whole(registry::ImageStore& store, const manifest::Document& root) {
    EXPECT_TRUE(reads_whole(store, root)) << store.describe();
  }

  /// An image of one file, as tools can unpack it, in memory_.
  manifest::Document put_real_image() {
    layer::FileTree tree;
    test::unwrap(tree.add({.path = "etc/motd", .content = memory_content("hello\n")}));
    std::string tar;
    StringWriter tar_out(tar);
    test::unwrap(layer::write_tar(tree, tar_out));
    std::string packed;
    StringWriter out(packed);
    WorkerPool pool(1);
    const auto compressor = layer::make_compressor(layer::Compression::gzip, out, pool);
    test::unwrap(compressor->write(as_bytes(tar)));
    test::unwrap(compressor->finish());
    manifest::ImageConfig config;
    config.platform = test::unwrap(manifest::Platform::parse("linux/amd64"));
    config.diff_ids = {manifest::Digest::of(tar)};
    manifest::ImageManifest image{
        .config = test::put_bytes(*memory_, emit(config), manifest::media_type::oci_config),
        .layers = {test::put_bytes(*memory_, packed, manifest::media_type::oci_layer_gzip)}};
    auto document = manifest::Document::of(image);
    test::unwrap(memory_->put_manifest(document, "real"));
    return document;
  }

  static manifest::Descriptor missing_blob() {
    return {.media_type = std::string(manifest::media_type::oci_config),
            .digest = manifest::Digest::of("nobody has this"),
            .size = 15};
  }

  test::TempDir directory_;
  std::filesystem::path local_store_ = directory_ / "store";
  std::unique_ptr<registry::ImageStore> memory_ = registry::make_memory_store("source");
  registry::Client client_{test::unwrap(registry::make_curl_transport({})),
                           nullptr,
                           {.plain_http = true},
                           null_diagnostics()};
};

}  // namespace fnimage::archive

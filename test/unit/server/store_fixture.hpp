// A store in a directory of its own, and small manifests to put into it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "store/store.hpp"

namespace fnimage::server {

inline manifest::Digest sha512_of(std::string_view text) {
  manifest::Hasher hasher(manifest::Hasher::Algorithm::sha512);
  hasher.update(as_bytes(text));
  return hasher.finish();
}

/// A small image manifest; `mark` makes its bytes its own. @param more members, beginning with ','.
inline std::string image_text(std::string_view mark, std::string_view more = {}) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)"
         R"({"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
         manifest::Digest::of(mark).str() + R"(","size":2},"layers":[])" + std::string(more) + "}";
}

inline NewManifest image(std::string_view mark, std::vector<std::string> tags = {},
                         std::string_view more = {}) {
  std::string text = image_text(mark, more);
  const auto digest = manifest::Digest::of(text);
  return {.bytes = std::move(text),
          .media_type = std::string(manifest::media_type::oci_manifest),
          .digest = digest,
          .tags = std::move(tags)};
}

/// `,"subject":{…}`
inline std::string subject(const manifest::Digest& digest) {
  return R"(,"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
         digest.str() + R"(","size":3})";
}

class StoreTest : public ::testing::Test {
 protected:
  Store& store() {
    if (!store_) {
      store_ = test::unwrap(Store::open(path(), limits_));
    }
    return *store_;
  }
  /// As a server that is stopped and started again.
  void restart() {
    store_.reset();
    store();
  }
  std::shared_ptr<Repository> repository(const std::string& name = "team/action") {
    return test::unwrap(store().create(name));
  }
  void put_blob(const std::string& name, std::string_view bytes) {
    const auto upload = test::unwrap(store().begin_upload(name, "me"));
    const auto writing = test::unwrap(upload->begin());
    test::unwrap(writing->write(as_bytes(bytes)));
    test::unwrap(writing->finish(manifest::Digest::of(bytes)));
  }
  [[nodiscard]] std::filesystem::path path() const { return scratch_.path() / "store"; }
  [[nodiscard]] std::filesystem::path scratch() const { return scratch_.path(); }
  StoreLimits limits_{};

 private:
  TemporaryDirectory scratch_ = test::unwrap(TemporaryDirectory::create("fnimage-store"));
  std::unique_ptr<Store> store_;
};

}  // namespace fnimage::server

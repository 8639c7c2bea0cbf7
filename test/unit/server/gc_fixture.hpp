// A store whose content is made old, so that what is not needed is garbage at once.
#pragma once

#include <chrono>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/stream.hpp>
#include <fnimage/server/gc.hpp>

#include "store_fixture.hpp"

namespace fnimage::server {

/// A list of descriptors as JSON, each with its media type.
inline std::string list_text(
    const std::vector<std::pair<manifest::Digest, std::string_view>>& children,
    std::string_view more = {}) {
  std::string text = R"({"schemaVersion":2,"mediaType":")" +
                     std::string(manifest::media_type::oci_index) + R"(","manifests":[)";
  for (const auto& [digest, type] : children) {
    text += (text.back() == '[' ? "" : ",") + std::string(R"({"mediaType":")") + std::string(type) +
            R"(","digest":")" + digest.str() + R"(","size":3})";
  }
  return text + "]" + std::string(more) + "}";
}

inline NewManifest document(std::string text, std::string_view media_type,
                            std::vector<std::string> tags = {}) {
  const auto digest = manifest::Digest::of(text);
  return {.bytes = std::move(text),
          .media_type = std::string(media_type),
          .digest = digest,
          .tags = std::move(tags)};
}

inline NewManifest list(const std::vector<std::pair<manifest::Digest, std::string_view>>& children,
                        std::vector<std::string> tags = {}, std::string_view more = {}) {
  return document(list_text(children, more), manifest::media_type::oci_index, std::move(tags));
}

class GcTest : public StoreTest {
 protected:
  static constexpr std::string_view manifest_type = manifest::media_type::oci_manifest;
  static constexpr std::string_view index_type = manifest::media_type::oci_index;

  manifest::Digest put(const NewManifest& manifest, const std::string& name = "team/action") {
    EXPECT_EQ(test::unwrap(repository(name)->put_manifest(manifest, {})), Outcome::done);
    return manifest.digest;
  }
  /// An image with its config, a blob.
  manifest::Digest put_image(std::string_view mark, std::vector<std::string> tags = {},
                             std::string_view more = {}) {
    put_blob("team/action", mark);
    return put(image(mark, std::move(tags), more));
  }
  /// A blob, the bytes of which need not be of its digest.
  void write_blob(const manifest::Digest& digest, std::string_view bytes) const {
    std::filesystem::create_directories(file(digest).parent_path());
    std::ofstream(file(digest), std::ios::binary) << bytes;
  }
  [[nodiscard]] std::filesystem::path layout(const std::string& name = "team/action") const {
    return path() / name;
  }
  [[nodiscard]] std::filesystem::path file(const manifest::Digest& digest,
                                           const std::string& name = "team/action") const {
    return layout(name) / "blobs" / std::string(digest.algorithm()) / std::string(digest.hex());
  }
  [[nodiscard]] bool has(const manifest::Digest& digest,
                         const std::string& name = "team/action") const {
    return std::filesystem::exists(file(digest, name));
  }
  [[nodiscard]] bool has(std::string_view bytes) const { return has(manifest::Digest::of(bytes)); }
  static void make_old(const std::filesystem::path& one,
                       std::chrono::hours age = std::chrono::hours(2)) {
    std::filesystem::last_write_time(one, std::filesystem::file_time_type::clock::now() - age);
  }
  void make_old() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
      if (entry.is_regular_file() && entry.path().native().find("/blobs/") != std::string::npos) {
        make_old(entry.path());
      }
    }
  }

  GcReport collect(GcOptions options = {}) {
    options.done = [this](const CollectedRepository& one) {
      if (!one.problem.empty()) {
        problems_.push_back(one.name + ": " + one.problem);
      }
    };
    options.found = [this](const GarbageItem& item) { items_.push_back(item); };
    problems_.clear();
    items_.clear();
    return test::unwrap(collect_garbage(path(), options));
  }
  GcReport collect_old(const GcOptions& options = {}) {
    make_old();
    return collect(options);
  }

  const GcOptions untagged_{.removes_untagged = true};
  std::vector<std::string> problems_{};
  std::vector<GarbageItem> items_{};
};

}  // namespace fnimage::server

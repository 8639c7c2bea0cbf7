// The layer cache: "this tree packed with this engine gave that blob", and the blobs themselves,
// content-addressed. A cache can be deleted at any time; a damaged entry is a miss, never an error.
// Writes are atomic; several processes may share one cache. Thread-safety: all methods from several
// threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::layer {

class LayerCache {
 public:
  struct Record {
    manifest::Digest digest;   ///< of the compressed blob
    std::uint64_t size = 0;    ///< of the compressed blob, bytes
    manifest::Digest diff_id;  ///< of the tar
    std::uint64_t uncompressed_size = 0;
  };

  /// @param directory made when missing.
  static Result<LayerCache> open(const std::filesystem::path& directory);

  /// The record of a key whose blob is present with the right size; nullopt = a miss.
  [[nodiscard]] std::optional<Record> find(std::string_view key) const;
  /// A temporary file in the cache's own file system, to be handed to store().
  [[nodiscard]] Result<AtomicFile> begin() const;
  /// Moves a finished blob to its place and, with a key, remembers it. The record's digest and size
  /// are those of the file.
  Result<void> store(const std::optional<std::string>& key, const Record& record, AtomicFile blob);
  [[nodiscard]] std::filesystem::path blob_path(const manifest::Digest& digest) const;

 private:
  explicit LayerCache(std::filesystem::path directory) : directory_(std::move(directory)) {}
  std::filesystem::path directory_;
};

}  // namespace fnimage::layer

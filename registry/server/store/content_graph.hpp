// What the manifests of a repository name, and what of it is kept: read once, from the files, and
// held in little memory (some 150 bytes for each digest). Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>

#include "store/blob_files.hpp"
#include "store/named_content.hpp"

namespace fnimage::server {

class ContentGraph {
 public:
  /// The files must outlive the graph.
  explicit ContentGraph(const BlobFiles& blobs) : blobs_(blobs) {}

  /// Reads a document and all below it, unless that was done before. What is not here names
  /// nothing. Errors: verification (it has other bytes), invalid_input (too large to be read),
  /// those of the file system; then what it needs is not known.
  Result<void> read(const NamedDocument& document);
  /// The same of an entry of index.json. Error: not_found when it is not here.
  Result<void> read_entry(const manifest::Digest& digest);

  /// From now on this, and all below it, is kept.
  void keep(std::string_view digest);
  /// keep(), and what refers to anything that is kept, and so on; with the lists that such
  /// referrers are known by. @param has_entry whether index.json itself knows a manifest.
  void keep_with_referrers(const std::vector<manifest::Digest>& roots,
                           const std::function<bool(const std::string& digest)>& has_entry);
  void keep_nothing();
  [[nodiscard]] bool is_kept(std::string_view digest) const;

 private:
  using Id = std::uint32_t;
  static constexpr Id none = std::numeric_limits<Id>::max();
  struct Node {
    std::vector<Id> names{};
    Id subject = none;
    bool is_read = false;
    bool is_kept = false;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  class ReferrerWalk;

  Id id_of(const manifest::Digest& digest);
  Result<std::vector<NamedDocument>> read_one(const NamedDocument& document);
  void keep(Id id);

  const BlobFiles& blobs_;
  std::unordered_map<std::string, Id, TextHash, std::equal_to<>> ids_{};
  std::vector<Node> nodes_{};  ///< by id
};

}  // namespace fnimage::server

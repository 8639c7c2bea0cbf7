// What the manifests of a repository say about each other: subjects and children. Each is read
// once, when first asked for anything. Thread-safety: all methods from several threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <fnimage/manifest/descriptor.hpp>

#include "store/index_content.hpp"

namespace fnimage::server {

class ManifestGraph {
 public:
  /// The bytes of a manifest; null = it is not here.
  using Load = std::function<std::shared_ptr<const std::string>(const manifest::Digest&)>;
  explicit ManifestGraph(Load load) : load_(std::move(load)) {}

  /// Sorted by digest. Also what is in a list under the fallback tag (distribution-spec, Referrers
  /// Tag Schema), as far as it is here.
  std::vector<manifest::Descriptor> referrers(const IndexContent::Ptr& content,
                                              const manifest::Digest& subject);
  /// A manifest that has no entry, since a list that has one names it.
  std::optional<manifest::Descriptor> child(const IndexContent::Ptr& content,
                                            const manifest::Digest& digest);

 private:
  struct Node {
    manifest::Descriptor descriptor;
    std::size_t uses = 0;  ///< entries and lists that name it
    bool is_read = false;
    std::optional<manifest::Digest> subject{};
    std::vector<manifest::Descriptor> children{};
  };
  void show(const IndexContent::Ptr& content);
  void use(const manifest::Descriptor& descriptor);
  void unuse(const manifest::Digest& digest);
  std::vector<manifest::Descriptor> read(Node& node);
  void read_missing();
  void add_listed(const IndexContent& content, const manifest::Digest& subject,
                  std::map<manifest::Digest, manifest::Descriptor>& found);

  Load load_;
  std::mutex mutex_;
  IndexContent::Ptr shown_{};  // guarded by mutex_, as what follows
  std::unordered_map<manifest::Digest, Node> nodes_{};
  std::set<manifest::Digest> missing_{};  ///< nodes that were not there to be read
  /// subject -> those that refer to it
  std::unordered_map<manifest::Digest, std::set<manifest::Digest>> referrers_{};
};

}  // namespace fnimage::server

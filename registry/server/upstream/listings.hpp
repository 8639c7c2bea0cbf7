// Lists of upstreams: tags, which count for a while, and referrers. Thread-safety: all methods from
// several threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/server/upstream.hpp>

#include "upstream/place.hpp"
#include "upstream/questions.hpp"
#include "upstream/recent.hpp"
#include "upstream/remote.hpp"

namespace fnimage::server {

class Listings {
 public:
  template <class Entry>
  using List = std::shared_ptr<const std::vector<Entry>>;
  template <class Entry>
  using Take = std::function<void(const Result<List<Entry>>&)>;

  explicit Listings(const UpstreamOptions& options) : options_(options), known_tags_(most_tags) {}

  /// Tells all tags, sorted: at once when they are known, or from another thread. Errors:
  /// not_found, unauthorized, those of the network.
  void tags(Remote& remote, const Place& place, Take<std::string> take);
  /// Tells what refers to a digest, sorted by digest; nothing when the repository is not there.
  void referrers(Remote& remote, const Place& place, const manifest::Digest& digest,
                 Take<manifest::Descriptor> take);

 private:
  static constexpr std::size_t most_tags = 200'000;  ///< that are kept, of all repositories

  const UpstreamOptions& options_;
  Recent<List<std::string>> known_tags_;
  Questions<Result<List<std::string>>> asked_tags_{};
  Questions<Result<List<manifest::Descriptor>>> asked_referrers_{};
};

}  // namespace fnimage::server

// Manifests of upstreams: got when they are asked for, verified, and kept in the repository here.
// What a tag stands for is asked again when the answer is old. Thread-safety: all methods from
// several threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/server/upstream.hpp>

#include "store/store.hpp"
#include "upstream/place.hpp"
#include "upstream/questions.hpp"
#include "upstream/recent.hpp"
#include "upstream/remote.hpp"

namespace fnimage::server {

/// How far what is here can be believed. Stale: the upstream could not be asked.
enum class Freshness : std::uint8_t { fresh, stale };

class ManifestPulls {
 public:
  ManifestPulls(Store& store, const UpstreamOptions& options)
      : store_(store), options_(options), known_(most_known) {}

  /// Of what is here under this tag or digest; nullopt = the upstream has to be asked.
  std::optional<Freshness> standing(const Place& place, const registry::Selector& selector);

  using Take = std::function<void(const Result<Freshness>&)>;
  /// Sees to it that the manifest is here and tells so, from another thread; several that ask for
  /// the same are told together. Errors: not_found (a tag that was here is here no more),
  /// unauthorized, those of the network when nothing is here either, those of the store.
  void pull(Remote& remote, const Place& place, const registry::Selector& selector, Take take);

 private:
  static constexpr std::size_t most_known = 10'000;  ///< tags

  Result<Freshness> run(Remote& remote, const Place& place, const registry::Selector& selector);
  Result<Freshness> refresh(Remote& remote, const Place& place, const std::string& tag);
  Result<void> ask(Remote& remote, const Place& place, const std::string& tag);
  Result<void> move_tag(registry::ImageStore& from, const Place& place, const std::string& tag,
                        const manifest::Digest& to);
  Result<void> get(Remote& remote, const Place& place, const registry::Selector& selector);
  Result<void> keep(const Place& place, const manifest::Document& document,
                    const std::optional<manifest::Digest>& digest, std::vector<std::string> tags);
  Result<std::optional<StoredManifest>> here(const Place& place,
                                             const registry::Selector& selector);
  Result<void> drop_tag(const Place& place, const std::string& tag);

  Store& store_;
  const UpstreamOptions& options_;
  Recent<Freshness> known_;  ///< of tags
  Questions<Result<Freshness>> questions_{};
};

}  // namespace fnimage::server

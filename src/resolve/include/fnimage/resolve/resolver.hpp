// Which image each node takes, for whoever asks all the time, as a platform's controller does: what
// registries say is kept, by digest for as long as there is room, by tag for a while. A registry
// that is away does not stop it. Thread-safety: any number of threads may ask at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/clock.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/resolve/image.hpp>

namespace fnimage::resolve {

/// Opens what a reference names. Called from several threads at once, never under a lock. What it
/// throws becomes an internal error.
using Opener = std::function<Result<registry::OpenedImage>(const std::string& reference)>;

/// Images of registries; names without one are of the local store, if there is one. Nothing else in
/// the file system is opened: references may come from anybody.
Opener open_with(std::shared_ptr<registry::Client> client, std::filesystem::path local_store = {});

struct ResolverOptions {
  /// What a tag stands for is asked again after so long, with one HEAD.
  std::chrono::milliseconds tag_lifetime{30'000};
  /// That there is no such image is believed for so long.
  std::chrono::milliseconds missing_lifetime{10'000};
  /// After another failure the registry is left alone for so long, for this image.
  std::chrono::milliseconds failure_lifetime{5'000};
  /// When the registry is away, what it said last is good for so long; nullopt = for ever.
  std::optional<std::chrono::milliseconds> max_stale{};
  /// Whoever has something to go by waits no longer than this for the registry, and not at all when
  /// it was away the last time.
  std::chrono::milliseconds patience{2'000};
  std::size_t max_bytes = std::size_t{64} << 20;   ///< of all that is kept, about
  std::size_t threads = 8;                         ///< that wait for registries
  bool variants = true;                            ///< false: lists as plain runtimes see them
  std::shared_ptr<const registry::Clock> clock{};  ///< null = the system's
};

/// An image as it is known now.
struct KnownImage {
  std::shared_ptr<const ResolvedImage> image{};  ///< never null
  /// The registry could not be asked, and this is what it said so long ago; nullopt: it is as
  /// fresh as ResolverOptions want it.
  std::optional<std::chrono::milliseconds> stale{};
};

/// What one node takes. It keeps alive what the choice refers to.
struct NodeChoice {
  std::shared_ptr<const ResolvedImage> image{};
  std::optional<std::chrono::milliseconds> stale{};  ///< as KnownImage's
  Choice choice{};
};

/// Counters since the beginning, for metrics and tests.
struct ResolverStatistics {
  std::uint64_t hits = 0;       ///< answered without waiting
  std::uint64_t refreshes = 0;  ///< times that an image was asked for at its registry
  std::uint64_t failures = 0;   ///< of these
  std::uint64_t stale = 0;      ///< answers that were stale
  std::size_t images = 0;       ///< kept now
  std::size_t bytes = 0;        ///< kept now, about
};

class Resolver {
 public:
  explicit Resolver(Opener opener, ResolverOptions options = {});
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  /// Waits for requests under way. Nobody may ask any more.
  ~Resolver();

  /// The image. However many ask for it at once, its registry is asked once. Errors: not_found,
  /// unauthorized, invalid_argument for the reference, invalid_input for what is neither list nor
  /// image or has too many images; those of the store when it is away and nothing is known;
  /// cancelled when `stop` is asked, which does not stop it for the others.
  Result<KnownImage> image(std::string_view reference, const std::stop_token& stop = {});

  /// image() and what the node takes of it. That it takes nothing is an answer.
  Result<NodeChoice> resolve(std::string_view reference, const node::Node& node,
                             const std::stop_token& stop = {});

  /// One choice for each node, in their order, all of the same image.
  struct NodeChoices {
    KnownImage image;
    std::vector<Choice> choices;
  };
  Result<NodeChoices> resolve(std::string_view reference, const std::vector<node::Node>& nodes,
                              const std::stop_token& stop = {});

  /// Images asked for at the same time, one answer for each in their order.
  std::vector<Result<KnownImage>> images(const std::vector<std::string>& references,
                                         const std::stop_token& stop = {});

  /// The next who asks for it makes its registry be asked, as after a push. What is known stays
  /// for when the registry is away.
  void expire(std::string_view reference);

  [[nodiscard]] ResolverStatistics statistics() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fnimage::resolve

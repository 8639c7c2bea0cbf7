// See the header. One flight for each image that is asked for at its registry, on a thread of the
// pool; whoever asks meanwhile waits for it, or goes by what is known. Locks are held for looking
// up and noting only.
#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/resolve/resolver.hpp>

#include "loading.hpp"

namespace fnimage::resolve {

namespace {

using Time = registry::Clock::Time;
using std::chrono::milliseconds;

/// Longer references are not looked up, let alone kept.
constexpr std::size_t max_reference = 1024;
/// Of one image that is known, with the nodes of list and map.
constexpr std::size_t memory_of_image = 512;
/// Half of the memory is for images, half for what they consist of, which moved tags use again.
constexpr std::size_t shares = 2;

/// The registry did not say what is; that it could not be asked.
bool is_away(const Error& error) noexcept {
  constexpr int first_server_error = 500;
  switch (error.code()) {
    case ErrorCode::unavailable:
    case ErrorCode::rate_limited:
    case ErrorCode::tls:
    case ErrorCode::protocol:
      return true;
    default:
      return error.http_status() >= first_server_error;
  }
}

/// What is known of a reference.
struct Known {
  std::shared_ptr<const ResolvedImage> image{};
  std::optional<Error> error{};  ///< of the last time that it was asked for
  Time confirmed{};              ///< when its registry last said so
  Time good_until{};             ///< it is not asked for again before

  [[nodiscard]] std::size_t memory() const {
    return (image ? image->memory() : 0) +
           (error ? error->describe().size() + error->hint().size() : 0);
  }
};

/// One image being asked for.
class Flight {
 public:
  explicit Flight(std::chrono::steady_clock::time_point begun) : begun_(begun) {}

  [[nodiscard]] std::chrono::steady_clock::time_point begun() const noexcept { return begun_; }

  void land(const Known& outcome) {
    {
      const std::lock_guard lock(mutex_);
      outcome_ = outcome;
    }
    landed_.notify_all();
  }

  /// Nullopt when stopped before, or not landed by then.
  std::optional<Known> wait(const std::stop_token& stop,
                            std::optional<std::chrono::steady_clock::time_point> until) {
    std::unique_lock lock(mutex_);
    const auto has_landed = [this] { return outcome_.has_value(); };
    if (until) {
      landed_.wait_until(lock, stop, *until, has_landed);
    } else {
      landed_.wait(lock, stop, has_landed);
    }
    return outcome_;
  }

 private:
  const std::chrono::steady_clock::time_point begun_;
  std::mutex mutex_;
  std::condition_variable_any landed_;
  std::optional<Known> outcome_;  // guarded by mutex_
};

struct Entry {
  std::string reference;
  Known known{};
  std::shared_ptr<Flight> flight{};  ///< null when it is not being asked for
  bool is_expired = false;           ///< meanwhile
  std::size_t memory = 0;
};

ResolverOptions with_clock(ResolverOptions options) {
  if (!options.clock) {
    // Not owned: it has static lifetime.
    options.clock = {std::shared_ptr<void>(), &registry::system_clock()};
  }
  return options;
}

}  // namespace

struct Resolver::Impl {
  using Order = std::list<Entry>;

  /// What a caller waits for.
  struct Pending {
    std::optional<Result<KnownImage>> answer{};  ///< without waiting
    std::shared_ptr<Flight> flight{};
    Known known{};  ///< to go by
  };

  Impl(Opener given_opener, ResolverOptions given_options)
      : opener(std::move(given_opener)),
        options(with_clock(std::move(given_options))),
        clock(*options.clock),
        parts(options.max_bytes / shares),
        loader(parts, pool, options.variants),
        pool(std::max<std::size_t>(1, options.threads)) {}

  Pending begin(std::string_view reference);
  Result<KnownImage> finish(Pending pending, const std::stop_token& stop);

  Result<KnownImage> answer_of(const Known& known, Time now);
  Result<KnownImage> answer_late(const Known& known);
  void fly(const std::string& reference, const std::shared_ptr<Flight>& flight,
           const std::shared_ptr<const ResolvedImage>& before);
  Result<Loaded> load(const std::string& reference,
                      const std::shared_ptr<const ResolvedImage>& before);
  [[nodiscard]] Known outcome_of(Result<Loaded> loaded, const Known& before);
  Order::iterator entry_for(std::string_view reference);
  void evict();

  const Opener opener;
  const ResolverOptions options;
  const registry::Clock& clock;
  PartCache parts;
  mutable std::mutex mutex;
  Order order;  // the most recently used first; guarded by mutex, as what follows
  std::unordered_map<std::string_view, Order::iterator> places;  // keys are the entries'
  std::size_t bytes = 0;
  ResolverStatistics counted;
  Loader loader;
  WorkerPool pool;  // ends before all that its tasks use
};

// NOLINTNEXTLINE(readability-convert-member-functions-to-static): counts
Result<KnownImage> Resolver::Impl::answer_of(const Known& known, Time now) {
  if (!known.error) {
    return KnownImage{known.image, std::nullopt};
  }
  const auto age = std::chrono::duration_cast<milliseconds>(now - known.confirmed);
  if (!known.image || (options.max_stale && age > *options.max_stale)) {
    return fail(*known.error);
  }
  ++counted.stale;
  return KnownImage{known.image, age};
}

Resolver::Impl::Order::iterator Resolver::Impl::entry_for(std::string_view reference) {
  if (const auto place = places.find(reference); place != places.end()) {
    order.splice(order.begin(), order, place->second);
    return place->second;
  }
  order.push_front({.reference = std::string(reference)});
  order.front().memory = memory_of_image + reference.size();
  bytes += order.front().memory;
  places.emplace(order.front().reference, order.begin());
  return order.begin();
}

Resolver::Impl::Pending Resolver::Impl::begin(std::string_view reference) {
  if (reference.size() > max_reference) {
    return {.answer = fail(ErrorCode::invalid_argument,
                           fmt::format("a reference is longer than {} bytes", max_reference))};
  }
  const Time now = clock.now();
  const std::lock_guard lock(mutex);
  const auto entry = entry_for(reference);
  if (!entry->flight && now < entry->known.good_until) {
    ++counted.hits;
    return {.answer = answer_of(entry->known, now)};
  }
  if (!entry->flight) {
    ++counted.refreshes;
    entry->flight = std::make_shared<Flight>(std::chrono::steady_clock::now());
    pool.submit([this, name = entry->reference, flight = entry->flight,
                 before = entry->known.image] { fly(name, flight, before); });
  }
  return {.flight = entry->flight, .known = entry->known};
}

/// From what is known when the registry takes too long.
Result<KnownImage> Resolver::Impl::answer_late(const Known& known) {
  Known late = known;
  late.error = Error(ErrorCode::unavailable, "the registry takes too long").retryable();
  const std::lock_guard lock(mutex);
  return answer_of(late, clock.now());
}

Result<KnownImage> Resolver::Impl::finish(Pending pending, const std::stop_token& stop) {
  if (pending.answer) {
    return std::move(*pending.answer);
  }
  std::optional<std::chrono::steady_clock::time_point> until;
  if (pending.known.image) {
    // Nobody waits for a registry that was away the last time.
    const bool was_away = pending.known.error.has_value();
    until = pending.flight->begun() + (was_away ? milliseconds(0) : options.patience);
  }
  for (;;) {
    const std::optional<Known> landed = pending.flight->wait(stop, until);
    if (landed) {
      const std::lock_guard lock(mutex);
      return answer_of(*landed, clock.now());
    }
    if (stop.stop_requested()) {
      return fail(ErrorCode::cancelled, "stopped while waiting for a registry");
    }
    if (auto late = answer_late(pending.known)) {
      return late;
    }
    until.reset();  // too old to go by
  }
}

Result<Loaded> Resolver::Impl::load(const std::string& reference,
                                    const std::shared_ptr<const ResolvedImage>& before) {
  std::optional<Loaded> loaded;
  FNIMAGE_CHECK(run_caught([&]() -> Result<void> {
    FNIMAGE_TRY(const registry::OpenedImage opened, opener(reference));
    FNIMAGE_TRY(loaded, loader.load(opened, before));
    return {};
  }));
  return std::move(*loaded);
}

Known Resolver::Impl::outcome_of(Result<Loaded> loaded, const Known& before) {
  const Time now = clock.now();
  if (loaded) {
    return {.image = std::move(loaded->image),
            .confirmed = now,
            .good_until = loaded->is_final ? Time::max() : now + options.tag_lifetime};
  }
  ++counted.failures;
  const Error& error = loaded.error();
  Known outcome{.error = error, .confirmed = before.confirmed};
  if (is_away(error) || error.code() == ErrorCode::cancelled) {
    outcome.image = before.image;
  }
  if (error.code() == ErrorCode::cancelled) {
    outcome.good_until = now;  // it says nothing of the image
  } else if (error.code() == ErrorCode::not_found) {
    outcome.good_until = now + options.missing_lifetime;
  } else {
    outcome.good_until = now + options.failure_lifetime;
  }
  return outcome;
}

void Resolver::Impl::fly(const std::string& reference, const std::shared_ptr<Flight>& flight,
                         const std::shared_ptr<const ResolvedImage>& before) {
  Result<Loaded> loaded = load(reference, before);
  Known outcome;
  {
    const std::lock_guard lock(mutex);
    // It is there: entries in flight are not evicted.
    Entry& entry = *places.at(reference);
    outcome = outcome_of(std::move(loaded), entry.known);
    entry.known = outcome;
    if (std::exchange(entry.is_expired, false)) {
      entry.known.good_until = Time{};
    }
    entry.flight.reset();
    bytes -= entry.memory;
    entry.memory = memory_of_image + entry.reference.size() + outcome.memory();
    bytes += entry.memory;
    evict();
  }
  flight->land(outcome);
}

void Resolver::Impl::evict() {
  auto oldest = order.end();
  while (bytes > options.max_bytes / shares && oldest != order.begin()) {
    --oldest;
    if (oldest->flight) {
      continue;
    }
    bytes -= oldest->memory;
    places.erase(oldest->reference);
    oldest = order.erase(oldest);
  }
}

Opener open_with(std::shared_ptr<registry::Client> client, std::filesystem::path local_store) {
  return [client = std::move(client), local_store = std::move(local_store)](
             const std::string& reference) -> Result<registry::OpenedImage> {
    FNIMAGE_TRY(const registry::Location location, registry::parse_location(reference));
    const bool is_local = location.kind == registry::Location::Kind::local;
    if (location.is_path() || (is_local && local_store.empty())) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("\"{}\" names no registry", printable(reference)),
                  "write registry/repository:tag");
    }
    return registry::open_for_reading(location, *client, local_store);
  };
}

Resolver::Resolver(Opener opener, ResolverOptions options)
    : impl_(std::make_unique<Impl>(std::move(opener), std::move(options))) {}

Resolver::~Resolver() = default;

Result<KnownImage> Resolver::image(std::string_view reference, const std::stop_token& stop) {
  return impl_->finish(impl_->begin(reference), stop);
}

Result<NodeChoice> Resolver::resolve(std::string_view reference, const node::Node& node,
                                     const std::stop_token& stop) {
  FNIMAGE_TRY(KnownImage known, image(reference, stop));
  const Choice choice = known.image->choose(node);
  return NodeChoice{std::move(known.image), known.stale, choice};
}

Result<Resolver::NodeChoices> Resolver::resolve(std::string_view reference,
                                                const std::vector<node::Node>& nodes,
                                                const std::stop_token& stop) {
  FNIMAGE_TRY(KnownImage known, image(reference, stop));
  std::vector<Choice> choices;
  choices.reserve(nodes.size());
  for (const node::Node& node : nodes) {
    choices.push_back(known.image->choose(node));
  }
  return NodeChoices{std::move(known), std::move(choices)};
}

std::vector<Result<KnownImage>> Resolver::images(const std::vector<std::string>& references,
                                                 const std::stop_token& stop) {
  std::vector<Impl::Pending> pending;
  pending.reserve(references.size());
  for (const std::string& reference : references) {
    pending.push_back(impl_->begin(reference));
  }
  std::vector<Result<KnownImage>> answers;
  answers.reserve(references.size());
  for (Impl::Pending& one : pending) {
    answers.push_back(impl_->finish(std::move(one), stop));
  }
  return answers;
}

void Resolver::expire(std::string_view reference) {
  const std::lock_guard lock(impl_->mutex);
  if (const auto place = impl_->places.find(reference); place != impl_->places.end()) {
    place->second->known.good_until = Time{};
    place->second->is_expired = place->second->flight != nullptr;
  }
}

ResolverStatistics Resolver::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  ResolverStatistics now = impl_->counted;
  now.images = impl_->order.size();
  now.bytes = impl_->bytes + impl_->parts.bytes();
  return now;
}

}  // namespace fnimage::resolve

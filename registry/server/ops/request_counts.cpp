#include "ops/request_counts.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <thread>

namespace fnimage::server {

namespace {

template <class Values, class Found>
std::size_t index_of(const Values& values, Found found) noexcept {
  return static_cast<std::size_t>(std::distance(values.begin(), found));
}

std::size_t method_index(std::string_view method) noexcept {
  const auto* const found = std::ranges::find(counted_methods, method);
  return std::min(index_of(counted_methods, found), counted_methods.size() - 1);
}

std::size_t status_index(int status) noexcept {
  const auto* const found = std::ranges::find(counted_statuses, status);
  return std::min(index_of(counted_statuses, found), counted_statuses.size() - 1);
}

std::size_t bucket_index(std::chrono::nanoseconds duration) noexcept {
  const auto* const found = std::ranges::find_if(
      duration_bounds, [&](std::chrono::microseconds bound) { return duration <= bound; });
  return index_of(duration_bounds, found);
}

/// Threads mostly get different ones; when they do not, the numbers are right all the same.
std::size_t part_of_this_thread(std::size_t count) noexcept {
  // Identities are addresses, of which the upper bits differ.
  constexpr std::uint64_t mix = 0x9E37'79B9'7F4A'7C15;
  constexpr unsigned upper = 58;
  const std::uint64_t identity = std::hash<std::thread::id>()(std::this_thread::get_id());
  return ((identity * mix) >> upper) % count;
}

void increase(std::atomic<std::uint64_t>& number, std::uint64_t by = 1) noexcept {
  number.fetch_add(by, std::memory_order_relaxed);
}

std::uint64_t read(const std::atomic<std::uint64_t>& number) noexcept {
  return number.load(std::memory_order_relaxed);
}

template <class Totals, class Numbers>
void add_all(Totals& totals, const Numbers& numbers) {
  for (std::size_t i = 0; i < totals.size(); ++i) {
    totals[i] += read(numbers[i]);
  }
}

}  // namespace

std::uint64_t RequestTotals::count(EndpointKind kind, std::string_view method, int status) const {
  return kinds[static_cast<std::size_t>(kind)].count[method_index(method)][status_index(status)];
}

void RequestCounts::add(const Request& request, int status, Clock::time_point now) noexcept {
  constexpr int unauthorized = 401;
  Part& part = parts_[part_of_this_thread(parts_.size())];
  const EndpointKind endpoint = endpoint_kind(request.path);
  auto& kind = part.kinds[static_cast<std::size_t>(endpoint)];
  increase(kind.count[method_index(request.method)][status_index(status)]);
  const std::chrono::nanoseconds duration = now - request.begun;
  increase(kind.buckets[bucket_index(duration)]);
  increase(kind.nanoseconds, static_cast<std::uint64_t>(duration.count()));
  // Without credentials it is only how clients are told to log in; with a name they were good.
  const bool has_tried = !request.header("Authorization").empty() ||
                         (endpoint == EndpointKind::token && request.method == "POST");
  if (status == unauthorized && request.caller.empty() && has_tried) {
    increase(part.failed_logins);
  }
}

RequestTotals RequestCounts::totals() const {
  RequestTotals totals;
  for (const Part& part : parts_) {
    for (std::size_t i = 0; i < endpoint_kinds; ++i) {
      RequestTotals::OfKind& to = totals.kinds[i];
      const Part::OfKind& from = part.kinds[i];
      for (std::size_t method = 0; method < counted_methods.size(); ++method) {
        add_all(to.count[method], from.count[method]);
      }
      add_all(to.durations.buckets, from.buckets);
      to.durations.nanoseconds += read(from.nanoseconds);
    }
    totals.failed_logins += read(part.failed_logins);
  }
  return totals;
}

}  // namespace fnimage::server

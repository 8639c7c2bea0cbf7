// See the header.
#include "metrics.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace controller {

void Metrics::count(Verdict::Kind kind, std::chrono::nanoseconds took) noexcept {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), seconds);
  ++verdicts_[static_cast<std::size_t>(kind)];
  ++durations_[static_cast<std::size_t>(bucket - buckets.begin())];
  nanoseconds_ += static_cast<std::uint64_t>(took.count());
}

std::string Metrics::text(const fnimage::resolve::ResolverStatistics& resolver, std::size_t nodes,
                          std::size_t functions) const {
  std::string text = "# TYPE fnimage_admission_requests_total counter\n";
  for (std::size_t kind = 0; kind < kinds; ++kind) {
    text += fmt::format("fnimage_admission_requests_total{{result=\"{}\"}} {}\n",
                        to_string(static_cast<Verdict::Kind>(kind)), verdicts_[kind].load());
  }
  text += fmt::format("fnimage_admission_requests_total{{result=\"malformed\"}} {}\n",
                      malformed_.load());
  text += "# TYPE fnimage_admission_seconds histogram\n";
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    below += durations_[i].load();
    text += fmt::format("fnimage_admission_seconds_bucket{{le=\"{}\"}} {}\n", buckets[i], below);
  }
  below += durations_.back().load();
  constexpr double per_second = 1e9;
  text += fmt::format(
      "fnimage_admission_seconds_bucket{{le=\"+Inf\"}} {0}\nfnimage_admission_seconds_sum {1}\n"
      "fnimage_admission_seconds_count {0}\n",
      below, static_cast<double>(nanoseconds_.load()) / per_second);
  const auto gauge = [&](std::string_view name, std::string_view type, std::uint64_t value) {
    text += fmt::format("# TYPE fnimage_{0} {1}\nfnimage_{0} {2}\n", name, type, value);
  };
  gauge("resolver_hits_total", "counter", resolver.hits);
  gauge("resolver_refreshes_total", "counter", resolver.refreshes);
  gauge("resolver_failures_total", "counter", resolver.failures);
  gauge("resolver_stale_total", "counter", resolver.stale);
  gauge("resolver_images", "gauge", resolver.images);
  gauge("resolver_bytes", "gauge", resolver.bytes);
  gauge("nodes", "gauge", nodes);
  gauge("functions", "gauge", functions);
  return text;
}

}  // namespace controller

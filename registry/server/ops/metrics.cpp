#include "ops/metrics.hpp"

#include <fmt/format.h>

#include "ops/metrics_text.hpp"
#include "ops/process_numbers.hpp"

namespace fnimage::server {

namespace {

constexpr std::string_view counter = "counter";
constexpr std::string_view gauge = "gauge";

void write_requests(MetricsText& text, const RequestTotals& totals) {
  text.family("fnimage_http_requests_total", counter, "Requests that were answered.");
  for (std::size_t kind = 0; kind < endpoint_kinds; ++kind) {
    for (std::size_t method = 0; method < counted_methods.size(); ++method) {
      for (std::size_t i = 0; i < counted_statuses.size(); ++i) {
        const std::uint64_t count = totals.kinds[kind].count[method][i];
        const int status = counted_statuses[i];
        if (count > 0) {
          text.sample({{"method", counted_methods[method]},
                       {"endpoint", endpoint_kind_names[kind]},
                       {"code", status == 0 ? "other" : std::to_string(status)}},
                      count);
        }
      }
    }
  }
}

void write_durations(MetricsText& text, std::string_view kind, const Durations& durations) {
  constexpr double nano = 1e-9;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < durations.buckets.size(); ++i) {
    count += durations.buckets[i];
    const std::string bound =
        i == duration_bounds.size()
            ? "+Inf"
            : fmt::format("{}", std::chrono::duration<double>(duration_bounds[i]).count());
    text.sample({{"endpoint", kind}, {"le", bound}}, count, "_bucket");
  }
  text.sample({{"endpoint", kind}}, static_cast<double>(durations.nanoseconds) * nano, "_sum");
  text.sample({{"endpoint", kind}}, count, "_count");
}

void write_content(MetricsText& text, const RequestTotals& totals) {
  using Kind = EndpointKind;
  text.family("fnimage_content_pulled_total", counter,
              "Blobs and manifests that were sent, also in part.");
  text.sample({{"content", "blob"}},
              totals.count(Kind::blob, "GET", 200) + totals.count(Kind::blob, "GET", 206));
  text.sample({{"content", "manifest"}}, totals.count(Kind::manifest, "GET", 200));
  text.family("fnimage_content_put_total", counter,
              "Blobs and manifests that were pushed, mounted blobs among them.");
  text.sample({{"content", "blob"}},
              totals.count(Kind::upload, "PUT", 201) + totals.count(Kind::uploads, "POST", 201));
  text.sample({{"content", "manifest"}}, totals.count(Kind::manifest, "PUT", 201));
}

void write_load(MetricsText& text, const ServerNumbers& numbers) {
  text.single("fnimage_http_received_bytes_total", counter, "Bytes of requests' bodies.",
              numbers.load.received_bytes);
  text.single("fnimage_http_sent_bytes_total", counter, "Bytes of answers' bodies.",
              numbers.load.sent_bytes);
  text.single("fnimage_http_connections", gauge, "Connections that are open.",
              std::uint64_t{numbers.load.connections});
  text.single("fnimage_http_requests_in_progress", gauge, "Requests that are being answered.",
              numbers.load.requests);
  text.single("fnimage_authentication_failures_total", counter,
              "Requests with a password or token that is not good.",
              numbers.requests.failed_logins);
  text.single("fnimage_uploads", gauge, "Uploads that are open.",
              std::uint64_t{numbers.store.uploads});
  text.single("fnimage_repositories_in_memory", gauge, "Repositories that are kept in memory.",
              std::uint64_t{numbers.store.repositories});
}

void write_process(MetricsText& text) {
  const auto numbers = process_numbers();
  if (!numbers) {
    return;
  }
  text.single("process_cpu_seconds_total", counter, "CPU time that was used, in seconds.",
              numbers->cpu_seconds);
  text.single("process_start_time_seconds", gauge, "When the process began, in seconds since 1970.",
              numbers->start_seconds);
  text.single("process_resident_memory_bytes", gauge, "Memory that is in use.",
              numbers->resident_bytes);
  text.single("process_virtual_memory_bytes", gauge, "Addresses that are in use.",
              numbers->virtual_bytes);
  text.single("process_threads", gauge, "Threads.", numbers->threads);
  text.single("process_max_fds", gauge, "Files and connections that may be open at most.",
              numbers->most_files);
  if (numbers->open_files) {
    text.single("process_open_fds", gauge, "Files and connections that are open.",
                *numbers->open_files);
  }
}

}  // namespace

std::string metrics_page(const ServerNumbers& numbers) {
  MetricsText text;
  text.family("fnimage_build_info", gauge, "1; the label says which version this is.");
  text.sample({{"version", numbers.version}}, std::uint64_t{1});
  write_requests(text, numbers.requests);
  text.family("fnimage_http_request_duration_seconds", "histogram",
              "From a request's head to the end of its answer.");
  for (std::size_t kind = 0; kind < endpoint_kinds; ++kind) {
    write_durations(text, endpoint_kind_names[kind], numbers.requests.kinds[kind].durations);
  }
  write_content(text, numbers.requests);
  write_load(text, numbers);
  write_process(text);
  return text.take();
}

}  // namespace fnimage::server

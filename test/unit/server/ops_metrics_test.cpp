// How requests are counted, and what the page for Prometheus makes of that.
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/target.hpp"
#include "ops/endpoint_kind.hpp"
#include "ops/metrics_text.hpp"
#include "ops/request_counts.hpp"

namespace fnimage::server {
namespace {

Request counted_request(std::string method, std::string path) {
  Request request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.begun = RequestCounts::Clock::now();
  return request;
}

TEST(EndpointKind, IsWhatTheApiTakesThePathFor) {
  for (const char* path : {"/v2",
                           "/v2/",
                           "/v2/_catalog",
                           "/v2/_catalog/",
                           "/v2/a/tags/list",
                           "/v2/tags/list",
                           "/v2/tags/list/tags/list",
                           "/v2/a/b/manifests/x",
                           "/v2/manifests/x",
                           "/v2/a/manifests/",
                           "/v2/a/blobs/x",
                           "/v2/a/blobs/uploads",
                           "/v2/a/blobs/uploads/",
                           "/v2/a/blobs/uploads/x",
                           "/v2/blobs/uploads/x",
                           "/v2/uploads/x",
                           "/v2/a/uploads/x",
                           "/v2/a/referrers/x",
                           "/v2/blobs/blobs/x",
                           "/v2/a",
                           "/v2x",
                           "/",
                           "",
                           "/v2//",
                           "/v2/a/b/c",
                           "/v1/a/blobs/x"}) {
    const auto target = parse_target(path);
    const auto kind = endpoint_kind(path);
    EXPECT_EQ(target.has_value(), kind != EndpointKind::other) << path;
    if (target) {
      EXPECT_EQ(static_cast<int>(target->endpoint), static_cast<int>(kind)) << path;
    }
  }
  EXPECT_EQ(endpoint_kind("/v2/token"), EndpointKind::token);
  EXPECT_EQ(endpoint_kind("/metrics"), EndpointKind::metrics);
}

TEST(RequestCounts, OfSeveralThreads) {
  constexpr int threads = 4;
  constexpr int each = 10'000;
  RequestCounts counts;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        const Request request = counted_request("GET", "/v2/a/tags/list");
        for (int count = 0; count < each; ++count) {
          counts.add(request, 200, request.begun + std::chrono::milliseconds(3));
        }
      });
    }
  }
  counts.add(counted_request("PUT", "/v2/a/manifests/x"), 299, RequestCounts::Clock::now());
  const RequestTotals totals = counts.totals();
  EXPECT_EQ(totals.count(EndpointKind::tags, "GET", 200), threads * each);
  EXPECT_EQ(totals.count(EndpointKind::manifest, "PUT", 0), 1U);
  const auto& durations = totals.kinds[static_cast<std::size_t>(EndpointKind::tags)].durations;
  EXPECT_EQ(durations.buckets[4], threads * each);  // above 2.5 ms, up to 5 ms
  EXPECT_EQ(durations.nanoseconds, 3'000'000ULL * threads * each);
}

TEST(RequestCounts, LoginsThatFail) {
  RequestCounts counts;
  const auto now = RequestCounts::Clock::now();
  Request request = counted_request("GET", "/v2/");
  counts.add(request, 401, now);  // has not tried
  EXPECT_EQ(counts.totals().failed_logins, 0U);
  request.headers.push_back({"authorization", "Basic x"});
  counts.add(request, 401, now);
  counts.add(counted_request("POST", "/v2/token"), 401, now);
  EXPECT_EQ(counts.totals().failed_logins, 2U);
  request.caller = "ann";
  counts.add(request, 401, now);  // good, and for something else
  counts.add(request, 200, now);
  EXPECT_EQ(counts.totals().failed_logins, 2U);
}

TEST(MetricsText, Escapes) {
  MetricsText text;
  text.family("a_total", "counter", "Help.");
  text.sample({{"x", "a\"b\\c\nd"}, {"y", ""}}, std::uint64_t{18'446'744'073'709'551'615U});
  text.sample({}, 0.25);
  EXPECT_EQ(text.take(),
            "# HELP a_total Help.\n# TYPE a_total counter\n"
            "a_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 18446744073709551615\na_total 0.25\n");
}

}  // namespace
}  // namespace fnimage::server

// What is told of the whole server to who runs it. Thread-safety: all methods from several threads,
// but for observe().
#pragma once

#include "http/exchange.hpp"
#include "http/http_server.hpp"
#include "ops/readiness.hpp"
#include "ops/request_counts.hpp"
#include "store/store.hpp"

namespace fnimage::server {

class Overview {
 public:
  /// Not owned; lives longer.
  explicit Overview(Store& store) : store_(store), readiness_(store) {}
  /// The server whose connections are told of; before there are requests. Not owned.
  void observe(const HttpServer& server) { server_ = &server; }
  RequestCounts& counts() { return counts_; }

  /// A stop has been asked for.
  void stop() noexcept { readiness_.stop(); }

  /// The process is there.
  [[nodiscard]] static Response alive();
  /// 200 when requests may come, else 503 and why.
  [[nodiscard]] Response ready();
  /// All numbers, for Prometheus.
  [[nodiscard]] Response metrics() const;

 private:
  const Store& store_;
  const HttpServer* server_ = nullptr;
  RequestCounts counts_{};
  Readiness readiness_;
};

}  // namespace fnimage::server

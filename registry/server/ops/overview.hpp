// What is told of the whole server to who runs it. Thread-safety: all methods from several threads,
// but for observe().
#pragma once

#include "http/exchange.hpp"
#include "http/http_server.hpp"
#include "ops/request_counts.hpp"
#include "store/store.hpp"

namespace fnimage::server {

class Overview {
 public:
  /// Not owned; lives longer.
  explicit Overview(const Store& store) : store_(store) {}
  /// The server whose connections are told of; before there are requests. Not owned.
  void observe(const HttpServer& server) { server_ = &server; }
  RequestCounts& counts() { return counts_; }

  /// All numbers, for Prometheus.
  [[nodiscard]] Response metrics() const;

 private:
  const Store& store_;
  const HttpServer* server_ = nullptr;
  RequestCounts counts_{};
};

}  // namespace fnimage::server

// How an embedded registry is run as a service. Thread-safety: values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace fnimage::server {

struct ListenAddress {
  std::string host = "127.0.0.1";  ///< numeric; "::" = all
  std::uint16_t port = 0;          ///< 0 = any that is free
};

enum class LogFormat : std::uint8_t {
  common,  ///< PEER - USER [TIME] "METHOD TARGET" STATUS BYTES "AGENT" MILLISECONDS
  json     ///< an object
};

struct OperationsOptions {
  /// Where /metrics is answered, over HTTP and without login, and not by the registry's own address
  /// then. Without: there, and if access is restricted, to who has logged in and may pull anything.
  /// What /healthz and /readyz say, both addresses tell anybody; this one until the very end.
  std::optional<ListenAddress> metrics_address{};
  /// For requests in progress, after Server::stop(). What waits for the file system is waited for
  /// all the same.
  std::chrono::seconds stop_timeout{10};
  LogFormat access_log_format = LogFormat::common;
};

}  // namespace fnimage::server

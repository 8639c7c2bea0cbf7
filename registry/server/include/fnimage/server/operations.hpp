// How an embedded registry is run as a service. Thread-safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fnimage::server {

struct ListenAddress {
  std::string host = "127.0.0.1";  ///< numeric; "::" = all
  std::uint16_t port = 0;          ///< 0 = any that is free
};

struct OperationsOptions {
  /// Where /metrics is answered, over HTTP and without login, and not by the registry's own address
  /// then. Without: there, and if access is restricted, to who has logged in and may pull anything.
  std::optional<ListenAddress> metrics_address{};
};

}  // namespace fnimage::server

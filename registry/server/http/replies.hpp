// What the server answers itself. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "http/exchange.hpp"

namespace fnimage::server {

/// An answer to what is no good request; the connection ends after it.
inline Response plain_reply(int status, std::string_view why) {
  Response response{.status = status};
  response.headers.push_back({"Content-Type", "text/plain"});
  response.body = std::string(why) + "\n";
  response.closes = true;
  return response;
}

/// A handler has thrown.
inline Response fault_reply() {
  constexpr int internal = 500;
  return plain_reply(internal, "the server has failed");
}

}  // namespace fnimage::server

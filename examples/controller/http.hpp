// A request and its answer, without the connection that they take. Thread-safety: value types.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace controller {

struct HttpRequest {
  std::string method;
  std::string target;  ///< with the query
  std::string body;
  std::chrono::steady_clock::time_point read;  ///< when the last of it was there
};

struct HttpResponse {
  int status = 200;
  std::string body{};
  std::string type = "text/plain";
  std::string allow{};  ///< of a 405: the methods that there are
};

/// Called once, on any thread.
using Reply = std::function<void(HttpResponse)>;
/// Called on the thread that serves all connections: it must not wait for anything.
using Handler = std::function<void(HttpRequest, const Reply&)>;

}  // namespace controller

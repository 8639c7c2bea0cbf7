#include "ops/operations.hpp"

#include "api/reply.hpp"
#include "ops/endpoint_kind.hpp"

namespace fnimage::server {

bool Operations::is_own(const Request& request) const {
  return inner_ == nullptr || request.path == live_path || request.path == ready_path ||
         (options_.has_metrics && request.path == metrics_path);
}

bool Operations::is_quick(const Request& request) const {
  // Passwords, and the file systems of the process and of the store, may take their time.
  return is_own(request) ? request.path == live_path : inner_->is_quick(request);
}

Answer Operations::answer(const Request& request) {
  if (!is_own(request)) {
    return inner_->answer(request);
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return method_reply("GET, HEAD");
  }
  return answer_own(request);
}

Response Operations::answer_own(const Request& request) const {
  if (request.path == live_path) {
    return Overview::alive();
  }
  if (request.path == ready_path) {
    return overview_.ready();
  }
  return request.path == metrics_path
             ? answer_metrics(request)
             : error_reply(status::not_found, code::unsupported, "there is nothing at this path");
}

Response Operations::answer_metrics(const Request& request) const {
  if (options_.gate != nullptr) {
    if (auto refusal = options_.gate->refuse_overview(request)) {
      return std::move(*refusal);
    }
  }
  return overview_.metrics();
}

void Operations::complete(const Request& request, Response& response) const {
  if (inner_ != nullptr && !is_own(request)) {
    inner_->complete(request, response);
  }
}

void Operations::answered(const Request& request, int status, std::uint64_t sent) {
  overview_.counts().add(request, status, RequestCounts::Clock::now());
  if (!is_own(request)) {
    inner_->answered(request, status, sent);
  }
}

}  // namespace fnimage::server

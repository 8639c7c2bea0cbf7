#include "ops/overview.hpp"

#include <utility>

#include "api/reply.hpp"
#include "ops/metrics.hpp"
#include "ops/metrics_text.hpp"

namespace fnimage::server {

namespace {

Response health_reply(int status, std::string text) {
  Response response{.status = status};
  response.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  response.headers.push_back({"Cache-Control", "no-store"});
  response.body = std::move(text) + "\n";
  return response;
}

}  // namespace

Response Overview::alive() {
  return health_reply(status::ok, "ok");
}

Response Overview::ready() {
  std::string obstacle = readiness_.obstacle();
  return obstacle.empty() ? health_reply(status::ok, "ready")
                          : health_reply(status::unavailable, std::move(obstacle));
}

Response Overview::metrics() const {
  Response response;
  response.headers.push_back({"Content-Type", std::string(metrics_media_type)});
  response.body = metrics_page({.requests = counts_.totals(),
                                .load = server_ == nullptr ? HttpLoad{} : server_->load(),
                                .store = store_.counts(),
                                .version = FNIMAGE_VERSION});
  return response;
}

}  // namespace fnimage::server

#include "ops/overview.hpp"

#include "ops/metrics.hpp"
#include "ops/metrics_text.hpp"

namespace fnimage::server {

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

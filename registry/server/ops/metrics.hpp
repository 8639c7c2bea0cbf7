// All numbers of a server as a page for Prometheus. Names: "Metric and label naming" in its
// documentation; labels have few values, never a repository's name. Thread-safety: pure functions.
#pragma once

#include <string>

#include "http/http_server.hpp"
#include "ops/request_counts.hpp"
#include "store/store.hpp"

namespace fnimage::server {

struct ServerNumbers {
  RequestTotals requests;
  HttpLoad load;
  StoreCounts store;
  std::string version;
};

std::string metrics_page(const ServerNumbers& numbers);

}  // namespace fnimage::server

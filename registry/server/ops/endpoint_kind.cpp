#include "ops/endpoint_kind.hpp"

#include <algorithm>

#include "access/challenge.hpp"

namespace fnimage::server {

namespace {

/// Cuts off the last part of a path, and returns it.
std::string_view take_last(std::string_view& path) noexcept {
  const std::size_t slash = path.rfind('/');
  const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  const std::string_view last = path.substr(begin);
  path = path.substr(0, begin == 0 ? 0 : slash);
  return last;
}

EndpointKind kind_in_repository(std::string_view path) noexcept {
  const std::string_view last = take_last(path);
  const std::string_view word = take_last(path);
  if (word == "uploads" && take_last(path) == "blobs") {
    return last.empty() ? EndpointKind::uploads : EndpointKind::upload;
  }
  if (word == "blobs") {
    return last == "uploads" ? EndpointKind::uploads : EndpointKind::blob;
  }
  if (word == "tags" && last == "list") {
    return EndpointKind::tags;
  }
  return word == "manifests"   ? EndpointKind::manifest
         : word == "referrers" ? EndpointKind::referrers
                               : EndpointKind::other;
}

}  // namespace

EndpointKind endpoint_kind(std::string_view path) noexcept {
  constexpr std::string_view root = "/v2/";
  if (path == "/v2" || path == root) {
    return EndpointKind::base;
  }
  if (path == token_path) {
    return EndpointKind::token;
  }
  if (!path.starts_with(root)) {
    return path == live_path || path == ready_path ? EndpointKind::health
           : path == metrics_path                  ? EndpointKind::metrics
                                                   : EndpointKind::other;
  }
  path.remove_prefix(root.size());
  return path == "_catalog" ? EndpointKind::catalog : kind_in_repository(path);
}

}  // namespace fnimage::server

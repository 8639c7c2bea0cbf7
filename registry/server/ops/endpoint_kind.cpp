#include "ops/endpoint_kind.hpp"

#include "access/challenge.hpp"

namespace fnimage::server {

namespace {

/// A path's parts, the last one first.
class PartsFromEnd {
 public:
  explicit PartsFromEnd(std::string_view path) : rest_(path) {}

  std::string_view take() noexcept {
    const std::size_t slash = rest_.rfind('/');
    has_more_ = slash != std::string_view::npos;
    const std::string_view part = has_more_ ? rest_.substr(slash + 1) : rest_;
    rest_ = rest_.substr(0, has_more_ ? slash : 0);
    return part;
  }
  [[nodiscard]] bool has_more() const noexcept { return has_more_; }

 private:
  std::string_view rest_;
  bool has_more_ = true;
};

EndpointKind kind_in_repository(std::string_view path) noexcept {
  PartsFromEnd parts(path);
  const std::string_view last = parts.take();
  const std::string_view word = parts.take();
  if (word == "uploads" && parts.take() == "blobs" && parts.has_more()) {
    return last.empty() ? EndpointKind::uploads : EndpointKind::upload;
  }
  if (!parts.has_more()) {  // a repository's name has to come first
    return EndpointKind::other;
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

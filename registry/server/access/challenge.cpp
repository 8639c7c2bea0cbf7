#include "access/challenge.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "store/store.hpp"

namespace fnimage::server {

namespace {

/// A host with or without a port, which can stand in quotes.
bool is_plausible_host(std::string_view host) {
  constexpr std::size_t longest = 255;
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]%";
  return !host.empty() && host.size() <= longest &&
         host.find_first_not_of(allowed) == std::string_view::npos;
}

std::string_view host_of(std::string_view url) {
  constexpr std::string_view mark = "://";
  url.remove_prefix(std::min(url.size(), url.find(mark) + mark.size()));
  return url.substr(0, url.find('/'));
}

}  // namespace

Result<std::string> check_external_url(std::string_view url) {
  constexpr std::string_view in_path =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~/";
  const bool has_scheme = url.starts_with("https://") || url.starts_with("http://");
  const std::string_view host = has_scheme ? host_of(url) : std::string_view();
  const std::string_view path =
      has_scheme ? url.substr(url.find(host, url.find("://") + 3) + host.size()) : url;
  if (!is_plausible_host(host) || path.find_first_not_of(in_path) != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no URL of a server", printable(url)),
                "write it as clients do, e.g. https://registry.example");
  }
  return std::string(url.substr(0, url.find_last_not_of('/') + 1));
}

std::string wanted_scope(const Target& target, const Request& request) {
  if (target.endpoint == Endpoint::catalog) {
    return "registry:catalog:*";
  }
  if (target.endpoint == Endpoint::base || !is_valid_repository(target.repository)) {
    return {};
  }
  const bool is_upload =
      target.endpoint == Endpoint::uploads || target.endpoint == Endpoint::upload;
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  // Who pushes asks what is there, too.
  const std::string_view actions = is_upload                    ? "pull,push"
                                   : is_reading                 ? "pull"
                                   : request.method == "DELETE" ? "delete"
                                                                : "pull,push";
  std::string scope = fmt::format("repository:{}:{}", target.repository, actions);
  if (const auto from = mount_source(target, request)) {
    scope += fmt::format(" repository:{}:pull", *from);
  }
  return scope;
}

std::optional<std::string> mount_source(const Target& target, const Request& request) {
  auto from =
      target.endpoint == Endpoint::uploads ? Query(request.query).get("from") : std::nullopt;
  const bool is_other = from && *from != target.repository && is_valid_repository(*from);
  return is_other ? std::move(from) : std::nullopt;
}

std::string host_for_clients(const Request& request, std::string_view external_url) {
  const std::string_view host =
      external_url.empty() ? request.header("Host") : host_of(external_url);
  return is_plausible_host(host) ? std::string(host) : std::string();
}

std::string bearer_challenge(const Request& request, std::string_view external_url,
                             std::string_view scope, std::string_view error) {
  const std::string host = host_for_clients(request, external_url);
  if (host.empty()) {
    return basic_challenge();
  }
  const std::string base = external_url.empty()
                               ? fmt::format("{}://{}", request.is_secure ? "https" : "http", host)
                               : std::string(external_url);
  std::string challenge =
      fmt::format(R"(Bearer realm="{}{}",service="{}")", base, token_path, host);
  if (!scope.empty()) {
    challenge += fmt::format(R"(,scope="{}")", scope);
  }
  if (!error.empty()) {
    challenge += fmt::format(R"(,error="{}")", error);
  }
  return challenge;
}

std::string basic_challenge() {
  return R"(Basic realm="fnimage")";
}

}  // namespace fnimage::server

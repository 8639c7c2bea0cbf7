// See listing.hpp.
#include "listing.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/layout_tree.hpp>

#include "error_body.hpp"
#include "repository_store.hpp"

namespace fnimage::registry {

namespace {

constexpr int max_pages = 1000;
constexpr std::size_t max_repositories = 200'000;
constexpr const char* without_catalog =
    "name the repositories: HOST/team/app, or a file with one in each line";

Error catalog_error(const HttpResponse& response, const Url& url) {
  if (response.status == 404 || response.status == 405) {
    return Error(ErrorCode::unsupported,
                 fmt::format("{} does not list its repositories", printable_url(url.origin())))
        .with_http_status(response.status)
        .with_hint(without_catalog);
  }
  Error error = response_error(response, "GET", url.str());
  if (error.code() != ErrorCode::unauthorized) {
    return error;
  }
  return Error(error.code(), error.message())
      .with_http_status(response.status)
      .with_hint(fmt::format("use an account that may list them, or {}", without_catalog));
}

}  // namespace

Result<void> read_pages(Session& session, Url url, const Scopes& scopes, const std::string& what,
                        const std::function<Result<bool>(const HttpResponse&)>& take) {
  const std::string origin = url.origin();
  std::set<std::string> seen;
  for (int page = 0; page < max_pages; ++page) {
    seen.insert(url.str());
    FNIMAGE_TRY(
        const HttpResponse response,
        session.send({.url = url, .scopes = scopes, .max_body = manifest::max_document_bytes}));
    FNIMAGE_TRY(const bool more, take(response));
    const auto link = next_link(response.header("Link").value_or(""));
    if (!more || !link) {
      return {};
    }
    FNIMAGE_TRY(url, url.resolve(*link));
    if (url.origin() != origin) {
      return fail(ErrorCode::protocol, what + ": the next page of a listing is elsewhere, at " +
                                           printable_url(url.str()));
    }
    if (seen.contains(url.str())) {
      return fail(ErrorCode::protocol, what + ": the pages of a listing go round in circles");
    }
  }
  return fail(ErrorCode::protocol,
              what + ": more than " + std::to_string(max_pages) + " pages in a listing");
}

Result<std::size_t> add_strings(const HttpResponse& response, std::string_view key,
                                const std::string& what, bool (*accepts)(std::string_view),
                                std::vector<std::string>& names) {
  FNIMAGE_TRY(const nlohmann::json json, parse_json(response.body, what));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, what));
  const nlohmann::json* list = object.find(key);
  std::size_t refused = 0;
  if (list != nullptr && list->is_array()) {
    for (const nlohmann::json& name : *list) {
      if (name.is_string() && accepts(name.get_ref<const std::string&>())) {
        names.push_back(name.get<std::string>());
      } else {
        ++refused;
      }
    }
  }
  return refused;
}

Result<std::vector<std::string>> list_repositories(Session& session) {
  const std::string what = "repositories of " + session.registry();
  FNIMAGE_TRY(const Url url, session.url("/v2/_catalog?n=1000"));
  std::vector<std::string> names;
  std::size_t refused = 0;
  FNIMAGE_CHECK(read_pages(
      session, url, {"registry:catalog:*"}, what,
      [&](const HttpResponse& response) -> Result<bool> {
        if (response.status != 200) {
          return fail(catalog_error(response, url));
        }
        const auto accepts = [](std::string_view name) { return is_valid_repository(name); };
        FNIMAGE_TRY(const std::size_t more,
                    add_strings(response, "repositories", what, accepts, names));
        refused += more;
        if (names.size() + refused > max_repositories) {
          return fail(ErrorCode::protocol,
                      fmt::format("{}: more than {} names", what, max_repositories),
                      without_catalog);
        }
        return true;
      }));
  if (refused > 0) {
    session.warn(
        fmt::format("{}: {} that are no names of repositories are passed over", what, refused));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace fnimage::registry

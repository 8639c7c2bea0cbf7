#include "api/listing.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/manifest/index.hpp>

#include "api/blobs.hpp"
#include "api/reply.hpp"

namespace fnimage::server {

namespace {

using manifest::Descriptor;
using manifest::Digest;

constexpr std::size_t longest_page = 10'000;
/// Clients read a list of referrers as they read any list: with a limit of 4 MiB.
constexpr std::size_t longest_referrers = std::size_t{3} << 20U;

struct Page {
  std::vector<std::string> names;
  bool has_more = false;
};

/// Names after `last`, at most so many as are asked for. Nullopt: "n" is no number.
std::optional<Page> page_of(const std::vector<std::string>& all, const Query& query) {
  std::size_t count = longest_page;
  if (const auto text = query.get("n")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), count);
    const bool is_number = end == text->data() + text->size() && !text->empty();
    if (!is_number || (error != std::errc() && error != std::errc::result_out_of_range)) {
      return std::nullopt;
    }
    count = error == std::errc() ? std::min(count, longest_page) : longest_page;
  }
  auto begin = all.begin();
  if (const auto last = query.get("last")) {
    begin = std::ranges::upper_bound(all, *last);
  }
  const auto left = static_cast<std::size_t>(all.end() - begin);
  const auto end = begin + static_cast<std::ptrdiff_t>(std::min(count, left));
  return Page{.names = {begin, end}, .has_more = count > 0 && left > count};
}

Response invalid_count() {
  return error_reply(status::bad_request, code::unsupported, "n is not a number");
}

void add_next(Response& response, const std::string& path, const std::string& query) {
  response.headers.push_back({"Link", fmt::format("<{}?{}>; rel=\"next\"", path, query)});
}

Response page_reply(nlohmann::json body, std::string_view key, Page page, const std::string& path) {
  const std::string last = page.names.empty() ? std::string() : page.names.back();
  const std::size_t count = page.names.size();
  body[std::string(key)] = std::move(page.names);
  Response response = json_reply(body.dump() + "\n");
  if (page.has_more) {
    add_next(response, path, fmt::format("last={}&n={}", encode_query(last), count));
  }
  return response;
}

/// As many referrers after `last` as fit into an answer. True = there are more.
bool cut_to_page(std::vector<Descriptor>& referrers, const std::optional<std::string>& last) {
  if (last) {
    std::erase_if(referrers, [&](const Descriptor& entry) { return entry.digest.str() <= *last; });
  }
  std::size_t size = 0;
  for (std::size_t i = 0; i < referrers.size(); ++i) {
    manifest::Index one;
    one.manifests.push_back(referrers[i]);
    size += emit(one).size();
    if (i > 0 && size > longest_referrers) {
      referrers.erase(referrers.begin() + static_cast<std::ptrdiff_t>(i), referrers.end());
      return true;
    }
  }
  return false;
}

}  // namespace

Response tags_reply(const Target& target, const Request& request,
                    const std::vector<std::string>& tags) {
  auto page = page_of(tags, Query(request.query));
  return page ? page_reply({{"name", target.repository}}, "tags", std::move(*page),
                           location_of(target.repository, "tags/list"))
              : invalid_count();
}

Response referrers_reply(const Target& target, const Request& request,
                         std::vector<Descriptor> referrers) {
  const Query query(request.query);
  const auto type = query.get("artifactType");
  if (type) {
    std::erase_if(referrers, [&](const Descriptor& entry) { return entry.artifact_type != *type; });
  }
  const bool has_more = cut_to_page(referrers, query.get("last"));
  const std::string last = referrers.empty() ? std::string() : referrers.back().digest.str();
  manifest::Index index;
  index.manifests = std::move(referrers);
  Response response;
  response.headers.push_back({"Content-Type", std::string(manifest::media_type::oci_index)});
  response.body = emit(index);
  if (type) {
    response.headers.push_back({"OCI-Filters-Applied", "artifactType"});
  }
  if (has_more) {
    add_next(response, location_of(target.repository, "referrers/" + target.reference),
             fmt::format("last={}{}", encode_query(last),
                         type ? "&artifactType=" + encode_query(*type) : std::string()));
  }
  return response;
}

Response list_tags(const ApiContext& api, const Target& target, const Request& request) {
  auto repository = existing_repository(api, target.repository);
  if (auto* refusal = std::get_if<Response>(&repository)) {
    return std::move(*refusal);
  }
  const auto tags = std::get<std::shared_ptr<Repository>>(repository)->tags();
  if (!tags) {
    return failure_reply(tags.error());
  }
  return tags_reply(target, request, **tags);
}

Response list_repositories(const ApiContext& api, const Request& request) {
  auto names = api.store.repositories();
  if (!names) {
    return failure_reply(names.error());
  }
  std::erase_if(*names, [&](const std::string& name) { return !is_listed(api, name); });
  auto page = page_of(*names, Query(request.query));
  return page ? page_reply(nlohmann::json::object(), "repositories", std::move(*page),
                           "/v2/_catalog")
              : invalid_count();
}

Response list_referrers(const ApiContext& api, const Target& target, const Request& request) {
  const auto digest = Digest::parse(target.reference);
  if (!digest) {
    return invalid_digest_reply(target.reference);
  }
  if (!is_valid_repository(target.repository)) {
    return invalid_name_reply(target.repository);
  }
  const auto repository = api.store.find(target.repository);
  if (!repository) {
    return failure_reply(repository.error());
  }
  // A client that is answered 404 here takes it that referrers are not known at all.
  std::vector<Descriptor> found;
  if (*repository != nullptr) {
    auto referrers = (*repository)->referrers(*digest);
    if (!referrers) {
      return failure_reply(referrers.error());
    }
    found = std::move(*referrers);
  }
  return referrers_reply(target, request, std::move(found));
}

}  // namespace fnimage::server

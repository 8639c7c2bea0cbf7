#include "upstream/place.hpp"

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>

#include "store/store.hpp"

namespace fnimage::server {

namespace {

/// What follows "<prefix>/"; an empty prefix is before everything.
std::optional<std::string> below(std::string_view prefix, std::string_view name) {
  if (prefix.empty()) {
    return std::string(name);
  }
  const bool is_below =
      name.size() > prefix.size() + 1 && name.starts_with(prefix) && name[prefix.size()] == '/';
  return is_below ? std::optional(std::string(name.substr(prefix.size() + 1))) : std::nullopt;
}

std::string joined_path(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

}  // namespace

Result<Upstream> parse_upstream(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no upstream: {}", printable(text), why),
                "write PREFIX=HOST[:PORT][/PATH], e.g. hub=registry.example/library");
  };
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos) {
    return refuse("there is no '='");
  }
  const std::string_view where = text.substr(sign + 1);
  const std::size_t slash = std::min(where.find('/'), where.size());
  Upstream upstream{.prefix = std::string(text.substr(0, sign)),
                    .registry = std::string(where.substr(0, slash)),
                    .path = std::string(where.substr(std::min(slash + 1, where.size())))};
  if (!is_valid_repository(upstream.prefix)) {
    return refuse("the prefix is no repository's name");
  }
  if (slash < where.size() && !is_valid_repository(upstream.path)) {
    return refuse("the path is no repository's name");
  }
  const auto reference = manifest::Reference::parse(upstream.registry + "/x");
  if (!reference || reference->registry() != upstream.registry || upstream.registry.empty()) {
    return refuse("a registry is a host with a dot or a port");
  }
  return upstream;
}

std::optional<Place> Places::of_name(const std::string& repository) const {
  std::optional<Place> found;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    const Upstream& upstream = upstreams_[i];
    const auto rest = below(upstream.prefix, repository);
    if (rest && upstream.prefix.size() >= longest) {
      longest = upstream.prefix.size();
      found =
          Place{.upstream = i, .local = repository, .remote = joined_path(upstream.path, *rest)};
    }
  }
  return found;
}

std::optional<Place> Places::of_origin(std::string_view registry,
                                       const std::string& repository) const {
  std::optional<Place> found;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    const Upstream& upstream = upstreams_[i];
    const auto rest = below(upstream.path, repository);
    const bool is_there = equals_ignoring_case(upstream.registry, registry);
    if (is_there && rest && (!found || upstream.path.size() > longest)) {
      longest = upstream.path.size();
      found =
          Place{.upstream = i, .local = joined_path(upstream.prefix, *rest), .remote = repository};
    }
  }
  return found;
}

}  // namespace fnimage::server

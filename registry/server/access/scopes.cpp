#include "access/scopes.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "store/store.hpp"

namespace fnimage::server {

namespace {

constexpr std::size_t most_scopes = 100;
constexpr std::string_view catalog_scope = "registry:catalog:*";

/// Actions that are not known here are none.
Rights rights_of_actions(std::string_view actions) {
  Rights rights;
  for (const std::string_view action : split(actions, ',')) {
    if (action == "*") {
      return Rights::all();
    }
    if (const auto right = parse_rights(action)) {
      rights |= *right;
    }
  }
  return rights;
}

/// "repository", or with a class behind it, which says what is in it: "repository(plugin)".
bool is_repository_type(std::string_view type) {
  return type == "repository" || (type.starts_with("repository(") && type.ends_with(')'));
}

}  // namespace

Scopes Scopes::parse(std::string_view text) {
  Scopes scopes;
  while (!text.empty() && scopes.repositories_.size() < most_scopes) {
    // Forms and queries may write a blank as '+', and no name has one.
    const std::string_view one = text.substr(0, text.find_first_of(" +"));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const std::size_t type_end = one.find(':');
    const std::size_t name_end = one.rfind(':');
    if (one == catalog_scope) {
      scopes.add_catalog();
    } else if (type_end != name_end && is_repository_type(one.substr(0, type_end))) {
      const std::string_view name = one.substr(type_end + 1, name_end - type_end - 1);
      if (is_valid_repository(name)) {
        scopes.add(std::string(name), rights_of_actions(one.substr(name_end + 1)));
      }
    }
  }
  return scopes;
}

void Scopes::add(std::string repository, Rights rights) {
  if (rights.empty()) {
    return;
  }
  const auto known = std::ranges::find(repositories_, repository, &Scope::repository);
  if (known == repositories_.end()) {
    repositories_.push_back({std::move(repository), rights});
  } else {
    known->rights |= rights;
  }
}

Rights Scopes::rights_in(std::string_view repository) const {
  const auto known = std::ranges::find(repositories_, repository, &Scope::repository);
  return known == repositories_.end() ? Rights() : known->rights;
}

std::string Scopes::str() const {
  std::string text(has_catalog_ ? catalog_scope : "");
  for (const Scope& scope : repositories_) {
    text += fmt::format("{}repository:{}:{}", text.empty() ? "" : " ", scope.repository,
                        to_string(scope.rights));
  }
  return text;
}

}  // namespace fnimage::server

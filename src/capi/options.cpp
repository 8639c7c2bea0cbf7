// See options.hpp.
#include "options.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::capi {

namespace {

/// A wrong argument of the caller's, however it was found out.
tl::unexpected<Error> as_argument(const Error& error) {
  return fail(ErrorCode::invalid_argument, error.describe(), error.hint());
}

}  // namespace

Result<Options> Options::parse(const char* json, std::string what) {
  if (json == nullptr || *json == '\0') {
    return Options(nlohmann::json::object(), std::move(what));
  }
  auto value = parse_json(json, what);
  if (!value) {
    return as_argument(value.error());
  }
  return of(std::move(*value), std::move(what));
}

Result<Options> Options::of(nlohmann::json value, std::string what) {
  if (!value.is_object()) {
    return fail(ErrorCode::invalid_argument, what + ": not a JSON object");
  }
  return Options(std::move(value), std::move(what));
}

tl::unexpected<Error> Options::refuse(std::string_view name, std::string_view problem) const {
  return fail(ErrorCode::invalid_argument, fmt::format("{}: /{}: {}", what_, name, problem));
}

const nlohmann::json* Options::find(std::string_view name) {
  known_.emplace_back(name);
  const auto found = value_.find(known_.back());
  return found == value_.end() || found->is_null() ? nullptr : &*found;
}

Result<std::optional<std::string>> Options::text(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) {
    return std::optional<std::string>();
  }
  if (!value->is_string()) {
    return refuse(name, "not text");
  }
  return value->get<std::string>();
}

Result<std::optional<bool>> Options::flag(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) {
    return std::optional<bool>();
  }
  if (!value->is_boolean()) {
    return refuse(name, "not true or false");
  }
  return value->get<bool>();
}

Result<std::optional<std::uint64_t>> Options::number(std::string_view name, std::uint64_t least,
                                                     std::uint64_t most) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) {
    return std::optional<std::uint64_t>();
  }
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least ||
      value->get<std::uint64_t>() > most) {
    return refuse(name, fmt::format("not a number from {} to {}", least, most));
  }
  return value->get<std::uint64_t>();
}

Result<std::optional<std::vector<std::string>>> Options::texts(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) {
    return std::optional<std::vector<std::string>>();
  }
  if (!value->is_array() || !std::ranges::all_of(*value, [](const nlohmann::json& element) {
        return element.is_string();
      })) {
    return refuse(name, "not a list of texts");
  }
  return value->get<std::vector<std::string>>();
}

Result<std::optional<std::vector<Options>>> Options::objects(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) {
    return std::optional<std::vector<Options>>();
  }
  if (!value->is_array()) {
    return refuse(name, "not a list of objects");
  }
  std::vector<Options> elements;
  for (const nlohmann::json& element : *value) {
    FNIMAGE_TRY(Options one, of(element, fmt::format("{}: /{}/{}", what_, name, elements.size())));
    elements.push_back(std::move(one));
  }
  return elements;
}

Result<void> Options::read(std::string_view name, std::string& value) {
  FNIMAGE_TRY(std::optional<std::string> given, text(name));
  value = given ? std::move(*given) : std::move(value);
  return {};
}

Result<void> Options::read(std::string_view name, std::filesystem::path& value) {
  FNIMAGE_TRY(std::optional<std::string> given, text(name));
  if (given) {
    value = std::move(*given);
  }
  return {};
}

Result<void> Options::read(std::string_view name, bool& value) {
  FNIMAGE_TRY(const std::optional<bool> given, flag(name));
  value = given.value_or(value);
  return {};
}

Result<void> Options::read(std::string_view name, std::vector<std::string>& value) {
  FNIMAGE_TRY(std::optional<std::vector<std::string>> given, texts(name));
  if (given) {
    value = std::move(*given);
  }
  return {};
}

Result<void> Options::require_all_known() const {
  for (const auto& member : value_.items()) {
    if (std::ranges::find(known_, member.key()) != known_.end()) {
      continue;
    }
    const std::vector<std::string_view> names(known_.begin(), known_.end());
    const auto near = nearest(member.key(), names);
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: there is no option \"{}\"", what_, printable(member.key(), 80)),
                near ? fmt::format("did you mean \"{}\"?", *near)
                     : fmt::format("there are: {}", join(known_, ", ")));
  }
  return {};
}

}  // namespace fnimage::capi

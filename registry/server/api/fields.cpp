#include "api/fields.hpp"

#include <charconv>
#include <limits>
#include <string>
#include <vector>

namespace fnimage::server {

namespace {

using manifest::Digest;

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return is_whole ? std::optional(value) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

/// The digests of a list of entity tags; "*" gives none. Tags that are no digests match nothing,
/// and weak ones only where the comparison is weak (RFC 9110 8.8.3.2). Nullopt: there is no list.
std::optional<std::vector<Digest>> entity_tags(std::string_view field, bool is_weak_comparison) {
  if (trimmed(field).empty()) {
    return std::nullopt;
  }
  std::vector<Digest> digests;
  while (!field.empty()) {
    std::string_view tag = trimmed(field.substr(0, field.find(',')));
    field.remove_prefix(std::min(field.size(), field.find(',')));
    field.remove_prefix(field.empty() ? 0 : 1);
    if (tag.starts_with("W/") && is_weak_comparison) {
      tag.remove_prefix(2);
    }
    if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') {
      tag = tag.substr(1, tag.size() - 2);
    }
    if (auto digest = Digest::parse(tag)) {
      digests.push_back(std::move(*digest));
    }
  }
  return digests;
}

/// A list without any digest would mean "*"; one that names only others matches nothing.
std::optional<std::vector<Digest>> wanted_tags(const std::string& field, bool is_weak_comparison) {
  auto tags = entity_tags(field, is_weak_comparison);
  if (tags && tags->empty() && trimmed(field) != "*") {
    tags->push_back(Digest::of(std::string_view("no content has this entity tag")));
  }
  return tags;
}

}  // namespace

WantedRange wanted_range(std::string_view field, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  const std::size_t dash = field.find('-');
  if (!field.starts_with(unit) || field.find(',') != std::string_view::npos ||
      dash == std::string_view::npos) {
    return {};
  }
  const std::string_view first_text = trimmed(field.substr(unit.size(), dash - unit.size()));
  const std::string_view last_text = trimmed(field.substr(dash + 1));
  const auto first = parse_number(first_text);
  const auto last = parse_number(last_text);
  if ((!first && !first_text.empty()) || (!last && !last_text.empty()) || (!first && !last)) {
    return {};
  }
  const WantedRange unsatisfiable{.kind = RangeKind::unsatisfiable};
  if (!first) {  // the last so many bytes
    const std::uint64_t count = std::min(*last, size);
    return count == 0 ? unsatisfiable
                      : WantedRange{RangeKind::part, {.offset = size - count, .size = count}};
  }
  if (*first >= size || (last && *last < *first)) {
    return unsatisfiable;
  }
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {RangeKind::part, {.offset = *first, .size = end - *first + 1}};
}

std::optional<ByteRange> upload_range(std::string_view field) {
  const std::size_t dash = std::min(field.find('-'), field.size());
  const auto first = parse_number(field.substr(0, dash));
  const auto last = parse_number(field.substr(std::min(field.size(), dash + 1)));
  const bool is_good =
      first && last && *last >= *first && *last < std::numeric_limits<std::int64_t>::max();
  return is_good ? std::optional(ByteRange{.offset = *first, .size = *last - *first + 1})
                 : std::nullopt;
}

Condition condition_of(const Request& request) {
  return {.match = wanted_tags(request.joined("If-Match"), false),
          .none_match = wanted_tags(request.joined("If-None-Match"), true)};
}

bool is_not_modified(const Request& request, const Digest& current) {
  const Condition condition{.none_match = wanted_tags(request.joined("If-None-Match"), true)};
  return !condition.holds(current);
}

}  // namespace fnimage::server

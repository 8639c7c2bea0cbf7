// The relation grammar of dependency.hpp. Thread-safety: pure functions.
#include "debian/dependency.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"
#include "debian/version.hpp"

namespace fnimage::source::debian {
namespace {

struct Operator {
  std::string_view text;
  Relation relation;
};

// Longest first. "<" and ">" are the old spellings of "<=" and ">=" (Policy 7.1).
constexpr std::array<Operator, 7> operators{{{"<<", Relation::earlier},
                                             {"<=", Relation::earlier_or_equal},
                                             {">=", Relation::later_or_equal},
                                             {">>", Relation::later},
                                             {"=", Relation::equal},
                                             {"<", Relation::earlier_or_equal},
                                             {">", Relation::later_or_equal}}};

std::string_view symbol(Relation relation) noexcept {
  for (const Operator& candidate : operators) {
    if (candidate.relation == relation) {
      return candidate.text;
    }
  }
  return "";
}

// Takes "open…close" off the end of `text` and returns what is between; nullopt when there is none.
std::optional<std::string_view> take_group(std::string_view& text, char open, char close) {
  const std::size_t begin = text.find(open);
  const std::size_t end = text.find(close, begin == std::string_view::npos ? 0 : begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view inside = trim(text.substr(begin + 1, end - begin - 1));
  text = trim(text.substr(0, begin));
  return inside;
}

bool is_for_architecture(std::string_view list, std::string_view architecture) {
  bool negated = false;
  for (const std::string_view word : words(list)) {
    if (word.starts_with('!')) {
      negated = true;
      if (word.substr(1) == architecture) {
        return false;
      }
    } else if (word == architecture || word == "any" || word == "linux-any") {
      return true;
    }
  }
  return negated;
}

bool is_valid_name(std::string_view name) noexcept {
  return !name.empty() &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._") ==
             std::string_view::npos;
}

bool parse_constraint(std::string_view text, Alternative& alternative) {
  for (const Operator& candidate : operators) {
    if (text.starts_with(candidate.text)) {
      alternative.relation = candidate.relation;
      alternative.version = trim(text.substr(candidate.text.size()));
      return !alternative.version.empty();
    }
  }
  return false;
}

// nullopt: well formed, but for other architectures.
Result<std::optional<Alternative>> parse_alternative(std::string_view text,
                                                     std::string_view architecture,
                                                     std::string_view what) {
  const std::string_view whole = text;
  const auto bad = [&] {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: not a package relation: {}", what, printable(whole, 120)));
  };
  Alternative alternative;
  const std::size_t bracket = text.find('[');
  bool wanted = true;
  if (bracket != std::string_view::npos) {
    std::string_view tail = text.substr(bracket);
    const auto list = take_group(tail, '[', ']');
    if (!list) {
      return bad();
    }
    wanted = is_for_architecture(*list, architecture);
    text = trim(text.substr(0, bracket));
  }
  if (text.find('(') != std::string_view::npos) {
    const auto constraint = take_group(text, '(', ')');
    if (!constraint || !parse_constraint(*constraint, alternative)) {
      return bad();
    }
  }
  const std::size_t colon = text.find(':');
  alternative.name = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    alternative.qualifier = text.substr(colon + 1);
  }
  if (!is_valid_name(alternative.name)) {
    return bad();
  }
  if (!wanted) {
    return std::nullopt;
  }
  return alternative;
}

}  // namespace

bool Alternative::accepts(std::string_view candidate_version) const noexcept {
  if (relation == Relation::any) {
    return true;
  }
  const int order = compare_versions(candidate_version, version);
  switch (relation) {
    case Relation::earlier:
      return order < 0;
    case Relation::earlier_or_equal:
      return order <= 0;
    case Relation::equal:
      return order == 0;
    case Relation::later_or_equal:
      return order >= 0;
    case Relation::later:
      return order > 0;
    case Relation::any:
      break;
  }
  return true;
}

std::string Alternative::str() const {
  std::string text(name);
  if (!qualifier.empty()) {
    text += fmt::format(":{}", qualifier);
  }
  if (relation != Relation::any) {
    text += fmt::format(" ({} {})", symbol(relation), version);
  }
  return text;
}

Result<std::vector<Clause>> parse_dependencies(std::string_view text, std::string_view architecture,
                                               std::string_view what) {
  std::vector<Clause> clauses;
  for (const std::string_view part : split(text, ',')) {
    if (trim(part).empty()) {
      continue;
    }
    Clause clause;
    for (const std::string_view choice : split(part, '|')) {
      FNIMAGE_TRY(const auto alternative, parse_alternative(trim(choice), architecture, what));
      if (alternative) {
        clause.push_back(*alternative);
      }
    }
    if (!clause.empty()) {
      clauses.push_back(std::move(clause));
    }
  }
  return clauses;
}

std::string to_string(const Clause& clause) {
  std::vector<std::string> parts;
  parts.reserve(clause.size());
  for (const Alternative& alternative : clause) {
    parts.push_back(alternative.str());
  }
  return join(parts, " | ");
}

}  // namespace fnimage::source::debian

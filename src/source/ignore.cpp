// Ignore files, after the behaviour of moby's patternmatcher and ignorefile packages, which is what
// people know from .dockerignore. A pattern is compiled into a row of steps and a path is run
// through all of them at once, so that no pattern can make matching slow.
//
// As there: "**" followed by '/' or anything else stands for any number of whole directories,
// "**" at the end for everything below, '*', '?' and '[…]' never match '/', '^' negates a set, a
// backslash takes the next character as it is. Only regular text is Unicode; invalid UTF-8 is
// matched byte by byte.
// Thread-safety: const methods from several threads.
#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/source/ignore.hpp>

namespace fnimage::source {

namespace {

constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 20;
constexpr std::size_t max_pattern_bytes = 4096;
constexpr char32_t raw_byte = 0x110000;  // beyond Unicode: a byte that is not UTF-8

/// Code points of UTF-8 text.
std::vector<char32_t> decode(std::string_view text) {
  std::vector<char32_t> points;
  points.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80            ? 1
                               : (lead >> 5U) == 0x06 ? 2
                               : (lead >> 4U) == 0x0e ? 3
                               : (lead >> 3U) == 0x1e ? 4
                                                      : 0;
    bool valid = length > 0 && i + length <= text.size();
    char32_t point = length <= 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t k = 1; valid && k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      valid = (byte & 0xc0U) == 0x80;
      point = (point << 6U) | (byte & 0x3fU);
    }
    points.push_back(valid ? point : raw_byte + lead);
    i += valid ? length : 1;
  }
  return points;
}

/// Go's path.Clean: "./a//b/../c/" -> "a/c". A leading '/' is dropped as well.
std::string clean_pattern(std::string_view pattern) {
  std::vector<std::string> parts;
  for (const std::string_view part : split(pattern, '/')) {
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (part == ".." && pattern.starts_with('/')) {
      continue;  // nothing is above the root
    } else if (!part.empty() && part != ".") {
      parts.emplace_back(part);
    }
  }
  return join(parts, "/");
}

}  // namespace

struct PathPattern::Step {
  enum class Kind : std::uint8_t {
    literal,      ///< this character
    one,          ///< any character but '/'
    set,          ///< a character in `ranges` (or none of them), but '/'
    star,         ///< any number of characters but '/'
    everything,   ///< any number of characters
    directories,  ///< nothing, or what follows is `to_slash`
    to_slash      ///< any number of characters, then '/'
  };
  Kind kind = Kind::literal;
  char32_t character = 0;
  bool negated = false;
  std::vector<std::pair<char32_t, char32_t>> ranges{};

  [[nodiscard]] bool takes(char32_t c) const {
    switch (kind) {
      case Kind::literal:
        return c == character;
      case Kind::one:
        return c != U'/';
      case Kind::set: {
        bool in = false;
        for (const auto& [low, high] : ranges) {
          in = in || (c >= low && c <= high);
        }
        return c != U'/' && in != negated;
      }
      default:
        return false;
    }
  }
};

class PathPattern::Compiler {
 public:
  explicit Compiler(std::string_view text) : text_(text), points_(decode(text)) {}

  Result<std::vector<Step>> run() {
    while (at_ < points_.size()) {
      const char32_t c = points_[at_++];
      if (c == U'*' && peek(U'*')) {
        ++at_;
        add_double_star();
      } else if (c == U'*') {
        add(Step::Kind::star);
      } else if (c == U'?') {
        add(Step::Kind::one);
      } else if (c == U'[') {
        FNIMAGE_CHECK(add_set());
      } else if (c == U'\\') {
        FNIMAGE_TRY(const char32_t escaped, next("a trailing backslash"));
        add_literal(escaped);
      } else {
        add_literal(c);
      }
    }
    return std::move(steps_);
  }

 private:
  [[nodiscard]] bool peek(char32_t c) const { return at_ < points_.size() && points_[at_] == c; }

  Result<char32_t> next(std::string_view problem) {
    if (at_ >= points_.size()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("pattern \"{}\" has {}", printable(text_), problem));
    }
    return points_[at_++];
  }

  void add(Step::Kind kind) { steps_.push_back({.kind = kind}); }
  void add_literal(char32_t c) { steps_.push_back({.kind = Step::Kind::literal, .character = c}); }

  void add_double_star() {
    const bool first = at_ == 2;
    const bool slash = peek(U'/');
    at_ += slash ? 1 : 0;
    const bool plain_rest = text_.find_first_of("*?[\\", at_) == std::string_view::npos;
    if (at_ == points_.size() || (first && !slash && plain_rest)) {
      add(Step::Kind::everything);  // "a/**", and "**.log", which means any name ending so
    } else {
      add(Step::Kind::directories);
      add(Step::Kind::to_slash);
    }
  }

  Result<void> add_set() {
    constexpr std::string_view unclosed = "an unclosed '['";
    Step step{.kind = Step::Kind::set};
    if (peek(U'^')) {
      step.negated = true;
      ++at_;
    }
    while (true) {
      FNIMAGE_TRY(char32_t low, next(unclosed));
      if (low == U']' && !step.ranges.empty()) {
        break;
      }
      FNIMAGE_TRY(low, member(low));
      char32_t high = low;
      if (peek(U'-')) {
        ++at_;
        FNIMAGE_TRY(high, next(unclosed));
        FNIMAGE_TRY(high, member(high));
      }
      step.ranges.emplace_back(low, high);
    }
    steps_.push_back(std::move(step));
    return {};
  }

  /// One end of a range in a set.
  Result<char32_t> member(char32_t c) {
    if (c == U'\\') {
      return next("a trailing backslash");
    }
    if (c == U'-' || c == U']') {
      return fail(ErrorCode::invalid_input,
                  fmt::format("pattern \"{}\" has an empty set or an unfinished range in '[…]'",
                              printable(text_)));
    }
    return c;
  }

  std::string_view text_;
  std::vector<char32_t> points_;
  std::size_t at_ = 0;
  std::vector<Step> steps_;
};

class PathPattern::Run {
 public:
  explicit Run(const std::vector<Step>& steps)
      : steps_(steps), now_(steps.size() + 1), next_(steps.size() + 1) {
    now_[0] = 1;
    skip_optional();
  }

  void feed(char32_t c) {
    std::fill(next_.begin(), next_.end(), char{0});
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (now_[i] == 0) {
        continue;
      }
      switch (steps_[i].kind) {
        case Step::Kind::star:
          next_[i] = static_cast<char>(next_[i] | (c != U'/' ? 1 : 0));
          break;
        case Step::Kind::everything:
          next_[i] = 1;
          break;
        case Step::Kind::to_slash:
          next_[i] = 1;
          next_[i + 1] = static_cast<char>(next_[i + 1] | (c == U'/' ? 1 : 0));
          break;
        case Step::Kind::directories:
          break;
        default:
          next_[i + 1] = static_cast<char>(next_[i + 1] | (steps_[i].takes(c) ? 1 : 0));
      }
    }
    now_.swap(next_);
    skip_optional();
  }

  [[nodiscard]] bool matched() const { return now_.back() != 0; }
  /// Something longer could still match.
  [[nodiscard]] bool alive() const {
    return std::find(now_.begin(), now_.end() - 1, char{1}) != now_.end() - 1;
  }

 private:
  /// Steps that may match nothing pass their state on; such moves only go forward.
  void skip_optional() {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (now_[i] == 0) {
        continue;
      }
      switch (steps_[i].kind) {
        case Step::Kind::star:
        case Step::Kind::everything:
          now_[i + 1] = 1;
          break;
        case Step::Kind::directories:
          now_[i + 1] = 1;
          now_[i + 2] = 1;
          break;
        default:
          break;
      }
    }
  }

  const std::vector<Step>& steps_;
  std::vector<char> now_;
  std::vector<char> next_;
};

Result<PathPattern> PathPattern::parse(std::string_view pattern) {
  if (pattern.size() > max_pattern_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("a pattern is longer than {} bytes", max_pattern_bytes));
  }
  PathPattern result;
  result.text_ = clean_pattern(pattern);
  FNIMAGE_TRY(std::vector<Step> steps, Compiler(result.text_).run());
  result.steps_ = std::make_shared<const std::vector<Step>>(std::move(steps));
  return result;
}

bool PathPattern::matches(std::string_view path) const {
  Run run(*steps_);
  for (const char32_t c : decode(path)) {
    run.feed(c);
  }
  return run.matched();
}

bool PathPattern::covers(std::string_view path) const {
  Run run(*steps_);
  for (const char32_t c : decode(path)) {
    if (c == U'/' && run.matched()) {
      return true;
    }
    run.feed(c);
  }
  return run.matched();
}

bool PathPattern::may_match_below(std::string_view path) const {
  Run run(*steps_);
  for (const char32_t c : decode(path)) {
    run.feed(c);
  }
  if (!path.empty()) {
    run.feed(U'/');
  }
  return run.alive();
}

Result<IgnoreRules> IgnoreRules::parse(std::string_view text, std::string_view file_name) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) {
    text.remove_prefix(byte_order_mark.size());
  }
  IgnoreRules rules;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    std::string_view pattern = trim(line);
    if (line.starts_with('#') || pattern.empty()) {
      continue;  // a '#' after blanks is part of a name
    }
    const bool include = pattern.starts_with('!');
    if (include) {
      pattern = trim(pattern.substr(1));
    }
    auto parsed = PathPattern::parse(pattern);
    if (!parsed) {
      return fail(std::move(parsed.error()).while_doing(fmt::format("{}:{}", file_name, number)));
    }
    if (pattern.empty()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}:{}: '!' without a pattern", file_name, number));
    }
    rules.rules_.push_back({.pattern = std::move(*parsed), .include = include});
  }
  return rules;
}

Result<IgnoreRules> IgnoreRules::load(const std::filesystem::path& directory) {
  for (const std::string_view name : {".fnimageignore", ".dockerignore"}) {
    const std::filesystem::path file = directory / name;
    const Result<std::string> text = read_file(file, max_file_bytes);
    if (text) {
      return parse(*text, file.string());
    }
    if (text.error().code() != ErrorCode::not_found) {
      return fail(text.error());
    }
  }
  return IgnoreRules();
}

bool IgnoreRules::ignores(std::string_view path) const {
  bool ignored = false;
  for (const Rule& rule : rules_) {
    // A rule that would change nothing need not be run.
    if (ignored == rule.include && rule.pattern.covers(path)) {
      ignored = !rule.include;
    }
  }
  return ignored;
}

bool IgnoreRules::may_include_below(std::string_view directory) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) {
    return rule.include && rule.pattern.may_match_below(directory);
  });
}

}  // namespace fnimage::source

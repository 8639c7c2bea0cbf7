// See the header. Whole numbers of 128 bits, since a float would lose bytes.
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/quantity.hpp>

namespace fnimage::node {

namespace {

__extension__ using Wide = unsigned __int128;

/// number * 10^tens * 2^twos
struct Scale {
  int tens = 0;
  int twos = 0;
};

struct Suffix {
  std::string_view text;
  Scale scale;
};
constexpr std::array<Suffix, 16> suffixes{{{"", {}},
                                           {"n", {.tens = -9}},
                                           {"u", {.tens = -6}},
                                           {"m", {.tens = -3}},
                                           {"k", {.tens = 3}},
                                           {"M", {.tens = 6}},
                                           {"G", {.tens = 9}},
                                           {"T", {.tens = 12}},
                                           {"P", {.tens = 15}},
                                           {"E", {.tens = 18}},
                                           {"Ki", {.twos = 10}},
                                           {"Mi", {.twos = 20}},
                                           {"Gi", {.twos = 30}},
                                           {"Ti", {.twos = 40}},
                                           {"Pi", {.twos = 50}},
                                           {"Ei", {.twos = 60}}}};

std::optional<int> parse_exponent(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) {
      return std::nullopt;
    }
  }
  int exponent = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, exponent);
  constexpr int largest = 60;
  const bool fits = exponent >= -largest && exponent <= largest;
  return error == std::errc{} && stop == end && fits ? std::optional(exponent) : std::nullopt;
}

std::optional<Scale> parse_scale(std::string_view text) {
  for (const Suffix& suffix : suffixes) {
    if (suffix.text == text) {
      return suffix.scale;
    }
  }
  if (!text.starts_with('e') && !text.starts_with('E')) {
    return std::nullopt;
  }
  const auto exponent = parse_exponent(text.substr(1));
  return exponent ? std::optional(Scale{.tens = *exponent}) : std::nullopt;
}

struct Number {
  Wide digits = 0;
  int tens = 0;  ///< -2 for "1.25"
};

/// Takes "12", "1.5", ".5" or "5." off the front of the text.
std::optional<Number> take_number(std::string_view& text) {
  constexpr Wide most = 1'000'000'000'000'000'000;  // leaves room for every suffix
  Number number;
  bool has_digits = false;
  bool is_fraction = false;
  for (; !text.empty(); text.remove_prefix(1)) {
    const char c = text.front();
    if (c == '.' && !is_fraction) {
      is_fraction = true;
      continue;
    }
    if (c < '0' || c > '9') {
      break;
    }
    has_digits = true;
    if (number.digits >= most) {
      return std::nullopt;
    }
    number.digits = number.digits * 10 + static_cast<unsigned>(c - '0');
    number.tens -= is_fraction ? 1 : 0;
  }
  return has_digits ? std::optional(number) : std::nullopt;
}

/// Nullopt when it does not fit 63 bits.
std::optional<std::uint64_t> round_up(Wide value, const Scale& scale) {
  constexpr Wide largest = (Wide{1} << 63) - 1;
  for (int i = 0; i < scale.twos; ++i) {
    if (__builtin_mul_overflow(value, Wide{2}, &value)) {
      return std::nullopt;
    }
  }
  for (int i = 0; i < scale.tens; ++i) {
    if (__builtin_mul_overflow(value, Wide{10}, &value)) {
      return std::nullopt;
    }
  }
  bool has_rest = false;
  for (int i = 0; i > scale.tens; --i) {
    has_rest = has_rest || value % 10 != 0;
    value /= 10;
  }
  value += has_rest ? 1 : 0;
  return value > largest ? std::nullopt : std::optional(static_cast<std::uint64_t>(value));
}

tl::unexpected<Error> refuse_quantity(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid_input,
              fmt::format("is no quantity: \"{}\"{}", printable(text, 40), why));
}

}  // namespace

Result<std::uint64_t> parse_quantity(std::string_view text, std::uint64_t per_unit) {
  std::string_view rest = text;
  if (rest.starts_with('-')) {
    return refuse_quantity(text, " is negative");
  }
  if (rest.starts_with('+')) {
    rest.remove_prefix(1);
  }
  const auto number = take_number(rest);
  const auto scale = number ? parse_scale(rest) : std::nullopt;
  if (!scale) {
    return refuse_quantity(text, "");
  }
  Wide value = 0;
  const bool overflows = __builtin_mul_overflow(number->digits, Wide{per_unit}, &value);
  const auto rounded =
      overflows ? std::nullopt
                : round_up(value, {.tens = scale->tens + number->tens, .twos = scale->twos});
  if (!rounded) {
    return refuse_quantity(text, " is too large");
  }
  return *rounded;
}

std::string quantity_text(std::uint64_t value) {
  std::string best = fmt::format("{}", value);
  for (const Suffix& suffix : suffixes) {
    const auto factor = suffix.scale.tens < 0 ? std::nullopt : round_up(1, suffix.scale);
    if (value == 0 || !factor || value % *factor != 0) {
      continue;
    }
    std::string text = fmt::format("{}{}", value / *factor, suffix.text);
    if (text.size() < best.size() || (text.size() == best.size() && suffix.scale.twos > 0)) {
      best = std::move(text);
    }
  }
  return best;
}

std::string millis_text(std::uint64_t millis) {
  constexpr std::uint64_t per_unit = 1000;
  return millis % per_unit == 0 ? quantity_text(millis / per_unit) : fmt::format("{}m", millis);
}

}  // namespace fnimage::node

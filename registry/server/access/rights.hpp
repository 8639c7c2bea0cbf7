// What may be done with a repository, and patterns of names that it is said for. Thread-safety:
// values and pure functions.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

enum class Right : std::uint8_t { pull = 1, push = 2, remove = 4 };

class Rights {
 public:
  constexpr Rights() = default;
  constexpr Rights(std::initializer_list<Right> rights) {
    for (const Right right : rights) {
      bits_ |= static_cast<unsigned>(right);
    }
  }
  static constexpr Rights all() { return {Right::pull, Right::push, Right::remove}; }

  [[nodiscard]] constexpr bool has(Right right) const {
    return (bits_ & static_cast<unsigned>(right)) != 0;
  }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  constexpr Rights& operator|=(Rights other) {
    bits_ |= other.bits_;
    return *this;
  }
  friend constexpr Rights operator&(Rights a, Rights b) {
    a.bits_ &= b.bits_;
    return a;
  }
  friend constexpr bool operator==(Rights, Rights) = default;

 private:
  unsigned bits_ = 0;
};

/// "pull", "push", "delete"
std::string_view to_string(Right right);
/// "pull,push"
std::string to_string(Rights rights);
/// At least one of them. Error: invalid_input.
Result<Rights> parse_rights(std::string_view text);

/// Whether a name has a pattern's form; '*' stands for any characters, none and '/' too.
bool matches(std::string_view pattern, std::string_view name);
/// Error: invalid_input for what no repository's name can match.
Result<void> check_pattern(std::string_view pattern);

}  // namespace fnimage::server

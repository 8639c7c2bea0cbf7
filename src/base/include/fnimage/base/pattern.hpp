// Patterns as people write them for names: "team/*". Thread-safety: a pure function.
#pragma once

#include <string_view>

namespace fnimage {

/// Whether a text is as a pattern says, in which '*' stands for any characters, none too.
bool matches_pattern(std::string_view pattern, std::string_view text) noexcept;

}  // namespace fnimage

// The modes of chmod(1): numbers, and words like "u+s,go-w". Thread-safety: pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fnimage::source::debian {

/// The mode that a file of mode `old` gets; nullopt when the text is none.
std::optional<std::uint32_t> changed_mode(std::string_view text, std::uint32_t old,
                                          bool is_directory);

}  // namespace fnimage::source::debian

// Words of platforms, for parsing and validation inside the manifest module. Thread-safety: pure
// functions.
#pragma once

#include <string_view>

namespace fnimage::manifest {

/// Go's GOOS values.
bool is_known_os(std::string_view os) noexcept;
/// Go's GOARCH values.
bool is_known_architecture(std::string_view architecture) noexcept;
/// At most 64 letters, digits, '.', '_' and '-', the first a letter or digit: safe as a part of a
/// tag or a file name.
bool is_platform_word(std::string_view word) noexcept;
/// Architectures whose nodes ask for no variant: an entry with one is not found there (publishing
/// rule 1).
bool is_baseline_only(std::string_view architecture) noexcept;

}  // namespace fnimage::manifest

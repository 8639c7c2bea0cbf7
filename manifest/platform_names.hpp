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
/// Go's name of an architecture that others call otherwise and that normalize() does not understand
/// ("ppc64el" -> "ppc64le", "armv7l" -> "arm/v7"), in lower case; empty when there is none.
std::string_view suggestion_for(std::string_view architecture) noexcept;
/// The number in "v3"; 0 for anything else. One digit is all that exists, and it bounds loops.
int level_of(std::string_view variant) noexcept;

/// os, architecture and variant, as views.
struct PlatformWords {
  std::string_view os;
  std::string_view architecture;
  std::string_view variant;
};

/// What normalize() makes of the words, but for the case of those that have no other name: they
/// have to be compared without it. The names of amd64, arm64, arm and 386 come out as written here.
PlatformWords normal_words(std::string_view os, std::string_view architecture,
                           std::string_view variant) noexcept;

}  // namespace fnimage::manifest

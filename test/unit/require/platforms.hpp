// What the tests of needs are about.
#pragma once

#include <cstdint>

#include <fnimage/manifest/platform.hpp>

namespace fnimage::require {

inline constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;

inline const manifest::Platform amd64{"linux", "amd64", {}, {}, {}};
inline const manifest::Platform power{"linux", "ppc64le", {}, {}, {}};

}  // namespace fnimage::require

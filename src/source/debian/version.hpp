// Debian version numbers: Debian Policy 5.6.12 and deb-version(7). Thread-safety: pure functions.
#pragma once

#include <string_view>

namespace fnimage::source::debian {

/// dpkg's order: negative when `a` is older than `b`, 0 when they are equal ("1.0" and "0:1.0"
/// are), positive when newer.
/// "~" sorts before everything, even the end of the text. Any text is accepted.
int compare_versions(std::string_view a, std::string_view b) noexcept;

}  // namespace fnimage::source::debian

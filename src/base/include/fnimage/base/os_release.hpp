// os-release(5): which distribution a system, or an image, is. Thread-safety: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace fnimage {

/// Each may be empty. Values are at most 128 bytes.
struct OsRelease {
  std::string id{};           ///< "debian"
  std::string version_id{};   ///< "12"; testing and unstable have none
  std::string code_name{};    ///< "bookworm"
  std::string pretty_name{};  ///< "Debian GNU/Linux 12 (bookworm)"
};

/// What cannot be read is left out. Quotes and backslashes are undone as far as the format has
/// them.
OsRelease parse_os_release(std::string_view text);

}  // namespace fnimage

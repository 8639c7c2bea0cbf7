// See os_release.hpp.
#include <fnimage/base/os_release.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage {
namespace {

/// A value of os-release: shell quoting as far as the format has it.
std::string unquoted(std::string_view value) {
  constexpr std::size_t longest = 128;
  value = trim(value);
  const bool quoted = value.size() > 1 && (value.front() == '"' || value.front() == '\'') &&
                      value.front() == value.back();
  value = quoted ? value.substr(1, value.size() - 2) : value;
  std::string text;
  for (std::size_t i = 0; i < value.size() && text.size() < longest; ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) {
      ++i;
    }
    text += value[i];
  }
  return text;
}

}  // namespace

OsRelease parse_os_release(std::string_view text) {
  OsRelease release;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t equals = line.find('=');
    const std::string_view key = trim(line.substr(0, equals));
    const std::string value =
        equals == std::string_view::npos ? std::string() : unquoted(line.substr(equals + 1));
    if (key == "ID") {
      release.id = value;
    } else if (key == "VERSION_ID") {
      release.version_id = value;
    } else if (key == "VERSION_CODENAME") {
      release.code_name = value;
    } else if (key == "PRETTY_NAME") {
      release.pretty_name = value;
    }
  }
  return release;
}

}  // namespace fnimage

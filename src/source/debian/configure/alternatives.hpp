// The update-alternatives(1) calls of a postinst script, as data. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "debian/configure/image_view.hpp"
#include "debian/configure/shell.hpp"

namespace fnimage::source::debian {

struct AlternativeSlave {
  std::string link;
  std::string name;
  std::string path;
};

/// `update-alternatives --install link name path priority [--slave link name path]…`
struct AlternativeInstall {
  std::string link;
  std::string name;
  std::string path;
  int priority = 0;
  std::vector<AlternativeSlave> slaves{};
};

/// Those of one maintainer script whose words are all known.
std::vector<AlternativeInstall> read_alternatives(std::string_view script, const ShellValues& known,
                                                  const ImageView& image);

}  // namespace fnimage::source::debian

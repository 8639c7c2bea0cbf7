// Layers and packages that try to leave the directory they are unpacked in (reliability A14), as
// data: breakouts.json beside the sources, which the command line tests read too. The first 33 have
// the names and the shapes of containerd's TestBreakouts, the rest are of other published attacks.
// In names and links "@cwd@" is a directory outside and
// "@sentinel@" a file in it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/test/raw_tar.hpp>

namespace fnimage::test {

struct Breakout {
  std::string name;
  std::vector<RawTarEntry> base;    ///< of a layer below
  std::vector<RawTarEntry> attack;  ///< of the layer itself
  bool refused = false;             ///< the archive is refused
  /// What paths lead to afterwards; nullopt: to no file.
  std::vector<std::pair<std::string, std::optional<std::string>>> tree{};
  std::vector<std::string> bad_whiteouts{};  ///< that a check reports
};

/// @param outside what stands for "@cwd@".
std::vector<Breakout> breakouts(const std::string& outside);

}  // namespace fnimage::test

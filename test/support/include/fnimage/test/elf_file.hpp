// Small ELF files of any machine, as much of them as kernel and loader look at.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fnimage::test {

struct ElfFile {
  int bits = 64;
  bool big_endian = false;
  std::uint16_t machine = 62;  ///< e_machine: x86-64
  std::uint16_t type = 3;      ///< e_type: shared object
  std::uint32_t flags = 0;
  std::string interpreter{};
  std::string soname{};
  std::vector<std::string> needed{};
  std::string rpath{};
  std::string runpath{};
  bool no_default_directories = false;
  /// Library and the versions wanted of it; one that begins with '?' is marked weak.
  std::vector<std::pair<std::string, std::vector<std::string>>> version_needs{};
  std::vector<std::string> versions{};  ///< defined
  std::string padding{};                ///< what stands in the file besides

  [[nodiscard]] std::string bytes() const;

  /// The same for ppc64le.
  [[nodiscard]] ElfFile for_ppc64le() const {
    ElfFile other = *this;
    other.machine = 21;
    other.flags = 2;
    return other;
  }
};

}  // namespace fnimage::test

// Tar archives as an attacker writes them: every name, link, size and kind as it is given, cleaned
// by nobody. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::test {

struct RawTarEntry {
  char type = '0';
  std::string name;
  std::string link{};
  std::string content{};
  std::uint32_t mode = 0644;
  std::optional<std::uint64_t> size{};  ///< what the header says; otherwise the content's
};

/// A header and its content, padded; names of more than 100 bytes are cut.
std::string raw_tar_entry(const RawTarEntry& entry);
/// All of them and the two zero blocks at the end.
std::string raw_tar(const std::vector<RawTarEntry>& entries);

/// A pax header for the entry after it, of "key=value" texts.
RawTarEntry raw_pax(const std::vector<std::string>& records, char type = 'x');
/// GNU's header with a long name ('L') or a long link ('K').
RawTarEntry raw_long(char type, std::string text);

RawTarEntry raw_file(std::string name, std::string content, std::uint32_t mode = 0644);
RawTarEntry raw_directory(std::string name, std::uint32_t mode = 0755);
RawTarEntry raw_symlink(std::string name, std::string text);
RawTarEntry raw_hardlink(std::string name, std::string target);

/// A member of an ar archive: a header of 60 bytes, the data, padding.
std::string raw_ar_member(std::string name, std::string_view data);
/// A .deb of these two tars, which may be compressed.
std::string raw_deb(std::string_view control_tar, std::string_view data_tar,
                    std::string_view data_name = "data.tar");

}  // namespace fnimage::test

// Programs as execve(2) and a shell's PATH find them: which file a name is, what runs it, and who
// may. Thread-safety: pure functions over const files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/check/image_files.hpp>
#include <fnimage/manifest/image_config.hpp>

namespace fnimage::check {

/// Directories of a PATH variable, without the empty ones.
std::vector<std::string> path_directories(const manifest::ImageConfig& config);

/// The file that a command's first word means. A word with '/' is a path from the working
/// directory; others are looked up in PATH. nullopt when there is none.
std::optional<ImageFiles::Found> find_program(const ImageFiles& files, std::string_view word,
                                              const manifest::ImageConfig& config);

/// The words of a script's first line: interpreter and its argument. Empty for what does not begin
/// with "#!".
std::vector<std::string> shebang_words(std::string_view head);

/// The program that `env`, the interpreter of a script, looks up; nullopt when there is none to
/// look up.
std::optional<std::string> program_of_env(const std::vector<std::string>& words);

/// Who a process of the image is.
struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// The config's user, names looked up in the image's passwd and group files. nullopt when there is
/// no such name.
std::optional<User> user_of(const ImageFiles& files, const manifest::ImageConfig& config);

/// Whether the mode lets that user execute it (root: if anybody may).
bool may_execute(const layer::Entry& entry, const User& user) noexcept;

}  // namespace fnimage::check

// What the commands of maintainer scripts share while an image is configured. Thread-safety:
// belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

#include "debian/configure/image_view.hpp"
#include "debian/configure/shell.hpp"
#include "debian/package.hpp"

namespace fnimage::source::debian {

/// Names and numbers of /etc/passwd or /etc/group.
class AccountNumbers {
 public:
  explicit AccountNumbers(std::string_view file);
  /// Of a name, or the number itself.
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return numbers_.contains(name); }

 private:
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
};

struct ScriptState {
  ImageView& image;
  AccountNumbers users;                                         ///< as configured
  AccountNumbers groups;                                        ///< as configured
  AccountNumbers first_users;                                   ///< as before any package
  AccountNumbers first_groups;                                  ///< as before any package
  std::span<const DebianPackage> packages{};                    ///< of the image, sorted by name
  std::span<const UnpackedPackage> unpacked{};                  ///< parallel to packages
  std::string package{};                                        ///< whose script runs
  std::size_t number = 0;                                       ///< of that package
  std::set<std::string> made_accounts{};                        ///< by scripts, so far
  std::map<std::string, std::optional<std::string>> answers{};  ///< debconf's, of this package
  std::map<std::string, std::string> overrides{};               ///< path -> "user group mode"
  std::map<std::string, std::string> diversions{};              ///< path -> "to\npackage"
  std::map<std::string, std::string> ucf_owners{};              ///< path -> package
  std::map<std::string, std::string> ucf_hashes{};    ///< path -> MD5 of what was installed
  std::set<std::string> scratch_files{};              ///< of mktemp; removed at the end
  std::set<std::string> triggers{};                   ///< activated by name
  std::set<std::string> pam_enabled{};                ///< profiles, by scripts
  std::set<std::string> pam_disabled{};               ///< profiles, by scripts
  std::map<std::string, std::string> pam_requests{};  ///< package -> its pam-auth-update
};

/// How a command went.
enum class Effect : std::uint8_t {
  done,       ///< or there was nothing to do
  uncovered,  ///< it would have changed the image, and has not
};

/// Where a package is among those of the image.
std::optional<std::size_t> number_of_package(const ScriptState& state, std::string_view name);

/// The absolute, clean path of a word without its first slash; nullopt when it is not known.
std::optional<std::string> image_path(const ShellCommand& command, std::string_view word);

/// True where files do not belong to an image: /dev, /proc, /sys, /tmp, logs.
bool is_outside_image(std::string_view path);

/// Where mktemp makes files for the scripts' own use.
inline constexpr std::string_view scratch_prefix = "tmp/fnimage-script.";

/// mkdir, install, touch, ln, rm, cp, mv, chmod, chown, chgrp, and files that commands print into;
/// nullopt for other commands.
std::optional<Result<Effect>> run_file_command(ScriptState& state, const ShellCommand& command);

/// What a command prints into files.
Result<Effect> write_outputs(ScriptState& state, const ShellCommand& command);

/// Programs of Debian that register, divert, or make files: dpkg-statoverride, dpkg-divert, ucf,
/// update-shells, setcap…; nullopt for other commands.
std::optional<Result<Effect>> run_debian_command(ScriptState& state, const ShellCommand& command,
                                                 ShellAnswer& answer);

/// Commands that only ask: getent, dpkg --compare-versions, which, debconf…; false for other
/// commands.
bool run_query(ScriptState& state, const ShellCommand& command, ShellAnswer& answer);

/// Whether the effect of a program is none, nothing that an image needs, or that of another step.
bool is_without_effect(std::string_view program);

/// The file that a program's name stands for, as PATH has it: absolute; empty when there is none.
std::string program_path(const ImageView& image, std::string_view name);

/// Options and operands, for commands whose options are single letters or long words.
struct CommandWords {
  std::set<std::string, std::less<>> options{};              ///< "-p" of "-rp", "--recursive"
  std::map<std::string, std::string, std::less<>> values{};  ///< of options that take one
  std::vector<std::string> operands{};

  /// Of an option by either name, "-m" or "--mode".
  [[nodiscard]] std::optional<std::string> value(std::string_view letter,
                                                 std::string_view name) const;
};

/// @param takes letters and long options that a value follows: {"m", "mode"}.
CommandWords parse_words(const ShellCommand& command, const std::set<std::string_view>& takes = {});

}  // namespace fnimage::source::debian

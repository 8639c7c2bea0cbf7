// What the host's apt is configured with: package sources (sources.list(5): one-line and deb822
// style), and the settings of apt.conf(5) that decide whether a release file is too old. Nothing is
// built in: a mirror comes from here or from the build file. Thread-safety: pure functions but for
// reading files and running apt-config.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/source/debian.hpp>

namespace fnimage::source::debian {

/// One suite of one archive.
struct AptSource {
  std::string uri;    ///< base URL without trailing slash
  std::string suite;  ///< "bookworm-security"
  std::vector<std::string> components;
  std::vector<std::string> architectures{};  ///< empty = all
  /// Key files, fingerprints, or one armoured key with line ends; empty = the default keyring.
  std::vector<std::string> signed_by{};
  bool trusted = false;  ///< the administrator's "trusted=yes": not verified
  std::optional<bool> check_valid_until{};
  bool optional = false;  ///< may be missing at the mirror
};

/// Parses sources.list lines ("deb [options] uri suite component…"). deb-src lines, flat
/// repositories and cdrom are left out. Error: invalid_input with file and line.
Result<std::vector<AptSource>> parse_one_line_sources(std::string_view text,
                                                      std::string_view file_name);

/// Parses deb822 sources (.sources). Stanzas with "Enabled: no" or without "deb" in Types are left
/// out.
Result<std::vector<AptSource>> parse_deb822_sources(std::string_view text,
                                                    std::string_view file_name);

/// Every source below an apt directory, in apt's order (sources.list, then sources.list.d by name).
Result<std::vector<AptSource>> load_apt_sources(const std::filesystem::path& apt_directory);

/// The sources of the settings' release: RELEASE, RELEASE-updates, RELEASE-security, with
/// components narrowed to the settings'. With a mirror in the settings they are made from that;
/// without, they are those of the host's apt. Where that lacks the release, and the host runs
/// Debian (ID and VERSION_CODENAME in os-release beside apt_directory), they are those of the
/// host's own release, under the other's name. Behind them the settings' repositories.
/// Errors: not_found, with what there is.
Result<std::vector<AptSource>> choose_sources(const DebianSettings& settings);

/// apt's settings for release files.
struct AptSettings {
  bool check_valid_until = true;
  bool check_date = true;
  std::string http_proxy{};  ///< Acquire::http::Proxy, empty = none
};

/// Parses the output of `apt-config dump`.
AptSettings parse_apt_config(std::string_view text);

/// Asks the host's apt-config; defaults when there is none.
AptSettings load_apt_settings();

}  // namespace fnimage::source::debian

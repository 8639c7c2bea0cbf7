// Release files: the signed root of a suite (wiki DebianRepository/Format). Downloaded with a
// conditional request, verified every time they are used, checked for the right suite and for age.
// Thread-safety: pure but for downloads and the cache.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>

#include "debian/apt_sources.hpp"
#include "debian/download.hpp"

namespace fnimage::source::debian {

struct IndexFile {
  manifest::Digest sha256;
  std::uint64_t size = 0;
};

struct Release {
  AptSource source{};
  std::string suite{};
  std::string codename{};
  std::vector<std::string> architectures{};
  std::vector<std::string> components{};
  bool by_hash = false;
  /// NotAutomatic: its packages are taken when they are asked for, or when nothing else will do.
  bool not_automatic = false;
  bool separate_all = false;           ///< Architecture: all packages have an index of their own
  std::optional<std::int64_t> date{};  ///< seconds since 1970
  std::optional<std::int64_t> valid_until{};              ///< seconds since 1970
  std::map<std::string, IndexFile, std::less<>> files{};  ///< by path below dists/SUITE/

  [[nodiscard]] bool has_architecture(std::string_view name) const;
};

/// Parses the signed text. Error: invalid_input.
Result<Release> parse_release(std::string_view text, std::string_view what);

/// "Sat, 28 Nov 2026 00:53:02 UTC" as seconds since 1970; nullopt when it is not of that form.
std::optional<std::int64_t> parse_release_date(std::string_view text);

/// Checks suite name and age. @param now seconds since 1970. Errors: verification.
Result<void> check_release(const Release& release, const AptSettings& settings, std::int64_t now);

struct ReleaseContext {
  const DebianSettings& settings;
  const AptSettings& apt;
  const Downloader& downloader;
  Diagnostics& diagnostics;
};

/// Fetches, verifies and checks one source's InRelease; nullopt when it is optional and not there.
Result<std::optional<Release>> load_release(const AptSource& source, const ReleaseContext& context);

}  // namespace fnimage::source::debian

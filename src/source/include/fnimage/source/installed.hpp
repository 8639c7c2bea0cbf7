// Which Debian packages a file system holds, by dpkg's database: /var/lib/dpkg/status, and the
// single paragraphs of /var/lib/dpkg/status.d that images without dpkg have. What depends on what
// is resolved among them. Sources: deb-control(5), dpkg(1) "Package states", Debian Policy ch. 7.
// Thread-safety: a pure function and value types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::source {

struct InstalledPackage {
  std::string name;
  std::string version;
  std::string architecture;    ///< Debian's word: "ppc64el", "all"
  std::string source;          ///< the source package, which often has the same name
  std::string source_version;  ///< without the suffix of a rebuild
  std::string maintainer{};    ///< "Name <address>"; this and what follows may be empty
  std::string homepage{};
  std::string summary{};               ///< the first line of the description
  std::uint64_t installed_kib = 0;     ///< by the package's own account; 0 = it says nothing
  std::vector<std::size_t> depends{};  ///< places of what it needs in the same vector, sorted
};

/// A file of the database.
struct StatusFile {
  std::string name;  ///< for messages
  std::string_view text;
};

struct InstalledPackages {
  std::vector<InstalledPackage> packages{};  ///< by name, architecture, version; each one once
  std::vector<std::string> faults{};  ///< dependencies that could not be read: sentences for people
};

/// Packages whose files are there, configured or not; of those that were removed only the
/// configuration is left, and they are left out. Bytes that are no UTF-8 stay. Errors:
/// invalid_input, with file and line, for what dpkg itself would not read, for an installed package
/// without name, version or architecture, and for more than 10'000 packages or 100'000
/// dependencies.
Result<InstalledPackages> read_installed(const std::vector<StatusFile>& files);

}  // namespace fnimage::source

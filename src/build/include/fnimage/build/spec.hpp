// The build file fnimage.yaml as a value. Keys: see the JSON Schema in
// src/build/fnimage.schema.json. Unknown keys, wrong types and bad values are errors with file,
// line, column and the nearest key. Thread-safety: value types, pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::build {

/// base.repositories: a further signed archive of packages.
struct PackageRepository {
  std::string url;
  std::string suite;
  std::vector<std::string> components{"main"};
  std::string signed_by{};  ///< key file, relative to the build file; empty = the host's
};

/// base: {debian: bookworm}
struct DebianBase {
  std::string release;
  std::string mirror{};
  std::string signed_by{};  ///< the mirror's key, relative to the build file; empty = the host's
  std::vector<std::string> components{"main"};
  /// What is used beside the release itself: "updates" stands for RELEASE-updates.
  std::vector<std::string> suites{"updates", "security"};
  std::vector<PackageRepository> repositories{};
  std::string snapshot{};  ///< "20260131T000000Z"; empty = what the mirror has now
  bool essential = false;
  bool recommends = false;     ///< also what packages recommend
  bool bytecode = true;        ///< compile Python packages
  bool documentation = false;  ///< also manual pages, /usr/share/doc and translations
};
/// base: {image: registry/repo:tag | oci:DIR[:tag] | name in the local store}
struct ImageBase {
  std::string location;
};
/// base: {scratch: true}
struct ScratchBase {};
using Base = std::variant<DebianBase, ImageBase, ScratchBase>;

/// layers: a named layer of the user's own.
struct NamedLayer {
  std::string name;
  std::string from;  ///< file or directory, relative to the build file
  std::string to;    ///< absolute path in the image
};

/// files: content that may differ by platform. {os}, {arch}, {variant}, {deb_arch}, {triplet} in
/// from and to are filled in.
struct PlatformFile {
  std::string from;
  std::string to;
  std::optional<std::uint32_t> mode{};
  std::string place{};  ///< where it is written, "file:line:column"; for messages
};

struct ConfigSpec {
  std::map<std::string, std::string> env{};
  std::string user{};
  std::string workdir{};
  std::vector<std::string> entrypoint{};
  std::vector<std::string> cmd{};
  std::map<std::string, std::string> labels{};
};

/// notebook: how a notebook is run, and whether it takes parameters.
struct NotebookSpec {
  bool compiled = false;   ///< mode: compiled; else in a Jupyter kernel
  bool parameters = true;  ///< false: it takes none, and needs no cell that declares them
};

/// requires: what the function needs of its node.
struct RequiresSpec {
  require::Requirements common{};                                  ///< of all platforms
  std::map<std::string, std::string> cpu_levels{};                 ///< by architecture
  std::map<std::string, std::vector<std::string>> cpu_features{};  ///< by architecture

  /// Those of one platform.
  [[nodiscard]] require::Requirements of(const manifest::Platform& platform) const;
};

struct BuildSpec {
  std::string name;
  std::vector<manifest::Platform> platforms;
  Base base;
  std::vector<std::string> packages{};  ///< name, name=version, name/suite, or path of a .deb
  std::map<std::string, std::string> exclude{};
  std::string runtime = "none";
  NotebookSpec notebook{};
  std::string main{};                ///< source.main, relative to the build file
  std::vector<std::string> files{};  ///< source.files patterns
  std::vector<NamedLayer> layers{};
  std::vector<PlatformFile> platform_files{};
  ConfigSpec config{};
  manifest::Annotations annotations{};
  RequiresSpec requirements{};
  std::vector<std::string> variants{};  ///< suffixes of their tags, the best first
  std::string file{};                   ///< the build file's name; for messages
  std::filesystem::path directory{};    ///< where the build file is; all paths are relative to it
};

/// A platform to build for: Go's names, and an architecture that is known. Error: invalid_argument
/// with the nearest.
Result<manifest::Platform> parse_build_platform(std::string_view text);

/// Reads a build file. Errors: not_found (with the hint `fnimage init`), invalid_input with
/// "file:line:column: …".
/// @param directory what paths are relative to; empty = where the file is.
Result<BuildSpec> load_spec(const std::filesystem::path& file,
                            const std::filesystem::path& directory = {});

/// The same from text. @param file_name for messages. @param directory what paths are relative to.
Result<BuildSpec> parse_spec(std::string_view text, std::string_view file_name,
                             const std::filesystem::path& directory);

/// The JSON Schema of the build file.
std::string_view spec_schema() noexcept;

}  // namespace fnimage::build

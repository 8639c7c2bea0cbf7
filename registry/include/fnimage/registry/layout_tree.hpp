// A directory with an OCI layout for each repository, at the repository's name: how `fnimage serve`
// keeps its content, and what images are carried in where there is no network. A part of a name
// that is a file's name in a layout ("blobs", "index.json", "oci-layout") has a '_' behind it on
// disk, where no name may end. Links in the directory are not followed, so that nothing is read or
// written elsewhere. Thread-safety: functions without state but for the file system.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::registry {

/// Parts joined by '/', at most 255 characters in all. A part has lower-case letters and digits,
/// and between them one '.', one or two '_', or any number of '-' (distribution-spec, Pulling
/// manifests).
bool is_valid_repository(std::string_view name) noexcept;
/// One part of a repository's name.
bool is_valid_part(std::string_view part) noexcept;

/// Where a repository is, relative to the directory. @param name valid.
std::filesystem::path path_of_repository(std::string_view name);
/// The part that a directory of this name stands for; nullopt when it stands for none.
std::optional<std::string> part_of_directory(std::string_view directory);

/// Names of the repositories there, sorted. What cannot be read is passed over: it may have gone.
std::vector<std::string> list_layouts(const std::filesystem::path& root);

/// Where a repository's layout is. Errors: not_found when there is none, or a link is on the way.
Result<std::filesystem::path> find_layout(const std::filesystem::path& root, std::string_view name);
/// The same, made if missing, with the directories above it. Error: already_exists when something
/// else is in the way.
Result<std::filesystem::path> make_layout_in(const std::filesystem::path& root,
                                             std::string_view name);

}  // namespace fnimage::registry

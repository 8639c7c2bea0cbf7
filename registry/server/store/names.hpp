// Names of repositories and where they are in the store's directory. Thread-safety: pure functions.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace fnimage::server {

/// One part of a repository's name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
bool is_valid_part(std::string_view part) noexcept;

/// Where a repository is, relative to the store. @param name valid.
std::filesystem::path path_of_repository(std::string_view name);

/// The part that a directory of this name stands for; nullopt when it stands for none.
std::optional<std::string> part_of_directory(std::string_view directory);

}  // namespace fnimage::server

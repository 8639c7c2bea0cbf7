// How long blobs that nothing names stay in an OCI layout. Whoever has put one, or was told that it
// is there already, may name it in a manifest some time later. What collects garbage goes by the
// files' times of modification, so these are set to now whenever somebody is told of a file which
// is not young. Thread-safety: pure but for the file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace fnimage::registry {

/// What nothing names is left alone for so long at least, where others may write.
inline constexpr std::chrono::minutes smallest_grace{10};
/// Files that are older are made young when somebody is told of them: who was told last has three
/// quarters of the smallest grace time at least.
inline constexpr std::chrono::milliseconds refresh_age =
    std::chrono::milliseconds(smallest_grace) / 4;

/// The size in bytes of a blob that somebody is told of; it is young afterwards. Nullopt: there is
/// no regular file, perhaps since it was collected in this very moment. A file that may not be
/// changed stays as old as it is. @param age files that are older are made young.
std::optional<std::uint64_t> claim_blob(const std::filesystem::path& file,
                                        std::chrono::milliseconds age = refresh_age) noexcept;

}  // namespace fnimage::registry

// Takes rights away from the calling thread and what it starts, for good, without root: Landlock
// (landlock(7)), as far as the kernel has it. Thread-safety: concerns the calling thread only,
// which should therefore be one made for it.
#pragma once

#include <filesystem>
#include <vector>

namespace fnimage::source::debian {

/// What is left; all other files can be neither read, written nor run, and no TCP connection can be
/// made or taken.
struct Confinement {
  std::vector<std::filesystem::path> readable{};  ///< trees to read and run from, or files to read
  std::vector<std::filesystem::path> writable{};  ///< trees to read and write
};

/// False when the kernel cannot, or something is missing: then nothing is taken away. Also gives up
/// getting more rights by set-user-id programs.
bool confine_this_thread(const Confinement& left) noexcept;

}  // namespace fnimage::source::debian

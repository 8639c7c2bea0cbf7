// An image's files as a root to run in: its layers laid over each other, with the places that a
// process needs (/proc, /dev, /tmp) and the host's names of hosts. Thread-safety: pure functions
// but for reading the host's files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::run {

/// What is to be written to disk. Directories and files that are mounted over are never links of
/// the image's. Errors: invalid_input for layers that no runtime unpacks.
Result<layer::FileTree::Map> root_files(const check::ImageFiles& files);

struct ImageUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string home = "/";
};

/// The user of an image's config ("1000:1000", "app", "app:staff"; empty = root), by the image's
/// own /etc/passwd and /etc/group. Error: invalid_input for a name that is not in them.
Result<ImageUser> resolve_user(const check::ImageFiles& files, std::string_view user);

}  // namespace fnimage::run

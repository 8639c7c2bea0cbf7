// Names of repositories and where they are in the store's directory: see layout_tree.hpp.
// Thread-safety: pure functions.
#pragma once

#include <fnimage/registry/layout_tree.hpp>

namespace fnimage::server {

using registry::is_valid_part;
using registry::part_of_directory;
using registry::path_of_repository;

}  // namespace fnimage::server

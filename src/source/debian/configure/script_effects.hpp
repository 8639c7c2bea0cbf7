// What maintainer scripts do to the files of an image, done by us: preinst, postinst and the
// triggers' part of it are interpreted (shell.hpp), never executed; each command is one that has a
// rule here, one whose effect no image needs, or it is named. Thread-safety: see configure.hpp.
#pragma once

#include <vector>

#include <fnimage/source/package_pool.hpp>

#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {

/// Replays the scripts of all packages, by name; after accounts and alternatives, whose commands
/// have steps of their own. Returns what no rule covers, sorted by package.
Result<std::vector<UncoveredScript>> configure_by_scripts(ImageView& image,
                                                          const ConfigureContext& context);

}  // namespace fnimage::source::debian

// The notebooks of a function: without what running them has left, so that a layer changes when its
// notebook does, and with their mistakes found before anything is built. Thread-safety: pure
// functions.
#pragma once

#include <map>
#include <string>

#include <fnimage/build/spec.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::build {

/// Replaces every notebook of the source by its stripped form. Returns the image's labels: the
/// schema of the main one's parameters. Errors: invalid_input for what is no notebook, for a main
/// one without a cell of parameters (unless the build file says that it has none), of another
/// language, or with what plain Python does not understand (compiled).
Result<std::map<std::string, std::string>> prepare_notebooks(const BuildSpec& spec,
                                                             layer::FileTree& tree);

}  // namespace fnimage::build

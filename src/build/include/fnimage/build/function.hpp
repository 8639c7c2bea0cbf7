// The function's own part of an image, without what it stands on: to be run where a base is there
// already. Thread-safety: a pure function but for reading files.
#pragma once

#include <fnimage/base/result.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/runtime/runtime.hpp>

namespace fnimage::build {

struct Function {
  runtime::Runtime runtime;
  layer::FileTree
      files;  ///< of the runtime, the source, the layers and `files`, laid over each other
};

/// Errors: as the build's, about runtime and the developer's files.
Result<Function> make_function(const BuildSpec& spec, const manifest::Platform& platform);

}  // namespace fnimage::build

// The parts `requires` and `variants` of a build file. Private to build. Thread-safety: pure
// functions.
#pragma once

#include <fnimage/base/result.hpp>
#include <fnimage/build/spec.hpp>

#include "spec_reader.hpp"

namespace fnimage::build {

/// Both may be absent. The platforms must have been read.
Result<void> read_requires(const SpecReader& reader, const YamlNode& root, BuildSpec& spec);
Result<void> read_variants(const SpecReader& reader, const YamlNode& root, BuildSpec& spec);

}  // namespace fnimage::build

// The machine that this program runs on, as a node. Thread-safety: a pure function.
#pragma once

#include <fnimage/manifest/runtime_match.hpp>

namespace fnimage::node {

/// The platform, and on amd64 the level of the processor: "v2", "v3" or "v4" (x86-64 psABI).
manifest::NodeMachine this_machine();

}  // namespace fnimage::node

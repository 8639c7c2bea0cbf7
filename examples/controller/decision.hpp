// What becomes of a pod: where it may run and which images it gets. The pod's own choices come
// first; what is added only narrows them. Thread-safety: any number of threads.
#pragma once

#include <stop_token>

#include <fnimage/base/result.hpp>
#include <fnimage/resolve/resolver.hpp>

#include "admission.hpp"
#include "inventory.hpp"

namespace controller {

/// Of a pod: "off" leaves it as it is; "applied" says that it has been placed.
inline constexpr const char* placement_annotation = "fnimage.io/placement";

/// @param fail_closed what happens to pods whose functions cannot be placed, unless the function
/// says it. Error: invalid_input for an object that is no Pod although it says so.
fnimage::Result<Verdict> decide(const Review& review, const State& state,
                                fnimage::resolve::Resolver& resolver, bool fail_closed,
                                const std::stop_token& stop);

}  // namespace controller

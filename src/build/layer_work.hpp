// Packs the layers of a plan and puts them, and the base's, into a store: each distinct tree once,
// whatever the number of platforms that have it, all in parallel.
// Thread-safety: may run several times at once.
#pragma once

#include <vector>

#include "image.hpp"
#include "plan.hpp"

namespace fnimage::build {

/// The finished layers of each platform, in the plan's order.
Result<std::vector<std::vector<NamedBlob>>> make_layers(const Plan& plan,
                                                        const BuildOptions& options,
                                                        registry::ImageStore& store,
                                                        const Environment& environment);

/// Copies the base images' layers that `store` lacks.
Result<void> copy_base_layers(const Plan& plan, registry::ImageStore& store,
                              const Environment& environment);

}  // namespace fnimage::build

// Which platforms can run on which, and which entry of a list is the best: containerd/platforms
// compare.go semantics. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::manifest {

/// Equal after normalisation (os, architecture, variant); os.version and os.features are not
/// compared.
bool same_platform(const Platform& a, const Platform& b);

/// What a node of this platform can run, best first: amd64/v3 -> v3, v2, v1, 386; arm64 -> arm64,
/// arm/v8…v5; ppc64le -> itself. All in normal form.
std::vector<Platform> compatible_platforms(const Platform& platform);

/// Index into `entries` of the best entry that can run on `wanted`; among equals the first. Entries
/// without a platform and "unknown/unknown" ones are never chosen.
std::optional<std::size_t> best_match(std::span<const Descriptor> entries, const Platform& wanted);

}  // namespace fnimage::manifest

// Lists from images that exist already: what `manifest create` does. Thread-safety: may run several
// times at once.
#pragma once

#include <optional>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::build {

struct CreateListOptions {
  /// nullopt = Docker's list when all children are Docker images, else the OCI index (a tree never
  /// mixes the two families).
  std::optional<manifest::Format> format{};
  bool amend = false;  ///< add to (and replace in) the list of that name in the local store instead
                       ///< of refusing
};

/// Reads each child from its registry (or the local store for names without registry; from the
/// local store too when it holds that reference), takes the platform from its config, and stores
/// the list under `name` in `local`. Children that are lists themselves are flattened. Children of
/// the list's own repository are only referred to; others are copied into `local`, so that a later
/// push finds them. Errors: already_exists (a local list of that name, with the hint --amend),
/// not_found, platform_mismatch for two children of one platform.
Result<manifest::Descriptor> create_list(const manifest::Reference& name,
                                         const std::vector<manifest::Reference>& children,
                                         const CreateListOptions& options,
                                         registry::ImageStore& local, registry::Client& client,
                                         Diagnostics& diagnostics);

}  // namespace fnimage::build

// Bringing the images of lists to where the lists go. Thread-safety: may run several times at once.
#pragma once

#include <vector>

#include "list_children.hpp"

namespace fnimage::build {

/// The images of one list, and where it goes.
struct Placement {
  ListTarget target;
  manifest::Format format;
  std::vector<ListEntry>* entries = nullptr;  ///< not owned; digests change when they are converted
};

/// Makes sure that all these images are where their lists go, in the list's family of media types
/// (then their digests may change). What a registry has already is not sent, all else goes at once:
/// each distinct blob once to each registry, mounted where it can be. A list in the local store
/// only gets manifest and config of an image that is in another repository of its registry, with a
/// note of where that is (ImageStore::note_home()): `manifest push` mounts the rest.
Result<void> place_all(const std::vector<Placement>& placements, const ListOptions& options,
                       Diagnostics& diagnostics);

}  // namespace fnimage::build

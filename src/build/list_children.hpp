// The children of a list: found wherever they are, and read to their ends. Thread-safety: may run
// several times at once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <fnimage/build/list.hpp>

namespace fnimage::build {

/// An image of a list, the store that has it, and the name it came by, for messages.
struct ListEntry {
  manifest::Descriptor descriptor;  ///< with platform
  std::vector<manifest::Descriptor> attestations{};
  std::shared_ptr<registry::ImageStore> store{};
  std::string from{};
};

/// Where children are looked for.
struct ChildSources {
  registry::ImageStore* local = nullptr;  ///< not owned; null = there is none
  registry::Client* client = nullptr;     ///< not owned
  /// Whether names with a registry are looked up in the local store before the registry is asked,
  /// or only when it does not have them.
  bool local_first = true;
};

/// All images that the children are or contain, in the children's order.
Result<std::vector<ListEntry>> read_children(const std::vector<registry::Location>& children,
                                             const ListOptions& options,
                                             const ChildSources& sources, Diagnostics& diagnostics);

/// The images of a list that stands in a store, with the platforms that it says they have.
Result<std::vector<ListEntry>> read_images(const manifest::Document& list,
                                           const std::shared_ptr<registry::ImageStore>& store,
                                           const std::string& from);

/// An image that is named twice is one entry. Error: platform_mismatch that names two images of one
/// platform (publishing rule 2).
Result<void> merge_duplicates(std::vector<ListEntry>& entries);

/// Docker when all are Docker images, else OCI.
manifest::Format family_of(const std::vector<ListEntry>& entries);

}  // namespace fnimage::build

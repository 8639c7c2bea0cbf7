// A store over a layout that is read and never changed: one in an archive, or one that another
// program owns. Thread-safety: as LayoutReader; see ImageStore.
#pragma once

#include <memory>

#include <fnimage/base/error.hpp>
#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

/// @param refusal what everything fails with that would change it.
std::unique_ptr<ImageStore> reading_store(LayoutReader reader, Error refusal);

}  // namespace fnimage::registry

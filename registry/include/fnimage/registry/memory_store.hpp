// An ImageStore in memory: for tests, dry runs and small images of a controller. Thread-safety: see
// ImageStore.
#pragma once

#include <memory>

#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

std::unique_ptr<ImageStore> make_memory_store(std::string name);

}  // namespace fnimage::registry

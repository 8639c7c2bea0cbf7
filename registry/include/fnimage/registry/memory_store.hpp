// An ImageStore in memory: for tests, dry runs and small images of a controller. Thread-safety: see ImageStore.
#pragma once

#include <fnimage/registry/store.hpp>

#include <memory>

namespace fnimage::registry {

std::unique_ptr<ImageStore> make_memory_store(std::string name);

}  // namespace fnimage::registry

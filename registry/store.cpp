// What all stores share.
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

std::string to_string(const Selector& selector) {
  const auto* digest = std::get_if<manifest::Digest>(&selector);
  return digest != nullptr ? digest->str() : std::get<std::string>(selector);
}

}  // namespace fnimage::registry

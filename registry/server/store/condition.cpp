#include <algorithm>

#include "store/store.hpp"

namespace fnimage::server {

namespace {

/// An empty list stands for anything that exists.
bool stands_for_one_of(const std::vector<manifest::Digest>& wanted,
                       const std::optional<manifest::Digest>& current) {
  return current && (wanted.empty() || std::ranges::find(wanted, *current) != wanted.end());
}

}  // namespace

bool Condition::holds(const std::optional<manifest::Digest>& current) const {
  return (!match || stands_for_one_of(*match, current)) &&
         (!none_match || !stands_for_one_of(*none_match, current));
}

}  // namespace fnimage::server

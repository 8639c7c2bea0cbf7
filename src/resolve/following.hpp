// What kinds of nodes take of one tree, with the reasons, and reading no more of it than they need.
// Private to resolve. Thread-safety: belongs to one thread; reads on several.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/result.hpp>

#include "tree.hpp"

namespace fnimage::resolve {

/// What one kind of node takes, its requirements aside.
struct Taking {
  Found found{};
  std::shared_ptr<const manifest::Index> list{};            ///< null when it is no list
  std::shared_ptr<const manifest::RuntimeChoice> choice{};  ///< null when it is no list
  std::set<manifest::Digest> pulled{};                      ///< with the one that is taken
  std::string reason{};                                     ///< why none is taken
  std::vector<std::string> warnings{};
};

struct Followed {
  std::shared_ptr<const Tree> tree{};
  std::vector<Taking> takings{};  ///< one for each kind, in their order
};

/// Errors: invalid_input when the root is neither list nor image; those of the store.
Result<Followed> follow(registry::ImageStore& store, PartPtr root, const std::vector<Kind>& kinds,
                        WorkerPool& pool);

}  // namespace fnimage::resolve

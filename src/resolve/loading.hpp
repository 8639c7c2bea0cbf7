// Getting an image with its variants from its store, or asking whether it still is what is known.
// Private to resolve. Thread-safety: may be used from several threads.
#pragma once

#include <memory>
#include <string>

#include <fnimage/registry/location.hpp>
#include <fnimage/resolve/image.hpp>

#include "part_cache.hpp"

namespace fnimage::resolve {

struct Loaded {
  std::shared_ptr<const ResolvedImage> image;
  bool is_final = false;  ///< asked for by digest, and everything was there
};

class Loader {
 public:
  /// Both outlive it.
  Loader(PartCache& parts, WorkerPool& pool, bool with_variants)
      : parts_(parts), pool_(pool), with_variants_(with_variants) {}

  /// @param known what it was before, or null. Its parts that have not moved are used again.
  /// Errors: not_found, invalid_input for what is neither image nor list or is too large; those of
  /// the store.
  Result<Loaded> load(const registry::OpenedImage& opened,
                      const std::shared_ptr<const ResolvedImage>& known) const;

 private:
  using TreePtr = std::shared_ptr<const Tree>;

  /// @param known null when there is none. Error: not_found for a tag that there is not.
  Result<TreePtr> tree_at(registry::ImageStore& store, const registry::Selector& selector,
                          const TreePtr& known) const;
  Result<PartPtr> root_at(registry::ImageStore& store, const registry::Selector& selector) const;
  Result<TreePtr> grow(registry::ImageStore& store, PartPtr root) const;
  Result<void> load_variant(registry::ImageStore& store, Variant& variant,
                            const TreePtr& known) const;

  PartCache& parts_;
  WorkerPool& pool_;
  bool with_variants_;
};

}  // namespace fnimage::resolve

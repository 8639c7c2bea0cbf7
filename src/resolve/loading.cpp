// See the header. What is known costs one HEAD for each tag; only what has moved is read.
#include "loading.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "linked.hpp"

namespace fnimage::resolve {

namespace {

/// Of one list, with the images in it.
constexpr std::size_t max_parts = 1000;

Error not_found(const registry::ImageStore& store, const registry::Selector& selector) {
  return {ErrorCode::not_found, fmt::format("{} has no {}", printable(store.describe()),
                                            printable(registry::to_string(selector)))};
}

std::shared_ptr<const Tree> known_variant(const ResolvedImage* known, const std::string& tag) {
  if (known == nullptr) {
    return nullptr;
  }
  const auto variants = known->variants();
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [&](const Variant& variant) { return variant.tag == tag; });
  return found == variants.end() ? nullptr : found->tree;
}

bool is_whole(const Tree& base, const std::vector<Variant>& variants) {
  return base.is_complete() &&
         std::all_of(variants.begin(), variants.end(),
                     [](const Variant& one) { return one.tree && one.tree->is_complete(); });
}

}  // namespace

Result<PartPtr> Loader::root_at(registry::ImageStore& store,
                                const registry::Selector& selector) const {
  PartPtr root;
  if (const auto* digest = std::get_if<manifest::Digest>(&selector)) {
    FNIMAGE_TRY(root, parts_.get(store, *digest));
    if (!root->list && !root->image && root->descriptor.media_type.empty()) {
      // It could not even be read.
      return fail(not_found(store, selector));
    }
  } else {
    FNIMAGE_TRY(const manifest::Document document, store.get_manifest(selector));
    FNIMAGE_TRY(root, part_of(document, store));
    parts_.put(store, root);
  }
  FNIMAGE_CHECK(check_root(*root));
  return root;
}

Result<Loader::TreePtr> Loader::grow(registry::ImageStore& store, PartPtr root) const {
  TreeBuilder builder(
      std::move(root),
      [this, &store](const manifest::Digest& digest) { return parts_.get(store, digest); }, pool_);
  FNIMAGE_CHECK(builder.read_all(max_parts));
  return std::move(builder).share();
}

Result<Loader::TreePtr> Loader::tree_at(registry::ImageStore& store,
                                        const registry::Selector& selector,
                                        const TreePtr& known) const {
  registry::Selector wanted = selector;
  if (known && std::holds_alternative<std::string>(selector)) {
    FNIMAGE_TRY(const auto descriptor, store.resolve(selector));
    if (!descriptor) {
      return fail(not_found(store, selector));
    }
    wanted = descriptor->digest;
  }
  if (known && known->is_complete() && std::holds_alternative<manifest::Digest>(wanted) &&
      std::get<manifest::Digest>(wanted) == known->root().descriptor.digest) {
    return known;
  }
  FNIMAGE_TRY(PartPtr root, root_at(store, wanted));
  return grow(store, std::move(root));
}

Result<void> Loader::load_variant(registry::ImageStore& store, Variant& variant,
                                  const TreePtr& known) const {
  auto tree = tree_at(store, variant.tag, known);
  if (!tree) {
    return note_variant_error(variant, tree.error());
  }
  if ((*tree)->list() == nullptr) {
    variant.problem = no_list_problem(variant.tag);
  } else {
    variant.tree = std::move(*tree);
  }
  return {};
}

Result<Loaded> Loader::load(const registry::OpenedImage& opened,
                            const std::shared_ptr<const ResolvedImage>& known) const {
  registry::ImageStore& store = *opened.store;
  const auto* tag = std::get_if<std::string>(&opened.selector);
  FNIMAGE_TRY(const TreePtr base, tree_at(store, opened.selector, known ? known->tree() : nullptr));
  NamedVariants named;
  if (with_variants_ && base->list() != nullptr) {
    named = name_variants(store, *base->list(), tag == nullptr ? std::string() : *tag);
  }
  TaskGroup group(pool_);
  for (Variant& variant : named.variants) {
    if (variant.problem.empty()) {
      group.run([this, &store, &variant, &known] {
        return load_variant(store, variant, known_variant(known.get(), variant.tag));
      });
    }
  }
  FNIMAGE_CHECK(group.wait());
  const bool is_final = tag == nullptr && is_whole(*base, named.variants);
  std::vector<std::string> problems;
  if (!named.problem.empty()) {
    problems.push_back(std::move(named.problem));
  }
  return Loaded{std::make_shared<const ResolvedImage>(
                    store.describe(), base, std::move(named.variants), std::move(problems)),
                is_final};
}

}  // namespace fnimage::resolve

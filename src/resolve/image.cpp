// See the header.
#include <utility>

#include <fmt/format.h>

#include <fnimage/resolve/image.hpp>

#include "linked.hpp"
#include "tree.hpp"

namespace fnimage::resolve {

namespace {

/// @param asked null = the entry itself asks nothing. @param part null = it was not read.
Result<EntryFacts> facts_of(const Asked* asked, const Part* part) {
  EntryFacts facts;
  if (part != nullptr && part->image) {
    facts.config_platform = part->image->platform;
    asked = asked == nullptr ? part->image->asked.get() : asked;
  }
  if (asked != nullptr && !asked->problem.empty()) {
    return fail(ErrorCode::invalid_input, asked->problem);
  }
  if (asked != nullptr) {
    facts.requirements = asked->requirements;
  }
  return facts;
}

}  // namespace

ResolvedImage::ResolvedImage(std::string name, std::shared_ptr<const Tree> base,
                             std::vector<Variant> variants, std::vector<std::string> problems)
    : name_(std::move(name)),
      base_(std::move(base)),
      variants_(std::move(variants)),
      warnings_(std::move(problems)),
      memory_(sizeof(ResolvedImage) + name_.size() + base_->memory()) {
  for (const Variant& variant : variants_) {
    memory_ += sizeof(Variant) + (variant.tree ? variant.tree->memory() : 0);
    if (!variant.problem.empty()) {
      warnings_.push_back(variant_warning(variant));
    }
  }
}

Choice ResolvedImage::choose(const node::Node& node) const noexcept {
  return choose_from(*base_, variants_, node);
}

std::string ResolvedImage::pull_name(const Choice& choice) const {
  return choice.image == nullptr ? std::string()
                                 : fmt::format("{}@{}", name_, choice.image->digest.str());
}

const manifest::Descriptor& ResolvedImage::root() const noexcept {
  return base_->root().descriptor;
}

const manifest::Index* ResolvedImage::index() const noexcept {
  return base_->list() == nullptr ? nullptr : &base_->list()->index;
}

const manifest::Index* ResolvedImage::variant_index(std::size_t variant) const noexcept {
  return variant < variants_.size() && variants_[variant].tree
             ? &variants_[variant].tree->list()->index
             : nullptr;
}

const manifest::Descriptor* ResolvedImage::variant_root(std::size_t variant) const noexcept {
  return variant < variants_.size() && variants_[variant].tree
             ? &variants_[variant].tree->root().descriptor
             : nullptr;
}

Result<std::vector<EntryFacts>> ResolvedImage::facts(std::optional<std::size_t> variant) const {
  if (variant && (*variant >= variants_.size() || !variants_[*variant].tree)) {
    return fail(ErrorCode::not_found, fmt::format("{} has no such variant to use", name_));
  }
  const Tree& tree = variant ? *variants_[*variant].tree : *base_;
  std::vector<EntryFacts> all;
  if (tree.list() == nullptr) {
    FNIMAGE_TRY(all.emplace_back(), facts_of(nullptr, &tree.root()));
    return all;
  }
  const ListPart& list = *tree.list();
  for (std::size_t i = 0; i < list.index.manifests.size(); ++i) {
    FNIMAGE_TRY(all.emplace_back(),
                facts_of(list.asked[i].get(), tree.find(list.index.manifests[i].digest)));
  }
  return all;
}

}  // namespace fnimage::resolve

// See the header.
#include <utility>

#include <fmt/format.h>

#include <fnimage/resolve/image.hpp>

#include "linked.hpp"

namespace fnimage::resolve {

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

}  // namespace fnimage::resolve

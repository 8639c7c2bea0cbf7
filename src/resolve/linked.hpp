// A list with its variants, and what kinds of nodes take of each. Private to resolve.
// Thread-safety: belongs to one thread; reads on several.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "following.hpp"

namespace fnimage::resolve {

/// The variants that a list names, without trees.
struct NamedVariants {
  std::vector<Variant> variants{};
  std::string problem{};  ///< with them as a whole; printable
};
/// @param tag that the list was asked for by; empty = none.
NamedVariants name_variants(const registry::ImageStore& store, const ListPart& list,
                            const std::string& tag);
std::string missing_problem(const std::string& tag);
std::string no_list_problem(const std::string& tag);
/// Notes why a variant cannot be used. Error: the given one, when it may pass.
Result<void> note_variant_error(Variant& variant, const Error& error);
/// "variant gpu: there is no latest-gpu"
std::string variant_warning(const Variant& variant);

/// What is read at the root of an image and its variants.
struct LinkedDocuments {
  struct One {
    Variant variant;                               ///< without its tree
    std::optional<manifest::Document> document{};  ///< nullopt: the variant has a problem
  };
  PartPtr base{};
  std::vector<One> variants{};
  std::string problem{};    ///< with the variants as a whole
  std::size_t entries = 0;  ///< of all lists
};

/// Reads the variants' lists. @param tag as for name_variants(). @param with_variants false: none.
/// Errors: those of the store; what is missing or broken is a problem of the variant.
Result<LinkedDocuments> read_linked(registry::ImageStore& store, const manifest::Document& base,
                                    const std::string& tag, bool with_variants, WorkerPool& pool);

class Linked {
 public:
  /// Errors: see follow().
  static Result<Linked> read(registry::ImageStore& store, LinkedDocuments documents,
                             const std::vector<Kind>& kinds, WorkerPool& pool);

  [[nodiscard]] Choice choose(const node::Node& node) const noexcept {
    return choose_from(*base_.tree, variants_, node);
  }
  [[nodiscard]] const std::vector<Variant>& variants() const noexcept { return variants_; }
  [[nodiscard]] const Tree& tree(std::optional<std::size_t> variant) const {
    return variant ? *variants_.at(*variant).tree : *base_.tree;
  }
  /// @param variant nullopt: of the list itself; one that has a problem takes nothing.
  [[nodiscard]] const Taking& taking(std::optional<std::size_t> variant, std::size_t kind) const {
    return variant ? takings_.at(*variant).at(kind) : base_.takings.at(kind);
  }
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  Followed base_;
  std::vector<Variant> variants_;
  std::vector<std::vector<Taking>> takings_;  // of each variant
  std::vector<std::string> warnings_;
};

}  // namespace fnimage::resolve

// See the header.
#include "linked.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>

namespace fnimage::resolve {

namespace {

using manifest::Document;

Result<void> read_variant(registry::ImageStore& store, LinkedDocuments::One& one) {
  auto document = store.get_manifest(one.variant.tag);
  if (!document) {
    return note_variant_error(one.variant, document.error());
  }
  if (document->is_index()) {
    one.document = std::move(*document);
  } else {
    one.variant.problem = no_list_problem(one.variant.tag);
  }
  return {};
}

}  // namespace

NamedVariants name_variants(const registry::ImageStore& store, const ListPart& list,
                            const std::string& tag) {
  NamedVariants named;
  if (!list.variants_problem.empty()) {
    named.problem = "its variants are not understood: " + list.variants_problem;
  } else if (tag.empty() && !list.variants.empty()) {
    named.problem = fmt::format("it has variants ({}), which only its tag leads to",
                                printable(join(list.variants, ", "), 200));
  }
  if (!named.problem.empty()) {
    return named;
  }
  for (const std::string& suffix : list.variants) {
    Variant& variant = named.variants.emplace_back(
        Variant{.suffix = suffix, .tag = fmt::format("{}-{}", tag, suffix)});
    // Names of a layout are no tags.
    if (store.repository() && !manifest::is_valid_tag(variant.tag)) {
      variant.problem = fmt::format("{} is too long for a tag", variant.tag);
    }
  }
  return named;
}

std::string missing_problem(const std::string& tag) {
  return fmt::format("there is no {}", printable(tag));
}

std::string no_list_problem(const std::string& tag) {
  return fmt::format("{} is no list", printable(tag));
}

Result<void> note_variant_error(Variant& variant, const Error& error) {
  if (error.code() == ErrorCode::not_found) {
    variant.problem = missing_problem(variant.tag);
  } else if (is_fault_of_content(error)) {
    variant.problem =
        fmt::format("{} is broken: {}", printable(variant.tag), printable(error.describe()));
  } else {
    return fail(error);
  }
  return {};
}

std::string variant_warning(const Variant& variant) {
  return fmt::format("variant {}: {}", variant.suffix, variant.problem);
}

Result<LinkedDocuments> read_linked(registry::ImageStore& store, const Document& base,
                                    const std::string& tag, bool with_variants, WorkerPool& pool) {
  LinkedDocuments documents;
  FNIMAGE_TRY(documents.base, part_of(base, store));
  if (!documents.base->list) {
    return documents;
  }
  const ListPart& list = *documents.base->list;
  documents.entries = list.index.manifests.size();
  if (!with_variants) {
    return documents;
  }
  NamedVariants named = name_variants(store, list, tag);
  documents.problem = std::move(named.problem);
  for (Variant& variant : named.variants) {
    documents.variants.push_back({.variant = std::move(variant)});
  }
  TaskGroup group(pool);
  for (LinkedDocuments::One& one : documents.variants) {
    if (one.variant.problem.empty()) {
      group.run([&store, &one] { return read_variant(store, one); });
    }
  }
  FNIMAGE_CHECK(group.wait());
  registry::DocumentBudget budget;
  for (const LinkedDocuments::One& one : documents.variants) {
    if (one.document) {
      FNIMAGE_CHECK(budget.take(one.document->bytes().size()));
      // One that is broken is noted when it is followed.
      const auto index = one.document->index();
      documents.entries += index ? index->manifests.size() : 0;
    }
  }
  return documents;
}

Result<Linked> Linked::read(registry::ImageStore& store, LinkedDocuments documents,
                            const std::vector<Kind>& kinds, WorkerPool& pool) {
  Linked linked;
  FNIMAGE_TRY(linked.base_, follow(store, std::move(documents.base), kinds, pool));
  if (!documents.problem.empty()) {
    linked.warnings_.push_back(std::move(documents.problem));
  }
  for (LinkedDocuments::One& one : documents.variants) {
    Variant& variant = linked.variants_.emplace_back(std::move(one.variant));
    auto& takings = linked.takings_.emplace_back();
    if (one.document) {
      FNIMAGE_TRY(PartPtr part, part_of(*one.document, store));
      auto followed = follow(store, std::move(part), kinds, pool);
      if (!followed) {
        FNIMAGE_CHECK(note_variant_error(variant, followed.error()));
      } else {
        variant.tree = std::move(followed->tree);
        takings = std::move(followed->takings);
      }
    }
    if (!variant.problem.empty()) {
      linked.warnings_.push_back(variant_warning(variant));
    }
  }
  return linked;
}

}  // namespace fnimage::resolve

// See the header.
#include <utility>
#include <vector>

#include <fnimage/place/resolved.hpp>

namespace fnimage::place {

Result<Placement> place(const resolve::ResolvedImage& image, std::optional<std::size_t> variant,
                        const Options& options) {
  FNIMAGE_TRY(std::vector<resolve::EntryFacts> known, image.facts(variant));
  std::vector<ImageFacts> facts;
  facts.reserve(known.size());
  for (resolve::EntryFacts& one : known) {
    facts.push_back({.requirements = std::move(one.requirements),
                     .config_platform = std::move(one.config_platform)});
  }
  const manifest::Index* list = variant ? image.variant_index(*variant) : image.index();
  return list == nullptr ? place(image.root(), facts.front(), options)
                         : place(*list, facts, options);
}

}  // namespace fnimage::place

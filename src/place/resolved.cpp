// See the header.
#include <vector>

#include <fnimage/place/resolved.hpp>

namespace fnimage::place {

Result<Placement> place(const resolve::ResolvedImage& image, std::optional<std::size_t> variant,
                        const Options& options) {
  FNIMAGE_TRY(const std::vector<ImageFacts> facts, image.facts(variant));
  const manifest::Index* list = variant ? image.variant_index(*variant) : image.index();
  return list == nullptr ? place(image.root(), facts.front(), options)
                         : place(*list, facts, options);
}

}  // namespace fnimage::place

// See the header.
#include <utility>

#include <fnimage/build/function.hpp>

#include "user_layers.hpp"

namespace fnimage::build {

Result<Function> make_function(const BuildSpec& spec, const manifest::Platform& platform) {
  Function function;
  FNIMAGE_TRY(function.runtime,
              runtime::make_runtime(
                  {.name = spec.runtime, .main = spec.main, .compiled = spec.notebook.compiled}));
  function.files = function.runtime.files;
  UserLayers user_layers(spec, 0);
  FNIMAGE_TRY(std::vector<PlannedLayer> layers, user_layers.make(platform));
  for (PlannedLayer& layer : layers) {
    for (auto& [path, entry] : std::move(layer.tree).take_entries()) {
      FNIMAGE_CHECK(function.files.add(std::move(entry)));
    }
  }
  return function;
}

}  // namespace fnimage::build

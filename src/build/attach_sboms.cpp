// The layers are read back from the store: then a built image has the document that anybody else
// would make of it, to the byte. See the header.
#include "attach_sboms.hpp"

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/check/images.hpp>
#include <fnimage/sbom/contents.hpp>

namespace fnimage::build {

Result<void> attach_sboms(const BuildSpec& spec, const BuildOptions& options,
                          registry::ImageStore& store, const Environment& environment,
                          std::vector<BuiltPlatform>& built) {
  if (options.sboms.empty()) {
    return {};
  }
  std::vector<check::Image> images;
  for (const BuiltPlatform& platform : built) {
    FNIMAGE_TRY(std::vector<check::Image> found,
                check::find_images(store, platform.manifest.digest, {}));
    images.push_back(std::move(found.front()));
  }
  const std::filesystem::path directory = environment.cache_directory / "sbom";
  remove_stale_temporaries(directory);
  FNIMAGE_TRY(const TemporaryDirectory scratch, TemporaryDirectory::create_in(directory));
  FNIMAGE_TRY(const std::vector<sbom::Contents> contents,
              sbom::read_all_contents(store, images, spec.name, scratch.path(), environment.pool,
                                      environment.diagnostics));
  for (std::size_t i = 0; i < built.size(); ++i) {
    for (const sbom::Format format : options.sboms) {
      FNIMAGE_TRY(sbom::Attached attached, sbom::attach(store, contents[i], format));
      built[i].sboms.push_back(std::move(attached));
    }
  }
  return {};
}

}  // namespace fnimage::build

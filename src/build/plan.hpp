// The plan of a build: for each platform its base and the trees that become its layers. Nothing is
// packed or stored yet. Trees that do not depend on the architecture are read and hashed once.
// Thread-safety: make_plan may run several times at once.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/build/build.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/runtime/runtime.hpp>
#include <fnimage/source/base_image.hpp>
#include <fnimage/source/package_pool.hpp>

namespace fnimage::build {

struct PlannedLayer {
  std::string name;
  layer::FileTree tree;
  std::string place{};  ///< of a named layer: the path that it is
};

struct PlatformPlan {
  manifest::Platform platform;
  std::optional<source::BaseImage> base{};
  std::vector<PlannedLayer> layers{};  ///< lowest first, above the base
  std::vector<source::UncoveredScript>
      uncovered{};  ///< what the packages' scripts do and we do not
};

struct Plan {
  std::vector<PlatformPlan> platforms;
  runtime::Runtime runtime;
  std::map<std::string, std::string> labels{};  ///< that follow from the developer's files
  std::int64_t time = 0;  ///< of everything made by this build, seconds since 1970
  std::unique_ptr<registry::ImageStore> base_store{};  ///< where the base's layers are
  std::string base_name{};  ///< the base's reference, when it names a registry
};

/// Errors: invalid_argument (no platform, a platform twice, offline with a base in a registry),
/// invalid_input (what the build file asks for cannot be), those of the sources.
Result<Plan> make_plan(const BuildSpec& spec, const BuildOptions& options,
                       const Environment& environment);

}  // namespace fnimage::build

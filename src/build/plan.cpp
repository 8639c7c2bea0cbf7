// Planning a build, see the header. Platforms are resolved in parallel; what is common to them is
// read once.
#include "plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/archive/open.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/source/package_pool.hpp>

#include "build_platforms.hpp"
#include "lower_layers.hpp"
#include "package_base.hpp"
#include "user_layers.hpp"

namespace fnimage::build {

namespace {

/// What only a base of Debian packages can give.
Result<void> check_base(const BuildSpec& spec) {
  if (std::holds_alternative<DebianBase>(spec.base)) {
    return {};
  }
  if (!spec.packages.empty() || !spec.exclude.empty()) {
    return fail(ErrorCode::invalid_input,
                "packages can only be installed when the base is assembled from packages",
                "use base: {debian: bookworm}, or a base image that has the packages already");
  }
  if (std::holds_alternative<ScratchBase>(spec.base) && spec.runtime != "none") {
    return fail(ErrorCode::invalid_input,
                fmt::format("runtime {} cannot run on an empty base", spec.runtime),
                "use base: {debian: bookworm} or a base image, or runtime: none");
  }
  return {};
}

/// Byte-code is never checked against its source: that of a file which the developer replaces goes.
void drop_bytecode_of(std::string_view source, std::vector<PlannedLayer>& layers) {
  constexpr std::string_view suffix = ".py";
  if (!source.ends_with(suffix)) {
    return;
  }
  const std::size_t name = source.rfind('/') + 1;
  const std::string prefix = fmt::format("{}__pycache__/{}.", source.substr(0, name),
                                         source.substr(name, source.size() - name - suffix.size()));
  for (PlannedLayer& layer : layers) {
    auto at = layer.tree.entries().lower_bound(prefix);
    while (at != layer.tree.entries().end() && at->first.starts_with(prefix)) {
      const std::string path = at->first;
      ++at;
      layer.tree.remove(path);
    }
  }
}

class Planner {
 public:
  Planner(const BuildSpec& spec, const BuildOptions& options, const Environment& environment)
      : spec_(spec), options_(options), environment_(environment) {}

  Result<Plan> run() {
    FNIMAGE_TRY(std::vector<manifest::Platform> platforms,
                build_platforms(options_.platforms.empty() ? spec_.platforms : options_.platforms));
    plan_.time = options_.source_date_epoch.value_or(0);
    FNIMAGE_TRY(plan_.runtime, runtime::make_runtime({.name = spec_.runtime,
                                                      .main = spec_.main,
                                                      .mtime = plan_.time,
                                                      .compiled = spec_.notebook.compiled}));
    FNIMAGE_CHECK(check_base(spec_));
    // The developer's mistakes come to light before anything is downloaded.
    UserLayers user_layers(spec_, plan_.time, environment_.pool.stop_token());
    std::vector<std::vector<PlannedLayer>> user;
    for (manifest::Platform& platform : platforms) {
      FNIMAGE_TRY(user.emplace_back(), user_layers.make(platform));
      plan_.platforms.push_back({.platform = std::move(platform)});
    }
    plan_.labels = user_layers.labels();
    FNIMAGE_CHECK(open_base());
    TaskGroup group(environment_.pool);
    for (std::size_t i = 0; i < user.size(); ++i) {
      group.run([this, i, &user] { return plan_platform(plan_.platforms[i], std::move(user[i])); });
    }
    FNIMAGE_CHECK(group.wait());
    return std::move(plan_);
  }

 private:
  Result<void> open_base() {
    if (const auto* debian = std::get_if<DebianBase>(&spec_.base)) {
      return open_packages(*debian);
    }
    if (const auto* image = std::get_if<ImageBase>(&spec_.base)) {
      return open_image(*image);
    }
    return {};
  }

  Result<void> open_packages(const DebianBase& base) {
    FNIMAGE_TRY(packages_, PackageBase::open(spec_, base, plan_.runtime.debian_packages, plan_.time,
                                             options_, environment_));
    std::vector<manifest::Platform> platforms;
    for (const PlatformPlan& platform : plan_.platforms) {
      platforms.push_back(platform.platform);
    }
    return packages_->resolve(platforms);
  }

  Result<void> open_image(const ImageBase& base) {
    FNIMAGE_TRY(registry::Location location, registry::parse_location(base.location));
    if (location.kind == registry::Location::Kind::registry) {
      plan_.base_name = location.reference->str();
      if (options_.offline) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("base image {} is in a registry and the build is offline",
                                printable(base.location)),
                    "copy it into the local store or a layout (oci:DIR) first");
      }
    }
    if (location.is_path()) {
      location.directory = spec_.directory / location.directory;
    }
    Result<void> found = [&]() -> Result<void> {
      FNIMAGE_TRY(registry::OpenedImage opened,
                  archive::open_image(location, environment_.client, environment_.local_store));
      plan_.base_store = std::move(opened.store);
      FNIMAGE_TRY(base_, source::BaseImages::open(*plan_.base_store, std::move(opened.selector),
                                                  environment_.cache_directory / "base"));
      return {};
    }();
    return found ? std::move(found) : not_opened(std::move(found).error(), base);
  }

  [[nodiscard]] tl::unexpected<Error> not_opened(Error error, const ImageBase& base) const {
    Error placed = std::move(error).while_doing(fmt::format(
        "{}: open the base image {}", spec_.file.empty() ? build_file_name : printable(spec_.file),
        printable(base.location)));
    if (placed.code() != ErrorCode::not_found) {
      return fail(std::move(placed));
    }
    return fail(std::move(placed).with_hint(
        "pull or build it first, name it with its registry (registry/repo:tag), or name a layout "
        "(oci:DIR)"));
  }

  Result<void> plan_platform(PlatformPlan& platform, std::vector<PlannedLayer> user) {
    auto done = add_layers(platform, std::move(user));
    if (!done) {
      return fail(std::move(done.error()).while_doing("build " + platform.platform.str()));
    }
    return {};
  }

  Result<void> add_layers(PlatformPlan& platform, std::vector<PlannedLayer> user) const {
    LowerLayers lower(plan_.base_store != nullptr, plan_.time);
    if (base_) {
      FNIMAGE_TRY(platform.base, base_->load(platform.platform));
    }
    if (packages_ != nullptr) {
      FNIMAGE_TRY(source::Assembly assembly, packages_->assemble(platform.platform));
      platform.uncovered = std::move(assembly.uncovered);
      for (source::NamedTree& tree : assembly.trees) {
        FNIMAGE_CHECK(lower.add(tree.tree));
        platform.layers.push_back({.name = std::move(tree.name), .tree = std::move(tree.tree)});
      }
    }
    if (!plan_.runtime.files.empty()) {
      user.insert(user.begin(), {.name = "runtime", .tree = plan_.runtime.files});
    }
    for (PlannedLayer& layer : user) {
      FNIMAGE_TRY(layer.tree, lower.fit(layer.tree));
      if (!layer.place.empty() && layer.tree.find(layer.place.substr(1)) == nullptr) {
        layer.place.clear();  // a link below has led it elsewhere
      }
      FNIMAGE_CHECK(lower.add(layer.tree));
      for (const auto& [path, entry] : layer.tree.entries()) {
        drop_bytecode_of(path, platform.layers);
      }
      platform.layers.push_back(std::move(layer));
    }
    return {};
  }

  const BuildSpec& spec_;
  const BuildOptions& options_;
  const Environment& environment_;
  Plan plan_;
  std::unique_ptr<PackageBase> packages_;   ///< with a base of packages
  std::optional<source::BaseImages> base_;  ///< of plan_.base_store
};

}  // namespace

Result<Plan> make_plan(const BuildSpec& spec, const BuildOptions& options,
                       const Environment& environment) {
  return Planner(spec, options, environment).run();
}

}  // namespace fnimage::build

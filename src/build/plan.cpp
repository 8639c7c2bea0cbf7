// Planning a build, see the header. Platforms are resolved in parallel; what is common to them is
// read once.
#include "plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/archive/open.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/source/debian.hpp>
#include <fnimage/source/package_pool.hpp>

#include "build_platforms.hpp"
#include "lock_file.hpp"
#include "lower_layers.hpp"
#include "package_request.hpp"
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

class Planner {
 public:
  Planner(const BuildSpec& spec, const BuildOptions& options, const Environment& environment)
      : spec_(spec), options_(options), environment_(environment) {}

  Result<Plan> run() {
    FNIMAGE_TRY(std::vector<manifest::Platform> platforms,
                build_platforms(options_.platforms.empty() ? spec_.platforms : options_.platforms));
    plan_.time = options_.source_date_epoch.value_or(0);
    FNIMAGE_TRY(
        plan_.runtime,
        runtime::make_runtime({.name = spec_.runtime, .main = spec_.main, .mtime = plan_.time}));
    FNIMAGE_CHECK(check_base(spec_));
    // The developer's mistakes come to light before anything is downloaded.
    UserLayers user_layers(spec_, plan_.time);
    std::vector<std::vector<PlannedLayer>> user;
    for (manifest::Platform& platform : platforms) {
      FNIMAGE_TRY(user.emplace_back(), user_layers.make(platform));
      plan_.platforms.push_back({.platform = std::move(platform)});
    }
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

  /// With a lock file nothing is resolved, and no index is needed.
  Result<void> open_packages(const DebianBase& base) {
    const source::DebianSettings settings =
        debian_settings(spec_, base, environment_, options_.offline, options_.bundle);
    request_ = package_request(spec_, base, plan_.runtime.debian_packages);
    FNIMAGE_TRY(lock_, find_lock(options_));
    FNIMAGE_TRY(package_pool_, source::PackagePool::open(settings, environment_.transport,
                                                         environment_.diagnostics));
    if (lock_) {
      return require_current(lock_->lock, LockedRequest::of(base, request_), lock_->name);
    }
    FNIMAGE_TRY(archive_, source::DebianArchive::open(settings, environment_.transport,
                                                      environment_.pool, environment_.diagnostics));
    return {};
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
    if (package_pool_ != nullptr) {
      FNIMAGE_TRY(source::Assembly assembly, packages(platform.platform));
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
      FNIMAGE_CHECK(lower.add(layer.tree));
      platform.layers.push_back(std::move(layer));
    }
    return {};
  }

  Result<source::Assembly> packages(const manifest::Platform& platform) const {
    if (!lock_) {
      FNIMAGE_TRY(const source::PackageRequest request, fill_request(request_, platform));
      FNIMAGE_TRY(const source::PackageSet set, archive_->resolve(request, platform));
      return package_pool_->assemble(set, plan_.time);
    }
    const source::PackageSet* set = lock_->lock.find(platform);
    if (set == nullptr) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("{} has no packages for it", printable(lock_->name)),
                  "name the platform in the build file and run `fnimage lock`");
    }
    return package_pool_->assemble(*set, plan_.time);
  }

  const BuildSpec& spec_;
  const BuildOptions& options_;
  const Environment& environment_;
  Plan plan_;
  source::PackageRequest request_{};
  std::optional<FoundLock> lock_;
  std::unique_ptr<source::DebianArchive> archive_;     ///< without a lock
  std::unique_ptr<source::PackagePool> package_pool_;  ///< with a base of packages
  std::optional<source::BaseImages> base_;             ///< of plan_.base_store
};

}  // namespace

Result<Plan> make_plan(const BuildSpec& spec, const BuildOptions& options,
                       const Environment& environment) {
  return Planner(spec, options, environment).run();
}

}  // namespace fnimage::build

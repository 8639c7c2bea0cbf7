// See package_base.hpp.
#include "package_base.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>

#include "package_request.hpp"

namespace fnimage::build {

namespace {

tl::unexpected<Error> without_host_interpreter(Error error, const std::string& name) {
  return fail(std::move(error)
                  .while_doing(fmt::format("find {} for this machine ({}), which compiles the "
                                           "Python packages to byte-code",
                                           name, manifest::host_platform().str()))
                  .with_hint("base: {bytecode: false} leaves byte-code out of the image; with this "
                             "machine's platform among the build's, its packages are used"));
}

/// The package of a set in the version, but for what a rebuild adds to it.
bool holds(const source::PackageSet& set, const std::string& name, const std::string& version) {
  return std::ranges::any_of(set.packages, [&](const source::DebianPackage& package) {
    return package.name == name &&
           source::source_version(package.version) == source::source_version(version);
  });
}

/// What all platforms have from the same source. A package for all architectures has no rebuilds,
/// so that its version tells its source.
std::set<std::string> common_packages(const std::vector<source::PackageSet>& sets) {
  std::map<std::string, std::size_t> counts;
  for (const source::PackageSet& set : sets) {
    for (const source::DebianPackage& package : set.packages) {
      ++counts[fmt::format("{} {}", package.name, source::source_version(package.version))];
    }
  }
  std::set<std::string> names;
  for (const auto& [source, count] : counts) {
    if (count == sets.size()) {
      names.insert(source.substr(0, source.find(' ')));
    }
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<PackageBase>> PackageBase::open(
    const BuildSpec& spec, const DebianBase& base, const std::vector<std::string>& runtime_packages,
    std::int64_t mtime, const BuildOptions& options, const Environment& environment) {
  std::unique_ptr<PackageBase> made(new PackageBase(
      environment, debian_settings(spec, base, environment, options.offline, options.bundle),
      package_request(spec, base, runtime_packages)));
  made->assemble_ = {.max_mtime = mtime,
                     .essential = base.essential,
                     .documentation = base.documentation,
                     .runtime_packages = runtime_packages};
  if (base.bytecode) {
    made->assemble_.host_packages = [self = made.get()](const std::string& name,
                                                        const std::string& version) {
      return self->host_packages(name, version);
    };
  }
  FNIMAGE_TRY(made->lock_, find_lock(options));
  FNIMAGE_TRY(made->pool_, source::PackagePool::open(made->settings_, environment.transport,
                                                     environment.diagnostics));
  if (made->lock_) {
    FNIMAGE_CHECK(require_current(made->lock_->lock, LockedRequest::of(base, made->request_),
                                  made->lock_->name));
  } else {
    FNIMAGE_CHECK(made->open_archive());
  }
  return made;
}

Result<void> PackageBase::open_archive() {
  FNIMAGE_TRY(archive_, source::DebianArchive::open(settings_, environment_.transport,
                                                    environment_.pool, environment_.diagnostics));
  return {};
}

Result<void> PackageBase::resolve(const std::vector<manifest::Platform>& platforms) {
  sets_.resize(platforms.size());
  TaskGroup group(environment_.pool);
  for (std::size_t i = 0; i < platforms.size(); ++i) {
    group.run([this, i, &platforms]() -> Result<void> {
      auto set = resolve_one(platforms[i]);
      if (!set) {
        return fail(std::move(set).error().while_doing("build " + platforms[i].str()));
      }
      sets_[i] = std::move(*set);
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  assemble_.common_packages = common_packages(sets_);
  return {};
}

Result<source::PackageSet> PackageBase::resolve_one(const manifest::Platform& platform) const {
  if (!lock_) {
    FNIMAGE_TRY(const source::PackageRequest request, fill_request(request_, platform));
    return archive_->resolve(request, platform);
  }
  const source::PackageSet* set = lock_->lock.find(platform);
  if (set == nullptr) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("{} has no packages for it", printable(lock_->name)),
                "name the platform in the build file and run `fnimage lock`");
  }
  return *set;
}

Result<source::Assembly> PackageBase::assemble(const manifest::Platform& platform) {
  const auto set = std::ranges::find(sets_, platform, &source::PackageSet::platform);
  if (set == sets_.end()) {
    return fail(ErrorCode::internal, fmt::format("{} was not resolved", platform.str()));
  }
  return pool_->assemble(*set, assemble_);
}

Result<source::PackageSet> PackageBase::host_packages(const std::string& name,
                                                      const std::string& version) {
  const manifest::Platform host = manifest::host_platform();
  for (const source::PackageSet& set : sets_) {
    if (set.platform.os == host.os && set.platform.architecture == host.architecture &&
        holds(set, name, version)) {
      return set;
    }
  }
  auto resolved = resolve_for_host(name, version);
  return resolved ? std::move(resolved)
                  : without_host_interpreter(std::move(resolved).error(), name);
}

/// Outside the lock, but not outside of what it says: the version is the one that it names.
Result<source::PackageSet> PackageBase::resolve_for_host(const std::string& name,
                                                         const std::string& version) {
  const std::lock_guard lock(archive_mutex_);
  if (archive_ == nullptr) {
    FNIMAGE_CHECK(open_archive());
  }
  const manifest::Platform host = manifest::host_platform();
  FNIMAGE_TRY(source::PackageSet newest, archive_->resolve({.packages = {name}}, host));
  return holds(newest, name, version)
             ? Result<source::PackageSet>(std::move(newest))
             : archive_->resolve({.packages = {fmt::format("{}={}", name, version)}}, host);
}

}  // namespace fnimage::build

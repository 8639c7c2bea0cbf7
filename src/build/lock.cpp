// Locking, see the header. Platforms are resolved in parallel.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/lock.hpp>
#include <fnimage/runtime/runtime.hpp>
#include <fnimage/source/package_pool.hpp>

#include "build_platforms.hpp"
#include "lock_file.hpp"
#include "lock_report.hpp"
#include "package_request.hpp"

namespace fnimage::build {

namespace {

class Locker {
 public:
  Locker(const BuildSpec& spec, const DebianBase& base, const LockOptions& options,
         const Environment& environment)
      : spec_(spec),
        options_(options),
        environment_(environment),
        settings_(debian_settings(spec, base, environment, options.offline, {})),
        base_(base) {}

  Result<LockResult> run() {
    FNIMAGE_TRY(const runtime::Runtime runtime,
                runtime::make_runtime({.name = spec_.runtime, .main = spec_.main}));
    request_ = package_request(spec_, base_, runtime.debian_packages);
    FNIMAGE_TRY(const auto platforms, build_platforms(spec_.platforms));
    const std::optional<PackageLock> old = read_old();
    PackageLock lock{.request = LockedRequest::of(base_, request_), .sets = {}};
    if (!options_.bundle.empty() && old && holds_for(*old, lock.request, platforms)) {
      lock = *old;
    } else {
      FNIMAGE_TRY(lock.sets, resolve(platforms));
    }
    const std::string text = emit_lock(lock);
    LockResult result{
        .sets = lock.sets,
        .changes = changes_between(old ? old->sets : std::vector<source::PackageSet>(), lock.sets),
        .skew = skew_of(lock.sets),
        .changed = !old || emit_lock(*old) != text};
    if (options_.write && result.changed) {
      FNIMAGE_CHECK(write_file_atomically(options_.lock_file, text));
    }
    FNIMAGE_CHECK(bundle(lock, text));
    return result;
  }

 private:
  /// A lock that cannot be read is replaced, not an obstacle.
  [[nodiscard]] std::optional<PackageLock> read_old() const {
    auto old = read_lock(options_.lock_file);
    if (!old) {
      environment_.diagnostics.report(Severity::warning,
                                      fmt::format("{}; it is replaced", old.error().message()));
      return std::nullopt;
    }
    return std::move(*old);
  }

  static bool holds_for(const PackageLock& lock, const LockedRequest& request,
                        const std::vector<manifest::Platform>& platforms) {
    return lock.request == request &&
           std::ranges::all_of(platforms, [&](const manifest::Platform& platform) {
             return lock.find(platform) != nullptr;
           });
  }

  [[nodiscard]] Result<std::vector<source::PackageSet>> resolve(
      const std::vector<manifest::Platform>& platforms) const {
    FNIMAGE_TRY(const auto archive,
                source::DebianArchive::open(settings_, environment_.transport, environment_.pool,
                                            environment_.diagnostics));
    std::vector<source::PackageSet> sets(platforms.size());
    TaskGroup group(environment_.pool);
    for (std::size_t i = 0; i < platforms.size(); ++i) {
      group.run([&, i]() -> Result<void> {
        FNIMAGE_TRY(const source::PackageRequest request, fill_request(request_, platforms[i]));
        FNIMAGE_TRY(sets[i], archive->resolve(request, platforms[i]));
        return {};
      });
    }
    FNIMAGE_CHECK(group.wait());
    return sets;
  }

  [[nodiscard]] Result<void> bundle(const PackageLock& lock, const std::string& text) const {
    if (options_.bundle.empty()) {
      return {};
    }
    FNIMAGE_TRY(const auto pool, source::PackagePool::open(settings_, environment_.transport,
                                                           environment_.diagnostics));
    for (const source::PackageSet& set : lock.sets) {
      FNIMAGE_CHECK(pool->save(set, options_.bundle));
    }
    // Last: a bundle with a lock is a whole one.
    return write_file_atomically(options_.bundle / bundled_lock_name, text);
  }

  const BuildSpec& spec_;
  const LockOptions& options_;
  const Environment& environment_;
  source::DebianSettings settings_;
  const DebianBase& base_;
  source::PackageRequest request_{};
};

}  // namespace

Result<LockResult> lock(const BuildSpec& spec, const LockOptions& options,
                        const Environment& environment) {
  const auto* base = std::get_if<DebianBase>(&spec.base);
  if (base == nullptr) {
    return fail(ErrorCode::invalid_argument,
                "there is nothing to lock: the base is not assembled from packages",
                "a base image is pinned by its digest: base: {image: registry/repo@sha256:…}");
  }
  return Locker(spec, *base, options, environment).run();
}

}  // namespace fnimage::build

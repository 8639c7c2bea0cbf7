// DebianArchive: release files -> indexes -> resolution -> packages -> trees, see debian.hpp.
// An index is mapped while packages are resolved, once for all that do so at a time, and not
// longer: it is the largest thing in memory. A package is fetched and unpacked by one thread at a
// time. No lock is held while waiting for pool tasks, because a waiting thread runs other tasks.
// Thread-safety: all methods from several threads.
#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/apt_sources.hpp"
#include "debian/configure/configure.hpp"
#include "debian/download.hpp"
#include "debian/index.hpp"
#include "debian/layout.hpp"
#include "debian/package.hpp"
#include "debian/release.hpp"
#include "debian/resolver.hpp"

namespace fnimage::source {
namespace debian {
namespace {

// Downloads wait for the network, so there are more of them than processors; each may hold one xz
// window (8 MiB).
constexpr std::size_t parallel_packages = 4;

// One mutex per name.
class NamedMutexes {
 public:
  std::shared_ptr<std::mutex> get(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& slot = mutexes_[name];
    if (slot == nullptr) {
      slot = std::make_shared<std::mutex>();
    }
    return slot;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<std::mutex>> mutexes_;
};

struct ArchitectureNames {
  std::string architecture;
  std::string triplet;
};

Result<ArchitectureNames> names_of(const manifest::Platform& platform) {
  const auto architecture = manifest::debian_architecture(platform);
  const auto triplet = manifest::multiarch_triplet(platform);
  if (!architecture || !triplet) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("Debian has no architecture for {}", platform.str()),
                "use a base image for this platform, or leave it out");
  }
  return ArchitectureNames{std::string(*architecture), std::string(*triplet)};
}

class Archive final : public DebianArchive {
 public:
  Archive(DebianSettings settings, Downloader downloader, std::vector<Release> releases,
          Diagnostics& diagnostics)
      : settings_(std::move(settings)),
        downloader_(std::move(downloader)),
        releases_(std::move(releases)),
        diagnostics_(diagnostics),
        workers_(parallel_packages) {}

  Result<PackageSet> resolve(const PackageRequest& request,
                             const manifest::Platform& platform) override {
    FNIMAGE_TRY(const ArchitectureNames names, names_of(platform));
    FNIMAGE_TRY(const auto index, index_of(names.architecture));
    auto resolution = resolve_packages(*index, request);
    if (!resolution) {
      return fail(
          std::move(resolution).error().while_doing("resolve packages for " + platform.str()));
    }
    for (const std::string& name : resolution->unused_excludes) {
      diagnostics_.report(Severity::warning,
                          fmt::format("{}: excluded package {} is not needed by anything",
                                      platform.str(), printable(name)));
    }
    return PackageSet{platform, std::move(resolution->packages)};
  }

  Result<std::vector<NamedTree>> assemble(const PackageSet& set,
                                          std::optional<std::int64_t> max_mtime) override {
    FNIMAGE_TRY(const ArchitectureNames names, names_of(set.platform));
    std::vector<DebianPackage> packages = set.packages;
    std::sort(packages.begin(), packages.end(),
              [](const DebianPackage& a, const DebianPackage& b) { return a.name < b.name; });
    FNIMAGE_TRY(const auto unpacked, unpack_all(packages, set.platform));
    const std::int64_t made = max_mtime.value_or(0);
    FNIMAGE_TRY(Layout layout, lay_out(packages, unpacked, max_mtime, made, diagnostics_));
    const ConfigureContext context{packages,      unpacked, names.architecture,
                                   names.triplet, made,     diagnostics_};
    FNIMAGE_CHECK(configure(layout, context));
    std::vector<NamedTree> trees;
    if (!layout.all.empty()) {
      trees.push_back({"packages-all", std::move(layout.all)});
    }
    trees.push_back({"packages", std::move(layout.specific)});
    return trees;
  }

 private:
  static Result<void> configure(Layout& layout, const ConfigureContext& context) {
    ImageView image(layout.all, layout.specific, context.mtime);
    FNIMAGE_CHECK(link_merged_usr(image));
    FNIMAGE_CHECK(configure_base_files(image));
    FNIMAGE_CHECK(configure_accounts(image, context));
    FNIMAGE_CHECK(configure_alternatives(image, context));
    FNIMAGE_CHECK(configure_loader_cache(image, context));  // after links to libraries
    FNIMAGE_CHECK(configure_ca_bundle(image));
    return write_dpkg_status(image, context);
  }

  Result<std::shared_ptr<const PackageIndex>> index_of(const std::string& architecture) {
    const auto loading = index_locks_.get(architecture);
    const std::lock_guard lock(*loading);
    {
      const std::lock_guard guard(mutex_);
      if (auto index = indexes_[architecture].lock()) {
        return index;
      }
    }
    FNIMAGE_TRY(auto index,
                load_index(releases_, architecture, downloader_, settings_.cache_directory));
    const std::lock_guard guard(mutex_);
    indexes_[architecture] = index;
    return index;
  }

  Result<std::vector<UnpackedPackage>> unpack_all(const std::vector<DebianPackage>& packages,
                                                  const manifest::Platform& platform) {
    std::vector<UnpackedPackage> unpacked(packages.size());
    const std::uint64_t total =
        std::accumulate(packages.begin(), packages.end(), std::uint64_t{0},
                        [](std::uint64_t sum, const DebianPackage& one) { return sum + one.size; });
    const auto progress =
        diagnostics_.begin(fmt::format("Debian packages ({})", platform.str()), total);
    std::mutex progress_mutex;
    std::uint64_t done = 0;
    TaskGroup group(workers_);
    for (std::size_t i = 0; i < packages.size(); ++i) {
      group.run([&, i]() -> Result<void> {
        FNIMAGE_TRY(unpacked[i], unpack_one(packages[i]));
        const std::lock_guard lock(progress_mutex);
        done += packages[i].size;
        progress->update(done);
        return {};
      });
    }
    const auto result = group.wait();
    progress->finish(result ? "done" : "failed");
    FNIMAGE_CHECK(result);
    return unpacked;
  }

  Result<UnpackedPackage> unpack_one(const DebianPackage& package) {
    const auto mutex = package_locks_.get(package.sha256.str());
    const std::lock_guard lock(*mutex);
    const auto path =
        settings_.cache_directory / "debs" / fmt::format("{}.deb", package.sha256.hex());
    const PackageFile file{.what = fmt::format("package {} {} ({})", package.name, package.version,
                                               package.architecture),
                           .sha256 = package.sha256,
                           .path = path,
                           .fetch = [&] { return fetch(package, path); }};
    return unpack_package(file, settings_.cache_directory);
  }

  /// Puts the .deb there unless it is there. A file of the cache is not trusted for its name: it
  /// may have been damaged since it was downloaded.
  [[nodiscard]] Result<void> fetch(const DebianPackage& package,
                                   const std::filesystem::path& path) const {
    std::error_code error;
    if (std::filesystem::file_size(path, error) == package.size && !error) {
      Result<void> sound = verify_file(path, package.sha256, package.size);
      if (sound) {
        return sound;
      }
      if (downloader_.offline()) {
        return fail(
            Error(sound.error())
                .with_hint(fmt::format("remove {}, or build without --offline", path.string())));
      }
      diagnostics_.report(Severity::warning,
                          fmt::format("{}; it is downloaded again", sound.error().message()));
    }
    return downloader_.download(package.url, package.sha256, package.size, path);
  }

  DebianSettings settings_;
  Downloader downloader_;
  std::vector<Release> releases_;
  Diagnostics& diagnostics_;
  WorkerPool workers_;
  NamedMutexes index_locks_;
  NamedMutexes package_locks_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const PackageIndex>> indexes_;
};

// All suites at once: each costs a round trip and a gpgv.
Result<std::vector<Release>> load_releases(const std::vector<AptSource>& sources,
                                           const ReleaseContext& context, WorkerPool& pool) {
  std::vector<std::optional<Release>> loaded(sources.size());
  TaskGroup group(pool);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    group.run([&, i]() -> Result<void> {
      FNIMAGE_TRY(loaded[i], load_release(sources[i], context));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  std::vector<Release> releases;
  for (std::optional<Release>& release : loaded) {
    if (release) {
      releases.push_back(std::move(*release));
    }
  }
  return releases;
}

Result<void> check_components(const std::vector<Release>& releases) {
  for (const Release& release : releases) {
    for (const std::string& wanted : release.source.components) {
      // Security archives write "updates/main".
      const bool present = std::any_of(
          release.components.begin(), release.components.end(), [&](const std::string& component) {
            return component == wanted || component.ends_with("/" + wanted);
          });
      if (!present) {
        return fail(ErrorCode::not_found,
                    fmt::format("{} has no component {}: it has {}", release.source.suite,
                                printable(wanted), join(release.components, ", ")),
                    "check components in the build file");
      }
    }
  }
  return {};
}

void report_proxy(const AptSettings& apt, const std::vector<AptSource>& sources,
                  Diagnostics& diagnostics) {
  const bool uses_http = std::any_of(sources.begin(), sources.end(), [](const AptSource& source) {
    return source.uri.starts_with("http");
  });
  if (uses_http && !apt.http_proxy.empty() && apt.http_proxy != "DIRECT" &&
      std::getenv("http_proxy") == nullptr) {  // NOLINT(concurrency-mt-unsafe): read only
    diagnostics.report(
        Severity::warning,
        fmt::format("apt uses the proxy {}, which is used here only when the environment "
                    "has it as http_proxy",
                    registry::printable_url(apt.http_proxy)));
  }
}

}  // namespace
}  // namespace debian

Result<std::unique_ptr<DebianArchive>> DebianArchive::open(
    const DebianSettings& settings, std::shared_ptr<registry::Transport> transport,
    WorkerPool& pool, Diagnostics& diagnostics) {
  FNIMAGE_CHECK(make_directories(settings.cache_directory));
  for (const char* part : {"release", "index", "debs", "packs", "control"}) {
    remove_stale_temporaries(settings.cache_directory / part);  // of builds that were killed
  }
  FNIMAGE_TRY(const auto sources, debian::choose_sources(settings));
  const debian::AptSettings apt = debian::load_apt_settings();
  debian::report_proxy(apt, sources, diagnostics);
  debian::Downloader downloader(std::move(transport), settings.offline);
  FNIMAGE_TRY(auto releases,
              debian::load_releases(sources, {settings, apt, downloader, diagnostics}, pool));
  FNIMAGE_CHECK(debian::check_components(releases));
  return std::make_unique<debian::Archive>(settings, std::move(downloader), std::move(releases),
                                           diagnostics);
}

}  // namespace fnimage::source

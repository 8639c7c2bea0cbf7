// DebianArchive: release files -> indexes -> resolution, see debian.hpp. An index is mapped while
// packages are resolved, once for all that do so at a time, and not longer: it is the largest thing
// in memory. No lock is held while waiting for pool tasks, because a waiting thread runs other
// tasks. Thread-safety: all methods from several threads.
#include <algorithm>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/apt_sources.hpp"
#include "debian/architecture.hpp"
#include "debian/download.hpp"
#include "debian/index.hpp"
#include "debian/local_debs.hpp"
#include "debian/named_mutexes.hpp"
#include "debian/release.hpp"
#include "debian/resolver.hpp"

namespace fnimage::source {
namespace debian {
namespace {

class Archive final : public DebianArchive {
 public:
  Archive(DebianSettings settings, Downloader downloader, std::vector<Release> releases,
          Diagnostics& diagnostics)
      : settings_(std::move(settings)),
        downloader_(std::move(downloader)),
        releases_(std::move(releases)),
        diagnostics_(diagnostics) {}

  Result<PackageSet> resolve(const PackageRequest& request,
                             const manifest::Platform& platform) override {
    FNIMAGE_TRY(const ArchitectureNames names, names_of(platform));
    FNIMAGE_TRY(const auto index, index_of(names.architecture));
    auto resolution = request.local_debs.empty()
                          ? resolve_packages(*index, request)
                          : resolve_with_local(*index, request, names.architecture);
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

 private:
  [[nodiscard]] Result<Resolution> resolve_with_local(const PackageIndex& index,
                                                      const PackageRequest& request,
                                                      const std::string& architecture) const {
    FNIMAGE_TRY(LocalDebs local,
                index_local_debs(request.local_debs, settings_.directory, architecture));
    PackageRequest whole = request;
    whole.packages.insert(whole.packages.end(), local.requests.begin(), local.requests.end());
    return resolve_packages(index.with(std::move(local.part)), whole);
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

  DebianSettings settings_;
  Downloader downloader_;
  std::vector<Release> releases_;
  Diagnostics& diagnostics_;
  NamedMutexes index_locks_;
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
  for (const char* part : {"release", "index"}) {
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

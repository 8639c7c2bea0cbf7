// PackagePool: packages -> .debs -> unpacked parts -> trees, see package_pool.hpp. A package is
// fetched and unpacked by one thread at a time. No lock is held while waiting for pool tasks,
// because a waiting thread runs other tasks. Thread-safety: all methods from several threads.
#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/source/package_pool.hpp>

#include "debian/apt_sources.hpp"
#include "debian/architecture.hpp"
#include "debian/configure/configure.hpp"
#include "debian/configure/script_effects.hpp"
#include "debian/download.hpp"
#include "debian/layers.hpp"
#include "debian/layout.hpp"
#include "debian/named_mutexes.hpp"
#include "debian/package.hpp"
#include "debian/python/bytecode.hpp"
#include "debian/python/interpreter.hpp"

namespace fnimage::source {
namespace debian {
namespace {

// Downloads wait for the network, so there are more of them than processors; each may hold one xz
// window (8 MiB).
constexpr std::size_t parallel_packages = 4;
constexpr std::string_view remake_bundle = "make the bundle anew with `fnimage lock --bundle DIR`";

/// As apt names the files that it keeps, with whatever is not safe in a file's name encoded.
std::string deb_file_name(const DebianPackage& package) {
  std::string name;
  for (const char c :
       fmt::format("{}_{}_{}", package.name, package.version, package.architecture)) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~+").find(c) != std::string_view::npos;
    name += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return name + ".deb";
}

std::string title_of(const DebianPackage& package) {
  return fmt::format("package {} {} ({})", package.name, package.version, package.architecture);
}

class Pool final : public PackagePool {
 public:
  Pool(DebianSettings settings, Downloader downloader, std::stop_token stop,
       Diagnostics& diagnostics)
      : settings_(std::move(settings)),
        downloader_(std::move(downloader)),
        sources_(choose_sources(settings_)),
        diagnostics_(diagnostics),
        workers_(parallel_packages, std::move(stop)),
        bytecode_(settings_.cache_directory, workers_, diagnostics_) {}

  Result<Assembly> assemble(const PackageSet& set, const AssembleOptions& options) override {
    FNIMAGE_TRY(const ArchitectureNames names, names_of(set.platform));
    std::vector<DebianPackage> packages = set.packages;
    std::sort(packages.begin(), packages.end(),
              [](const DebianPackage& a, const DebianPackage& b) { return a.name < b.name; });
    FNIMAGE_TRY(auto unpacked, unpack_all(packages, set.platform, options.documentation));
    FNIMAGE_TRY(const auto layers, choose_layers(packages, unpacked, settings_.release, options));
    const std::int64_t made = options.max_mtime.value_or(0);
    FNIMAGE_TRY(Layout layout, lay_out(packages, unpacked, layers.files,
                                       {.max_mtime = options.max_mtime,
                                        .made_mtime = made,
                                        .documentation = options.documentation}));
    const ConfigureContext context{packages,      unpacked, names.architecture,
                                   names.triplet, made,     diagnostics_};
    Assembly assembly;
    FNIMAGE_TRY(assembly.uncovered, configure(layout, context));
    report_conflicts(layout, packages, diagnostics_);  // those that no script has diverted
    if (options.host_packages) {
      FNIMAGE_CHECK(add_bytecode(layout, context, set.platform, options));
    }
    FNIMAGE_TRY(assembly.trees, split_layers(std::move(layout), layers));
    return assembly;
  }

  Result<void> save(const PackageSet& set, const std::filesystem::path& directory) override {
    FNIMAGE_CHECK(make_directories(directory));
    return for_each(set.packages, fmt::format("Bundle ({})", set.platform.str()),
                    [&](std::size_t i) { return save_one(set.packages[i], directory); });
  }

 private:
  static Result<std::vector<UncoveredScript>> configure(Layout& layout,
                                                        const ConfigureContext& context) {
    ImageView image(layout, context.mtime);
    FNIMAGE_CHECK(link_merged_usr(image));
    FNIMAGE_CHECK(configure_base_files(image));
    FNIMAGE_CHECK(configure_accounts(image, context));
    FNIMAGE_CHECK(configure_alternatives(image, context));
    FNIMAGE_TRY(std::vector<UncoveredScript> uncovered, configure_by_scripts(image, context));
    FNIMAGE_CHECK(configure_loader_cache(image, context));  // after links to libraries
    FNIMAGE_CHECK(configure_ca_bundle(image));
    FNIMAGE_CHECK(configure_java_keystore(image, context));
    FNIMAGE_CHECK(configure_locales(image, context));
    FNIMAGE_CHECK(write_dpkg_status(image, context));
    return uncovered;
  }

  Result<void> add_bytecode(Layout& layout, const ConfigureContext& context,
                            const manifest::Platform& platform, const AssembleOptions& options) {
    for (const PythonPackage& python : python_packages(context.packages)) {
      const auto interpreter = [&] {
        return interpreter_for(python.version, context.packages[python.number], options);
      };
      FNIMAGE_CHECK(bytecode_.add(layout, context, python,
                                  fmt::format("Python byte-code ({})", platform.str()),
                                  interpreter));
    }
    return {};
  }

  /// One for all platforms. The lock is held while packages are unpacked: tasks of the pool, which
  /// a waiting thread may run, never ask for an interpreter.
  Result<std::shared_ptr<const PythonInterpreter>> interpreter_for(const std::string& version,
                                                                   const DebianPackage& package,
                                                                   const AssembleOptions& options) {
    const std::lock_guard lock(interpreters_mutex_);
    auto& known = interpreters_[std::string(source_version(package.version))];
    if (known == nullptr) {
      auto made = make_interpreter(version, package, options);
      if (!made) {
        return fail(std::move(made).error().while_doing(
            fmt::format("compile the Python packages to byte-code with {}", package.name)));
      }
      known = std::move(*made);
    }
    return known;
  }

  Result<std::shared_ptr<const PythonInterpreter>> make_interpreter(
      const std::string& version, const DebianPackage& package, const AssembleOptions& options) {
    FNIMAGE_TRY(const PackageSet set, options.host_packages(package.name, package.version));
    FNIMAGE_TRY(const ArchitectureNames names, names_of(set.platform));
    FNIMAGE_TRY(auto unpacked, unpack_all(set.packages, set.platform, options.documentation));
    const std::vector<std::size_t> one_layer(set.packages.size());
    FNIMAGE_TRY(Layout layout, lay_out(set.packages, unpacked, one_layer, {}));
    ImageView image(layout, 0);
    FNIMAGE_CHECK(link_merged_usr(image));
    return PythonInterpreter::lay_down(image, version, names.triplet,
                                       settings_.cache_directory / "python");
  }

  /// Does something with every package, several at a time; the largest first, so that none of them
  /// is alone at the end.
  Result<void> for_each(const std::vector<DebianPackage>& packages, const std::string& title,
                        const std::function<Result<void>(std::size_t)>& one) {
    const std::uint64_t total = std::accumulate(
        packages.begin(), packages.end(), std::uint64_t{0},
        [](std::uint64_t sum, const DebianPackage& package) { return sum + package.size; });
    const auto progress = diagnostics_.begin(title, total);
    std::mutex progress_mutex;
    std::uint64_t done = 0;
    std::vector<std::size_t> order(packages.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater<>(),
                             [&](std::size_t i) { return packages[i].size; });
    TaskGroup group(workers_);
    {
      // One set's before another's: what comes after them, which is not all parallel, goes on
      // beside the other's packages.
      const std::lock_guard queueing(queue_mutex_);
      for (const std::size_t i : order) {
        group.run([&, i]() -> Result<void> {
          FNIMAGE_CHECK(one(i));
          const std::lock_guard lock(progress_mutex);
          done += packages[i].size;
          progress->update(done);
          return {};
        });
      }
    }
    auto result = group.wait();
    progress->finish(result ? "done" : "failed");
    return result;
  }

  Result<std::vector<UnpackedPackage>> unpack_all(const std::vector<DebianPackage>& packages,
                                                  const manifest::Platform& platform,
                                                  bool documentation) {
    std::vector<UnpackedPackage> unpacked(packages.size());
    FNIMAGE_CHECK(for_each(packages, fmt::format("Debian packages ({})", platform.str()),
                           [&](std::size_t i) -> Result<void> {
                             FNIMAGE_TRY(unpacked[i], unpack_one(packages[i], documentation));
                             return {};
                           }));
    return unpacked;
  }

  Result<UnpackedPackage> unpack_one(const DebianPackage& package, bool documentation) {
    const auto mutex = package_locks_.get(package.sha256.str());
    const std::lock_guard lock(*mutex);
    const PackageFile file{.what = title_of(package),
                           .sha256 = package.sha256,
                           .fetch = [&] { return fetch(package); },
                           .documentation = documentation};
    return unpack_package(file, settings_.cache_directory);
  }

  Result<void> save_one(const DebianPackage& package, const std::filesystem::path& directory) {
    const auto target = directory / deb_file_name(package);
    if (verify_file(target, package.sha256, package.size)) {
      return {};
    }
    const auto mutex = package_locks_.get(package.sha256.str());
    const std::lock_guard lock(*mutex);
    FNIMAGE_TRY(const auto path, fetch(package));
    FNIMAGE_TRY(AtomicFile file, AtomicFile::create(directory));
    FNIMAGE_TRY(const auto reader, open_file(path));
    FNIMAGE_CHECK(copy(*reader, file));
    return file.commit(target, /*durable=*/true);
  }

  /// Where the .deb is, in the bundle or in the cache, which gets it now unless it has it. Neither
  /// is trusted for the file's name: it may have been damaged since it was put there.
  [[nodiscard]] Result<std::filesystem::path> fetch(const DebianPackage& package) const {
    std::error_code error;
    if (const auto bundled = settings_.bundle / deb_file_name(package);
        !settings_.bundle.empty() && std::filesystem::exists(bundled, error)) {
      Result<void> sound = verify_file(bundled, package.sha256, package.size);
      if (!sound) {
        return fail(std::move(sound).error().with_hint(std::string(remake_bundle)));
      }
      return bundled;
    }
    if (package.suite.empty()) {
      auto local = settings_.directory / package.file;
      Result<void> sound = verify_file(local, package.sha256, package.size);
      return sound ? Result<std::filesystem::path>(std::move(local))
                   : fail(std::move(sound).error().with_hint(
                         "run `fnimage lock` if the package was made anew"));
    }
    auto path = settings_.cache_directory / "debs" / fmt::format("{}.deb", package.sha256.hex());
    if (std::filesystem::file_size(path, error) == package.size && !error) {
      const Result<void> sound = verify_file(path, package.sha256, package.size);
      if (sound) {
        return path;
      }
      if (downloader_.offline()) {
        return fail(
            Error(sound.error())
                .with_hint(fmt::format("remove {}, or build without --offline", path.string())));
      }
      diagnostics_.report(Severity::warning,
                          fmt::format("{}; it is downloaded again", sound.error().message()));
    }
    auto downloaded = download(package, path);
    if (!downloaded) {
      return not_fetched(package, std::move(downloaded).error());
    }
    return path;
  }

  [[nodiscard]] Result<void> download(const DebianPackage& package,
                                      const std::filesystem::path& path) const {
    FNIMAGE_TRY(const auto places, places_of(package));
    Result<void> result;
    for (const std::string& place : places) {
      result = downloader_.download(place, package.sha256, package.size, path);
      if (result || result.error().code() != ErrorCode::not_found) {
        break;  // only what one mirror lacks is asked of the next
      }
    }
    return result;
  }

  [[nodiscard]] static tl::unexpected<Error> not_fetched(const DebianPackage& package,
                                                         Error error) {
    const bool gone = error.code() == ErrorCode::not_found && error.hint().empty();
    Error placed = std::move(error).while_doing("fetch " + title_of(package));
    if (!gone) {
      return fail(std::move(placed));
    }
    return fail(std::move(placed).with_hint(
        "mirrors drop versions that newer ones replace: `fnimage lock` takes the newer ones; to "
        "keep this one, use a bundle (`fnimage lock --bundle DIR`) or a mirror that keeps old "
        "versions"));
  }

  /// Addresses to try in this order.
  [[nodiscard]] Result<std::vector<std::string>> places_of(const DebianPackage& package) const {
    if (!settings_.bundle.empty() && downloader_.offline()) {
      return fail(ErrorCode::not_found,
                  fmt::format("it is not in the bundle {}", printable(settings_.bundle.string())),
                  std::string(remake_bundle));
    }
    FNIMAGE_TRY(const auto sources, sources_);
    std::vector<std::string> places;
    for (const AptSource& source : sources) {
      if (source.suite == package.suite) {
        FNIMAGE_TRY(places.emplace_back(), join_url(source.uri, package.file));
      }
    }
    if (places.empty()) {
      return fail(ErrorCode::not_found,
                  fmt::format("no package source for suite {}", printable(package.suite)),
                  "add the suite to the host's apt sources, or name a mirror in the build file");
    }
    return places;
  }

  DebianSettings settings_;
  Downloader downloader_;
  /// An error only matters when something has to be downloaded.
  Result<std::vector<AptSource>> sources_;
  Diagnostics& diagnostics_;
  WorkerPool workers_;
  std::mutex queue_mutex_;  ///< held while a set's packages are given to workers_
  NamedMutexes package_locks_;
  BytecodeMaker bytecode_;
  std::mutex interpreters_mutex_;
  std::map<std::string, std::shared_ptr<const PythonInterpreter>> interpreters_;
};

}  // namespace
}  // namespace debian

Result<std::unique_ptr<PackagePool>> PackagePool::open(
    const DebianSettings& settings, std::shared_ptr<registry::Transport> transport,
    Diagnostics& diagnostics) {
  FNIMAGE_CHECK(make_directories(settings.cache_directory));
  for (const char* part : {"debs", "packs", "control", "python", "bytecode"}) {
    remove_stale_temporaries(settings.cache_directory / part);  // of builds that were killed
  }
  std::stop_token stop = transport ? transport->stop_token() : std::stop_token();
  return std::make_unique<debian::Pool>(settings,
                                        debian::Downloader(std::move(transport), settings.offline),
                                        std::move(stop), diagnostics);
}

}  // namespace fnimage::source

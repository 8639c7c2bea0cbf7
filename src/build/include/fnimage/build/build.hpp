// build(): build file -> plan -> layers (in parallel, shared ones once, cached ones not at all) ->
// config and manifest per platform -> list -> store. Executes nothing of the image but, of packages
// for this machine, their Python, which compiles theirs (DebianBase::bytecode); needs no root,
// writes nothing outside the cache and the destination store. A build ends as cancelled soon after
// its pool and transport were asked to stop, and no tag has moved then. Thread-safety: may run
// several times at once on one Environment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/sbom/attach.hpp>

namespace fnimage::build {

/// What a build may use. Nothing global: a controller may hold several. Transport and pool are made
/// with the same stop token, which stops all that uses them.
struct Environment {
  std::shared_ptr<registry::Transport> transport;
  registry::Client& client;
  WorkerPool& pool;
  Diagnostics& diagnostics;
  std::filesystem::path cache_directory;
  std::filesystem::path local_store;  ///< where bare base names are looked up
};

struct BuildOptions {
  std::vector<manifest::Platform> platforms{};  ///< empty = those of the spec
  layer::Compression compression = layer::Compression::gzip;
  manifest::Format format = manifest::Format::oci;
  std::optional<std::int64_t>
      source_date_epoch{};  ///< seconds; the image's time, 1970 when not given
  bool offline = false;
  /// fnimage.lock: when it is there, exactly its packages are used and nothing is resolved. Empty =
  /// none; see lock_path().
  std::filesystem::path lock_file{};
  bool locked = false;             ///< an error when there is no lock
  std::filesystem::path bundle{};  ///< of `lock`: .debs, and a lock for when lock_file is not there
  bool check = true;               ///< refuse what cannot start on its platform
  bool strict = false;             ///< refuse packages whose scripts do what no rule covers
  std::vector<sbom::Format> sboms{};  ///< attach these to each platform's image
  /// Called when it stands what is to be built, before any layer is made; its error ends the build.
  std::function<Result<void>()> before_layers{};
  /// Called for each layer that no build has made before, when the store has it; from several
  /// threads.
  std::function<void(const manifest::Descriptor&, const ContentPtr&)> on_new_layer{};
};

struct BuiltLayer {
  std::string name;  ///< source::NamedTree's, "runtime", "source", "files" or the named layer's
  manifest::Descriptor descriptor;
  bool cached = false;
};
struct BuiltPlatform {
  manifest::Platform platform;
  manifest::Descriptor manifest;
  std::vector<BuiltLayer> layers;       ///< lowest first, without the base image's
  std::vector<sbom::Attached> sboms{};  ///< in the order of the options
};
/// What the scripts of a package would have done to the image as well.
struct UncoveredPackage {
  std::string package;
  std::vector<std::string> commands;            ///< with their first words, printable
  std::vector<manifest::Platform> platforms{};  ///< empty = all
};
struct BuildResult {
  manifest::Descriptor list;
  std::vector<BuiltPlatform> platforms;
  std::vector<UncoveredPackage> uncovered{};  ///< by package; each was reported as a warning
};

/// Builds every platform, checks that it can start, and puts the list into `store` under `tags`. On
/// failure no tag has moved.
Result<BuildResult> build(const BuildSpec& spec, const BuildOptions& options,
                          registry::ImageStore& store, const std::vector<std::string>& tags,
                          const Environment& environment);

/// $SOURCE_DATE_EPOCH. Error: invalid_argument when it is set and not a number of seconds.
Result<std::optional<std::int64_t>> source_date_epoch_from_environment();

/// $XDG_CACHE_HOME/fnimage, or ~/.cache/fnimage. Error: invalid_argument when neither variable is
/// set.
Result<std::filesystem::path> default_cache_directory();

}  // namespace fnimage::build

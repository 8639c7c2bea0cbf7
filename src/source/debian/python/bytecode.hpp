// Byte-code of Python packages, which py3compile makes when they are installed: without it every
// start of a function on a read-only file system compiles what it imports. Made once for all
// architectures: .pyc files do not depend on the processor, and are never checked against their
// sources (PEP 552, unchecked hash), so that times do not matter. Cached by the sources' content.
// Thread-safety: one maker from several threads; no lock is held while waiting for pool tasks.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/layer/archive.hpp>

#include "debian/configure/configure.hpp"
#include "debian/layout.hpp"
#include "debian/named_mutexes.hpp"
#include "debian/python/interpreter.hpp"

namespace fnimage::source::debian {

/// An interpreter of the set.
struct PythonPackage {
  std::size_t number = 0;  ///< of python3.X-minimal in the set
  std::string version;     ///< "3.11"
};

/// The interpreters of a set: packages named python3.X-minimal.
std::vector<PythonPackage> python_packages(std::span<const DebianPackage> packages);

class BytecodeMaker {
 public:
  using Interpreter = std::function<Result<std::shared_ptr<const PythonInterpreter>>()>;

  BytecodeMaker(std::filesystem::path cache_directory, WorkerPool& workers,
                Diagnostics& diagnostics)
      : cache_(std::move(cache_directory)), workers_(workers), diagnostics_(diagnostics) {}

  /// Adds the byte-code of a set's packages to its image. @param interpreter asked once, for what
  /// the cache lacks. Errors: those of the interpreter, of reading sources, no_space.
  Result<void> add(Layout& layout, const ConfigureContext& context, const PythonPackage& python,
                   const std::string& title, const Interpreter& interpreter);

 private:
  /// Sources of a package that are compiled together.
  struct Batch {
    std::size_t package = 0;
    bool common = false;  ///< the same on every architecture: nothing in them names one
    std::vector<const layer::Entry*> sources{};
    std::string id{};                                 ///< of the pack that holds their byte-code
    std::optional<layer::ArchiveListing> bytecode{};  ///< nullopt: has to be made
    [[nodiscard]] std::uint64_t source_bytes() const;
  };
  /// A package's sources before they are divided.
  struct PackageSources {
    std::size_t package = 0;
    bool is_for_all = false;
    std::vector<const layer::Entry*> sources{};
  };

  static std::vector<PackageSources> find_sources(const Layout& layout,
                                                  const ConfigureContext& context,
                                                  const PythonPackage& python);
  /// A package's batches: as the cache remembers them (then without sources, for nothing is to be
  /// compiled), or divided anew.
  [[nodiscard]] Result<std::vector<Batch>> batches_of(const PackageSources& package,
                                                      const std::string& key) const;
  static std::string record_of(const PackageSources& package, const std::string& key);
  [[nodiscard]] std::optional<std::vector<Batch>> remembered(
      std::size_t package, const std::filesystem::path& record) const;
  /// Reads the sources.
  static Result<std::vector<Batch>> divide(const PackageSources& package, const std::string& key);
  void take_from_cache(Batch& batch) const;
  Result<void> compile_missing(std::vector<Batch>& batches, const std::string& title,
                               const Interpreter& interpreter);
  Result<void> compile(Batch& batch, const PythonInterpreter& interpreter);
  static Result<void> place(Batch& batch, std::int64_t mtime, Layout& layout);

  std::filesystem::path cache_;
  WorkerPool& workers_;
  Diagnostics& diagnostics_;
  NamedMutexes locks_;
};

}  // namespace fnimage::source::debian

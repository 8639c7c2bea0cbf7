// A CPython interpreter of the packages, for this machine's processor: the one program out of a
// package that a build ever runs, for only an interpreter of the same version writes byte-code that
// another one loads. It gets its own loader, libraries and standard library (never the host's), an
// empty environment, limits of memory and time, and where the kernel can (Landlock) no other file
// and no network. It compiles; nothing of what it compiles is
// run. Thread-safety: const methods from several threads.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/result.hpp>

#include "debian/configure/image_view.hpp"

namespace fnimage::source::debian {

class PythonInterpreter {
 public:
  /// Takes what it needs out of an image of this machine's architecture, with links of merged /usr.
  /// @param version "3.11". @param triplet of this machine. @param directory in which it is put for
  /// as long as this object lives. Errors: not_found when a part is missing, unsupported when it
  /// cannot be run here.
  static Result<std::unique_ptr<PythonInterpreter>> lay_down(
      const ImageView& image, const std::string& version, const std::string& triplet,
      const std::filesystem::path& directory);

  /// Runs compile.py. Error: unsupported when the interpreter fails, with what it said.
  [[nodiscard]] Result<void> compile(const std::filesystem::path& input,
                                     const std::filesystem::path& output) const;

 private:
  PythonInterpreter(TemporaryDirectory directory, std::string version)
      : directory_(std::move(directory)), version_(std::move(version)) {}

  Result<void> copy_parts(const ImageView& image, const std::string& triplet);
  Result<void> copy_libraries(const ImageView& image, const std::string& triplet,
                              const layer::Entry& program);
  /// Runs it once, so that it has byte-code of its own: with it and without it the numbers of
  /// references differ, which marshal writes into what it makes.
  Result<void> warm_up() const;
  [[nodiscard]] Result<void> run(const std::filesystem::path& input,
                                 const std::filesystem::path& output, bool keeps_bytecode) const;

  TemporaryDirectory directory_;
  std::string version_;
};

}  // namespace fnimage::source::debian

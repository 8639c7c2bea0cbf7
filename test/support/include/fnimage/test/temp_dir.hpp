// A directory for one test, gone with its content when the object goes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/atomic_file.hpp>

namespace fnimage::test {

class TempDir {
 public:
  TempDir();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return directory_.path(); }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path() / name;
  }
  /// Writes a file (parents are made) and returns its path.
  std::filesystem::path write(std::string_view name, std::string_view bytes) const;
  /// The whole file.
  [[nodiscard]] std::string read(std::string_view name) const;
  /// Names of the entries, sorted.
  [[nodiscard]] std::vector<std::string> list() const;

 private:
  TemporaryDirectory directory_;
};

}  // namespace fnimage::test

// What checking an image finds. Thread-safety: value types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/manifest/platform.hpp>

namespace fnimage::check {

enum class Level : std::uint8_t {
  warning,  ///< something in the image cannot work, and perhaps nobody needs it
  error     ///< the image, or what it is there for, cannot work on its platform
};

/// Stable name: "warning", "error".
std::string_view to_string(Level level) noexcept;

struct Finding {
  Level level = Level::error;
  std::string rule;      ///< stable: "machine", "library", "symbol-version", "interpreter", …
  std::string path;      ///< absolute, in the image; empty = the image itself
  std::string origin{};  ///< where that comes from: "package libblas3", "layer 2"
  std::string message;   ///< what is wrong, in one sentence
  std::string fix{};     ///< what to do; may be empty
};

/// What was seen in the image of one platform.
struct Report {
  manifest::Platform platform{};
  std::size_t files = 0;    ///< regular files, hidden ones not counted
  std::size_t objects = 0;  ///< ELF programs and shared objects among them
  std::vector<Finding> findings{};

  /// Errors first, then by path.
  void sort();

  [[nodiscard]] std::size_t errors() const noexcept;
  [[nodiscard]] std::size_t warnings() const noexcept { return findings.size() - errors(); }
};

}  // namespace fnimage::check

// What maintainer scripts may ask about the files of an image: test(1), patterns of paths.
// Thread-safety: belongs to one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "debian/configure/image_view.hpp"
#include "debian/configure/shell.hpp"

namespace fnimage::source::debian {

/// A host that answers about files; documentation that images do without is not there.
class ImageTests : public ShellHost {
 public:
  explicit ImageTests(const ImageView& image) : tested_(image) {}

  std::optional<bool> test_file(char kind, const std::string& path) override;
  std::optional<std::vector<std::string>> paths_like(const std::string& pattern) override;

 private:
  [[nodiscard]] bool test_entry(char kind, const std::string& path,
                                const layer::Entry& entry) const;
  [[nodiscard]] std::vector<std::string> below(const std::vector<std::string>& places,
                                               std::string_view part) const;

  const ImageView& tested_;
};

/// The commands that a script may run on a first installation over the files of an image.
std::vector<ShellCommand> script_commands(std::string_view script, const ShellValues& known,
                                          std::string_view action, const ImageView& image);

}  // namespace fnimage::source::debian

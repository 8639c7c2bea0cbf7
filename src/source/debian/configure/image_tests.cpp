// See the header. Thread-safety: belongs to one thread.
#include "debian/configure/image_tests.hpp"

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/shell_expansion.hpp"
#include "debian/layout.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr std::size_t max_paths = 2'000;

class CommandCollector final : public ImageTests {
 public:
  using ImageTests::ImageTests;
  ShellAnswer run(const ShellCommand& command) override {
    commands.push_back(command);
    return {};
  }
  std::vector<ShellCommand> commands;
};

}  // namespace

std::optional<bool> ImageTests::test_file(char kind, const std::string& path) {
  const auto clean = layer::clean_path(path);
  if (!clean || clean->starts_with("dev/") || clean->starts_with("proc/")) {
    return std::nullopt;
  }
  if (is_left_out(*clean + "/x", EntryType::file)) {
    return false;
  }
  if (clean->empty()) {
    return kind == 'd' || kind == 'e';
  }
  const Entry* entry = kind == 'L' ? tested_.find_real(*clean) : tested_.resolve(*clean);
  return entry != nullptr && test_entry(kind, *clean, *entry);
}

std::optional<std::vector<std::string>> ImageTests::paths_like(const std::string& pattern) {
  if (!pattern.starts_with('/')) {
    return std::nullopt;
  }
  std::vector<std::string> found{""};
  for (const std::string_view part : split(std::string_view(pattern).substr(1), '/')) {
    found = below(found, part);
    if (found.size() > max_paths) {
      return std::nullopt;
    }
  }
  return found;
}

bool ImageTests::test_entry(char kind, const std::string& path, const Entry& entry) const {
  switch (kind) {
    case 'L':
      return entry.type == EntryType::symlink;
    case 'd':
      return entry.type == EntryType::directory;
    case 'f':
      return tested_.file(path) != nullptr;
    case 'x':
      return entry.type == EntryType::directory || (entry.mode & 0111U) != 0;
    case 's':
      return entry.size() > 0;
    case 'b':
    case 'c':
    case 'p':
    case 'S':
      return false;
    default:
      return true;
  }
}

std::vector<std::string> ImageTests::below(const std::vector<std::string>& places,
                                           std::string_view part) const {
  std::vector<std::string> found;
  for (const std::string& place : places) {
    if (part.find_first_of("*?[") == std::string_view::npos) {
      std::string path = fmt::format("{}/{}", place, part);
      if (tested_.find_real(path) != nullptr) {
        found.push_back(std::move(path));
      }
      continue;
    }
    const auto directory = place.empty() ? std::nullopt : tested_.directory(place);
    for (const std::string& name :
         directory ? tested_.names_in(*directory) : std::vector<std::string>()) {
      if (matches_pattern(name, part) && (part.starts_with('.') || !name.starts_with('.'))) {
        found.push_back(fmt::format("{}/{}", place, name));
      }
      if (found.size() > max_paths) {
        return found;
      }
    }
  }
  return found;
}

std::vector<ShellCommand> script_commands(std::string_view script, const ShellValues& known,
                                          std::string_view action, const ImageView& image) {
  CommandCollector collector(image);
  run_script(script, known, {std::string(action), ""}, collector);
  return std::move(collector.commands);
}

}  // namespace fnimage::source::debian

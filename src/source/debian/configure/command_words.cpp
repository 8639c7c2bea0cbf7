// Words of commands, and names, see script_state.hpp. Thread-safety: pure functions.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/script_state.hpp"

namespace fnimage::source::debian {
namespace {

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size()
             ? std::optional(number)
             : std::nullopt;
}

}  // namespace

AccountNumbers::AccountNumbers(std::string_view file) {
  for (const std::string_view line : split(file, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() > 2) {
      if (const auto number = whole_number(fields[2])) {
        numbers_.emplace(fields[0], *number);
      }
    }
  }
}

std::optional<std::uint32_t> AccountNumbers::find(std::string_view name) const {
  const auto found = numbers_.find(name);
  return found != numbers_.end() ? std::optional(found->second) : whole_number(name);
}

std::optional<std::size_t> number_of_package(const ScriptState& state, std::string_view name) {
  const auto found = std::ranges::find(state.packages, name, &DebianPackage::name);
  return found != state.packages.end()
             ? std::optional(static_cast<std::size_t>(found - state.packages.begin()))
             : std::nullopt;
}

std::optional<std::string> image_path(const ShellCommand& command, std::string_view word) {
  if (word.empty() || (!word.starts_with('/') && command.directory == "?")) {
    return std::nullopt;
  }
  const std::string whole =
      word.starts_with('/') ? std::string(word) : fmt::format("{}/{}", command.directory, word);
  auto clean = layer::clean_path(whole);
  return clean && !clean->empty() ? std::optional(std::move(*clean)) : std::nullopt;
}

bool is_outside_image(std::string_view path) {
  constexpr std::array<std::string_view, 8> places{"dev", "proc",    "sys",     "tmp",
                                                   "run", "var/log", "var/run", "var/tmp"};
  if (path.starts_with(scratch_prefix)) {
    return false;
  }
  return std::ranges::any_of(places, [&](std::string_view place) {
    return path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/');
  });
}

std::string program_path(const ImageView& image, std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    return image.file(name) != nullptr ? std::string(name) : std::string();
  }
  for (const std::string_view directory :
       {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::string path = fmt::format("{}/{}", directory, name);
    if (image.file(path) != nullptr) {
      return path;
    }
  }
  return {};
}

std::optional<std::string> CommandWords::value(std::string_view letter,
                                               std::string_view name) const {
  const auto by_letter = values.find(letter);
  const auto found = by_letter != values.end() ? by_letter : values.find(name);
  return found != values.end() ? std::optional(found->second) : std::nullopt;
}

CommandWords parse_words(const ShellCommand& command, const std::set<std::string_view>& takes) {
  CommandWords result;
  bool options_end = false;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string& word = command.words[i];
    if (options_end || !word.starts_with('-') || word.size() < 2) {
      result.operands.push_back(word);
    } else if (word == "--") {
      options_end = true;
    } else if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      if (equals != std::string::npos) {
        result.values.insert_or_assign(name, word.substr(equals + 1));
      } else if (takes.contains(std::string_view(name).substr(2)) && i + 1 < command.words.size()) {
        result.values.insert_or_assign(name, command.words[++i]);
      } else {
        result.options.insert(name);
      }
    } else {
      for (std::size_t at = 1; at < word.size(); ++at) {
        const std::string letter = word.substr(at, 1);
        if (!takes.contains(letter)) {
          result.options.insert("-" + letter);
          continue;
        }
        if (at + 1 < word.size()) {
          result.values.insert_or_assign("-" + letter, word.substr(at + 1));
        } else if (i + 1 < command.words.size()) {
          result.values.insert_or_assign("-" + letter, command.words[++i]);
        }
        break;
      }
    }
  }
  return result;
}

}  // namespace fnimage::source::debian

// Alternatives: parsed from scripts, the best by priority linked, recorded in dpkg's format
// (update-alternatives(1), FILES). Thread-safety: see configure.hpp.
#include "debian/configure/alternatives.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/configure.hpp"
#include "debian/configure/image_tests.hpp"

namespace fnimage::source::debian {
namespace {

std::optional<AlternativeInstall> parse_install(const std::vector<std::string>& words) {
  const auto install = std::find(words.begin(), words.end(), "--install");
  if (words.end() - install < 5) {
    return std::nullopt;
  }
  AlternativeInstall result{.link = install[1], .name = install[2], .path = install[3]};
  const std::string& priority = install[4];
  const auto parsed =
      std::from_chars(priority.data(), priority.data() + priority.size(), result.priority);
  if (parsed.ec != std::errc{} || parsed.ptr != priority.data() + priority.size()) {
    return std::nullopt;
  }
  for (auto word = install + 5; words.end() - word >= 4; ++word) {
    if (*word == "--slave" || *word == "--follower") {
      result.slaves.push_back({word[1], word[2], word[3]});
      word += 3;
    }
  }
  const bool is_safe = result.link.starts_with('/') && result.path.starts_with('/') &&
                       result.name.find('/') == std::string::npos && !result.name.empty();
  return is_safe ? std::optional(result) : std::nullopt;
}

struct Group {
  std::string link;
  std::vector<AlternativeInstall> choices;
};
using Groups = std::map<std::string, Group>;

const AlternativeInstall& best_of(const Group& group) {
  return *std::max_element(group.choices.begin(), group.choices.end(),
                           [](const AlternativeInstall& a, const AlternativeInstall& b) {
                             return a.priority < b.priority;
                           });
}

// dpkg's administrative file: status, link, the slaves' names and links, then each choice.
std::string record(const Group& group) {
  std::map<std::string, std::string> slaves;
  for (const AlternativeInstall& choice : group.choices) {
    for (const AlternativeSlave& slave : choice.slaves) {
      slaves.emplace(slave.name, slave.link);
    }
  }
  std::string text = fmt::format("auto\n{}\n", group.link);
  for (const auto& [name, link] : slaves) {
    text += fmt::format("{}\n{}\n", name, link);
  }
  text += "\n";
  std::vector<AlternativeInstall> choices = group.choices;
  std::sort(choices.begin(), choices.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  for (const AlternativeInstall& choice : choices) {
    text += fmt::format("{}\n{}\n", choice.path, choice.priority);
    for (const auto& known : slaves) {
      const auto slave =
          std::find_if(choice.slaves.begin(), choice.slaves.end(),
                       [&](const AlternativeSlave& one) { return one.name == known.first; });
      text += (slave == choice.slaves.end() ? std::string() : slave->path) + "\n";
    }
  }
  return text + "\n";
}

Result<void> link_one(ImageView& image, const std::string& link, const std::string& name,
                      const std::string& path, Diagnostics& diagnostics) {
  const std::string through = "etc/alternatives/" + name;
  const layer::Entry* existing = image.find_real(link);
  if (existing != nullptr && existing->type != layer::EntryType::symlink) {
    diagnostics.report(
        Severity::warning,
        fmt::format("{} is a file of a package and not replaced by the alternative {}",
                    printable(link), printable(name)));
    return {};
  }
  FNIMAGE_CHECK(image.add_link(through, path));
  return image.add_link(link, "/" + through);
}

Result<void> write_group(ImageView& image, const std::string& name, const Group& group,
                         Diagnostics& diagnostics) {
  const AlternativeInstall& best = best_of(group);
  FNIMAGE_CHECK(link_one(image, group.link, name, best.path, diagnostics));
  for (const AlternativeSlave& slave : best.slaves) {
    const bool is_safe = slave.link.starts_with('/') && !slave.name.empty() &&
                         slave.name.find('/') == std::string::npos;
    if (is_safe && image.resolve(slave.path) != nullptr) {
      FNIMAGE_CHECK(link_one(image, slave.link, slave.name, slave.path, diagnostics));
    }
  }
  return image.add_file("var/lib/dpkg/alternatives/" + name, record(group));
}

void collect(const ImageView& image, std::vector<AlternativeInstall> installs, Groups& groups) {
  for (AlternativeInstall& install : installs) {
    if (image.resolve(install.path) == nullptr) {
      continue;  // a manual page, or a branch of the script for another architecture
    }
    Group& group = groups[install.name];
    group.link = group.link.empty() ? install.link : group.link;
    const bool known = std::any_of(group.choices.begin(), group.choices.end(),
                                   [&](const auto& choice) { return choice.path == install.path; });
    if (!known) {
      group.choices.push_back(std::move(install));
    }
  }
}

}  // namespace

std::vector<AlternativeInstall> read_alternatives(std::string_view script, const ShellValues& known,
                                                  const ImageView& image) {
  std::vector<AlternativeInstall> installs;
  for (const ShellCommand& command : script_commands(script, known, "configure", image)) {
    const std::string_view name =
        std::string_view(command.words.front()).substr(command.words.front().rfind('/') + 1);
    if (name == "update-alternatives" && command.exact) {
      if (auto install = parse_install(command.words)) {
        installs.push_back(std::move(*install));
      }
    }
  }
  return installs;
}

Result<void> configure_alternatives(ImageView& image, const ConfigureContext& context) {
  const ShellValues known = shell_values(context.architecture, context.triplet);
  Groups groups;
  for (const UnpackedPackage& package : context.unpacked) {
    collect(image, read_alternatives(package.control_file("postinst"), known, image), groups);
  }
  for (const auto& [name, group] : groups) {
    FNIMAGE_CHECK(write_group(image, name, group, context.diagnostics));
  }
  return {};
}

}  // namespace fnimage::source::debian

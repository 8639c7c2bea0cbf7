// dpkg's file lists (/var/lib/dpkg/info/NAME.list or NAME:ARCH.list, one absolute path a line), see
// the header.
#include "owners.hpp"

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "paths.hpp"

namespace fnimage::check {

namespace {

constexpr std::string_view lists = "var/lib/dpkg/info/";
constexpr std::string_view list_suffix = ".list";
constexpr std::uint64_t max_list_bytes = std::uint64_t{16} << 20;

/// Packages name files as they were before /usr was merged.
std::string_view without_usr(std::string_view path) {
  constexpr std::string_view usr = "usr/";
  return path.starts_with(usr) ? path.substr(usr.size()) : path;
}

}  // namespace

void Owners::read() {
  read_ = true;
  const ImageFiles::Map& nodes = files_.nodes();
  for (auto at = nodes.lower_bound(lists); at != nodes.end() && at->first.starts_with(lists);
       ++at) {
    const layer::Entry& entry = at->second.entry;
    if (!at->first.ends_with(list_suffix) || !entry.content) {
      continue;
    }
    std::string name = at->first.substr(lists.size());
    name.resize(name.size() - list_suffix.size());
    name.resize(std::min(name.find(':'), name.size()));
    const std::string text = text_of(entry, max_list_bytes).value_or("");
    for (const std::string_view line : split(text, '\n')) {
      if (line.starts_with('/')) {
        packages_.emplace(without_usr(line.substr(1)), name);
      }
    }
  }
}

std::string Owners::package_of(std::string_view path) {
  if (!read_) {
    read();
  }
  const auto found = packages_.find(without_usr(path));
  return found == packages_.end() ? std::string() : found->second;
}

std::string Owners::origin_of(std::string_view path) {
  if (const std::string package = package_of(path); !package.empty()) {
    return "package " + package;
  }
  const ImageFiles::Node* node = files_.find(path);
  if (node == nullptr) {
    return {};
  }
  const ContentPtr& content = node->entry.content;
  const auto file = content ? content->unverified_file() : std::nullopt;
  return file ? fmt::format("from {}", printable(file->string()))
              : fmt::format("layer {}", files_.layer_name(*node));
}

}  // namespace fnimage::check

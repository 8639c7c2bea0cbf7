// See layers.hpp. Thread-safety: all state is local.
#include "debian/layers.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "debian/deb822.hpp"
#include "debian/needs.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;

enum Group : std::size_t { base, interpreter, libraries, own, groups };

/// Each group's name but the last's, which is that of what no package brought.
constexpr std::array<std::string_view, groups + 1> group_names{"base", "interpreter", "packages",
                                                               "own-packages", "configuration"};
/// A group's layers, lowest first: packages for all architectures, those for one, byte-code.
enum Part : std::size_t { all, specific, bytecode, parts };
constexpr std::array<std::string_view, parts> part_names{"-all", "", "-bytecode"};

/// What every system has, and every set: so that it is not in the interpreter's layer of one
/// function and among the packages of another.
constexpr std::array<std::string_view, 4> common_roots{"base-files", "base-passwd", "libc-bin",
                                                       "libc6"};

constexpr std::size_t top_layer = std::size_t{groups} * parts;

std::string name_of_layer(std::size_t layer) {
  const std::string_view part = layer == top_layer ? "" : part_names.at(layer % parts);
  return fmt::format("{}{}", group_names.at(layer / parts), part);
}

bool contains(std::span<const std::string> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// Of a site or a vendor, or a file: what changes most often.
bool is_own(const DebianPackage& package, std::string_view release) {
  const std::string_view suite = package.suite;
  return !suite.starts_with(release) ||
         (suite.size() > release.size() && suite[release.size()] != '-');
}

Group root_group(const DebianPackage& package, const UnpackedPackage& unpacked,
                 const AssembleOptions& options) {
  const bool essential =
      options.essential && Paragraph(unpacked.control_file("control")).get("Essential") == "yes";
  if (essential || std::ranges::find(common_roots, package.name) != common_roots.end()) {
    return base;
  }
  return contains(options.runtime_packages, package.name) ? interpreter : libraries;
}

class Splitter {
 public:
  Splitter(Layout&& layout, const PackageLayers& layers)
      : owners_(std::move(layout.owners)),
        common_(std::move(layout.common)),
        entries_(std::move(layout.tree).take_entries()),
        layers_(layers),
        trees_(top_layer + 1) {}

  Result<std::vector<NamedTree>> run() {
    cut_links_between_layers();
    for (auto at = entries_.begin(); at != entries_.end();) {
      const auto next = std::next(at);
      const bool is_directory = at->second.type == EntryType::directory;
      FNIMAGE_CHECK(place(at->first, at->second));
      if (!is_directory) {  // directories are the parents of what follows
        entries_.erase(at);
      }
      at = next;
    }
    std::vector<NamedTree> named;
    for (std::size_t layer = 0; layer < trees_.size(); ++layer) {
      if (!trees_[layer].empty()) {
        named.push_back({name_of_layer(layer), std::move(trees_[layer])});
      }
    }
    return named;
  }

 private:
  [[nodiscard]] std::size_t layer_of(const std::string& path) const {
    const auto owner = owners_.find(path);
    if (owner == owners_.end()) {
      return top_layer;
    }
    return (common_.contains(path) ? layers_.bytecode : layers_.files)[owner->second];
  }

  /// A hard link may not leave its layer (image-spec, layer, "Hardlinks"): it becomes a file.
  void cut_links_between_layers() {
    constexpr int max_links = 40;
    for (auto& [path, entry] : entries_) {
      for (int hop = 0; hop < max_links && entry.type == EntryType::hardlink &&
                        layer_of(entry.link) != layer_of(path);
           ++hop) {
        const auto target = entries_.find(entry.link);
        if (target == entries_.end()) {
          break;  // packing says what is wrong with it
        }
        entry = target->second;
        entry.path = path;
      }
    }
  }

  Result<void> place(const std::string& path, Entry& entry) {
    const std::size_t layer = layer_of(path);
    const bool is_directory = entry.type == EntryType::directory;
    // A directory of nobody is where something of somebody is, or it is empty and for the top.
    if (is_directory && layer == top_layer && layer::has_children(entries_, path)) {
      return {};
    }
    FNIMAGE_CHECK(add_parents(path, trees_[layer]));
    return trees_[layer].add(is_directory ? entry : std::move(entry));
  }

  /// The directories above have the image's owner and mode in each layer.
  Result<void> add_parents(const std::string& path, layer::FileTree& tree) const {
    for (std::size_t end = path.find('/'); end != std::string::npos;
         end = path.find('/', end + 1)) {
      const std::string parent = path.substr(0, end);
      if (tree.find(parent) == nullptr) {
        FNIMAGE_CHECK(tree.add(entries_.at(parent)));
      }
    }
    return {};
  }

  std::unordered_map<std::string, std::size_t> owners_;
  std::unordered_set<std::string> common_;
  layer::FileTree::Map entries_;
  const PackageLayers& layers_;
  std::vector<layer::FileTree> trees_;
};

}  // namespace

Result<PackageLayers> choose_layers(std::span<const DebianPackage> packages,
                                    std::span<const UnpackedPackage> unpacked,
                                    std::string_view release, const AssembleOptions& options) {
  FNIMAGE_TRY(const PackageNeeds needs, needs_of(packages, unpacked));
  std::vector<std::size_t> found(packages.size(), libraries);
  for (std::size_t i = 0; i < packages.size(); ++i) {
    const std::size_t group = root_group(packages[i], unpacked[i], options);
    if (group != libraries) {
      for (const std::size_t needed : closure_of(i, needs)) {
        found[needed] = std::min(found[needed], group);
      }
    }
  }
  PackageLayers layers;
  for (std::size_t i = 0; i < packages.size(); ++i) {
    const std::size_t first = (is_own(packages[i], release) ? own : found[i]) * parts;
    const bool common =
        !options.common_packages || options.common_packages->contains(packages[i].name);
    layers.files.push_back(first + (common && packages[i].architecture == "all" ? all : specific));
    layers.bytecode.push_back(first + (common ? bytecode : specific));
  }
  return layers;
}

Result<std::vector<NamedTree>> split_layers(Layout&& layout, const PackageLayers& layers) {
  return Splitter(std::move(layout), layers).run();
}

}  // namespace fnimage::source::debian

namespace fnimage::source {

bool is_package_layer(std::string_view name) {
  for (std::size_t layer = 0; layer <= debian::top_layer; ++layer) {
    if (debian::name_of_layer(layer) == name) {
      return true;
    }
  }
  return false;
}

}  // namespace fnimage::source

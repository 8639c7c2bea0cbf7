// The files of an image as a container sees them: its layers laid over each other, metadata in
// memory, contents where they are. Source: image-spec layer.md ("Applying Changesets",
// "Whiteouts"); where a layer goes through a symbolic link of a lower one, the link is followed, as
// containerd does. Thread-safety: const methods from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/entry.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::check {

class ImageFiles {
 public:
  struct Node {
    layer::Entry entry;     ///< a hard link is the file that it stands for
    std::size_t layer = 0;  ///< which one brought it
  };
  using Map = std::map<std::string, Node, std::less<>>;

  /// A node, and its path with all links followed.
  struct Found {
    std::string path;
    const Node* node = nullptr;
  };

  /// Lays a layer on top: the entries of its archive in their order, with whiteouts.
  void add_layer(const std::string& name, const std::vector<layer::Entry>& entries);
  /// The same of a layer that is not packed yet.
  void add_layer(const std::string& name, const layer::FileTree& tree);

  /// The node itself, links not followed.
  [[nodiscard]] const Node* find(std::string_view path) const;
  /// The node that a path leads to inside the image, symbolic links followed (at most 40); nullopt
  /// when there is none. The path may be absolute or relative to the root.
  [[nodiscard]] std::optional<Found> resolve(std::string_view path) const;

  /// By path, relative to the root, without the root itself.
  [[nodiscard]] const Map& nodes() const noexcept { return nodes_; }
  [[nodiscard]] const std::string& layer_name(const Node& node) const {
    return layers_[node.layer];
  }
  /// Hard links whose target is nowhere: no runtime unpacks such a layer.
  [[nodiscard]] const std::vector<std::string>& broken_links() const noexcept {
    return broken_links_;
  }
  /// Whiteouts of nothing, or of a directory by "." or "..": runtimes refuse such a layer.
  [[nodiscard]] const std::vector<std::string>& bad_whiteouts() const noexcept {
    return bad_whiteouts_;
  }
  /// Whether there are entries below more than 256 directories, or in more directories than layers
  /// bring, which are left out: each directory of a path may be a link, and looking at all of them
  /// would take for ever.
  [[nodiscard]] bool has_too_deep() const noexcept { return has_too_deep_; }

 private:
  /// As resolve(); no node and an empty path stand for the root.
  [[nodiscard]] std::optional<Found> walk(std::string_view path) const;
  void hide(const layer::Entry& whiteout);
  void put(layer::Entry entry);
  /// Where an entry of that path goes.
  [[nodiscard]] std::string destination_of(std::string_view path);
  /// The path with the links of its directories followed; the directories are made.
  [[nodiscard]] std::string place_of(std::string_view path);
  void remove_below(const std::string& directory);

  Map nodes_;
  std::vector<std::string> layers_;
  std::vector<std::string> broken_links_;
  std::vector<std::string> bad_whiteouts_;
  bool has_too_deep_ = false;
  std::uint64_t implied_bytes_ = 0;  ///< of directories that no entry brought
  /// The directory that was last looked up, and its place: entries of a directory follow each
  /// other.
  std::optional<std::pair<std::string, std::string>> last_directory_;
};

}  // namespace fnimage::check

// The layers that come from the developer's directory: "source", the named ones and "files".
// Thread-safety: one object belongs to one thread.
#pragma once

#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/build/spec.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/source/files.hpp>

#include "plan.hpp"

namespace fnimage::build {

class UserLayers {
 public:
  /// @param spec must outlive the object. @param stop ends the reading of files as cancelled.
  UserLayers(const BuildSpec& spec, std::int64_t mtime, std::stop_token stop = {})
      : spec_(spec), options_{.mtime = mtime, .stop = std::move(stop)} {}

  /// Lowest first. Content that other platforms use too is read only for the first.
  Result<std::vector<PlannedLayer>> make(const manifest::Platform& platform);
  /// What the files that were read say of the image.
  [[nodiscard]] const std::map<std::string, std::string>& labels() const noexcept {
    return labels_;
  }

 private:
  Result<layer::FileTree> source_tree();
  /// Whether the main file comes from elsewhere than the source.
  bool is_main_of_image() const;
  /// The tree, if the main file in it is what the runtime can start.
  Result<layer::FileTree> check_main(layer::FileTree tree) const;
  Result<layer::FileTree> path_tree(const std::string& from, const std::string& to) const;
  Result<layer::FileTree> platform_tree(const manifest::Platform& platform) const;
  Result<void> add_file(const PlatformFile& file, const manifest::Platform& platform,
                        layer::FileTree& tree) const;

  const BuildSpec& spec_;
  source::FileOptions options_;
  std::map<std::string, layer::FileTree> read_;  ///< by what they were made from
  std::map<std::string, std::string> labels_;
};

/// Fills {os}, {arch}, {variant}, {deb_arch} and {triplet} in. Error: invalid_input for another
/// name in braces, platform_mismatch for one that the platform does not have.
Result<std::string> fill_placeholders(std::string_view text, const manifest::Platform& platform);

}  // namespace fnimage::build

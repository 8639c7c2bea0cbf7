// index.json of an OCI image layout: entries as they stand, edited without touching what other
// tools wrote into the rest (image-spec image-layout.md "index.json file"). Private to registry.
// Thread-safety: a value type.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/index.hpp>

namespace fnimage::registry::detail {

/// Largest index.json that is read or written: some 50,000 tags.
inline constexpr std::size_t max_layout_index_bytes = std::size_t{16} * 1024 * 1024;

class LayoutIndex {
 public:
  LayoutIndex();
  /// @param what the file's name for messages. Error: invalid_input.
  static Result<LayoutIndex> parse(std::string_view text, const std::string& what);

  [[nodiscard]] const std::vector<manifest::Descriptor>& entries() const noexcept {
    return entries_;
  }
  /// The entry of a tag: by ref.name, else by containerd's name. nullptr when there is none.
  [[nodiscard]] const manifest::Descriptor* find(std::string_view tag) const;
  [[nodiscard]] const manifest::Descriptor* find(const manifest::Digest& digest) const;
  /// All tags, sorted, each once.
  [[nodiscard]] std::vector<std::string> tags() const;

  /// Makes `entry` the only one of this tag, in the place of the former one if there was one.
  Result<void> put(manifest::Descriptor entry, const std::string& tag);
  /// Adds an entry without a tag.
  Result<void> add(const manifest::Descriptor& entry);
  /// Removes the tag's entries; false when there were none.
  bool remove(std::string_view tag);

  /// The file's bytes. Equal histories give equal bytes. Error: unsupported when it got too large.
  [[nodiscard]] Result<std::string> text() const;

 private:
  [[nodiscard]] nlohmann::json& list() { return document_["manifests"]; }

  nlohmann::json document_;                      ///< all fields, ours or not
  std::vector<manifest::Descriptor> entries_{};  ///< parallel to document_["manifests"]
};

/// The name an entry goes by: ref.name, else containerd's; empty for none.
std::string_view tag_of(const manifest::Descriptor& entry);

}  // namespace fnimage::registry::detail

// The reading half of an OCI image layout (image-spec image-layout.md, V9) over files wherever they
// are: in a directory (OciLayout) or in an archive. Thread-safety: const methods from several
// threads when those of the files are so.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

inline constexpr std::string_view layout_marker = "oci-layout";
inline constexpr std::string_view layout_index = "index.json";
/// Of a layout's index.json where fnimage writes it: a repository of a registry may have many tags.
inline constexpr manifest::ListLimits layout_index_limits{.max_bytes = std::size_t{256} << 20,
                                                          .max_entries = 1'000'000};
inline constexpr std::string_view layout_marker_text = R"({"imageLayoutVersion":"1.0.0"})";

/// "blobs/sha256/<hex>"
std::string layout_blob_name(const manifest::Digest& digest);
/// The name that an index.json entry is listed by; empty when it has none.
std::string layout_tag_of(const manifest::Descriptor& entry);
/// Whether an index.json entry has this name.
bool has_layout_tag(const manifest::Descriptor& entry, std::string_view tag);

/// The files of a layout, by their names in it ("index.json").
class LayoutFiles {
 public:
  virtual ~LayoutFiles() = default;
  /// "oci:/path"
  [[nodiscard]] virtual std::string describe() const = 0;
  /// A whole file. Errors: not_found, invalid_input above `limit` bytes.
  [[nodiscard]] virtual Result<std::string> read(const std::string& name,
                                                 std::uint64_t limit) const;
  /// Error: not_found.
  [[nodiscard]] virtual Result<ContentPtr> content(const std::string& name) const = 0;
  /// Called for a blob that did not read right. Removes it when its bytes really have another
  /// digest and it may be removed here; true when it has.
  virtual bool remove_damaged(const manifest::Digest& /*digest*/) const { return false; }
};

class LayoutReader {
 public:
  /// @param limits of index.json.
  explicit LayoutReader(std::shared_ptr<const LayoutFiles> files, manifest::ListLimits limits = {});

  [[nodiscard]] std::string describe() const { return files_->describe(); }
  /// Errors: not_found when it is no layout, unsupported for an unknown version.
  [[nodiscard]] Result<void> check_version() const;
  /// index.json as it stands.
  [[nodiscard]] Result<manifest::Index> index() const;

  // What these mean: ImageStore.
  [[nodiscard]] Result<std::optional<manifest::Descriptor>> resolve(const Selector& selector) const;
  [[nodiscard]] Result<manifest::Document> get_manifest(const Selector& selector) const;
  [[nodiscard]] bool has_blob(const manifest::Descriptor& blob) const;
  [[nodiscard]] Result<ContentPtr> blob(const manifest::Descriptor& blob) const;
  [[nodiscard]] Result<std::vector<std::string>> tags() const;
  [[nodiscard]] Result<std::vector<manifest::Descriptor>> referrers(
      const manifest::Digest& digest) const;

 private:
  [[nodiscard]] Result<std::optional<manifest::Descriptor>> find_tag(std::string_view tag) const;
  [[nodiscard]] Result<manifest::Document> read_document(const manifest::Digest& digest,
                                                         std::string_view media_type) const;

  struct Cache;
  /// index.json, parsed again only when its bytes are others.
  [[nodiscard]] Result<std::shared_ptr<const manifest::Index>> current() const;

  std::shared_ptr<const LayoutFiles> files_;
  manifest::ListLimits limits_;
  std::shared_ptr<Cache> cache_;
};

/// What is meant by a layout without a tag: the only thing that it
/// holds, or the list that all else in it belongs to. Errors: not_found for an empty layout,
/// invalid_argument that names the tags.
/// @param spelling how to name one: "oci:DIRECTORY:TAG".
Result<Selector> only_image(const LayoutReader& layout, std::string_view spelling);

}  // namespace fnimage::registry

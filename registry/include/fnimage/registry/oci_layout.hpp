// OCI image layout directory (image-spec image-layout.md, V9): oci-layout, index.json,
// blobs/<alg>/<hex>. Also fnimage's local store. Tags are the org.opencontainers.image.ref.name of
// index.json entries. Crash-safety: blobs are written as AtomicFile; index.json last, the same way,
// under a lock that all fnimage processes honour (F25-F28, F30). Thread-safety: see ImageStore.
#pragma once

#include <filesystem>
#include <memory>

#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

/// Locked while index.json is changed.
inline constexpr std::string_view layout_lock_file = ".fnimage.lock";
/// Locked shared by those who put blobs, which nothing names yet: see OciLayout::reclaim().
inline constexpr std::string_view layout_writers_file = ".fnimage.writers";

/// Makes an empty layout of an existing directory, whatever it holds besides; does nothing to a
/// layout but to clean up what killed processes left. The directory's own entry in its parent is
/// the caller's to sync.
Result<void> make_layout(const std::filesystem::path& directory);

class OciLayout final : public ImageStore {
 public:
  enum class Mode : std::uint8_t { existing, create };
  /// Opens a layout. Mode::create makes an empty one when the directory is missing or empty, and
  /// refuses a directory that holds anything else. Errors: not_found, invalid_input (not a layout,
  /// unknown version). @param limits of index.json: beyond them no_space when it is written,
  /// invalid_input when it is read.
  static Result<std::unique_ptr<OciLayout>> open(
      const std::filesystem::path& directory, Mode mode,
      const manifest::ListLimits& limits = layout_index_limits);
  ~OciLayout() override;

  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] std::optional<RepositoryName> home_of(const manifest::Digest& image) override;
  Result<bool> note_home(const manifest::Digest& image, const RepositoryName& home) override;
  Result<std::optional<manifest::Descriptor>> resolve(const Selector& selector) override;
  Result<manifest::Document> get_manifest(const Selector& selector) override;
  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override;
  Result<bool> put_manifest_if(const manifest::Document& document, const std::string& tag,
                               const std::optional<manifest::Digest>& expected) override;
  [[nodiscard]] bool guards_tags() const override { return true; }
  Result<bool> has_blob(const manifest::Descriptor& blob) override;
  Result<ContentPtr> blob(const manifest::Descriptor& blob) override;
  /// Links instead of copying when `content` is a whole file on the same file system
  /// (content.file()); such content is trusted to be what its descriptor says, since only fnimage's
  /// own caches hand it out.
  Result<BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override;
  Result<std::vector<std::string>> tags() override;
  Result<void> remove_tag(const std::string& tag) override;
  Result<void> remove_manifest(const manifest::Digest& digest) override;
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override;

  /// index.json's entries as they stand, tagged or not.
  Result<std::vector<manifest::Descriptor>> entries();
  /// Adds entries to index.json, all with one write. One with a name takes it from what has it,
  /// which stays without a name, as in a registry; one without a name is left out when its manifest
  /// has another entry. The manifests are here already.
  Result<void> put_entries(const std::vector<manifest::Descriptor>& entries);
  struct Reclaimed {
    std::size_t blobs = 0;
    std::uint64_t bytes = 0;
    bool busy = false;  ///< nothing was done, since another process is writing here
  };
  /// Removes the blobs and manifests that no entry of index.json needs, and the entries of what
  /// refers to images that are not here (lists under fallback tags, cosign's tags). Waits for
  /// nobody: while another process, or another object of this one, writes here (it opened the
  /// layout with Mode::create or has put something), nothing is removed, since what it will name is
  /// not known yet. Error: also when an entry is damaged, so that what it needs cannot be known;
  /// then nothing is removed.
  Result<Reclaimed> reclaim();

  [[nodiscard]] const LayoutReader& reader() const noexcept;
  [[nodiscard]] const std::filesystem::path& directory() const noexcept;

 private:
  struct Impl;
  explicit OciLayout(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// $XDG_DATA_HOME/fnimage/store, or ~/.local/share/fnimage/store. Error: invalid_argument when
/// neither variable is set.
Result<std::filesystem::path> local_store_directory();

}  // namespace fnimage::registry

// What a repository's index.json says, ready to be asked, and how it is changed: its entries by tag
// and by digest. An entry is either a tag's, or that of a manifest without a tag: so all manifests
// and their media types are known. Entries that other tools gave names which are no tags are kept,
// and count as manifests. Thread-safety: IndexContent is immutable; a draft belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/index.hpp>

namespace fnimage::server {

struct IndexEntry {
  manifest::Digest digest;
  std::string media_type;
  std::string artifact_type;  ///< empty = none
  std::uint64_t size = 0;     ///< bytes of the manifest
  std::string tag;            ///< empty = none
  bool is_nameless = true;    ///< false also for a name that is no tag
  std::string text;           ///< the entry as JSON

  [[nodiscard]] manifest::Descriptor descriptor() const;
};

class IndexContent {
 public:
  using Ptr = std::shared_ptr<const IndexContent>;
  using Entries = std::vector<std::shared_ptr<const IndexEntry>>;

  /// Error: invalid_input.
  static Result<Ptr> parse(std::string_view text, const manifest::ListLimits& limits);

  /// Null = there is none.
  [[nodiscard]] const IndexEntry* find(std::string_view tag) const;
  [[nodiscard]] const IndexEntry* find(const manifest::Digest& digest) const;
  /// All, sorted by digest; one manifest may have several.
  [[nodiscard]] const Entries& entries() const noexcept { return by_digest_; }
  /// Sorted, each once.
  [[nodiscard]] std::shared_ptr<const std::vector<std::string>> tags() const;
  /// Whether both make the same index.json.
  [[nodiscard]] bool says_the_same_as(const IndexContent& other) const;
  /// Writes the bytes of index.json, in pieces of 64 KiB: with 100,000 manifests they are 20 MB.
  Result<void> write_to(Writer& out) const;

 private:
  friend class IndexDraft;
  IndexContent() = default;

  std::string head_, tail_;  ///< of the document, around the entries
  Entries by_tag_;           ///< those with a tag, sorted; of equal ones the first is meant
  Entries by_digest_;        ///< all, sorted
  std::size_t bytes_ = 0;    ///< of all entries' texts
  mutable std::once_flag tags_once_;
  mutable std::shared_ptr<const std::vector<std::string>> tags_;
};

/// The next content of an index.
class IndexDraft {
 public:
  IndexDraft(IndexContent::Ptr base, const manifest::ListLimits& limits)
      : base_(std::move(base)), limits_(limits) {}

  [[nodiscard]] const IndexContent& content() const noexcept { return next_ ? *next_ : *base_; }
  [[nodiscard]] bool is_changed() const noexcept { return next_ != nullptr; }
  [[nodiscard]] IndexContent::Ptr result() const { return next_ ? next_ : base_; }

  /// Moves the tags to the manifest; without tags it is only known afterwards. What a tag stood for
  /// stays known. Errors, after which nothing has changed: invalid_input (a media type that cannot
  /// be read back), no_space (beyond the limits).
  Result<void> put(const manifest::Descriptor& manifest, const std::vector<std::string>& tags);
  /// The manifest stays known. False = there was no such tag.
  bool remove_tag(const std::string& tag);
  /// With all its tags. False = there was none.
  bool remove_manifest(const manifest::Digest& digest) { return remove_manifests({digest}); }
  /// The same of several. False = there was none of them.
  bool remove_manifests(const std::set<manifest::Digest>& digests);

 private:
  using EntryPtr = std::shared_ptr<const IndexEntry>;
  IndexContent& edited();
  void move_tag(const EntryPtr& entry);
  void add(const EntryPtr& entry);
  void drop(const EntryPtr& entry);
  /// Entries of one tag, of one manifest.
  [[nodiscard]] std::vector<EntryPtr> of_tag(const std::string& tag) const;
  [[nodiscard]] std::vector<EntryPtr> of_digest(const manifest::Digest& digest) const;
  /// An entry that lost its tag may have been the last of its manifest.
  void keep_known(const IndexEntry& entry);

  IndexContent::Ptr base_;
  std::shared_ptr<IndexContent> next_{};
  manifest::ListLimits limits_;
};

}  // namespace fnimage::server

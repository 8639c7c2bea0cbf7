// What an image or list consists of: every manifest and every blob once, as a store has them. For
// archives, for what a copy would move, and for telling which blobs are still needed.
// Thread-safety: a value type; collecting belongs to one thread.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

/// How many manifests and lists, and how many bytes of them, one image or one transfer may have.
inline constexpr std::size_t max_documents = 100'000;
inline constexpr std::uint64_t max_documents_bytes = std::uint64_t{64} << 20;

/// Counts manifests against these limits.
class DocumentBudget {
 public:
  /// Error: invalid_input.
  Result<void> take(std::uint64_t bytes);

 private:
  std::size_t documents_ = 0;
  std::uint64_t bytes_ = 0;
};

enum class MissingChild : std::uint8_t { fails, is_skipped };

class ImageParts {
 public:
  /// Adds what `selector` stands for and everything below it, as far as it is not in yet. Errors:
  /// those of the store; not_found for a list's image that is missing (unless skipped);
  /// invalid_input for lists deeper than 8 levels, and for more than max_documents manifests or
  /// max_documents_bytes of them in all.
  /// @return the root.
  Result<manifest::Document> add(ImageStore& store, const Selector& selector,
                                 MissingChild missing = MissingChild::fails);

  [[nodiscard]] const std::vector<manifest::Document>& documents() const noexcept {
    return documents_;
  }
  /// Foreign layers (with `urls`) only when the store holds them.
  [[nodiscard]] const std::vector<manifest::Descriptor>& blobs() const noexcept { return blobs_; }
  /// Of manifests and blobs, also of those that were skipped.
  [[nodiscard]] bool has(const manifest::Digest& digest) const { return seen_.contains(digest); }
  [[nodiscard]] const std::set<manifest::Digest>& digests() const noexcept { return seen_; }
  /// Bytes of manifests and blobs.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

 private:
  Result<void> add_below(ImageStore& store, const manifest::Document& document, std::size_t depth,
                         MissingChild missing);
  Result<void> add_child(ImageStore& store, const manifest::Descriptor& child, std::size_t depth,
                         MissingChild missing);
  Result<void> add_blob(ImageStore& store, const manifest::Descriptor& blob);

  std::set<manifest::Digest> seen_;
  DocumentBudget budget_;
  std::vector<manifest::Document> documents_;
  std::vector<manifest::Descriptor> blobs_;
};

}  // namespace fnimage::registry

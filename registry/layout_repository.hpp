// A layout as a repository of a directory: all manifests have entries in index.json there, also
// those without a tag, as `fnimage serve` keeps them. index.json is read once and written once per
// flush(), since a repository may have many thousand tags. Thread-safety: see OpenRepository.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/repository_set.hpp>

#include "forwarding_store.hpp"

namespace fnimage::registry {

/// The layout's content; its entries and tags are those that it had when it was opened, and those
/// that were put since.
class LayoutStore final : public ForwardingStore {
 public:
  explicit LayoutStore(OciLayout& layout) : ForwardingStore(layout), layout_(layout) {}

  Result<manifest::Document> get_manifest(const Selector& selector) override;
  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override;
  Result<void> put_tags(const manifest::Document& document,
                        const std::vector<std::string>& tags) override;
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override;

  Result<std::vector<manifest::Descriptor>> entries();
  Result<std::vector<manifest::Descriptor>> untagged();
  Result<bool> has_entry(const manifest::Digest& digest);
  Result<void> flush();

 private:
  Result<void> load();
  Result<void> read_all();
  void note(const manifest::Document& document);

  OciLayout& layout_;
  std::mutex mutex_;
  bool is_loaded_ = false;  // guarded by mutex_, as what follows
  bool is_read_ = false;
  std::vector<manifest::Descriptor> entries_;
  std::map<manifest::Digest, std::string> types_;  ///< media types by entries
  std::set<manifest::Digest> children_;            ///< of lists
  std::map<manifest::Digest, std::vector<manifest::Descriptor>> referrers_;
  std::vector<manifest::Descriptor> waiting_;  ///< entries that flush() writes
};

class LayoutRepository final : public OpenRepository {
 public:
  explicit LayoutRepository(std::unique_ptr<OciLayout> layout)
      : layout_(std::move(layout)), store_(*layout_) {}

  ImageStore& store() override { return store_; }
  Result<TagListing> tags() override;
  Result<std::vector<manifest::Descriptor>> untagged() override { return store_.untagged(); }
  Result<bool> stands(const manifest::Digest& digest) override;
  Result<void> flush() override { return store_.flush(); }
  [[nodiscard]] std::optional<std::filesystem::path> file_of(
      const manifest::Digest& blob) const override {
    return layout_->directory() / layout_blob_name(blob);
  }

 private:
  std::unique_ptr<OciLayout> layout_;
  LayoutStore store_;
};

}  // namespace fnimage::registry

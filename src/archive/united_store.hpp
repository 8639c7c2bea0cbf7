// Images of several stores as one store to read from, so that one transfer can take them all: what
// they share is then sent once, and everything at the same time. What an image consists of is read
// where that image is. Private to archive. Thread-safety: see ImageStore; add() before all else.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <fnimage/registry/store.hpp>

namespace fnimage::archive {

class UnitedStore final : public registry::ImageStore {
 public:
  /// @param root an image of `store`, which is not owned.
  Result<void> add(registry::ImageStore& store, const manifest::Document& root);

  [[nodiscard]] std::string describe() const override;
  /// When all images are of one repository.
  [[nodiscard]] std::optional<registry::RepositoryName> repository() const override;
  [[nodiscard]] std::optional<registry::RepositoryName> home_of(
      const manifest::Digest& image) override;
  Result<std::optional<manifest::Descriptor>> resolve(const registry::Selector& selector) override;
  Result<manifest::Document> get_manifest(const registry::Selector& selector) override;
  Result<bool> has_blob(const manifest::Descriptor& blob) override;
  Result<ContentPtr> blob(const manifest::Descriptor& blob) override;

  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override;
  Result<registry::BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                                         const registry::PutBlobOptions& options) override;
  Result<std::vector<std::string>> tags() override;
  Result<void> remove_tag(const std::string& tag) override;
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override;

 private:
  [[nodiscard]] registry::ImageStore* holder_of(const registry::Selector& selector);
  /// Notes that what a manifest names is where the manifest is.
  Result<void> learn(registry::ImageStore& store, const manifest::Document& document);

  std::vector<registry::ImageStore*> stores_;
  std::map<manifest::Digest, manifest::Document> roots_;
  std::mutex mutex_;
  std::map<manifest::Digest, registry::ImageStore*> holders_;  // guarded by mutex_
};

}  // namespace fnimage::archive

// Images of several stores read as if they stood in one, so that one transfer sends them all: blobs
// that they share once, and mounted from where each of them is. Thread-safety: as every ImageStore.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <fnimage/registry/store.hpp>

namespace fnimage::build {

class ImageSources final : public registry::ImageStore {
 public:
  using Stores = std::vector<std::shared_ptr<registry::ImageStore>>;
  /// Where an image may be, in the order in which they are asked. What one has not got of it (its
  /// manifest, a blob), the next may have.
  using Holders = std::function<Result<Stores>(const manifest::Digest& image)>;

  /// @param name for messages. @param tagged where tags are looked up; null = there are none
  ImageSources(std::string name, std::shared_ptr<registry::ImageStore> tagged, Holders holders);

  [[nodiscard]] std::string describe() const override { return name_; }
  [[nodiscard]] std::optional<registry::RepositoryName> home_of(
      const manifest::Digest& image) override;
  Result<std::optional<manifest::Descriptor>> resolve(const registry::Selector& selector) override;
  Result<manifest::Document> get_manifest(const registry::Selector& selector) override;
  Result<bool> has_blob(const manifest::Descriptor& blob) override;
  /// Of an image whose manifest was read from here before. Error: not_found.
  Result<ContentPtr> blob(const manifest::Descriptor& blob) override;
  Result<std::vector<std::string>> tags() override;
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override;

  // Only for reading: unsupported.
  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override;
  Result<registry::BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                                         const registry::PutBlobOptions& options) override;
  Result<void> remove_tag(const std::string& tag) override;

 private:
  Result<void> remember(const manifest::Document& document,
                        const std::shared_ptr<registry::ImageStore>& from);
  /// The store with that blob; null when none is known to have it.
  Result<std::shared_ptr<registry::ImageStore>> holder_of(const manifest::Descriptor& blob);
  std::shared_ptr<registry::ImageStore> served_by(const manifest::Digest& manifest);

  std::string name_;
  std::shared_ptr<registry::ImageStore> tagged_;
  Holders holders_;
  std::mutex mutex_;
  /// Which store a manifest came from. Guarded by mutex_, as what follows.
  std::map<manifest::Digest, std::shared_ptr<registry::ImageStore>> served_;
  std::map<manifest::Digest, manifest::Digest> images_;  ///< a blob's image
};

}  // namespace fnimage::build

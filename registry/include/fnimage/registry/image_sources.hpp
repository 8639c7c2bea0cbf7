// Images of several stores read as if they stood in one, so that one transfer sends them all: blobs
// that they share once, and mounted from where each of them is. Thread-safety: as every ImageStore.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

class ImageSources final : public ImageStore {
 public:
  using Stores = std::vector<std::shared_ptr<ImageStore>>;
  /// Where an image may be, in the order in which they are asked. What one has not got of it (its
  /// manifest, a blob), the next may have.
  using Holders = std::function<Result<Stores>(const manifest::Digest& image)>;

  /// @param name for messages. @param tagged where tags are looked up; null = there are none
  ImageSources(std::string name, std::shared_ptr<ImageStore> tagged, Holders holders);

  [[nodiscard]] std::string describe() const override { return name_; }
  [[nodiscard]] std::optional<RepositoryName> home_of(const manifest::Digest& image) override;
  Result<std::optional<manifest::Descriptor>> resolve(const Selector& selector) override;
  Result<manifest::Document> get_manifest(const Selector& selector) override;
  Result<bool> has_blob(const manifest::Descriptor& blob) override;
  /// Of an image whose manifest was read from here before. Error: not_found.
  Result<ContentPtr> blob(const manifest::Descriptor& blob) override;
  Result<std::vector<std::string>> tags() override;
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override;

  // Only for reading: unsupported.
  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override;
  Result<BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override;
  Result<void> remove_tag(const std::string& tag) override;

 private:
  Result<void> remember(const manifest::Document& document,
                        const std::shared_ptr<ImageStore>& from);
  /// The store with that blob; null when none is known to have it.
  Result<std::shared_ptr<ImageStore>> holder_of(const manifest::Descriptor& blob);
  std::shared_ptr<ImageStore> served_by(const manifest::Digest& manifest);

  std::string name_;
  std::shared_ptr<ImageStore> tagged_;
  Holders holders_;
  std::mutex mutex_;
  /// Which store a manifest came from. Guarded by mutex_, as what follows.
  std::map<manifest::Digest, std::shared_ptr<ImageStore>> served_;
  std::map<manifest::Digest, manifest::Digest> images_;  ///< a blob's image
};

/// The local store for reading, with what its lists only refer to: images of the repository that
/// `list` names, and those whose home the store has noted. `client` has to outlive it.
std::unique_ptr<ImageStore> with_referred_images(std::shared_ptr<ImageStore> local,
                                                 const std::optional<manifest::Reference>& list,
                                                 Client& client);
/// The same; `local` is not owned and has to outlive it too.
std::unique_ptr<ImageStore> with_referred_images(ImageStore& local,
                                                 const std::optional<manifest::Reference>& list,
                                                 Client& client);

}  // namespace fnimage::registry

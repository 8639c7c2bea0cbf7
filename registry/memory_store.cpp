// Maps behind one mutex: what is stored here is small.
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/memory_store.hpp>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

class MemoryStore final : public ImageStore {
 public:
  explicit MemoryStore(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] std::string describe() const override { return "memory:" + name_; }

  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    const std::lock_guard lock(mutex_);
    const Document* document = find(selector);
    return document == nullptr ? std::nullopt : std::optional(document->descriptor());
  }

  Result<Document> get_manifest(const Selector& selector) override {
    const std::lock_guard lock(mutex_);
    const Document* document = find(selector);
    if (document == nullptr) {
      return fail(ErrorCode::not_found,
                  fmt::format("no {} in {}", to_string(selector), describe()));
    }
    return *document;
  }

  Result<void> put_manifest(const Document& document,
                            const std::optional<std::string>& tag) override {
    const std::lock_guard lock(mutex_);
    manifests_.emplace(document.digest(), document);
    if (tag) {
      tags_.insert_or_assign(*tag, document.digest());
    }
    return {};
  }

  Result<bool> put_manifest_if(const Document& document, const std::string& tag,
                               const std::optional<Digest>& expected) override {
    const std::lock_guard lock(mutex_);
    const auto found = tags_.find(tag);
    if (expected ? found == tags_.end() || found->second != *expected : found != tags_.end()) {
      return false;
    }
    manifests_.emplace(document.digest(), document);
    tags_.insert_or_assign(tag, document.digest());
    return true;
  }

  [[nodiscard]] bool guards_tags() const override { return true; }

  Result<bool> has_blob(const Descriptor& blob) override {
    const std::lock_guard lock(mutex_);
    return blobs_.contains(blob.digest);
  }

  Result<ContentPtr> blob(const Descriptor& blob) override {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(blob.digest);
    if (found == blobs_.end()) {
      return fail(ErrorCode::not_found,
                  fmt::format("no blob {} in {}", blob.digest.str(), describe()));
    }
    return found->second;
  }

  Result<BlobOutcome> put_blob(const Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override {
    {
      const std::lock_guard lock(mutex_);
      if (blobs_.contains(blob.digest)) {
        return BlobOutcome::existed;
      }
    }
    FNIMAGE_TRY(auto reader, content.open());
    const auto verified = verifying_reader(std::move(reader), blob.digest, blob.size,
                                           fmt::format("blob {}", blob.digest.str()));
    FNIMAGE_TRY(std::string bytes, read_all(*verified, blob.size));
    if (options.progress != nullptr) {
      options.progress->update(blob.size);
    }
    const std::lock_guard lock(mutex_);
    blobs_.emplace(blob.digest, memory_content(std::move(bytes)));
    return BlobOutcome::uploaded;
  }

  Result<std::vector<std::string>> tags() override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, digest] : tags_) {
      names.push_back(name);
    }
    return names;
  }

  Result<void> remove_tag(const std::string& tag) override {
    const std::lock_guard lock(mutex_);
    if (tags_.erase(tag) == 0) {
      return fail(ErrorCode::not_found, fmt::format("no tag {} in {}", tag, describe()));
    }
    return {};
  }

  Result<std::vector<Descriptor>> referrers(const Digest& digest) override {
    const std::lock_guard lock(mutex_);
    std::vector<Descriptor> found;
    for (const auto& [own, document] : manifests_) {
      if (document.is_image()) {
        FNIMAGE_TRY(const auto image, document.image());
        if (image.subject && image.subject->digest == digest) {
          found.push_back(document.descriptor());
          found.back().artifact_type = image.artifact_type;
        }
      }
    }
    return found;
  }

 private:
  const Document* find(const Selector& selector) const {
    const auto* digest = std::get_if<Digest>(&selector);
    if (digest == nullptr) {
      const auto tag = tags_.find(std::get<std::string>(selector));
      if (tag == tags_.end()) {
        return nullptr;
      }
      digest = &tag->second;
    }
    const auto found = manifests_.find(*digest);
    return found == manifests_.end() ? nullptr : &found->second;
  }

  std::string name_;
  std::mutex mutex_;
  std::map<Digest, Document> manifests_;
  std::map<Digest, ContentPtr> blobs_;
  std::map<std::string, Digest> tags_;
};

}  // namespace

std::unique_ptr<ImageStore> make_memory_store(std::string name) {
  return std::make_unique<MemoryStore>(std::move(name));
}

}  // namespace fnimage::registry

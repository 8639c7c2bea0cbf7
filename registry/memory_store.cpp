// A store in memory: three maps behind one mutex.
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/memory_store.hpp>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

/// The subject of a manifest or list, if it has one.
std::optional<Descriptor> subject_of(const Document& document) {
  if (document.is_image()) {
    const auto image = document.image();
    return image ? image->subject : std::nullopt;
  }
  if (document.is_index()) {
    const auto index = document.index();
    return index ? index->subject : std::nullopt;
  }
  return std::nullopt;
}

class MemoryStore final : public ImageStore {
 public:
  explicit MemoryStore(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] std::string describe() const override { return name_; }

  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    const std::lock_guard lock(mutex_);
    const Document* document = find(selector);
    return document == nullptr ? std::nullopt : std::optional(document->descriptor());
  }

  Result<Document> get_manifest(const Selector& selector) override {
    const std::lock_guard lock(mutex_);
    if (const Document* document = find(selector)) {
      return *document;
    }
    return fail(ErrorCode::not_found,
                fmt::format("no image \"{}\" in {}", printable(to_string(selector)), name_));
  }

  Result<void> put_manifest(const Document& document,
                            const std::optional<std::string>& tag) override {
    const std::lock_guard lock(mutex_);
    manifests_.insert_or_assign(document.digest(), document);
    if (tag) {
      tags_.insert_or_assign(*tag, document.digest());
    }
    return {};
  }

  Result<bool> has_blob(const Descriptor& blob) override {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(blob.digest);
    return found != blobs_.end() && found->second->size() == blob.size;
  }

  Result<ContentPtr> blob(const Descriptor& blob) override {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(blob.digest);
    if (found == blobs_.end() || found->second->size() != blob.size) {
      return fail(ErrorCode::not_found,
                  fmt::format("no blob {} of {} bytes in {}", blob.digest.str(), blob.size, name_));
    }
    return found->second;
  }

  Result<BlobOutcome> put_blob(const Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override {
    FNIMAGE_TRY(const bool there, has_blob(blob));
    if (there) {
      return BlobOutcome::existed;
    }
    FNIMAGE_TRY(std::unique_ptr<Reader> source, content.open());
    const std::unique_ptr<Reader> reader = manifest::verifying_reader(
        std::move(source), blob.digest, blob.size, "blob " + blob.digest.str());
    FNIMAGE_TRY(std::string bytes, read_all(*reader, blob.size));
    if (options.progress != nullptr) {
      options.progress->update(bytes.size());
    }
    const std::lock_guard lock(mutex_);
    blobs_.insert_or_assign(blob.digest, memory_content(std::move(bytes)));
    return BlobOutcome::uploaded;
  }

  Result<std::vector<std::string>> tags() override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    names.reserve(tags_.size());
    for (const auto& [name, digest] : tags_) {
      names.push_back(name);
    }
    return names;
  }

  Result<void> remove_tag(const std::string& tag) override {
    const std::lock_guard lock(mutex_);
    if (tags_.erase(tag) == 0) {
      return fail(ErrorCode::not_found, fmt::format("no tag \"{}\" in {}", printable(tag), name_));
    }
    return {};
  }

  Result<std::vector<Descriptor>> referrers(const Digest& digest) override {
    const std::lock_guard lock(mutex_);
    std::vector<Descriptor> found;
    for (const auto& [key, document] : manifests_) {
      const std::optional<Descriptor> subject = subject_of(document);
      if (subject && subject->digest == digest) {
        found.push_back(document.descriptor());
      }
    }
    return found;
  }

 private:
  [[nodiscard]] const Document* find(const Selector& selector) const {
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
  std::map<std::string, Digest> tags_;
  std::map<Digest, ContentPtr> blobs_;
};

}  // namespace

std::unique_ptr<ImageStore> make_memory_store(std::string name) {
  return std::make_unique<MemoryStore>(std::move(name));
}

}  // namespace fnimage::registry

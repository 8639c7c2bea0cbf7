// A store that passes everything on to another: the base of those that do one thing differently.
// Thread-safety: that of the store below.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

class ForwardingStore : public ImageStore {
 public:
  /// @param below not owned; outlives this.
  explicit ForwardingStore(ImageStore& below) : below_(below) {}

  [[nodiscard]] std::string describe() const override { return below_.describe(); }
  [[nodiscard]] std::optional<RepositoryName> repository() const override {
    return below_.repository();
  }
  [[nodiscard]] std::chrono::system_clock::time_point now() const override { return below_.now(); }
  void expect_writes() override { below_.expect_writes(); }
  [[nodiscard]] std::optional<RepositoryName> home_of(const manifest::Digest& image) override {
    return below_.home_of(image);
  }
  Result<bool> note_home(const manifest::Digest& image, const RepositoryName& home) override {
    return below_.note_home(image, home);
  }
  Result<std::optional<manifest::Descriptor>> resolve(const Selector& selector) override {
    return below_.resolve(selector);
  }
  Result<manifest::Document> get_manifest(const Selector& selector) override {
    return below_.get_manifest(selector);
  }
  Result<void> put_manifest(const manifest::Document& document,
                            const std::optional<std::string>& tag) override {
    return below_.put_manifest(document, tag);
  }
  Result<bool> put_manifest_if(const manifest::Document& document, const std::string& tag,
                               const std::optional<manifest::Digest>& expected) override {
    return below_.put_manifest_if(document, tag, expected);
  }
  [[nodiscard]] bool guards_tags() const override { return below_.guards_tags(); }
  Result<void> put_tags(const manifest::Document& document,
                        const std::vector<std::string>& tags) override {
    return below_.put_tags(document, tags);
  }
  Result<bool> has_blob(const manifest::Descriptor& blob) override { return below_.has_blob(blob); }
  Result<ContentPtr> blob(const manifest::Descriptor& blob) override { return below_.blob(blob); }
  Result<BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override {
    return below_.put_blob(blob, content, options);
  }
  Result<std::vector<std::string>> tags() override { return below_.tags(); }
  Result<void> remove_tag(const std::string& tag) override { return below_.remove_tag(tag); }
  Result<void> remove_manifest(const manifest::Digest& digest) override {
    return below_.remove_manifest(digest);
  }
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override {
    return below_.referrers(digest);
  }

 protected:
  [[nodiscard]] ImageStore& below() const noexcept { return below_; }

 private:
  ImageStore& below_;
};

}  // namespace fnimage::registry

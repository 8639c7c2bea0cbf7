#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/registry/reading_store.hpp>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

class ReadingStore final : public ImageStore {
 public:
  ReadingStore(LayoutReader reader, Error refusal)
      : reader_(std::move(reader)), refusal_(std::move(refusal)) {}

  [[nodiscard]] std::string describe() const override { return reader_.describe(); }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    return reader_.resolve(selector);
  }
  Result<Document> get_manifest(const Selector& selector) override {
    return reader_.get_manifest(selector);
  }
  Result<void> put_manifest(const Document& /*document*/,
                            const std::optional<std::string>& /*tag*/) override {
    return fail(refusal_);
  }
  Result<bool> has_blob(const Descriptor& blob) override { return reader_.has_blob(blob); }
  Result<ContentPtr> blob(const Descriptor& blob) override { return reader_.blob(blob); }
  Result<BlobOutcome> put_blob(const Descriptor& /*blob*/, const Content& /*content*/,
                               const PutBlobOptions& /*options*/) override {
    return fail(refusal_);
  }
  Result<std::vector<std::string>> tags() override { return reader_.tags(); }
  Result<void> remove_tag(const std::string& /*tag*/) override { return fail(refusal_); }
  Result<std::vector<Descriptor>> referrers(const Digest& digest) override {
    return reader_.referrers(digest);
  }

 private:
  LayoutReader reader_;
  Error refusal_;
};

}  // namespace

std::unique_ptr<ImageStore> reading_store(LayoutReader reader, Error refusal) {
  return std::make_unique<ReadingStore>(std::move(reader), std::move(refusal));
}

}  // namespace fnimage::registry

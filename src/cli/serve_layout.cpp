#include "serve_layout.hpp"

#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/stream.hpp>
#include <fnimage/registry/layout_reader.hpp>

namespace fnimage::cli {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using registry::Selector;

constexpr const char* layout_name = "this repository";

class LookedAtFiles final : public registry::LayoutFiles {
 public:
  explicit LookedAtFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}
  [[nodiscard]] std::string describe() const override { return layout_name; }
  [[nodiscard]] Result<std::string> read(const std::string& name,
                                         std::uint64_t limit) const override {
    FNIMAGE_TRY(const ContentPtr file, content(name));
    FNIMAGE_TRY(const auto reader, file->open());
    return read_all(*reader, limit);
  }
  [[nodiscard]] Result<ContentPtr> content(const std::string& name) const override {
    auto file = file_content(directory_ / name);
    if (!file) {
      return fail(file.error().code(), std::string(layout_name) + " does not have " + name);
    }
    return std::move(*file);
  }

 private:
  std::filesystem::path directory_;
};

class LookedAtLayout final : public registry::ImageStore {
 public:
  explicit LookedAtLayout(registry::LayoutReader reader) : reader_(std::move(reader)) {}
  [[nodiscard]] std::string describe() const override { return layout_name; }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    return reader_.resolve(selector);
  }
  Result<Document> get_manifest(const Selector& selector) override {
    return reader_.get_manifest(selector);
  }
  Result<void> put_manifest(const Document& /*document*/,
                            const std::optional<std::string>& /*tag*/) override {
    return read_only();
  }
  Result<bool> has_blob(const Descriptor& blob) override { return reader_.blob(blob).has_value(); }
  Result<ContentPtr> blob(const Descriptor& blob) override { return reader_.blob(blob); }
  Result<registry::BlobOutcome> put_blob(const Descriptor& /*blob*/, const Content& /*content*/,
                                         const registry::PutBlobOptions& /*options*/) override {
    return read_only();
  }
  Result<std::vector<std::string>> tags() override { return reader_.tags(); }
  Result<void> remove_tag(const std::string& /*tag*/) override { return read_only(); }
  Result<std::vector<Descriptor>> referrers(const Digest& digest) override {
    return reader_.referrers(digest);
  }

 private:
  static tl::unexpected<Error> read_only() {
    return fail(ErrorCode::unsupported, "it is only looked at");
  }
  registry::LayoutReader reader_;
};

}  // namespace

Result<std::unique_ptr<registry::ImageStore>> open_layout_to_look(
    const std::filesystem::path& directory) {
  registry::LayoutReader reader(std::make_shared<LookedAtFiles>(directory),
                                registry::layout_index_limits);
  FNIMAGE_CHECK(reader.check_version());
  return std::make_unique<LookedAtLayout>(std::move(reader));
}

}  // namespace fnimage::cli

// See selection.hpp. A list that does not exist yet is shown by a store that stands before the real
// one.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/registry/selection.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Document;
using manifest::Platform;

namespace {

/// A store with one more manifest in it; only for reading.
class ListView final : public ImageStore {
 public:
  ListView(std::unique_ptr<ImageStore> inner, Document list)
      : inner_(std::move(inner)), list_(std::move(list)) {}

  [[nodiscard]] std::string describe() const override { return inner_->describe(); }
  [[nodiscard]] std::optional<RepositoryName> repository() const override {
    return inner_->repository();
  }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    return is_list(selector) ? std::optional(list_.descriptor()) : inner_->resolve(selector);
  }
  Result<Document> get_manifest(const Selector& selector) override {
    return is_list(selector) ? Result<Document>(list_) : inner_->get_manifest(selector);
  }
  Result<void> put_manifest(const Document& /*document*/,
                            const std::optional<std::string>& /*tag*/) override {
    return read_only();
  }
  Result<bool> has_blob(const Descriptor& blob) override { return inner_->has_blob(blob); }
  Result<ContentPtr> blob(const Descriptor& blob) override { return inner_->blob(blob); }
  Result<BlobOutcome> put_blob(const Descriptor& /*blob*/, const Content& /*content*/,
                               const PutBlobOptions& /*options*/) override {
    return read_only();
  }
  Result<std::vector<std::string>> tags() override { return inner_->tags(); }
  Result<void> remove_tag(const std::string& /*tag*/) override { return read_only(); }
  Result<std::vector<Descriptor>> referrers(const manifest::Digest& digest) override {
    return inner_->referrers(digest);
  }

 private:
  [[nodiscard]] bool is_list(const Selector& selector) const {
    const auto* digest = std::get_if<manifest::Digest>(&selector);
    return digest != nullptr && *digest == list_.digest();
  }
  static tl::unexpected<Error> read_only() {
    return fail(ErrorCode::internal, "a selection is only for reading");
  }

  std::unique_ptr<ImageStore> inner_;
  Document list_;
};

std::string names_of(const std::vector<Descriptor>& entries) {
  std::vector<std::string> names;
  for (const Descriptor& entry : entries) {
    if (entry.platform) {
      names.push_back(printable(entry.platform->str()));
    }
  }
  return names.empty() ? "no platform at all" : fmt::format("{}", fmt::join(names, ", "));
}

Error no_such_platform(const std::string& what, const Platform& wanted, const std::string& has) {
  return Error(ErrorCode::platform_mismatch,
               fmt::format("{} has no image for {}; it has {}", what, wanted.str(), has))
      .with_hint("name platforms that it has, or build and push the missing one first");
}

Result<Descriptor> entry_for(const std::vector<Descriptor>& entries, const Platform& wanted,
                             const std::string& what) {
  const auto found = std::ranges::find_if(entries, [&](const Descriptor& entry) {
    return entry.platform && manifest::same_platform(*entry.platform, wanted);
  });
  if (found == entries.end()) {
    return fail(no_such_platform(what, wanted, names_of(entries)));
  }
  return *found;
}

std::string name_of(const ImageStore& store, const Selector& selector) {
  return fmt::format("{} in {}", printable(to_string(selector)), store.describe());
}

/// The image of a list or, when there is none, the image itself, which must be for that platform.
Result<Descriptor> entry_of(ImageStore& store, const Document& root, const Selector& selector,
                            const Platform& wanted) {
  if (root.is_index()) {
    FNIMAGE_TRY(const auto index, root.index());
    return entry_for(index.manifests, wanted, name_of(store, selector));
  }
  FNIMAGE_TRY(const auto image, root.image());
  FNIMAGE_TRY(const auto config, read_config(store, image.config));
  if (!manifest::same_platform(config.platform, wanted)) {
    return fail(
        no_such_platform(name_of(store, selector), wanted,
                         config.has_platform() ? printable(config.platform.str()) : names_of({})));
  }
  Descriptor own = root.descriptor();
  own.platform = config.platform;
  return own;
}

}  // namespace

Result<Descriptor> find_platform(ImageStore& store, const Selector& selector,
                                 const Platform& platform) {
  FNIMAGE_TRY(const Document root, store.get_manifest(selector));
  return entry_of(store, root, selector, platform);
}

Result<OpenedImage> select_platforms(OpenedImage image, const std::vector<Platform>& platforms,
                                     bool keep_list) {
  if (platforms.empty()) {
    return image;
  }
  FNIMAGE_TRY(const Document root, image.store->get_manifest(image.selector));
  std::vector<Descriptor> wanted;
  for (const Platform& platform : platforms) {
    FNIMAGE_TRY(Descriptor entry, entry_of(*image.store, root, image.selector, platform));
    wanted.push_back(std::move(entry));
  }
  if (!root.is_index() || (wanted.size() == 1 && !keep_list)) {
    return OpenedImage{std::move(image.store), wanted.front().digest};
  }
  FNIMAGE_TRY(manifest::Index index, root.index());
  const auto dropped = std::erase_if(index.manifests, [&](const Descriptor& entry) {
    return std::ranges::find(wanted, entry) == wanted.end();
  });
  if (dropped == 0) {
    return OpenedImage{std::move(image.store), root.digest()};
  }
  Document list = Document::of(index);
  const manifest::Digest digest = list.digest();
  return OpenedImage{std::make_unique<ListView>(std::move(image.store), std::move(list)), digest};
}

}  // namespace fnimage::registry

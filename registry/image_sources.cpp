// See image_sources.hpp.
#include <utility>

#include <fmt/format.h>

#include <fnimage/registry/image_sources.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

tl::unexpected<Error> not_here(const std::string& what, const std::string& name) {
  return fail(ErrorCode::not_found, fmt::format("no {} in {}", what, name));
}

tl::unexpected<Error> only_read(const std::string& name) {
  return fail(ErrorCode::unsupported, name + " is only read from");
}

}  // namespace

ImageSources::ImageSources(std::string name, std::shared_ptr<ImageStore> tagged, Holders holders)
    : name_(std::move(name)), tagged_(std::move(tagged)), holders_(std::move(holders)) {}

std::optional<RepositoryName> ImageSources::home_of(const Digest& image) {
  const auto store = served_by(image);
  return store ? store->home_of(image) : std::nullopt;
}

Result<std::optional<Descriptor>> ImageSources::resolve(const Selector& selector) {
  const auto* digest = std::get_if<Digest>(&selector);
  if (digest == nullptr) {
    return tagged_ ? tagged_->resolve(selector) : Result<std::optional<Descriptor>>(std::nullopt);
  }
  FNIMAGE_TRY(const Stores stores, holders_(*digest));
  for (const auto& store : stores) {
    FNIMAGE_TRY(auto found, store->resolve(selector));
    if (found) {
      return found;
    }
  }
  return std::nullopt;
}

Result<Document> ImageSources::get_manifest(const Selector& selector) {
  const auto* digest = std::get_if<Digest>(&selector);
  Stores stores{tagged_};
  if (digest != nullptr) {
    FNIMAGE_TRY(stores, holders_(*digest));
  }
  for (const auto& store : stores) {
    if (!store) {
      continue;
    }
    auto document = store->get_manifest(selector);
    if (document) {
      FNIMAGE_CHECK(remember(*document, store));
      return document;
    }
    if (document.error().code() != ErrorCode::not_found) {
      return document;
    }
  }
  return not_here(to_string(selector), name_);
}

Result<void> ImageSources::remember(const Document& document,
                                    const std::shared_ptr<ImageStore>& from) {
  std::vector<Digest> blobs;
  if (document.is_image()) {
    FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
    blobs.push_back(image.config.digest);
    for (const Descriptor& layer : image.layers) {
      blobs.push_back(layer.digest);
    }
  }
  const std::lock_guard lock(mutex_);
  served_.insert_or_assign(document.digest(), from);
  for (Digest& blob : blobs) {
    images_.try_emplace(std::move(blob), document.digest());
  }
  return {};
}

std::shared_ptr<ImageStore> ImageSources::served_by(const Digest& manifest) {
  const std::lock_guard lock(mutex_);
  const auto found = served_.find(manifest);
  return found == served_.end() ? nullptr : found->second;
}

Result<std::shared_ptr<ImageStore>> ImageSources::holder_of(const Descriptor& blob) {
  std::optional<Digest> image;
  {
    const std::lock_guard lock(mutex_);
    const auto found = images_.find(blob.digest);
    if (found == images_.end()) {
      return nullptr;
    }
    image = found->second;
  }
  FNIMAGE_TRY(const Stores stores, holders_(*image));
  for (const auto& store : stores) {
    // The last one is not asked: reading will tell.
    if (store == stores.back()) {
      return store;
    }
    FNIMAGE_TRY(const bool there, store->has_blob(blob));
    if (there) {
      return store;
    }
  }
  return nullptr;
}

Result<bool> ImageSources::has_blob(const Descriptor& blob) {
  FNIMAGE_TRY(const auto store, holder_of(blob));
  return store ? store->has_blob(blob) : Result<bool>(false);
}

Result<ContentPtr> ImageSources::blob(const Descriptor& blob) {
  FNIMAGE_TRY(const auto store, holder_of(blob));
  if (!store) {
    return not_here("blob " + blob.digest.str(), name_);
  }
  return store->blob(blob);
}

Result<std::vector<std::string>> ImageSources::tags() {
  return tagged_ ? tagged_->tags() : Result<std::vector<std::string>>();
}

Result<std::vector<Descriptor>> ImageSources::referrers(const Digest& digest) {
  const auto store = served_by(digest);
  return store ? store->referrers(digest) : Result<std::vector<Descriptor>>();
}

Result<void> ImageSources::put_manifest(const Document& /*document*/,
                                        const std::optional<std::string>& /*tag*/) {
  return only_read(name_);
}

Result<BlobOutcome> ImageSources::put_blob(const Descriptor& /*blob*/, const Content& /*content*/,
                                           const PutBlobOptions& /*options*/) {
  return only_read(name_);
}

Result<void> ImageSources::remove_tag(const std::string& /*tag*/) {
  return only_read(name_);
}

std::unique_ptr<ImageStore> with_referred_images(std::shared_ptr<ImageStore> local,
                                                 const std::optional<manifest::Reference>& list,
                                                 Client& client) {
  const bool refers = list && !list->registry().empty();
  const auto holders = [local, list, refers,
                        &client](const Digest& image) -> Result<ImageSources::Stores> {
    ImageSources::Stores stores{local};
    std::optional<manifest::Reference> more = refers ? list : std::nullopt;
    if (const auto home = local->home_of(image)) {
      FNIMAGE_TRY(more, manifest::Reference::parse(home->registry + "/" + home->repository));
    }
    if (more) {
      FNIMAGE_TRY(stores.emplace_back(), client.repository(*more));
    }
    return stores;
  };
  std::string name = local->describe();
  if (refers) {
    name += fmt::format(" or {}/{}", list->registry(), list->repository());
  }
  return std::make_unique<ImageSources>(std::move(name), std::move(local), holders);
}

std::unique_ptr<ImageStore> with_referred_images(ImageStore& local,
                                                 const std::optional<manifest::Reference>& list,
                                                 Client& client) {
  return with_referred_images(std::shared_ptr<ImageStore>(std::shared_ptr<void>(), &local), list,
                              client);
}

}  // namespace fnimage::registry

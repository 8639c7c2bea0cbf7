#include "united_store.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fnimage::archive {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using registry::ImageStore;
using registry::Selector;

namespace {

tl::unexpected<Error> only_for_reading() {
  return fail(ErrorCode::internal, "several images are only for reading");
}

}  // namespace

Result<void> UnitedStore::add(ImageStore& store, const Document& root) {
  if (std::ranges::find(stores_, &store) == stores_.end()) {
    stores_.push_back(&store);
  }
  if (!roots_.emplace(root.digest(), root).second) {
    return {};
  }
  holders_.emplace(root.digest(), &store);
  return learn(store, root);
}

std::string UnitedStore::describe() const {
  return stores_.size() == 1
             ? stores_.front()->describe()
             : fmt::format("{} and {} more", stores_.front()->describe(), stores_.size() - 1);
}

std::optional<registry::RepositoryName> UnitedStore::repository() const {
  const auto first = stores_.front()->repository();
  const bool common = std::ranges::all_of(
      stores_, [&](const ImageStore* store) { return store->repository() == first; });
  return common ? first : std::nullopt;
}

std::optional<registry::RepositoryName> UnitedStore::home_of(const Digest& image) {
  ImageStore* const holder = holder_of(image);
  return holder == nullptr ? std::nullopt : holder->home_of(image);
}

Result<std::optional<Descriptor>> UnitedStore::resolve(const Selector& selector) {
  ImageStore* const holder = holder_of(selector);
  return holder == nullptr ? Result<std::optional<Descriptor>>(std::nullopt)
                           : holder->resolve(selector);
}

Result<Document> UnitedStore::get_manifest(const Selector& selector) {
  ImageStore* const holder = holder_of(selector);
  if (holder == nullptr) {
    return fail(ErrorCode::not_found,
                fmt::format("{} is not in {}", registry::to_string(selector), describe()));
  }
  if (const auto root = roots_.find(std::get<Digest>(selector)); root != roots_.end()) {
    return root->second;
  }
  FNIMAGE_TRY(Document document, holder->get_manifest(selector));
  FNIMAGE_CHECK(learn(*holder, document));
  return document;
}

Result<bool> UnitedStore::has_blob(const Descriptor& blob) {
  ImageStore* const holder = holder_of(blob.digest);
  return holder == nullptr ? Result<bool>(false) : holder->has_blob(blob);
}

Result<ContentPtr> UnitedStore::blob(const Descriptor& blob) {
  ImageStore* const holder = holder_of(blob.digest);
  if (holder == nullptr) {
    return fail(ErrorCode::not_found,
                fmt::format("{} is not in {}", blob.digest.str(), describe()));
  }
  return holder->blob(blob);
}

Result<void> UnitedStore::put_manifest(const Document& /*document*/,
                                       const std::optional<std::string>& /*tag*/) {
  return only_for_reading();
}

Result<registry::BlobOutcome> UnitedStore::put_blob(const Descriptor& /*blob*/,
                                                    const Content& /*content*/,
                                                    const registry::PutBlobOptions& /*options*/) {
  return only_for_reading();
}

Result<std::vector<std::string>> UnitedStore::tags() {
  return std::vector<std::string>();
}

Result<void> UnitedStore::remove_tag(const std::string& /*tag*/) {
  return only_for_reading();
}

Result<std::vector<Descriptor>> UnitedStore::referrers(const Digest& digest) {
  ImageStore* const holder = holder_of(digest);
  return holder == nullptr ? std::vector<Descriptor>() : holder->referrers(digest);
}

ImageStore* UnitedStore::holder_of(const Selector& selector) {
  const auto* digest = std::get_if<Digest>(&selector);
  const std::lock_guard lock(mutex_);
  const auto found = digest == nullptr ? holders_.end() : holders_.find(*digest);
  return found == holders_.end() ? nullptr : found->second;
}

Result<void> UnitedStore::learn(ImageStore& store, const Document& document) {
  std::vector<Descriptor> named;
  if (document.is_index()) {
    FNIMAGE_TRY(auto index, document.index());
    named = std::move(index.manifests);
  } else if (document.is_image()) {
    FNIMAGE_TRY(auto image, document.image());
    named = std::move(image.layers);
    named.push_back(std::move(image.config));
  }
  const std::lock_guard lock(mutex_);
  for (const Descriptor& one : named) {
    holders_.emplace(one.digest, &store);
  }
  return {};
}

}  // namespace fnimage::archive

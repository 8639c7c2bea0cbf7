// See referrer_listing.hpp.
#include "referrer_listing.hpp"

#include <algorithm>

#include <fnimage/registry/fallback_tag.hpp>

namespace fnimage::registry {

namespace {

using manifest::Document;
using manifest::Index;

Result<Index> current_list(ImageStore& store, const std::string& tag) {
  const auto document = store.get_manifest(tag);
  if (!document) {
    if (document.error().code() == ErrorCode::not_found) {
      return Index{};
    }
    return fail(document.error());
  }
  if (!document->is_index()) {
    return fail(ErrorCode::unsupported,
                store.describe() + ":" + tag + " should list referrers, but is no list",
                "remove that tag, then push again");
  }
  return document->index();
}

}  // namespace

Result<std::optional<Referrer>> referrer_of(const Document& document) {
  // Most have none, and need not be parsed to say so.
  if (document.bytes().find("\"subject\"") == std::string::npos) {
    return std::nullopt;
  }
  std::optional<manifest::Descriptor> subject;
  manifest::Descriptor descriptor = document.descriptor();
  if (document.is_image()) {
    FNIMAGE_TRY(auto image, document.image());
    subject = std::move(image.subject);
    descriptor.artifact_type =
        image.artifact_type.empty() ? image.config.media_type : image.artifact_type;
    descriptor.annotations = std::move(image.annotations);
  } else if (document.is_index()) {
    FNIMAGE_TRY(auto index, document.index());
    subject = std::move(index.subject);
    descriptor.artifact_type = index.artifact_type;
    descriptor.annotations = std::move(index.annotations);
  }
  if (!subject) {
    return std::nullopt;
  }
  return Referrer{subject->digest, std::move(descriptor)};
}

Result<void> list_referrer(ImageStore& store, const Referrer& referrer) {
  const std::string tag = referrers_tag(referrer.subject);
  FNIMAGE_TRY(Index list, current_list(store, tag));
  const bool listed = std::any_of(list.manifests.begin(), list.manifests.end(),
                                  [&referrer](const manifest::Descriptor& entry) {
                                    return entry.digest == referrer.descriptor.digest;
                                  });
  if (listed) {
    return {};
  }
  list.manifests.push_back(referrer.descriptor);
  return store.put_manifest(Document::of(list), tag);
}

}  // namespace fnimage::registry

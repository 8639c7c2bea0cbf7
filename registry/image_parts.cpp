// See image_parts.hpp.
#include <algorithm>

#include <fmt/format.h>

#include <fnimage/registry/image_parts.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Document;

namespace {

constexpr std::size_t max_list_depth = 8;

}  // namespace

Result<void> DocumentBudget::take(std::uint64_t bytes) {
  ++documents_;
  bytes_ += std::min(bytes, max_documents_bytes);  // no overflow, whatever a list says
  if (bytes > manifest::max_document_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("a list names a manifest of {} bytes, more than {}", bytes,
                            manifest::max_document_bytes));
  }
  if (documents_ > max_documents || bytes_ > max_documents_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("more than {} manifests, or than {} MiB of them", max_documents,
                            max_documents_bytes >> 20U),
                "copy its images one by one");
  }
  return {};
}

Result<Document> ImageParts::add(ImageStore& store, const Selector& selector,
                                 MissingChild missing) {
  FNIMAGE_TRY(Document root, store.get_manifest(selector));
  if (seen_.insert(root.digest()).second) {
    FNIMAGE_CHECK(add_below(store, root, 0, missing));
  }
  return root;
}

std::uint64_t ImageParts::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const Document& document : documents_) {
    sum += document.bytes().size();
  }
  for (const Descriptor& blob : blobs_) {
    sum += blob.size;
  }
  return sum;
}

Result<void> ImageParts::add_below(ImageStore& store, const Document& document, std::size_t depth,
                                   MissingChild missing) {
  if (depth > max_list_depth) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} in {} has lists nested deeper than {} levels",
                            document.digest().str(), store.describe(), max_list_depth));
  }
  FNIMAGE_CHECK(budget_.take(document.bytes().size()));
  documents_.push_back(document);
  if (document.is_index()) {
    FNIMAGE_TRY(const auto index, document.index());
    for (const Descriptor& child : index.manifests) {
      FNIMAGE_CHECK(add_child(store, child, depth + 1, missing));
    }
  } else if (document.is_image()) {
    FNIMAGE_TRY(const auto image, document.image());
    FNIMAGE_CHECK(add_blob(store, image.config));
    for (const Descriptor& layer : image.layers) {
      FNIMAGE_CHECK(add_blob(store, layer));
    }
  }
  return {};
}

Result<void> ImageParts::add_child(ImageStore& store, const Descriptor& child, std::size_t depth,
                                   MissingChild missing) {
  if (!seen_.insert(child.digest).second) {
    return {};
  }
  const auto document = store.get_manifest(child.digest);
  if (document) {
    return add_below(store, *document, depth, missing);
  }
  if (document.error().code() == ErrorCode::not_found && missing == MissingChild::is_skipped) {
    return {};
  }
  Error error = document.error();
  return fail(std::move(error).while_doing(
      fmt::format("read the list's image for {}",
                  child.platform ? child.platform->str() : std::string("no platform"))));
}

Result<void> ImageParts::add_blob(ImageStore& store, const Descriptor& blob) {
  if (!seen_.insert(blob.digest).second) {
    return {};
  }
  if (!blob.urls.empty()) {
    // Foreign layers live elsewhere by design and are never fetched from there (A5).
    FNIMAGE_TRY(const bool held, store.has_blob(blob));
    if (!held) {
      return {};
    }
  }
  blobs_.push_back(blob);
  return {};
}

}  // namespace fnimage::registry

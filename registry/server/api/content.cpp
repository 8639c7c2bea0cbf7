#include "api/content.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::server {

namespace {

using manifest::Descriptor;

constexpr std::size_t most_reported = 20;

/// Layers that are got from elsewhere: their bytes need not be in any registry.
bool is_foreign(const Descriptor& layer) {
  return !layer.urls.empty() ||
         layer.media_type.starts_with("application/vnd.oci.image.layer.nondistributable.") ||
         layer.media_type.starts_with("application/vnd.docker.image.rootfs.foreign.");
}

ApiError missing(const Descriptor& part, std::string_view what) {
  return {code::manifest_blob_unknown, fmt::format("{} is not in this repository", what),
          part.digest.str()};
}

Result<std::optional<ApiError>> look_for_blob(const Descriptor& part, Repository* repository) {
  const auto size = repository == nullptr ? std::nullopt : repository->blob_size(part.digest);
  if (!size) {
    return missing(part, "a part of it");
  }
  if (*size != part.size) {
    return ApiError{code::size_invalid,
                    fmt::format("a blob has {} bytes, and the manifest says {}", *size, part.size),
                    part.digest.str()};
  }
  return std::nullopt;
}

Result<std::optional<ApiError>> look_for_child(const Descriptor& part, Repository* repository) {
  const bool is_document =
      manifest::is_index_type(part.media_type) || manifest::is_manifest_type(part.media_type);
  if (!is_document || repository == nullptr) {
    return look_for_blob(part, repository);
  }
  FNIMAGE_TRY(const auto found, repository->manifest(part.digest));
  if (!found) {
    return missing(part, "a manifest of the list");
  }
  if (found->descriptor.size != part.size) {
    return ApiError{code::size_invalid,
                    fmt::format("a manifest has {} bytes, and the list says {}",
                                found->descriptor.size, part.size),
                    part.digest.str()};
  }
  return std::nullopt;
}

}  // namespace

Result<ManifestContent> read_content(const std::string& bytes, std::string_view content_type) {
  FNIMAGE_TRY(const auto document,
              manifest::Document::from_bytes(bytes, content_type, "the manifest"));
  ManifestContent content{.media_type = document.media_type()};
  if (document.is_index()) {
    FNIMAGE_TRY(auto index, document.index());
    content.children = std::move(index.manifests);
    content.subject = std::move(index.subject);
    return content;
  }
  if (!document.is_image()) {
    return fail(ErrorCode::unsupported, fmt::format("manifests of the type {} are not kept here",
                                                    printable(document.media_type(), 120)));
  }
  FNIMAGE_TRY(auto image, document.image());
  content.blobs.push_back(std::move(image.config));
  for (Descriptor& layer : image.layers) {
    if (!is_foreign(layer)) {
      content.blobs.push_back(std::move(layer));
    }
  }
  content.subject = std::move(image.subject);
  return content;
}

Result<std::vector<ApiError>> missing_content(const ManifestContent& content,
                                              Repository* repository) {
  std::vector<ApiError> errors;
  const auto add = [&](std::optional<ApiError> error) {
    if (error && errors.size() < most_reported) {
      errors.push_back(std::move(*error));
    }
  };
  for (const Descriptor& blob : content.blobs) {
    FNIMAGE_TRY(auto error, look_for_blob(blob, repository));
    add(std::move(error));
  }
  for (const Descriptor& child : content.children) {
    FNIMAGE_TRY(auto error, look_for_child(child, repository));
    add(std::move(error));
  }
  return errors;
}

}  // namespace fnimage::server

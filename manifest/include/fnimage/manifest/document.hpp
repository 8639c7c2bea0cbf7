// A manifest or list as it came: the bytes are the truth and are passed on unchanged, whatever is
// read from them (design "Received bytes are the truth"). Thread-safety: a value type.
#pragma once

#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/index.hpp>

namespace fnimage::manifest {

/// Largest manifest or list that is read (distribution-spec asks for at least 4 MiB).
inline constexpr std::size_t max_document_bytes = std::size_t{4} * 1024 * 1024;

class Document {
 public:
  /// Takes bytes as received. @param content_type the Content-Type they came with (parameters
  /// ignored); empty = unknown: then the mediaType field decides, then the fields present. Errors:
  /// invalid_input for no JSON object, for a body mediaType that contradicts content_type (C5), for
  /// documents that are both list and manifest (V11), for too many bytes; unsupported for schema 1.
  /// Types that are neither list nor image manifest are kept, opaque.
  static Result<Document> from_bytes(std::string bytes, std::string_view content_type,
                                     std::string_view what);

  /// From values of our own.
  static Document of(const ImageManifest& manifest);
  static Document of(const Index& index);

  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::string& media_type() const noexcept { return media_type_; }
  /// sha256 over bytes().
  [[nodiscard]] const Digest& digest() const noexcept { return digest_; }
  [[nodiscard]] bool is_index() const noexcept { return is_index_type(media_type_); }
  [[nodiscard]] bool is_image() const noexcept { return is_manifest_type(media_type_); }
  /// media type, digest and size.
  [[nodiscard]] Descriptor descriptor() const;

  /// Error: invalid_input when it is not a list / not an image manifest or is malformed.
  [[nodiscard]] Result<Index> index() const;
  [[nodiscard]] Result<ImageManifest> image() const;

 private:
  Document(std::string bytes, std::string media_type);
  std::string bytes_;
  std::string media_type_;
  Digest digest_;
};

}  // namespace fnimage::manifest

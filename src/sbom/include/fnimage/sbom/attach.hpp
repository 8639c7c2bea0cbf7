// Documents that are kept with an image: each a referrer (OCI 1.1 manifest with subject) of its
// platform's manifest, whose one layer is the document. Thread-safety: functions that are pure but
// for the stores.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/sbom/contents.hpp>
#include <fnimage/sbom/format.hpp>

namespace fnimage::sbom {

struct Attached {
  manifest::Descriptor manifest;  ///< of the referrer
  manifest::Descriptor document;
  bool existed = false;  ///< the same document was attached already; nothing was written
};

/// Attaches the document of these contents to their image, which should be in `store`. Where the
/// store has no referrers API the referrer is listed under the fallback tag. Doing so twice changes
/// nothing. Errors: those of the store.
Result<Attached> attach(registry::ImageStore& store, const Contents& contents, Format format);

/// Something that refers to an image.
struct Companion {
  manifest::Descriptor manifest;   ///< with its artifact type
  std::optional<Format> format{};  ///< of its document; nullopt = it is no bill of materials
  std::optional<manifest::Descriptor> document{};
  std::optional<std::size_t> packages{};
  std::string problem{};  ///< why it could not be read; empty = fine
};

/// All that refers to an image, bills of materials first. Each of these costs reading its manifest
/// and its document. What cannot be read is described by its problem. Error: that of asking for the
/// referrers, invalid_input for more than 1,000 of them.
Result<std::vector<Companion>> companions_of(registry::ImageStore& store,
                                             const manifest::Digest& image);

/// The document that an artifact holds; nullopt for what is no bill of materials.
Result<std::optional<std::string>> read_document_of(registry::ImageStore& store,
                                                    const manifest::Document& artifact);

/// The one document that is attached to an image. Errors: not_found when there is none;
/// invalid_argument when there are several, naming them; those of the store.
/// @param format only this one, when given
Result<std::string> read_attached(registry::ImageStore& store, const manifest::Digest& image,
                                  std::optional<Format> format);

}  // namespace fnimage::sbom

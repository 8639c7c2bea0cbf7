// Writing and reading referrers that hold a document, see attach.hpp. Source: image-spec
// manifest.md "Guidelines for Artifact Usage".
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/sbom/attach.hpp>

namespace fnimage::sbom {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

constexpr std::size_t max_companions = 1'000;
constexpr std::string_view empty_config = "{}";

Descriptor descriptor_of(std::string_view bytes, std::string_view media_type) {
  return {.media_type = std::string(media_type), .digest = Digest::of(bytes), .size = bytes.size()};
}

/// What a subject says of the image: nothing but which one it is.
Descriptor subject_of(const Descriptor& image) {
  return {.media_type = image.media_type, .digest = image.digest, .size = image.size};
}

bool is_listed(const std::vector<Descriptor>& referrers, const Digest& digest) {
  return std::ranges::any_of(referrers,
                             [&](const Descriptor& entry) { return entry.digest == digest; });
}

Result<std::string> read_document(registry::ImageStore& store, const Descriptor& document) {
  if (document.size > max_document_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the document has more than {} MiB", max_document_bytes >> 20U));
  }
  FNIMAGE_TRY(const ContentPtr content, store.blob(document));
  FNIMAGE_TRY(const auto reader, content->open());
  return read_all(*reader, max_document_bytes);
}

/// The only layer of an artifact, if it is a bill of materials. By its own type: some tools give
/// the artifact another one.
Result<std::optional<Descriptor>> document_in(const Document& artifact) {
  if (!artifact.is_image()) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const manifest::ImageManifest image, artifact.image());
  const bool found = image.layers.size() == 1 && format_of(image.layers.front().media_type);
  return found ? std::optional(image.layers.front()) : std::nullopt;
}

/// Reads format and document of a referrer; leaves those alone that are something else.
Result<void> look_into(registry::ImageStore& store, Companion& companion) {
  FNIMAGE_TRY(const Document artifact, store.get_manifest(companion.manifest.digest));
  FNIMAGE_TRY(companion.document, document_in(artifact));
  if (companion.document) {
    companion.format = format_of(companion.document->media_type);
  }
  return {};
}

Result<void> count_in(registry::ImageStore& store, Companion& companion) {
  FNIMAGE_TRY(const std::string text, read_document(store, *companion.document));
  FNIMAGE_TRY(companion.packages, count_packages(text, *companion.format));
  return {};
}

Result<std::vector<Companion>> find_companions_of(registry::ImageStore& store,
                                                  const Digest& image) {
  FNIMAGE_TRY(const std::vector<Descriptor> referrers, store.referrers(image));
  if (referrers.size() > max_companions) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} has more than {} referrers", image.str(), max_companions));
  }
  std::vector<Companion> found;
  for (const Descriptor& referrer : referrers) {
    Companion& companion = found.emplace_back(Companion{.manifest = referrer});
    if (const Result<void> read = look_into(store, companion); !read) {
      companion.problem = read.error().describe();
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Companion& a, const Companion& b) {
    return std::pair(!a.format, a.format) < std::pair(!b.format, b.format);
  });
  return found;
}

}  // namespace

Result<Attached> attach(registry::ImageStore& store, const Contents& contents, Format format) {
  std::string text = to_document(contents, format);
  const std::string_view type = media_type_of(format);
  manifest::ImageManifest artifact{
      .config = descriptor_of(empty_config, manifest::media_type::oci_empty),
      .layers = {descriptor_of(text, type)}};
  artifact.artifact_type = type;
  artifact.subject = subject_of(contents.image);
  artifact.annotations = {{std::string(manifest::annotation::created), contents.created}};
  const Document document = Document::of(artifact);
  Attached attached{.manifest = document.descriptor(), .document = artifact.layers.front()};
  attached.manifest.artifact_type = type;
  FNIMAGE_TRY(const std::vector<Descriptor> referrers, store.referrers(contents.image.digest));
  if (is_listed(referrers, document.digest())) {
    FNIMAGE_TRY(const auto standing, store.resolve(document.digest()));
    FNIMAGE_TRY(const bool whole, store.has_blob(attached.document));
    attached.existed = standing.has_value() && whole;
  }
  if (attached.existed) {
    return attached;
  }
  FNIMAGE_CHECK(store.put_blob(artifact.config, *memory_content(std::string(empty_config)), {}));
  FNIMAGE_CHECK(
      store.put_blob(attached.document, *memory_content(std::move(text)), {.probably_new = true}));
  FNIMAGE_CHECK(registry::put_referrer(store, document));
  return attached;
}

Result<std::vector<Companion>> companions_of(registry::ImageStore& store, const Digest& image) {
  FNIMAGE_TRY(std::vector<Companion> found, find_companions_of(store, image));
  for (Companion& companion : found) {
    if (!companion.format || !companion.problem.empty()) {
      continue;
    }
    if (const Result<void> read = count_in(store, companion); !read) {
      companion.problem = read.error().describe();
    }
  }
  return found;
}

Result<std::optional<std::string>> read_document_of(registry::ImageStore& store,
                                                    const Document& artifact) {
  FNIMAGE_TRY(const std::optional<Descriptor> document, document_in(artifact));
  if (!document) {
    return std::nullopt;
  }
  FNIMAGE_TRY(std::string text, read_document(store, *document));
  return text;
}

Result<std::string> read_attached(registry::ImageStore& store, const Digest& image,
                                  std::optional<Format> format) {
  FNIMAGE_TRY(std::vector<Companion> found, find_companions_of(store, image));
  std::string problem;
  for (const Companion& companion : found) {
    problem = companion.problem.empty() ? problem : companion.problem;
  }
  std::erase_if(found, [&](const Companion& companion) {
    return !companion.document || (format && companion.format != format);
  });
  if (found.empty()) {
    return fail(ErrorCode::not_found,
                fmt::format("no {}bill of materials is attached to {}{}",
                            format ? fmt::format("{} ", to_string(*format)) : std::string(),
                            image.str(), problem.empty() ? "" : "; " + printable(problem)),
                "`fnimage sbom REF --attach` makes and attaches one");
  }
  if (found.size() > 1) {
    std::vector<std::string> names;
    names.reserve(found.size());
    for (const Companion& companion : found) {
      names.push_back(
          fmt::format("{} {}", to_string(*companion.format), companion.manifest.digest.str()));
    }
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} bills of materials are attached to {}: {}", found.size(),
                            image.str(), join(names, ", ")),
                "choose with --format, or name one: fnimage inspect --sbom NAME@DIGEST");
  }
  return read_document(store, *found.front().document);
}

}  // namespace fnimage::sbom

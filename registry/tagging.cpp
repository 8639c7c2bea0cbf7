// See tagging.hpp.
#include <array>
#include <random>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/tagging.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

std::string random_hex() {
  std::random_device device;
  std::array<std::uint32_t, 4> words{};
  for (std::uint32_t& word : words) {
    word = device();
  }
  return to_hex(std::as_bytes(std::span(words)));
}

/// A manifest that nobody else has ever put: deleting its digest takes nothing of anybody's away.
/// Its only blob is in the store when this returns.
Result<Document> put_placeholder_blob(ImageStore& store) {
  manifest::ImageConfig config;
  config.platform = manifest::host_platform();
  const std::string bytes = emit(config);
  const Descriptor blob{.media_type = std::string(manifest::media_type::oci_config),
                        .digest = Digest::of(bytes),
                        .size = bytes.size()};
  FNIMAGE_CHECK(store.put_blob(blob, *memory_content(bytes), {}));
  return Document::of(manifest::ImageManifest{
      .config = blob, .layers = {}, .annotations = {{"org.fnimage.placeholder", random_hex()}}});
}

Error no_deletion(Error error, const ImageStore& store, const std::string& tag) {
  return std::move(
      std::move(error)
          .with_hint(
              "allow deletion in the registry's configuration, or use the registry's own tools")
          .while_doing(
              fmt::format("remove tag {} of {}, which is unchanged", tag, store.describe())));
}

/// Whether manifests can be deleted at all, found out on one that no tag stands for.
Result<void> try_deletion(ImageStore& store) {
  FNIMAGE_TRY(const Document probe, put_placeholder_blob(store));
  FNIMAGE_CHECK(store.put_manifest(probe, std::nullopt));
  return store.remove_manifest(probe.digest());
}

Result<void> remove_by_placeholder(ImageStore& store, const std::string& tag,
                                   const Document& original) {
  if (auto possible = try_deletion(store); !possible) {
    return fail(no_deletion(std::move(possible).error(), store, tag));
  }
  FNIMAGE_TRY(const Document placeholder, put_placeholder_blob(store));
  Result<void> removed = store.put_manifest(placeholder, tag);
  if (removed) {
    removed = store.remove_manifest(placeholder.digest());
  }
  if (removed) {
    return {};
  }
  Error error = std::move(removed).error();
  const Result<void> restored = store.put_manifest(original, tag);
  return fail(std::move(error).while_doing(
      restored ? fmt::format("remove tag {} of {}, which is as before", tag, store.describe())
               : fmt::format("remove tag {} of {}, which stands for a placeholder now (it was {})",
                             tag, store.describe(), original.digest().str())));
}

}  // namespace

Result<Retagged> retag(ImageStore& store, const Selector& selector,
                       const std::vector<std::string>& tags) {
  FNIMAGE_TRY(const Document document, store.get_manifest(selector));
  Retagged result{.root = document.descriptor()};
  for (const std::string& tag : tags) {
    FNIMAGE_TRY(const auto before, store.resolve(tag));
    result.tags.push_back({tag, before ? std::optional(before->digest) : std::optional<Digest>()});
  }
  for (const std::string& tag : tags) {
    auto put = store.put_manifest(document, tag);
    if (!put) {
      return fail(std::move(put).error().while_doing(
          fmt::format("tag {} in {}", printable(tag), store.describe())));
    }
  }
  return result;
}

Result<Digest> remove_single_tag(ImageStore& store, const std::string& tag) {
  auto original = store.get_manifest(tag);
  if (!original) {
    return fail(std::move(original).error());
  }
  auto removed = store.remove_tag(tag);
  if (!removed && removed.error().code() == ErrorCode::unsupported) {
    removed = remove_by_placeholder(store, tag, *original);
  }
  FNIMAGE_CHECK(removed);
  return original->digest();
}

Result<std::vector<std::string>> tags_of(ImageStore& store, const Digest& digest) {
  FNIMAGE_TRY(const auto tags, store.tags());
  std::vector<std::string> found;
  for (const std::string& tag : tags) {
    FNIMAGE_TRY(const auto stands_for, store.resolve(tag));
    if (stands_for && stands_for->digest == digest) {
      found.push_back(tag);
    }
  }
  return found;
}

}  // namespace fnimage::registry

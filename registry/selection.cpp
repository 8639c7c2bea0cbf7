// See selection.hpp. Manifests that do not exist yet are shown by a store that stands before the
// real one.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/registry/selection.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Platform;

namespace {

/// A store with more manifests in it; only for reading.
class View final : public ImageStore {
 public:
  /// @param owned null when `inner` is somebody else's.
  View(ImageStore& inner, std::unique_ptr<ImageStore> owned, std::map<Digest, Document> documents)
      : owned_(std::move(owned)), inner_(inner), documents_(std::move(documents)) {}

  [[nodiscard]] std::string describe() const override { return inner_.describe(); }
  [[nodiscard]] std::optional<RepositoryName> repository() const override {
    return inner_.repository();
  }
  [[nodiscard]] std::optional<RepositoryName> home_of(const Digest& image) override {
    return inner_.home_of(image);
  }
  Result<std::optional<Descriptor>> resolve(const Selector& selector) override {
    const Document* own = find(selector);
    return own != nullptr ? std::optional(own->descriptor()) : inner_.resolve(selector);
  }
  Result<Document> get_manifest(const Selector& selector) override {
    const Document* own = find(selector);
    return own != nullptr ? Result<Document>(*own) : inner_.get_manifest(selector);
  }
  Result<void> put_manifest(const Document& /*document*/,
                            const std::optional<std::string>& /*tag*/) override {
    return read_only();
  }
  Result<bool> has_blob(const Descriptor& blob) override { return inner_.has_blob(blob); }
  Result<ContentPtr> blob(const Descriptor& blob) override { return inner_.blob(blob); }
  Result<BlobOutcome> put_blob(const Descriptor& /*blob*/, const Content& /*content*/,
                               const PutBlobOptions& /*options*/) override {
    return read_only();
  }
  Result<std::vector<std::string>> tags() override { return inner_.tags(); }
  Result<void> remove_tag(const std::string& /*tag*/) override { return read_only(); }
  Result<std::vector<Descriptor>> referrers(const Digest& digest) override {
    return inner_.referrers(digest);
  }

 private:
  [[nodiscard]] const Document* find(const Selector& selector) const {
    const auto* digest = std::get_if<Digest>(&selector);
    const auto found = digest == nullptr ? documents_.end() : documents_.find(*digest);
    return found == documents_.end() ? nullptr : &found->second;
  }
  static tl::unexpected<Error> read_only() {
    return fail(ErrorCode::internal, "a selection is only for reading");
  }

  std::unique_ptr<ImageStore> owned_;
  ImageStore& inner_;
  std::map<Digest, Document> documents_;
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

std::string name_of(const ImageStore& store, const Selector& selector) {
  return fmt::format("{} in {}", printable(to_string(selector)), store.describe());
}

/// The images of a list. Lists within it are only read when that is needed.
class Entries {
 public:
  Entries(ImageStore& store, const manifest::Index& index) : store_(store) { take(index); }

  /// Null when there is none.
  Result<const Descriptor*> find(const Platform& wanted) {
    const auto is_wanted = [&](const Descriptor& entry) {
      return entry.platform && manifest::same_platform(*entry.platform, wanted);
    };
    auto found = std::ranges::find_if(images_, is_wanted);
    if (found == images_.end()) {
      FNIMAGE_CHECK(descend());
      found = std::ranges::find_if(images_, is_wanted);
    }
    return found == images_.end() ? nullptr : &*found;
  }

  /// Reads the lists within.
  Result<void> descend() {
    for (std::size_t depth = 0; !lists_.empty(); ++depth) {
      for (const Descriptor& list : std::exchange(lists_, {})) {
        if (depth >= max_depth || seen_.size() >= max_lists) {
          return fail(ErrorCode::invalid_input,
                      fmt::format("{} has lists nested deeper than {} levels, or more than {}",
                                  store_.describe(), max_depth, max_lists));
        }
        if (seen_.insert(list.digest).second) {
          FNIMAGE_TRY(const Document document, store_.get_manifest(list.digest));
          FNIMAGE_TRY(const manifest::Index index, document.index());
          take(index);
        }
      }
    }
    return {};
  }

  /// Those that are known by now, attestations among them.
  [[nodiscard]] const std::vector<Descriptor>& images() const noexcept { return images_; }

 private:
  static constexpr std::size_t max_depth = 8;
  static constexpr std::size_t max_lists = 1000;

  void take(const manifest::Index& index) {
    for (const Descriptor& entry : index.manifests) {
      (manifest::is_index_type(entry.media_type) ? lists_ : images_).push_back(entry);
    }
  }

  ImageStore& store_;
  std::vector<Descriptor> images_;
  std::vector<Descriptor> lists_;  ///< not read yet
  std::set<Digest> seen_;
};

Result<Descriptor> entry_for(Entries& entries, const Platform& wanted, const std::string& what) {
  FNIMAGE_TRY(const Descriptor* found, entries.find(wanted));
  if (found == nullptr) {
    return fail(no_such_platform(what, wanted, names_of(entries.images())));
  }
  return *found;
}

/// The image itself, when it is for that platform.
Result<Descriptor> only_entry(ImageStore& store, const Document& root, const Selector& selector,
                              const Platform& wanted) {
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

bool is_docker(std::string_view type) {
  return type == manifest::media_type::docker_manifest || type == manifest::media_type::docker_list;
}

/// Makes the documents of an image of another shape.
class Shaper {
 public:
  Shaper(ImageStore& store, const Selector& selector, const ImageShape& shape,
         Diagnostics& diagnostics)
      : store_(store), selector_(selector), shape_(shape), diagnostics_(diagnostics) {}

  Result<ShapedImage> run() {
    FNIMAGE_TRY(const Document root, store_.get_manifest(selector_));
    if (!root.is_index()) {
      return single(root);
    }
    FNIMAGE_TRY(const manifest::Index index, root.index());
    const manifest::Format format = shape_.format.value_or(index.format);
    if (format == manifest::Format::docker &&
        !(shape_.annotations.empty() && shape_.entry_annotations.empty())) {
      return fail(ErrorCode::unsupported, "Docker lists have no annotations", "use --format oci");
    }
    Entries entries(store_, index);
    FNIMAGE_TRY(std::vector<Descriptor> kept, keep(entries, index));
    if (shape_.platforms.size() == 1 && !shape_.keep_list) {
      FNIMAGE_CHECK(convert(kept.front()));
      return finish(kept.front().digest);
    }
    manifest::Index made = index;
    made.format = format;
    made.manifests = std::move(kept);
    FNIMAGE_CHECK(reshape(made));
    if (made == index) {
      return finish(root.digest());
    }
    const Document list = Document::of(made);
    documents_.emplace(list.digest(), list);
    return finish(list.digest());
  }

 private:
  Result<ShapedImage> single(const Document& root) {
    if (!(shape_.annotations.empty() && shape_.entry_annotations.empty())) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{} is a single image, which has no list to annotate",
                              name_of(store_, selector_)),
                  "make a list of it with `fnimage manifest create`");
    }
    for (const Platform& platform : shape_.platforms) {
      FNIMAGE_CHECK(only_entry(store_, root, selector_, platform));
    }
    Descriptor own = root.descriptor();
    FNIMAGE_CHECK(convert(own));
    return finish(own.digest);
  }

  /// The wanted images in their order, each with its attestations.
  Result<std::vector<Descriptor>> keep(Entries& entries, const manifest::Index& index) {
    if (shape_.platforms.empty()) {
      if (!shape_.format) {
        return index.manifests;
      }
      FNIMAGE_CHECK(entries.descend());
      return entries.images();
    }
    std::vector<Descriptor> wanted;
    std::set<std::string> digests;
    for (const Platform& platform : shape_.platforms) {
      FNIMAGE_TRY(Descriptor entry, entry_for(entries, platform, name_of(store_, selector_)));
      digests.insert(entry.digest.str());
      wanted.push_back(std::move(entry));
    }
    if (wanted.size() == 1 && !shape_.keep_list) {
      return wanted;
    }
    std::vector<Descriptor> kept = entries.images();
    std::erase_if(kept, [&](const Descriptor& entry) {
      const std::string attested = attested_digest(entry);
      return attested.empty() ? std::ranges::find(wanted, entry) == wanted.end()
                              : !digests.contains(attested);
    });
    return kept;
  }

  /// What an attestation speaks of; empty for anything else.
  static std::string attested_digest(const Descriptor& entry) {
    const auto named = entry.annotations.find("vnd.docker.reference.digest");
    return entry.platform && entry.platform->os == "unknown" && named != entry.annotations.end()
               ? named->second
               : std::string();
  }

  Result<void> reshape(manifest::Index& made) {
    std::set<std::string> converted;
    for (Descriptor& entry : made.manifests) {
      const std::string before = entry.digest.str();
      if (attested_digest(entry).empty()) {
        FNIMAGE_CHECK(convert(entry));
        for (const auto& [name, value] : shape_.entry_annotations) {
          entry.annotations[name] = value;
        }
      }
      if (entry.digest.str() != before) {
        converted.insert(before);
      }
    }
    const bool docker = made.format == manifest::Format::docker;
    const auto dropped = std::erase_if(made.manifests, [&](const Descriptor& entry) {
      const std::string attested = attested_digest(entry);
      return !attested.empty() && (docker || converted.contains(attested));
    });
    if (dropped > 0) {
      diagnostics_.report(Severity::warning,
                          fmt::format("{} attestation{} left out: conversion changes the digests "
                                      "that they are about",
                                      dropped, dropped == 1 ? " is" : "s are"));
    }
    for (const auto& [name, value] : shape_.annotations) {
      made.annotations[name] = value;
    }
    if (docker) {
      made.annotations.clear();
      made.artifact_type.clear();
      made.subject.reset();
      for (Descriptor& entry : made.manifests) {
        entry.annotations.clear();
        entry.artifact_type.clear();
      }
    }
    return {};
  }

  /// Brings an image into the wanted family of media types; its config and layers stay.
  Result<void> convert(Descriptor& entry) {
    if (!shape_.format ||
        is_docker(entry.media_type) == (*shape_.format == manifest::Format::docker)) {
      return {};
    }
    FNIMAGE_TRY(const Document document, store_.get_manifest(entry.digest));
    FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
    const manifest::ImageManifest converted = manifest::convert(image, *shape_.format);
    FNIMAGE_CHECK(manifest::require_valid(manifest::validate(converted), entry.digest.str()));
    const Document made = Document::of(converted);
    entry.media_type = made.media_type();
    entry.digest = made.digest();
    entry.size = made.bytes().size();
    documents_.emplace(made.digest(), made);
    return {};
  }

  ShapedImage finish(Digest root) {
    return {.root = std::move(root), .made = std::move(documents_)};
  }

  ImageStore& store_;
  const Selector& selector_;
  const ImageShape& shape_;
  Diagnostics& diagnostics_;
  std::map<Digest, Document> documents_;
};

}  // namespace

bool ImageShape::says_anything() const {
  return !platforms.empty() || format || !annotations.empty() || !entry_annotations.empty();
}

Result<Descriptor> find_platform(ImageStore& store, const Selector& selector,
                                 const Platform& platform) {
  FNIMAGE_TRY(const Document root, store.get_manifest(selector));
  if (!root.is_index()) {
    return only_entry(store, root, selector, platform);
  }
  FNIMAGE_TRY(const auto index, root.index());
  Entries entries(store, index);
  return entry_for(entries, platform, name_of(store, selector));
}

Result<ShapedImage> shape_in(ImageStore& store, const Selector& selector, const ImageShape& shape,
                             Diagnostics& diagnostics) {
  return Shaper(store, selector, shape, diagnostics).run();
}

std::unique_ptr<ImageStore> with_manifests(ImageStore& store, std::map<Digest, Document> made) {
  return std::make_unique<View>(store, nullptr, std::move(made));
}

Result<OpenedImage> shape_image(OpenedImage image, const ImageShape& shape,
                                Diagnostics& diagnostics) {
  if (!shape.says_anything()) {
    return image;
  }
  FNIMAGE_TRY(ShapedImage shaped, shape_in(*image.store, image.selector, shape, diagnostics));
  if (shaped.made.empty()) {
    return OpenedImage{std::move(image.store), std::move(shaped.root)};
  }
  ImageStore& inner = *image.store;
  return OpenedImage{std::make_unique<View>(inner, std::move(image.store), std::move(shaped.made)),
                     std::move(shaped.root)};
}

}  // namespace fnimage::registry

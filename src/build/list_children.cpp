// See list_children.hpp.
#include "list_children.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using manifest::Reference;
using registry::ImageStore;
using registry::Location;

constexpr std::size_t max_nesting = 8;
constexpr std::size_t parallel_children = 8;
constexpr const char* attested_key = "vnd.docker.reference.digest";

registry::Selector selector_of(const Reference& reference) {
  if (reference.digest()) {
    return *reference.digest();
  }
  return reference.tag_or_latest();
}

/// One child as it was found: the store that has it, and its manifest or list.
struct Child {
  std::shared_ptr<ImageStore> store;
  Document document;
};

/// An image in the local store is found by its full name; one named by digest, by the digest.
registry::Selector local_selector(const Reference& reference) {
  if (reference.digest()) {
    return *reference.digest();
  }
  return reference.str();
}

Result<std::optional<Child>> find_local(const Reference& reference, ImageStore* local) {
  if (local == nullptr) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const auto found, local->resolve(local_selector(reference)));
  if (!found) {
    return std::nullopt;
  }
  FNIMAGE_TRY(Document document, local->get_manifest(found->digest));
  const std::shared_ptr<ImageStore> not_owned(std::shared_ptr<void>(), local);
  return Child{not_owned, std::move(document)};
}

Result<Child> find_remote(const Reference& reference, registry::Client& client) {
  FNIMAGE_TRY(std::shared_ptr<ImageStore> remote, client.repository(reference));
  FNIMAGE_TRY(Document document, remote->get_manifest(selector_of(reference)));
  return Child{std::move(remote), std::move(document)};
}

Result<Child> find_named(const Reference& reference, const ChildSources& sources) {
  const bool has_registry = !reference.registry().empty();
  if (sources.local_first || !has_registry) {
    FNIMAGE_TRY(auto found, find_local(reference, sources.local));
    if (found) {
      return std::move(*found);
    }
  }
  if (!has_registry) {
    return fail(
        ErrorCode::not_found, fmt::format("no image {} in the local store", reference.str()),
        "a name without registry is looked up in the local store; `fnimage images` lists it");
  }
  auto remote = find_remote(reference, *sources.client);
  if (!remote && remote.error().code() == ErrorCode::not_found && !sources.local_first) {
    FNIMAGE_TRY(auto found, find_local(reference, sources.local));
    if (found) {
      return std::move(*found);
    }
  }
  return remote;
}

Result<Child> find_child(const Location& location, const ChildSources& sources) {
  if (location.kind == Location::Kind::registry || location.kind == Location::Kind::local) {
    return find_named(*location.reference, sources);
  }
  FNIMAGE_TRY(auto opened, registry::open_for_reading(location, *sources.client, {}));
  FNIMAGE_TRY(Document document, opened.store->get_manifest(opened.selector));
  return Child{std::move(opened.store), std::move(document)};
}

/// The platform that an image's config says, or that the caller says instead.
Result<Platform> platform_of(const Document& document, ImageStore& store,
                             const PlatformEdit& edit) {
  FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
  if (edit.os && edit.architecture) {
    return edit.applied_to({});
  }
  if (!manifest::is_config_type(image.config.media_type)) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("{} is no container image: its config is a {}", document.digest().str(),
                            printable(image.config.media_type, 100)),
                "a list has images only; other artifacts belong to an image as referrers, or say "
                "their platform with --os and --arch");
  }
  FNIMAGE_TRY(manifest::ImageConfig config, registry::read_config(store, image.config));
  Platform platform = edit.applied_to(manifest::normalize(std::move(config.platform)));
  if (platform.os.empty() || platform.architecture.empty()) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("the config of {} does not say its platform", document.digest().str()),
                "say it with --os and --arch");
  }
  return platform;
}

bool is_attestation(const Descriptor& entry) {
  return entry.platform &&
         (entry.platform->os == "unknown" || entry.platform->architecture == "unknown");
}

/// Reads one child to its end: an image gives one entry, a list those of its images.
class Flattener {
 public:
  Flattener(std::shared_ptr<ImageStore> store, std::string from, PlatformEdit edit)
      : store_(std::move(store)), from_(std::move(from)), edit_(std::move(edit)) {}

  Result<void> add(const Document& document, std::size_t depth) {
    if (document.is_image()) {
      FNIMAGE_TRY(Platform platform, platform_of(document, *store_, edit_));
      Descriptor descriptor = document.descriptor();
      descriptor.platform = std::move(platform);
      entries_.push_back({std::move(descriptor), {}, store_, from_});
      return {};
    }
    if (!document.is_index()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is neither an image nor a list but a {}", from_,
                              printable(document.media_type(), 100)));
    }
    if (depth >= max_nesting) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("{}: lists within lists are nested deeper than {}", from_, max_nesting));
    }
    FNIMAGE_TRY(const Index index, document.index());
    for (const Descriptor& entry : index.manifests) {
      FNIMAGE_CHECK(add_entry(entry, depth));
    }
    attach(index);
    return {};
  }

  [[nodiscard]] std::vector<ListEntry> take() && { return std::move(entries_); }

 private:
  Result<void> add_entry(const Descriptor& entry, std::size_t depth) {
    // Attestations stand in lists as "unknown/unknown": they describe, they do not run.
    if (is_attestation(entry)) {
      return {};
    }
    FNIMAGE_TRY(const Document document, store_->get_manifest(entry.digest));
    const std::size_t before = entries_.size();
    FNIMAGE_CHECK(add(document, depth + 1));
    if (!document.is_image()) {
      return {};
    }
    Descriptor& added = entries_[before].descriptor;
    added.annotations = entry.annotations;
    if (!entry.platform) {
      return {};
    }
    if (!manifest::same_platform(*entry.platform, *added.platform)) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("{}: the list says {} of {}, its config says {}", from_,
                              entry.platform->str(), entry.digest.str(), added.platform->str()),
                  "build that image again for the right platform");
    }
    // Lists may say more than configs do.
    added.platform->os_version = entry.platform->os_version;
    added.platform->os_features = entry.platform->os_features;
    return {};
  }

  /// Attestations go where their image goes; without it nobody finds them.
  void attach(const Index& index) {
    for (const Descriptor& entry : index.manifests) {
      const auto named = entry.annotations.find(attested_key);
      if (!is_attestation(entry) || named == entry.annotations.end()) {
        continue;
      }
      for (ListEntry& image : entries_) {
        if (image.descriptor.digest.str() == named->second) {
          image.attestations.push_back(entry);
        }
      }
    }
  }

  std::shared_ptr<ImageStore> store_;
  std::string from_;
  PlatformEdit edit_;
  std::vector<ListEntry> entries_;
};

Result<std::vector<ListEntry>> read_child(const Location& location, const ListOptions& options,
                                          const ChildSources& sources) {
  FNIMAGE_TRY(Child child, find_child(location, sources));
  Flattener flattener(child.store, location.str(), options.platform_edit);
  FNIMAGE_CHECK(flattener.add(child.document, 0));
  std::vector<ListEntry> entries = std::move(flattener).take();
  if (entries.size() > 1 && options.platform_edit.says_anything()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is a list of {} images, which cannot all have that platform",
                            location.str(), entries.size()),
                "name one image, by tag or digest");
  }
  for (ListEntry& entry : entries) {
    for (const auto& [name, value] : options.entry_annotations) {
      entry.descriptor.annotations[name] = value;
    }
  }
  return entries;
}

/// A reading that failed because the child does not exist, when that is allowed.
bool may_be_missing(const Error& error, const ListOptions& options) {
  return options.ignore_missing && error.code() == ErrorCode::not_found;
}

/// A manifest in another family of media types, stored where the list goes.
Result<void> convert(ListEntry& entry, manifest::Format format, const ListTarget& target) {
  FNIMAGE_TRY(const Document document, entry.store->get_manifest(entry.descriptor.digest));
  FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
  const manifest::ImageManifest converted = manifest::convert(image, format);
  FNIMAGE_CHECK(manifest::require_valid(manifest::validate(converted), entry.from));
  const Document made = Document::of(converted);
  FNIMAGE_CHECK(target.store->put_manifest(made, std::nullopt));
  entry.descriptor.media_type = made.media_type();
  entry.descriptor.digest = made.digest();
  entry.descriptor.size = made.bytes().size();
  entry.attestations.clear();  // they speak of the digest that it had
  return {};
}

/// Whether the image is where the list will be looked for, so that it need not be copied.
bool is_at_home(const ListEntry& entry, const ListTarget& target) {
  if (entry.store.get() == target.store) {
    return true;
  }
  const auto repository = entry.store->repository();
  return repository && repository->registry == target.name.registry() &&
         repository->repository == target.name.repository();
}

}  // namespace

Result<std::vector<ListEntry>> read_children(const std::vector<Location>& children,
                                             const ListOptions& options,
                                             const ChildSources& sources,
                                             Diagnostics& diagnostics) {
  std::vector<std::vector<ListEntry>> found(children.size());
  WorkerPool pool(std::min(children.size(), parallel_children));
  TaskGroup group(pool);
  for (std::size_t i = 0; i < children.size(); ++i) {
    group.run([&, i]() -> Result<void> {
      auto entries = read_child(children[i], options, sources);
      if (!entries && may_be_missing(entries.error(), options)) {
        diagnostics.report(Severity::warning,
                           fmt::format("left out {}, which does not exist", children[i].str()));
        return {};
      }
      if (!entries) {
        return fail(std::move(entries).error().while_doing("read " + children[i].str()));
      }
      found[i] = std::move(*entries);
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  std::vector<ListEntry> all;
  for (std::vector<ListEntry>& entries : found) {
    std::move(entries.begin(), entries.end(), std::back_inserter(all));
  }
  return all;
}

Result<std::vector<ListEntry>> read_images(const Document& list,
                                           const std::shared_ptr<ImageStore>& store,
                                           const std::string& from) {
  Flattener flattener(store, from, {});
  FNIMAGE_CHECK(flattener.add(list, 0));
  return std::move(flattener).take();
}

Result<void> place(ListEntry& entry, manifest::Format format, const ListTarget& target,
                   Diagnostics& diagnostics) {
  if (!is_at_home(entry, target)) {
    for (const Descriptor& attestation : entry.attestations) {
      FNIMAGE_CHECK(
          registry::transfer(*entry.store, attestation.digest, *target.store, {}, diagnostics));
    }
    FNIMAGE_CHECK(
        registry::transfer(*entry.store, entry.descriptor.digest, *target.store, {}, diagnostics));
  }
  const bool docker = entry.descriptor.media_type == manifest::media_type::docker_manifest;
  if (docker != (format == manifest::Format::docker)) {
    FNIMAGE_CHECK(convert(entry, format, target));
  }
  if (format == manifest::Format::docker) {
    entry.attestations.clear();  // a Docker list cannot say what they belong to
  }
  return {};
}

Result<void> refuse_duplicates(const std::vector<ListEntry>& entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const ListEntry& a = entries[j];
      const ListEntry& b = entries[i];
      if (manifest::same_platform(*a.descriptor.platform, *b.descriptor.platform) &&
          a.descriptor.platform->os_version == b.descriptor.platform->os_version) {
        return fail(
            ErrorCode::platform_mismatch,
            fmt::format("{} and {} are both {}", a.from, b.from, a.descriptor.platform->str()),
            "a list has one image per platform; leave one of them out");
      }
    }
  }
  return {};
}

manifest::Format family_of(const std::vector<ListEntry>& entries) {
  const bool all_docker = std::all_of(entries.begin(), entries.end(), [](const ListEntry& entry) {
    return entry.descriptor.media_type == manifest::media_type::docker_manifest;
  });
  return all_docker ? manifest::Format::docker : manifest::Format::oci;
}

}  // namespace fnimage::build

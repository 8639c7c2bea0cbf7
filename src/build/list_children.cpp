// See list_children.hpp.
#include "list_children.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using manifest::Reference;
using registry::ImageStore;
using registry::Location;

constexpr std::size_t max_list_nesting = 8;
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

Result<std::optional<Child>> find_local(const Reference& reference, ImageStore* local,
                                        registry::Client& client) {
  if (local == nullptr) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const auto found, local->resolve(local_selector(reference)));
  if (!found) {
    return std::nullopt;
  }
  FNIMAGE_TRY(Document document, local->get_manifest(found->digest));
  if (document.is_index() || local->home_of(found->digest)) {
    auto whole = registry::with_referred_images(*local, reference, client);
    FNIMAGE_TRY(document, whole->get_manifest(found->digest));
    return Child{std::move(whole), std::move(document)};
  }
  const std::shared_ptr<ImageStore> not_owned(std::shared_ptr<void>(), local);
  return Child{not_owned, std::move(document)};
}

Result<Child> find_remote(const Reference& reference, registry::Client& client) {
  FNIMAGE_TRY(std::shared_ptr<ImageStore> remote, client.repository(reference));
  FNIMAGE_TRY(Document document, remote->get_manifest(selector_of(reference)));
  return Child{std::move(remote), std::move(document)};
}

Result<Child> find_named(const Location& location, const ChildSources& sources) {
  const Reference& reference = *location.reference;
  const bool has_registry =
      !reference.registry().empty() && location.kind == Location::Kind::registry;
  if (sources.local_first || !has_registry) {
    FNIMAGE_TRY(auto found, find_local(reference, sources.local, *sources.client));
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
    FNIMAGE_TRY(auto found, find_local(reference, sources.local, *sources.client));
    if (found) {
      return std::move(*found);
    }
  }
  return remote;
}

Result<Child> find_child(const Location& location, const ChildSources& sources) {
  if (location.kind == Location::Kind::registry || location.kind == Location::Kind::local) {
    return find_named(location, sources);
  }
  FNIMAGE_TRY(auto opened, registry::open_for_reading(location, *sources.client, {}));
  FNIMAGE_TRY(Document document, opened.store->get_manifest(opened.selector));
  return Child{std::move(opened.store), std::move(document)};
}

/// What an image's config says of its platform; words that it does not say are empty.
Result<Platform> platform_in_config(const Document& document, ImageStore& store) {
  FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
  if (!manifest::is_config_type(image.config.media_type)) {
    return Platform{};  // an artifact, whose config is its own affair
  }
  FNIMAGE_TRY(manifest::ImageConfig config, registry::read_config(store, image.config));
  return manifest::normalize(std::move(config.platform));
}

bool is_whole(const Platform& platform) {
  return !platform.os.empty() && !platform.architecture.empty();
}

bool is_attestation(const Descriptor& entry) {
  return entry.platform &&
         (entry.platform->os == "unknown" || entry.platform->architecture == "unknown");
}

/// What decides the platform of an image that a list names: the list and the config have to agree
/// (publishing rule 3), unless the list is the user's own that is only being rewritten.
enum class Trust : std::uint8_t { config, list };

/// Reads one child to its end: an image gives one entry, a list those of its images.
class Flattener {
 public:
  Flattener(std::shared_ptr<ImageStore> store, std::string from, PlatformEdit edit, Trust trust)
      : store_(std::move(store)), from_(std::move(from)), edit_(std::move(edit)), trust_(trust) {}

  Result<void> add(const Document& document) { return add(document, nullptr, 0); }

  [[nodiscard]] std::vector<ListEntry> take() && { return std::move(entries_); }

 private:
  /// @param listed what names the document in the list above; null = nothing does
  Result<void> add(const Document& document, const Descriptor* listed, std::size_t depth) {
    if (document.is_image()) {
      return add_image(document, listed);
    }
    if (!document.is_index()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is neither an image nor a list but a {}", from_,
                              printable(document.media_type(), 100)));
    }
    if (depth >= max_list_nesting) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("{}: lists within lists are nested deeper than {}", from_, max_list_nesting));
    }
    FNIMAGE_TRY(const Index index, document.index());
    for (const Descriptor& entry : index.manifests) {
      // Attestations stand in lists as "unknown/unknown": they describe, they do not run.
      if (is_attestation(entry)) {
        continue;
      }
      FNIMAGE_TRY(const Document child, store_->get_manifest(entry.digest));
      FNIMAGE_CHECK(add(child, &entry, depth + 1));
    }
    attach(index);
    return {};
  }

  Result<void> add_image(const Document& document, const Descriptor* listed) {
    Descriptor descriptor = document.descriptor();
    if (listed != nullptr) {
      descriptor.annotations = listed->annotations;
    } else {
      // Nobody has said it of the image yet, but for its own manifest.
      FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
      const auto needs = image.annotations.find(std::string(require::requires_annotation));
      if (needs != image.annotations.end()) {
        descriptor.annotations.insert(*needs);
      }
    }
    FNIMAGE_TRY(descriptor.platform, platform_of(document, listed));
    entries_.push_back({std::move(descriptor), {}, store_, from_});
    return {};
  }

  Result<Platform> platform_of(const Document& document, const Descriptor* listed) {
    Platform platform;
    if (!(edit_.os && edit_.architecture)) {
      FNIMAGE_TRY(platform, platform_in_config(document, *store_));
    }
    if (listed != nullptr && listed->platform) {
      if (is_whole(platform) && trust_ == Trust::config && !edit_.says_anything() &&
          !manifest::same_platform(*listed->platform, platform)) {
        return fail(ErrorCode::platform_mismatch,
                    fmt::format("{}: the list says {} of {}, its config says {}", from_,
                                listed->platform->str(), document.digest().str(), platform.str()),
                    "build that image again for the right platform");
      }
      // Lists may say more than configs do.
      if (!is_whole(platform) || trust_ == Trust::list) {
        platform = *listed->platform;
      }
      platform.os_version = listed->platform->os_version;
      platform.os_features = listed->platform->os_features;
    }
    platform = edit_.applied_to(std::move(platform));
    if (!is_whole(platform)) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("the config of {} does not say its {}", from_,
                              platform.os.empty() ? "operating system" : "architecture"),
                  "say it with --os and --arch, of `manifest create` with that one image, or of "
                  "`manifest add`");
    }
    return platform;
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
  Trust trust_;
  std::vector<ListEntry> entries_;
};

Result<std::vector<ListEntry>> read_child(const Location& location, const ListOptions& options,
                                          const ChildSources& sources) {
  FNIMAGE_TRY(Child child, find_child(location, sources));
  Flattener flattener(child.store, location.str(), options.platform_edit, Trust::config);
  FNIMAGE_CHECK(flattener.add(child.document));
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
        const std::string name = children[i].str();
        const bool named = entries.error().message().find(name) != std::string::npos;
        return named ? fail(std::move(entries).error())
                     : fail(std::move(entries).error().while_doing("read " + name));
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
  Flattener flattener(store, from, {}, Trust::list);
  FNIMAGE_CHECK(flattener.add(list));
  return std::move(flattener).take();
}

Result<void> merge_duplicates(std::vector<ListEntry>& entries) {
  std::vector<ListEntry> merged;
  for (ListEntry& entry : entries) {
    const Platform& platform = *entry.descriptor.platform;
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const ListEntry& other) {
      return manifest::same_platform(*other.descriptor.platform, platform) &&
             other.descriptor.platform->os_version == platform.os_version;
    });
    if (same == merged.end()) {
      merged.push_back(std::move(entry));
    } else if (same->descriptor.digest != entry.descriptor.digest) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("{} and {} are both {}", same->from, entry.from, platform.str()),
                  "a list has one image per platform; leave one of them out");
    } else {
      // The same image named twice: what is known of either is known of it.
      same->descriptor.annotations.merge(entry.descriptor.annotations);
      std::move(entry.attestations.begin(), entry.attestations.end(),
                std::back_inserter(same->attestations));
    }
  }
  entries = std::move(merged);
  return {};
}

manifest::Format family_of(const std::vector<ListEntry>& entries) {
  const bool all_docker = std::all_of(entries.begin(), entries.end(), [](const ListEntry& entry) {
    return entry.descriptor.media_type == manifest::media_type::docker_manifest;
  });
  return all_docker ? manifest::Format::docker : manifest::Format::oci;
}

}  // namespace fnimage::build

// `manifest create`: children -> entries -> list in the local store.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/build/list.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Index;
using manifest::Reference;

constexpr std::uint64_t max_config_bytes = std::uint64_t{4} << 20U;
constexpr std::size_t max_nesting = 8;

registry::Selector selector_of(const Reference& reference) {
  if (reference.digest()) {
    return *reference.digest();
  }
  return reference.tag_or_latest();
}

/// One child as it was found: the store that has it, and its manifest or list.
struct Child {
  std::unique_ptr<registry::ImageStore> remote;  ///< null = the local store has it
  Document document;
};

/// An entry and the name it came by, for messages.
struct Entry {
  Descriptor descriptor;
  std::string from;
};

/// An image in the local store is found by its full name; one named by digest, by the digest.
registry::Selector local_selector(const Reference& reference) {
  if (reference.digest()) {
    return *reference.digest();
  }
  return reference.str();
}

Result<Child> find_child(const Reference& reference, registry::ImageStore& local,
                         registry::Client& client) {
  const registry::Selector selector = local_selector(reference);
  FNIMAGE_TRY(const auto found, local.resolve(selector));
  if (found) {
    FNIMAGE_TRY(Document document, local.get_manifest(found->digest));
    return Child{nullptr, std::move(document)};
  }
  if (reference.registry().empty()) {
    return fail(
        ErrorCode::not_found, fmt::format("no image {} in the local store", reference.str()),
        "a name without registry is looked up in the local store; `fnimage images` lists it");
  }
  FNIMAGE_TRY(auto remote, client.repository(reference));
  FNIMAGE_TRY(Document document, remote->get_manifest(selector_of(reference)));
  return Child{std::move(remote), std::move(document)};
}

/// The platform that an image's config says.
Result<manifest::Platform> platform_of(const Document& document, registry::ImageStore& store) {
  FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
  if (!manifest::is_config_type(image.config.media_type)) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("{} is no container image: its config is a {}", document.digest().str(),
                            printable(image.config.media_type, 100)),
                "a list has images only; other artifacts belong to an image as referrers");
  }
  if (image.config.size > max_config_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the config of {} is larger than 4 MiB", document.digest().str()));
  }
  FNIMAGE_TRY(const ContentPtr content, store.blob(image.config));
  FNIMAGE_TRY(const auto reader, content->open());
  FNIMAGE_TRY(const std::string bytes, read_all(*reader, max_config_bytes));
  FNIMAGE_TRY(manifest::ImageConfig config, manifest::ImageConfig::parse(bytes));
  return manifest::normalize(std::move(config.platform));
}

/// Reads one child to its end: an image gives one entry, a list those of its images.
class Flattener {
 public:
  Flattener(registry::ImageStore& store, std::string from)
      : store_(store), from_(std::move(from)) {}

  Result<void> add(const Document& document, std::size_t depth) {
    if (document.is_image()) {
      FNIMAGE_TRY(manifest::Platform platform, platform_of(document, store_));
      Descriptor descriptor = document.descriptor();
      descriptor.platform = std::move(platform);
      entries_.push_back({std::move(descriptor), from_});
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
    return {};
  }

  [[nodiscard]] std::vector<Entry> take() && { return std::move(entries_); }

 private:
  Result<void> add_entry(const Descriptor& entry, std::size_t depth) {
    // Attestations stand in lists as "unknown/unknown": they describe, they do not run.
    const bool runs = !entry.platform || (entry.platform->os != "unknown" &&
                                          entry.platform->architecture != "unknown");
    if (!runs) {
      return {};
    }
    FNIMAGE_TRY(const Document document, store_.get_manifest(entry.digest));
    const std::size_t before = entries_.size();
    FNIMAGE_CHECK(add(document, depth + 1));
    if (entry.platform && document.is_image() &&
        !manifest::same_platform(*entry.platform, *entries_[before].descriptor.platform)) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("{}: the list says {} of {}, its config says {}", from_,
                              entry.platform->str(), entry.digest.str(),
                              entries_[before].descriptor.platform->str()),
                  "build that image again for the right platform");
    }
    return {};
  }

  registry::ImageStore& store_;
  std::string from_;
  std::vector<Entry> entries_;
};

Result<void> add_child(const Reference& name, const Reference& reference,
                       registry::ImageStore& local, registry::Client& client,
                       Diagnostics& diagnostics, std::vector<Entry>& entries) {
  FNIMAGE_TRY(Child child, find_child(reference, local, client));
  registry::ImageStore& store = child.remote ? *child.remote : local;
  Flattener flattener(store, reference.str());
  FNIMAGE_CHECK(flattener.add(child.document, 0));
  std::vector<Entry> found = std::move(flattener).take();
  if (child.remote && reference.name() != name.name()) {
    for (const Entry& entry : found) {
      FNIMAGE_CHECK(registry::transfer(store, entry.descriptor.digest, local, {}, diagnostics));
    }
  }
  std::move(found.begin(), found.end(), std::back_inserter(entries));
  return {};
}

/// Publishing rule 2: two entries of one platform make newer containerd pull both.
Result<void> refuse_duplicates(const std::vector<Entry>& entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const Entry& a = entries[j];
      const Entry& b = entries[i];
      if (manifest::same_platform(*a.descriptor.platform, *b.descriptor.platform)) {
        return fail(
            ErrorCode::platform_mismatch,
            fmt::format("{} and {} are both {}", a.from, b.from, a.descriptor.platform->str()),
            "a list has one image per platform; leave one of them out");
      }
    }
  }
  return {};
}

manifest::Format family_of(const std::vector<Entry>& entries) {
  const bool all_docker = std::all_of(entries.begin(), entries.end(), [](const Entry& entry) {
    return entry.descriptor.media_type == manifest::media_type::docker_manifest;
  });
  return all_docker ? manifest::Format::docker : manifest::Format::oci;
}

/// The list that is there already, to be amended; nullopt when there is none.
Result<std::optional<Index>> existing_list(const Reference& name, bool amend,
                                           registry::ImageStore& local) {
  FNIMAGE_TRY(const auto found, local.resolve(name.str()));
  if (!found) {
    return std::nullopt;
  }
  if (!amend) {
    return fail(ErrorCode::already_exists,
                fmt::format("the local store has a list {} already", name.str()),
                "use --amend to add to it or to replace entries of it");
  }
  FNIMAGE_TRY(const Document document, local.get_manifest(found->digest));
  if (!document.is_index()) {
    return fail(ErrorCode::already_exists,
                fmt::format("{} in the local store is a single image, not a list", name.str()),
                "choose another name for the list");
  }
  FNIMAGE_TRY(Index index, document.index());
  return index;
}

}  // namespace

Result<Descriptor> create_list(const Reference& name, const std::vector<Reference>& children,
                               const CreateListOptions& options, registry::ImageStore& local,
                               registry::Client& client, Diagnostics& diagnostics) {
  if (name.digest()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("a list cannot be created under a digest: {}", name.str()),
                "name it with a tag");
  }
  if (children.empty()) {
    return fail(ErrorCode::invalid_argument, "a list needs at least one image");
  }
  FNIMAGE_TRY(std::optional<Index> index, existing_list(name, options.amend, local));
  std::vector<Entry> entries;
  for (const Reference& child : children) {
    auto added = add_child(name, child, local, client, diagnostics, entries);
    if (!added) {
      return fail(std::move(added).error().while_doing(fmt::format("read {}", child.str())));
    }
  }
  FNIMAGE_CHECK(refuse_duplicates(entries));
  if (!index) {
    index.emplace();
    index->format = options.format.value_or(family_of(entries));
  }
  for (Entry& entry : entries) {
    index->put(std::move(entry.descriptor));
  }
  FNIMAGE_CHECK(manifest::require_valid(manifest::validate(*index), name.str()));
  const Document document = Document::of(*index);
  FNIMAGE_CHECK(local.put_manifest(document, name.str()));
  return document.descriptor();
}

}  // namespace fnimage::build

// `manifest create`, add, remove, annotate: what has to change becomes a new list, or a ListChange
// that the publisher brings into the one that stands.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/build/list.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/manifest/validate.hpp>

#include "list_children.hpp"

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using manifest::Reference;
using registry::PublishedList;

std::string what_of(const ListTarget& target) {
  return target.is_local() ? target.name.str() + " in the local store" : target.name.str();
}

tl::unexpected<Error> not_where_expected(const ListTarget& target,
                                         const std::optional<Digest>& actual,
                                         const Expectation& expected) {
  if (target.is_local() && !expected.digest) {
    return fail(ErrorCode::already_exists,
                fmt::format("the local store has a list {} already", target.name.str()),
                "use --amend to add to it or to replace entries of it");
  }
  return fail(ErrorCode::already_exists,
              expected.digest
                  ? fmt::format("{} is {} instead of {}", what_of(target),
                                actual ? actual->str() : "missing", expected.digest->str())
                  : fmt::format("{} exists already", what_of(target)),
              "somebody else has published it: look with `fnimage manifest inspect`");
}

/// The list that stands; nullopt when there is none.
Result<std::optional<Document>> standing_list(const ListTarget& target) {
  auto document = target.store->get_manifest(target.tag());
  if (!document) {
    if (document.error().code() == ErrorCode::not_found) {
      return std::nullopt;
    }
    return fail(std::move(document).error());
  }
  if (!document->is_index()) {
    return fail(ErrorCode::already_exists,
                fmt::format("{} is a single image, not a list", what_of(target)),
                "choose another name for the list");
  }
  return std::move(*document);
}

Result<Document> require_list(const ListTarget& target) {
  FNIMAGE_TRY(std::optional<Document> document, standing_list(target));
  if (!document) {
    return fail(ErrorCode::not_found, fmt::format("there is no list {}", what_of(target)),
                target.is_local()
                    ? "create it with `fnimage manifest create`, or use --push for a "
                      "list in a registry"
                    : "check registry, repository and tag; a list of the local store is "
                      "published with `fnimage manifest push`");
  }
  return std::move(*document);
}

Result<void> check_expectation(const ListTarget& target, const std::optional<Digest>& actual,
                               const Expectation& expected) {
  const bool wrong =
      (expected.absent && actual) || (expected.digest && (!actual || *actual != *expected.digest));
  return wrong ? Result<void>(not_where_expected(target, actual, expected)) : Result<void>();
}

/// Keeps the wanted platforms. Error: platform_mismatch naming one that is not there.
Result<void> keep_only(std::vector<ListEntry>& entries, const std::vector<Platform>& wanted) {
  for (const Platform& platform : wanted) {
    if (std::none_of(entries.begin(), entries.end(), [&](const ListEntry& entry) {
          return manifest::same_platform(*entry.descriptor.platform, platform);
        })) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("none of the images is for {}", platform.str()),
                  "leave that platform out, or name an image that has it");
    }
  }
  std::erase_if(entries, [&](const ListEntry& entry) {
    return !wanted.empty() &&
           std::none_of(wanted.begin(), wanted.end(), [&](const Platform& platform) {
             return manifest::same_platform(*entry.descriptor.platform, platform);
           });
  });
  return {};
}

std::vector<Descriptor> descriptors_of(const std::vector<ListEntry>& entries) {
  std::vector<Descriptor> result;
  for (const ListEntry& entry : entries) {
    result.push_back(entry.descriptor);
    result.insert(result.end(), entry.attestations.begin(), entry.attestations.end());
  }
  return result;
}

/// Puts a list of exactly these entries, if the tag stands where it should.
Result<PublishedList> put_list(const ListTarget& target, const std::vector<ListEntry>& entries,
                               manifest::Format format, const ListOptions& options) {
  Index index{.format = format,
              .manifests = {},
              .annotations = options.annotations,
              .artifact_type = options.artifact_type,
              .subject = options.subject};
  for (Descriptor& descriptor : descriptors_of(entries)) {
    index.put(std::move(descriptor));
  }
  FNIMAGE_CHECK(manifest::require_valid(manifest::validate(index), target.name.str()));
  const Document document = Document::of(index);
  PublishedList result{.list = document.descriptor(), .rounds = 1};
  if (!options.expected.absent && !options.expected.digest) {
    FNIMAGE_CHECK(target.store->put_manifest(document, target.tag()));
    return result;
  }
  FNIMAGE_TRY(const auto standing, target.store->resolve(target.tag()));
  result.previous = standing ? std::optional(standing->digest) : std::nullopt;
  FNIMAGE_CHECK(check_expectation(target, result.previous, options.expected));
  FNIMAGE_TRY(const bool moved,
              target.store->put_manifest_if(document, target.tag(), options.expected.digest));
  if (!moved) {
    return not_where_expected(target, std::nullopt, options.expected);
  }
  return result;
}

Result<PublishedList> publish(const ListTarget& target, const registry::ListChange& change,
                              const std::vector<Platform>& also, Diagnostics& diagnostics) {
  registry::PublishListOptions options;
  options.also = also;
  return registry::publish_list_change(*target.store, target.tag(), change, options, diagnostics);
}

/// A list that stands, with new entries put over it, all of one other family: replaced as a whole,
/// since a tree never mixes families.
Result<PublishedList> convert_list(const ListTarget& target, const Document& standing,
                                   std::vector<ListEntry> added, ListOptions options,
                                   Diagnostics& diagnostics) {
  const std::shared_ptr<registry::ImageStore> store(std::shared_ptr<void>(), target.store);
  FNIMAGE_TRY(std::vector<ListEntry> entries, read_images(standing, store, target.name.str()));
  std::erase_if(entries, [&](const ListEntry& old) {
    return std::any_of(added.begin(), added.end(), [&](const ListEntry& entry) {
      return manifest::same_platform(*entry.descriptor.platform, *old.descriptor.platform) &&
             entry.descriptor.platform->os_version == old.descriptor.platform->os_version;
    });
  });
  for (ListEntry& entry : entries) {
    FNIMAGE_CHECK(place(entry, *options.format, target, diagnostics));
  }
  std::move(added.begin(), added.end(), std::back_inserter(entries));
  FNIMAGE_TRY(const Index index, standing.index());
  options.annotations.insert(index.annotations.begin(), index.annotations.end());
  options.expected = {.digest = standing.digest()};
  return put_list(target, entries, *options.format, options);
}

Result<void> check_create(const ListTarget& target, const std::vector<registry::Location>& children,
                          const ListOptions& options) {
  if (target.name.digest()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("a list cannot be created under a digest: {}", target.name.str()),
                "name it with a tag");
  }
  if (children.empty()) {
    return fail(ErrorCode::invalid_argument, "a list needs at least one image");
  }
  if (options.format == manifest::Format::docker &&
      !(options.annotations.empty() && options.entry_annotations.empty() &&
        options.artifact_type.empty() && !options.subject)) {
    return fail(ErrorCode::unsupported,
                "Docker lists have no annotations, artifact type or subject", "use --format oci");
  }
  return {};
}

Result<std::vector<ListEntry>> read_all(const ListTarget& target,
                                        const std::vector<registry::Location>& children,
                                        const ListOptions& options, registry::ImageStore* local,
                                        registry::Client& client, Diagnostics& diagnostics) {
  const ChildSources sources{.local = local, .client = &client, .local_first = target.is_local()};
  FNIMAGE_TRY(std::vector<ListEntry> entries,
              read_children(children, options, sources, diagnostics));
  FNIMAGE_CHECK(keep_only(entries, options.platforms));
  if (entries.empty()) {
    return fail(ErrorCode::not_found, "none of the images exists", "push one of them first");
  }
  FNIMAGE_CHECK(refuse_duplicates(entries));
  return entries;
}

bool matches(const Descriptor& entry, const EntryName& name) {
  if (!name.platform) {
    return std::find(name.digests.begin(), name.digests.end(), entry.digest) != name.digests.end();
  }
  return entry.platform && manifest::same_platform(*entry.platform, *name.platform) &&
         (name.platform->os_version.empty() ||
          name.platform->os_version == entry.platform->os_version);
}

}  // namespace

bool PlatformEdit::says_anything() const {
  return os || architecture || variant || os_version || os_features;
}

Platform PlatformEdit::applied_to(Platform platform) const {
  platform.os = os.value_or(platform.os);
  platform.architecture = architecture.value_or(platform.architecture);
  platform.variant = variant.value_or(platform.variant);
  platform.os_version = os_version.value_or(platform.os_version);
  platform.os_features = os_features.value_or(platform.os_features);
  return manifest::normalize(std::move(platform));
}

Result<PublishedList> create_list(const ListTarget& target,
                                  const std::vector<registry::Location>& children,
                                  const ListOptions& options, registry::ImageStore* local,
                                  registry::Client& client, Diagnostics& diagnostics) {
  FNIMAGE_CHECK(check_create(target, children, options));
  ListOptions settled = options;
  std::optional<Document> standing;
  if (options.amend || target.is_local()) {
    FNIMAGE_TRY(standing, standing_list(target));
    settled.expected.absent = settled.expected.absent || (target.is_local() && !options.amend);
    FNIMAGE_CHECK(check_expectation(
        target, standing ? std::optional(standing->digest()) : std::nullopt, settled.expected));
  }
  FNIMAGE_TRY(std::vector<ListEntry> entries,
              read_all(target, children, options, local, client, diagnostics));
  const manifest::Format own = options.format.value_or(family_of(entries));
  manifest::Format format = own;
  if (options.amend && standing) {
    FNIMAGE_TRY(const Index index, standing->index());
    format = options.format.value_or(index.format);
  }
  for (ListEntry& entry : entries) {
    FNIMAGE_CHECK(place(entry, format, target, diagnostics));
  }
  if (!options.amend) {
    return put_list(target, entries, format, settled);
  }
  if (standing && (standing->media_type() == manifest::media_type::docker_list) !=
                      (format == manifest::Format::docker)) {
    settled.format = format;
    return convert_list(target, *standing, std::move(entries), std::move(settled), diagnostics);
  }
  return publish(
      target,
      {.add = descriptors_of(entries), .annotations = options.annotations, .format = format},
      options.also, diagnostics);
}

Result<Descriptor> find_entry(const Index& index, const EntryName& name) {
  const auto meant = [&](const Descriptor& entry) { return matches(entry, name); };
  const auto found = std::find_if(index.manifests.begin(), index.manifests.end(), meant);
  if (found == index.manifests.end()) {
    std::vector<std::string> held;
    for (const Descriptor& entry : index.manifests) {
      held.push_back(printable(entry.platform ? entry.platform->str() : entry.digest.str(), 100));
    }
    return fail(ErrorCode::not_found,
                fmt::format("the list has no entry {}", printable(name.text, 200)),
                "it has " + join(held, ", "));
  }
  if (std::count_if(index.manifests.begin(), index.manifests.end(), meant) > 1) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} means several entries of the list", printable(name.text, 200)),
                "name one by its platform (linux/ppc64le) or digest");
  }
  return *found;
}

Result<void> require_expected(const ListTarget& target, const Expectation& expected) {
  FNIMAGE_TRY(const auto standing, target.store->resolve(target.tag()));
  return check_expectation(target, standing ? std::optional(standing->digest) : std::nullopt,
                           expected);
}

Result<EntryName> parse_entry_name(std::string_view text, registry::ImageStore* local,
                                   registry::Client& client) {
  if (auto digest = Digest::parse(text)) {
    return EntryName{.text = std::string(text), .digests = {std::move(*digest)}};
  }
  if (auto platform = Platform::parse(text)) {
    return EntryName{.text = platform->str(), .platform = std::move(*platform)};
  }
  FNIMAGE_TRY(const Reference reference, Reference::parse(text));
  if (reference.digest()) {
    return EntryName{.text = std::string(text), .digests = {*reference.digest()}};
  }
  std::optional<Document> found;
  FNIMAGE_TRY(const auto stored, local == nullptr ? Result<std::optional<Descriptor>>(std::nullopt)
                                                  : local->resolve(reference.str()));
  if (stored) {
    FNIMAGE_TRY(found, local->get_manifest(stored->digest));
  } else if (!reference.registry().empty()) {
    FNIMAGE_TRY(const auto remote, client.repository(reference));
    auto document = remote->get_manifest(reference.tag_or_latest());
    if (!document && document.error().code() != ErrorCode::not_found) {
      return fail(std::move(document).error());
    }
    found = document ? std::optional(std::move(*document)) : std::nullopt;
  }
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("there is no image {}", reference.str()),
                "name the entry by its platform (linux/ppc64le) or digest");
  }
  EntryName name{.text = std::string(text), .digests = {found->digest()}};
  if (found->is_index()) {
    FNIMAGE_TRY(const Index index, found->index());
    for (const Descriptor& entry : index.manifests) {
      name.digests.push_back(entry.digest);
    }
  }
  return name;
}

Result<PublishedList> remove_from_list(const ListTarget& target,
                                       const std::vector<EntryName>& entries,
                                       const Expectation& expected, Diagnostics& diagnostics) {
  FNIMAGE_TRY(const Document document, require_list(target));
  FNIMAGE_CHECK(check_expectation(target, document.digest(), expected));
  FNIMAGE_TRY(Index index, document.index());
  registry::ListChange change;
  for (const EntryName& name : entries) {
    FNIMAGE_TRY(const Descriptor entry, find_entry(index, name));
    if (!entry.platform) {
      return fail(ErrorCode::unsupported, fmt::format("{} has no platform", entry.digest.str()),
                  "make the list again from the images that it shall have");
    }
    change.remove.push_back(*entry.platform);
    std::erase(index.manifests, entry);
  }
  if (std::none_of(index.manifests.begin(), index.manifests.end(), [](const Descriptor& entry) {
        return !entry.platform || entry.platform->os != "unknown";
      })) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("nothing would be left of {}", what_of(target)),
                "remove the list itself: `fnimage manifest rm` for the local store");
  }
  return publish(target, change, {}, diagnostics);
}

Result<PublishedList> annotate_list(const ListTarget& target, const ListAnnotation& annotation,
                                    const Expectation& expected, Diagnostics& diagnostics) {
  FNIMAGE_TRY(const Document document, require_list(target));
  FNIMAGE_CHECK(check_expectation(target, document.digest(), expected));
  FNIMAGE_TRY(const Index index, document.index());
  if (!annotation.annotations.empty() && index.format == manifest::Format::docker) {
    return fail(ErrorCode::unsupported,
                fmt::format("{} is a Docker list, which has no annotations", what_of(target)),
                "make it an OCI list: fnimage manifest create --amend --format oci …");
  }
  if (!annotation.entry) {
    return publish(target, {.annotations = annotation.annotations}, {}, diagnostics);
  }
  FNIMAGE_TRY(Descriptor entry, find_entry(index, *annotation.entry));
  const std::optional<Platform> before = entry.platform;
  registry::ListChange change;
  entry.platform = annotation.platform.applied_to(before.value_or(Platform{}));
  for (const auto& [name, value] : annotation.annotations) {
    entry.annotations[name] = value;
  }
  const bool moves = before && (!manifest::same_platform(*before, *entry.platform) ||
                                before->os_version != entry.platform->os_version);
  if (moves) {
    for (const Descriptor& other : index.manifests) {
      if (other.digest != entry.digest && matches(other, {.platform = entry.platform})) {
        return fail(
            ErrorCode::platform_mismatch,
            fmt::format("{} has an entry for {} already", what_of(target), entry.platform->str()),
            "remove that one first");
      }
    }
    change.remove.push_back(*before);
  }
  change.add.push_back(std::move(entry));
  return publish(target, change, {}, diagnostics);
}

}  // namespace fnimage::build

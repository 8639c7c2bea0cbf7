// `manifest remove` and `annotate`: what has to change becomes a ListChange that the publisher
// brings into the list that stands.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/build/list.hpp>
#include <fnimage/manifest/platform_match.hpp>

#include "list_target.hpp"

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using manifest::Reference;
using registry::PublishedList;

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
  if (!document->is_index()) {
    return single_image(target, ErrorCode::invalid_argument,
                        "make a list of it under another name: `fnimage manifest create`");
  }
  return std::move(*document);
}

bool matches(const Descriptor& entry, const EntryName& name) {
  if (!name.platform) {
    return std::find(name.digests.begin(), name.digests.end(), entry.digest) != name.digests.end();
  }
  return entry.platform && manifest::same_platform(*entry.platform, *name.platform) &&
         (name.platform->os_version.empty() ||
          name.platform->os_version == entry.platform->os_version);
}

/// Error: invalid_argument.
Result<void> refuse_contradiction(const AnnotationEdit& edit) {
  for (const std::string& name : edit.removed) {
    if (edit.set.contains(name)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("annotation {} is set and removed", printable(name, 100)),
                  "say one of them");
    }
  }
  return {};
}

tl::unexpected<Error> no_annotation(const std::string& what, const std::string& name) {
  return fail(ErrorCode::not_found,
              fmt::format("{} has no annotation {}", what, printable(name, 100)),
              "`fnimage manifest inspect` shows what it has");
}

/// Adds what becomes of the entry to the change.
Result<void> annotate_entry(const ListTarget& target, const Index& index,
                            const ListAnnotation& annotation, registry::ListChange& change) {
  FNIMAGE_TRY(Descriptor entry, find_entry(index, *annotation.entry));
  const std::optional<Platform> before = entry.platform;
  entry.platform = annotation.platform.applied_to(before.value_or(Platform{}));
  for (const auto& [name, value] : annotation.annotations.set) {
    entry.annotations[name] = value;
  }
  for (const std::string& name : annotation.annotations.removed) {
    if (entry.annotations.erase(name) == 0) {
      return no_annotation(annotation.entry->text, name);
    }
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
  return {};
}

}  // namespace

bool PlatformEdit::says_anything() const {
  return os || architecture || variant || os_version || os_features;
}

Result<void> PlatformEdit::check() const {
  if ((os && os->empty()) || (architecture && architecture->empty())) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("an image cannot be for no {}",
                            os && os->empty() ? "operating system" : "architecture"),
                "write Go's name, for example --os linux --arch ppc64le");
  }
  return manifest::check_words({os.value_or(""), architecture.value_or(""), variant.value_or(""),
                                os_version.value_or(""),
                                os_features.value_or(std::vector<std::string>())});
}

Platform PlatformEdit::applied_to(Platform platform) const {
  const std::string before = manifest::normalize(platform).architecture;
  platform.os = os.value_or(platform.os);
  platform.architecture = architecture.value_or(platform.architecture);
  if (variant) {
    platform.variant = *variant;
  } else if (architecture && manifest::normalize(platform).architecture != before) {
    platform.variant.clear();
  }
  platform.os_version = os_version.value_or(platform.os_version);
  platform.os_features = os_features.value_or(platform.os_features);
  std::erase(platform.os_features, "");
  return manifest::normalize(std::move(platform));
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
                                       const Expectation& expected, Diagnostics& diagnostics,
                                       bool lint) {
  FNIMAGE_TRY(const Document document, require_list(target));
  FNIMAGE_CHECK(check_expectation(target, document.digest(), expected));
  FNIMAGE_TRY(Index index, entries_of(document, target));
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
                fmt::format("remove the list itself: `fnimage {} {}`",
                            target.is_local() ? "manifest rm" : "rm", target.name.str()));
  }
  return publish(target, change, {}, lint, diagnostics);
}

Result<PublishedList> annotate_list(const ListTarget& target, const ListAnnotation& annotation,
                                    const Expectation& expected, Diagnostics& diagnostics) {
  FNIMAGE_CHECK(annotation.platform.check());
  FNIMAGE_CHECK(refuse_contradiction(annotation.annotations));
  FNIMAGE_CHECK(refuse_contradiction(annotation.list_annotations));
  FNIMAGE_TRY(const Document document, require_list(target));
  FNIMAGE_CHECK(check_expectation(target, document.digest(), expected));
  FNIMAGE_TRY(const Index index, entries_of(document, target));
  if (!(annotation.annotations.set.empty() && annotation.list_annotations.set.empty()) &&
      index.format == manifest::Format::docker) {
    return fail(ErrorCode::unsupported,
                fmt::format("{} is a Docker list, which has no annotations", what_of(target)),
                "make it an OCI list: fnimage manifest create --amend --format oci …");
  }
  for (const std::string& name : annotation.list_annotations.removed) {
    if (!index.annotations.contains(name)) {
      return no_annotation(what_of(target), name);
    }
  }
  registry::ListChange change{.annotations = annotation.list_annotations.set,
                              .remove_annotations = annotation.list_annotations.removed};
  if (annotation.entry) {
    FNIMAGE_CHECK(annotate_entry(target, index, annotation, change));
  }
  return publish(target, change, {}, annotation.lint, diagnostics);
}

}  // namespace fnimage::build

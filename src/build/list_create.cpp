// `manifest create` and `add`: images become the entries of a new list, or a ListChange that the
// publisher brings into the one that stands.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/list.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/registry/image_sources.hpp>

#include "list_placement.hpp"
#include "list_target.hpp"

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using registry::PublishedList;

constexpr std::size_t parallel_lists = 8;  ///< requests in flight at the same time

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
                               manifest::Format format, const ListOptions& options,
                               Diagnostics& diagnostics) {
  Index index{.format = format,
              .manifests = {},
              .annotations = options.annotations,
              .artifact_type = options.artifact_type,
              .subject = options.subject};
  for (Descriptor& descriptor : descriptors_of(entries)) {
    index.put(std::move(descriptor));
  }
  FNIMAGE_CHECK(judge_list(index, target, options.lint, diagnostics));
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
  if (!moved && options.expected.digest) {
    return fail(ErrorCode::already_exists, fmt::format("{} has changed meanwhile", what_of(target)),
                "look with `fnimage manifest inspect`");
  }
  if (!moved) {
    return not_where_expected(target, std::nullopt, options.expected);
  }
  return result;
}

/// A list on its way.
struct Draft {
  const NewList* wanted = nullptr;
  Expectation expected{};
  std::optional<Document> standing{};
  manifest::Format format = manifest::Format::oci;
  std::vector<ListEntry> entries{};
  /// An earlier one of the same children in the same repository and family: entries are its.
  std::optional<std::size_t> like{};

  [[nodiscard]] const ListTarget& target() const { return wanted->target; }
};

/// Makes the lists of one create_lists().
class ListMaker {
 public:
  ListMaker(const std::vector<NewList>& lists, const ListOptions& options,
            registry::ImageStore* local, registry::Client& client, Diagnostics& diagnostics)
      : options_(options), local_(local), client_(client), diagnostics_(diagnostics) {
    for (const NewList& list : lists) {
      drafts_.push_back({.wanted = &list, .expected = options.expected});
    }
  }

  Result<void> run(std::vector<PublishedList>& published) {
    FNIMAGE_CHECK(options_.platform_edit.check());
    for (const Draft& draft : drafts_) {
      FNIMAGE_CHECK(check(draft));
    }
    FNIMAGE_CHECK(read_standing());
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      FNIMAGE_CHECK(read_entries(i));
    }
    FNIMAGE_CHECK(place());
    for (Draft& draft : drafts_) {
      auto list = put(draft);
      if (!list && drafts_.size() > 1) {
        return fail(std::move(list).error().while_doing("put " + what_of(draft.target())));
      }
      FNIMAGE_CHECK(list);
      published.push_back(std::move(*list));
    }
    return {};
  }

 private:
  Result<void> check(const Draft& draft) const {
    const ListTarget& target = draft.target();
    if (target.name.digest()) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("a list cannot be created under a digest: {}", target.name.str()),
                  "name it with a tag");
    }
    if (draft.wanted->children.empty()) {
      return fail(ErrorCode::invalid_argument, "a list needs at least one image");
    }
    if (options_.platform_edit.says_anything() && draft.wanted->children.size() > 1) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("the platform is said of one image, but there are {}",
                              draft.wanted->children.size()),
                  "name one; `fnimage manifest add` adds the others");
    }
    FNIMAGE_CHECK(check_family(target, options_.format.value_or(manifest::Format::oci)));
    if (options_.referrers && target.is_local()) {
      return fail(ErrorCode::invalid_argument, "referrers are copied into a registry",
                  "give --push too");
    }
    return {};
  }

  /// What a list of that family cannot say is not left out silently.
  Result<void> check_family(const ListTarget& target, manifest::Format format) const {
    if (format == manifest::Format::docker &&
        !(options_.annotations.empty() && options_.entry_annotations.empty() &&
          options_.artifact_type.empty() && !options_.subject)) {
      return fail(ErrorCode::unsupported,
                  fmt::format("{} is a Docker list, which has no annotations, artifact type or "
                              "subject",
                              what_of(target)),
                  options_.converts_list ? "use --format oci"
                                         : "leave them out, or make it an OCI list: fnimage "
                                           "manifest create --amend --format oci …");
    }
    return {};
  }

  /// Reads what stands, as far as it matters, and refuses what is not expected before any content
  /// is sent.
  Result<void> read_standing() {
    if (std::none_of(drafts_.begin(), drafts_.end(),
                     [this](const Draft& draft) { return depends_on_standing(draft); })) {
      return {};
    }
    WorkerPool pool(std::min(drafts_.size(), parallel_lists));
    TaskGroup group(pool);
    for (Draft& draft : drafts_) {
      group.run([this, &draft] { return read_standing(draft); });
    }
    return group.wait();
  }

  [[nodiscard]] bool depends_on_standing(const Draft& draft) const {
    return options_.amend || draft.target().is_local() || draft.expected.absent ||
           draft.expected.digest;
  }

  Result<void> read_standing(Draft& draft) const {
    const ListTarget& target = draft.target();
    if (!options_.amend && !target.is_local()) {
      const bool expects = draft.expected.absent || draft.expected.digest;
      return expects ? require_expected(target, draft.expected) : Result<void>();
    }
    FNIMAGE_TRY(draft.standing, standing_list(target));
    if (draft.standing && !draft.standing->is_index()) {
      return single_image(target, ErrorCode::already_exists, "choose another name for the list");
    }
    draft.expected.absent = draft.expected.absent || (target.is_local() && !options_.amend);
    return check_expectation(
        target, draft.standing ? std::optional(draft.standing->digest()) : std::nullopt,
        draft.expected);
  }

  Result<void> read_entries(std::size_t index) {
    Draft& draft = drafts_[index];
    const auto same = std::find_if(
        drafts_.begin(), drafts_.begin() + static_cast<std::ptrdiff_t>(index),
        [&](const Draft& other) { return same_children(*other.wanted, *draft.wanted); });
    const bool known = &*same != &draft;
    if (known) {
      draft.entries = same->entries;
    } else {
      FNIMAGE_TRY(draft.entries, read_all(*draft.wanted));
    }
    draft.format = options_.format.value_or(family_of(draft.entries));
    if (options_.amend && draft.standing) {
      FNIMAGE_TRY(const Index standing, entries_of(*draft.standing, draft.target()));
      draft.format = options_.format.value_or(standing.format);
      FNIMAGE_CHECK(check_conversion(draft.target(), standing.format));
    }
    FNIMAGE_CHECK(check_family(draft.target(), draft.format));
    if (known && same->format == draft.format && same_repository(same->target(), draft.target())) {
      draft.like = same->like.value_or(static_cast<std::size_t>(same - drafts_.begin()));
    }
    return {};
  }

  Result<void> check_conversion(const ListTarget& target, manifest::Format standing) const {
    if (options_.converts_list || options_.format.value_or(standing) == standing) {
      return {};
    }
    return fail(
        ErrorCode::unsupported,
        fmt::format("{} is {} list, and cannot be converted while others may be adding to it",
                    what_of(target), standing == manifest::Format::docker ? "a Docker" : "an OCI"),
        "leave --format out: what is added is converted to what the list is");
  }

  static bool same_children(const NewList& a, const NewList& b) {
    return std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(),
                      [](const registry::Location& x, const registry::Location& y) {
                        return x.kind == y.kind && x.str() == y.str();
                      });
  }

  static bool same_repository(const ListTarget& a, const ListTarget& b) {
    return a.name.name() == b.name.name();
  }

  Result<std::vector<ListEntry>> read_all(const NewList& list) {
    const ChildSources sources{
        .local = local_, .client = &client_, .local_first = list.target.is_local()};
    FNIMAGE_TRY(std::vector<ListEntry> entries,
                read_children(list.children, options_, sources, diagnostics_));
    FNIMAGE_CHECK(keep_only(entries, options_.platforms));
    if (entries.empty()) {
      return fail(ErrorCode::not_found, "none of the images exists", "push one of them first");
    }
    FNIMAGE_CHECK(merge_duplicates(entries));
    return entries;
  }

  Result<void> place() {
    std::vector<Placement> placements;
    for (Draft& draft : drafts_) {
      if (!draft.like) {
        placements.push_back({draft.target(), draft.format, &draft.entries});
      }
    }
    FNIMAGE_CHECK(place_all(placements, options_, diagnostics_));
    for (Draft& draft : drafts_) {
      if (draft.like) {
        draft.entries = drafts_[*draft.like].entries;
      }
    }
    return {};
  }

  Result<PublishedList> put(Draft& draft) {
    const ListTarget& target = draft.target();
    if (!options_.amend) {
      ListOptions options = options_;
      options.expected = draft.expected;
      return put_list(target, draft.entries, draft.format, options, diagnostics_);
    }
    if (draft.standing && (draft.standing->media_type() == manifest::media_type::docker_list) !=
                              (draft.format == manifest::Format::docker)) {
      return convert_standing(draft);
    }
    return publish(target,
                   {.add = descriptors_of(draft.entries),
                    .annotations = options_.annotations,
                    .format = draft.format},
                   options_.also, options_.lint, diagnostics_);
  }

  /// A list that stands, with new entries put over it, all of one other family: replaced as a
  /// whole, since a tree never mixes families.
  Result<PublishedList> convert_standing(const Draft& draft) {
    const ListTarget& target = draft.target();
    std::shared_ptr<registry::ImageStore> store(std::shared_ptr<void>(), target.store);
    if (target.is_local()) {
      store = registry::with_referred_images(*target.store, target.name, client_);
    }
    FNIMAGE_TRY(std::vector<ListEntry> entries,
                read_images(*draft.standing, store, target.name.str()));
    std::erase_if(entries, [&](const ListEntry& old) {
      return std::any_of(draft.entries.begin(), draft.entries.end(), [&](const ListEntry& entry) {
        return manifest::same_platform(*entry.descriptor.platform, *old.descriptor.platform) &&
               entry.descriptor.platform->os_version == old.descriptor.platform->os_version;
      });
    });
    FNIMAGE_CHECK(place_all({{target, draft.format, &entries}}, options_, diagnostics_));
    entries.insert(entries.end(), draft.entries.begin(), draft.entries.end());
    FNIMAGE_TRY(const Index index, entries_of(*draft.standing, target));
    ListOptions options = options_;
    options.annotations.insert(index.annotations.begin(), index.annotations.end());
    options.expected = {.digest = draft.standing->digest()};
    return put_list(target, entries, draft.format, options, diagnostics_);
  }

  const ListOptions& options_;
  registry::ImageStore* local_;
  registry::Client& client_;
  Diagnostics& diagnostics_;
  std::vector<Draft> drafts_;
};

}  // namespace

Result<void> create_lists(const std::vector<NewList>& lists, const ListOptions& options,
                          registry::ImageStore* local, registry::Client& client,
                          Diagnostics& diagnostics, std::vector<PublishedList>& published) {
  return ListMaker(lists, options, local, client, diagnostics).run(published);
}

Result<PublishedList> create_list(const ListTarget& target,
                                  const std::vector<registry::Location>& children,
                                  const ListOptions& options, registry::ImageStore* local,
                                  registry::Client& client, Diagnostics& diagnostics) {
  std::vector<PublishedList> published;
  FNIMAGE_CHECK(create_lists({{target, children}}, options, local, client, diagnostics, published));
  return std::move(published.front());
}

}  // namespace fnimage::build

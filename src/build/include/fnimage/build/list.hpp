// Lists from images that exist already: what `manifest create`, `add`, `remove` and `annotate` do,
// on a list in the local store or at once in a registry. Thread-safety: may run several times at
// once, in several processes; see registry/list_publisher.hpp for what is guaranteed then.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/list_publisher.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::build {

/// What is said of a platform instead of what stands; nullopt = left as it is.
struct PlatformEdit {
  std::optional<std::string> os{};
  std::optional<std::string> architecture{};
  std::optional<std::string> variant{};
  std::optional<std::string> os_version{};
  std::optional<std::vector<std::string>> os_features{};

  [[nodiscard]] bool says_anything() const;
  /// Whether a list can say this: words as manifest::check_words() wants them; os and architecture
  /// not empty. What else is empty clears. Error: invalid_argument.
  [[nodiscard]] Result<void> check() const;
  /// In normal form. A variant goes with the architecture that it was of, unless it is said too.
  [[nodiscard]] manifest::Platform applied_to(manifest::Platform platform) const;
};

/// Where a list stands.
struct ListTarget {
  registry::ImageStore* store = nullptr;  ///< not owned: the list's repository or the local store
  manifest::Reference name;               ///< in the local store its tag is name.str()

  [[nodiscard]] bool is_local() const { return store != nullptr && !store->repository(); }
  [[nodiscard]] std::string tag() const { return is_local() ? name.str() : name.tag_or_latest(); }
};

/// Where the tag has to stand before.
struct Expectation {
  bool absent = false;                       ///< nowhere
  std::optional<manifest::Digest> digest{};  ///< at this digest
};

struct ListOptions {
  /// Of the whole tree: images of the other family are converted. nullopt = that of the list, if
  /// there is one; else Docker when all children are Docker images; else OCI.
  std::optional<manifest::Format> format{};
  bool amend = false;  ///< add to (and replace in) the list that stands instead of making a new one
  /// When amending with another format than the list has: convert the list, which is then replaced
  /// as a whole and so may lose what others add meanwhile. False: that is unsupported.
  bool converts_list = true;
  std::vector<manifest::Platform> platforms{};    ///< take only these; empty = all
  PlatformEdit platform_edit{};                   ///< said of the one image that is added
  manifest::Annotations annotations{};            ///< of the list
  manifest::Annotations entry_annotations{};      ///< of each entry that is added
  std::string artifact_type{};                    ///< of a new list
  std::optional<manifest::Descriptor> subject{};  ///< of a new list
  bool ignore_missing = false;  ///< children that do not exist are reported and left out
  Expectation expected{};
  std::vector<manifest::Platform> also{};  ///< see PublishListOptions
  bool referrers = false;                  ///< images that are copied into a registry bring theirs
  bool lint = true;          ///< in a registry: refuse what nodes cannot use, see manifest::lint()
  std::size_t parallel = 8;  ///< large blobs in flight at the same time
};

/// A list, and the images or lists that it is made of.
struct NewList {
  ListTarget target;
  std::vector<registry::Location> children;
};

/// Reads each child where it is: a repository, a layout, or the local store (for names without
/// registry; for others when it holds them and `target` is local, or when the registry lacks them),
/// takes the platform from its config, and puts the list. Children that are lists are flattened.
/// Those of the list's own repository are only referred to; others are copied (or mounted) to where
/// the list goes, unless they are there. A local list gets no layers of images in another
/// repository of its registry: registry::with_referred_images() finds them. Findings that some
/// runtimes cope with are reported as warnings. @param local may be null. Errors: invalid_argument;
/// already_exists when the tag is not where it is expected, or a local list stands and is not to be
/// amended; not_found; platform_mismatch for two children of one platform, and when nodes would
/// take nothing; those of publish_list_change().
Result<registry::PublishedList> create_list(const ListTarget& target,
                                            const std::vector<registry::Location>& children,
                                            const ListOptions& options, registry::ImageStore* local,
                                            registry::Client& client, Diagnostics& diagnostics);

/// create_list() of several at once, all local or all in registries: what they share is read and
/// sent once, and no tag moves before all content is there. Then the lists are put in their order.
/// @param published those that stand, in that order, also when a later one fails
Result<void> create_lists(const std::vector<NewList>& lists, const ListOptions& options,
                          registry::ImageStore* local, registry::Client& client,
                          Diagnostics& diagnostics,
                          std::vector<registry::PublishedList>& published);

/// Which entry of a list is meant.
struct EntryName {
  std::string text{};                            ///< as it was written
  std::vector<manifest::Digest> digests{};       ///< one of these, or
  std::optional<manifest::Platform> platform{};  ///< this
};

/// "sha256:…", "linux/ppc64le", "ppc64le", or the name of an image whose digest stands in the list
/// (for the name of a list: the digest of one of its images).
Result<EntryName> parse_entry_name(std::string_view text, registry::ImageStore* local,
                                   registry::Client& client);

/// The entry of a list. Errors: not_found, with what the list has; invalid_argument when several
/// are meant.
Result<manifest::Descriptor> find_entry(const manifest::Index& index, const EntryName& name);

/// Error: already_exists when the list is not where it is expected.
Result<void> require_expected(const ListTarget& target, const Expectation& expected);

/// Takes entries out. Error: not_found; invalid_argument when nothing would be left.
/// @param lint see ListOptions
Result<registry::PublishedList> remove_from_list(const ListTarget& target,
                                                 const std::vector<EntryName>& entries,
                                                 const Expectation& expected,
                                                 Diagnostics& diagnostics, bool lint = true);

struct AnnotationEdit {
  manifest::Annotations set{};         ///< or replaced
  std::vector<std::string> removed{};  ///< names; they have to be there

  [[nodiscard]] bool says_anything() const { return !(set.empty() && removed.empty()); }
};

struct ListAnnotation {
  std::optional<EntryName> entry{};  ///< that the next two are about
  PlatformEdit platform{};
  AnnotationEdit annotations{};
  AnnotationEdit list_annotations{};  ///< of the list itself
  bool lint = true;                   ///< see ListOptions
};

/// Changes what a list says of itself and of one entry, at once. Errors: not_found, also for an
/// annotation to remove; invalid_argument when one is set and removed; unsupported for annotations
/// in a Docker list.
Result<registry::PublishedList> annotate_list(const ListTarget& target,
                                              const ListAnnotation& annotation,
                                              const Expectation& expected,
                                              Diagnostics& diagnostics);

}  // namespace fnimage::build

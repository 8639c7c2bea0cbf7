// ImageStore: the seam that carries the program. A repository of a registry, an OCI layout and
// memory are the same thing to everyone else: blobs, manifests, tags, referrers. push, pull, copy
// and build are transfer() between two stores. Thread-safety: every method may be called from
// several threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>

namespace fnimage::registry {

/// What a manifest is asked for by: a tag (in a layout: the ref name) or a digest.
using Selector = std::variant<std::string, manifest::Digest>;
std::string to_string(const Selector& selector);

/// Where a store's blobs live, for cross-repository mounts.
struct RepositoryName {
  std::string registry;    ///< "serverless:30501"
  std::string repository;  ///< "team/action"
  friend bool operator==(const RepositoryName&, const RepositoryName&) = default;
};

enum class BlobOutcome : std::uint8_t { existed, mounted, uploaded };

struct PutBlobOptions {
  std::optional<RepositoryName>
      mount_from{};  ///< where the blob is known to be; tried when on the same registry
  ProgressTask* progress = nullptr;  ///< not owned; updated with bytes sent
  /// Most likely not there: a small blob is then sent without asking first, since asking would cost
  /// more time than it saves.
  bool probably_new = false;
};

class ImageStore {
 public:
  virtual ~ImageStore() = default;

  /// For messages: "serverless:30501/action" or "oci:/path".
  [[nodiscard]] virtual std::string describe() const = 0;
  /// The repository this store is, if it is one of a registry.
  [[nodiscard]] virtual std::optional<RepositoryName> repository() const { return std::nullopt; }

  /// The time by the clock of the store, the same for all who use it. Of a registry: by the Date of
  /// its answers, this machine's clock before the first.
  [[nodiscard]] virtual std::chrono::system_clock::time_point now() const {
    return std::chrono::system_clock::now();
  }

  /// Says that this store is about to be written to, so that a registry is asked for the right to
  /// do so with the first request and not once more later.
  virtual void expect_writes() {}

  /// The repository that has the blobs of an image of this store, as far as that is known: where
  /// they can be mounted from.
  [[nodiscard]] virtual std::optional<RepositoryName> home_of(const manifest::Digest& /*image*/) {
    return repository();
  }
  /// Notes home_of() an image whose layers are not brought here. False: this store keeps no such
  /// notes.
  virtual Result<bool> note_home(const manifest::Digest& /*image*/,
                                 const RepositoryName& /*home*/) {
    return false;
  }

  /// The descriptor a tag or digest stands for; nullopt when there is none. One HEAD on a registry.
  virtual Result<std::optional<manifest::Descriptor>> resolve(const Selector& selector) = 0;
  /// The manifest or list, bytes as stored, verified against a requested digest. Error: not_found.
  virtual Result<manifest::Document> get_manifest(const Selector& selector) = 0;
  /// Stores the bytes unchanged under their digest and, when given, under a tag too (which moves).
  /// The caller has put all content first. A store that reports another digest is a verification
  /// error.
  virtual Result<void> put_manifest(const manifest::Document& document,
                                    const std::optional<std::string>& tag) = 0;
  /// As put_manifest(), but moves the tag only from where it is expected to stand (nullopt = there
  /// is no such tag); false = it stands elsewhere, and nothing has moved. A registry is told so
  /// (If-Match, If-None-Match) and may ignore it; see guards_tags().
  virtual Result<bool> put_manifest_if(const manifest::Document& document, const std::string& tag,
                                       const std::optional<manifest::Digest>& expected);
  /// Whether put_manifest_if() is known to be atomic among all processes.
  [[nodiscard]] virtual bool guards_tags() const { return false; }

  /// Stores the bytes and moves these tags to them, in this order; with one request where the store
  /// can do that.
  virtual Result<void> put_tags(const manifest::Document& document,
                                const std::vector<std::string>& tags);

  virtual Result<bool> has_blob(const manifest::Descriptor& blob) = 0;
  /// The blob, to be read as often as wanted; its readers verify size and digest before the end.
  /// Error: not_found.
  virtual Result<ContentPtr> blob(const manifest::Descriptor& blob) = 0;
  /// Stores a blob unless it is there already. `content` must have the descriptor's size and
  /// digest; it is verified.
  virtual Result<BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                                       const PutBlobOptions& options) = 0;

  /// All tags, sorted.
  virtual Result<std::vector<std::string>> tags() = 0;
  /// Removes a tag only, never the manifest. Error: not_found, unsupported.
  virtual Result<void> remove_tag(const std::string& tag) = 0;
  /// Removes a manifest or list and all tags that stand for it; its blobs stay. Errors: not_found,
  /// unsupported.
  virtual Result<void> remove_manifest(const manifest::Digest& digest);
  /// Manifests whose subject is `digest`; empty when there are none.
  virtual Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) = 0;
};

/// Reads an image's config, verified. Errors: invalid_input above 8 MiB, those of blob().
Result<std::string> read_config_bytes(ImageStore& store, const manifest::Descriptor& config);
/// Reads and parses an image's config. Errors: invalid_input (also above 8 MiB), those of blob().
Result<manifest::ImageConfig> read_config(ImageStore& store, const manifest::Descriptor& config);

}  // namespace fnimage::registry

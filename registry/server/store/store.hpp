// The registry's content on disk: a directory with an OCI image layout for each repository at the
// repository's name, readable by any tool that knows layouts, with the server or without it.
//
//   team/action/oci-layout, index.json, blobs/sha256/…    the repository team/action
//   .fnimage.uploads/<id>/                                uploads in progress, of all repositories
//   .fnimage.server                                       locked by the server
//
// A part of a repository's name that is a file's name in a layout ("blobs", "index.json",
// "oci-layout") has a '_' behind it on disk, where no name may end. index.json is the truth about
// tags and manifests; other processes may change it at any time under the layout's lock. Blobs that
// several repositories have are one file with several names (hard links).
//
// Nothing is written through symbolic links that somebody put into the directory: a directory which
// is a link is no repository, nor one that can be made. Links to the store itself are fine.
//
// Crash-safety: what a method has returned success for survives the process's death and a power
// cut; the bytes of an upload that is not finished survive the former only (size() tells).
// Thread-safety: all methods from several threads; changes of one repository are linearizable.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/registry/blob_age.hpp>
#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/layout_tree.hpp>
#include <fnimage/registry/store.hpp>

#include "http/open_file.hpp"

namespace fnimage::server {

using registry::is_valid_repository;

/// What must hold for a change to happen (RFC 9110 13.1.1, 13.1.2), judged and done in one step.
/// Both empty: always.
struct Condition {
  /// If-Match: the tag or manifest stands for one of these now; empty list = it exists ("*").
  std::optional<std::vector<manifest::Digest>> match{};
  /// If-None-Match: it stands for none of these; empty list = it does not exist ("*").
  std::optional<std::vector<manifest::Digest>> none_match{};

  [[nodiscard]] bool holds(const std::optional<manifest::Digest>& current) const;
};

/// Refused: the condition does not hold. Incomplete: not all that a manifest needs is here.
enum class Outcome : std::uint8_t { done, absent, refused, incomplete };

struct StoredManifest {
  manifest::Descriptor descriptor;  ///< media type, digest (sha256 or sha512), size, artifact type
  std::shared_ptr<const std::string> bytes;
};

struct NewManifest {
  std::string bytes;
  std::string media_type;
  manifest::Digest digest;        ///< of the bytes; verified by the caller
  std::vector<std::string> tags;  ///< to move to it, in one step
  /// What has to be here, with these sizes, when it is put: blobs, and entries of a list. So
  /// nothing that is removed meanwhile, by whomever, leaves a manifest here which is not whole.
  std::vector<manifest::Descriptor> blobs{};
  std::vector<manifest::Descriptor> children{};
};

class Repository {
 public:
  virtual ~Repository() = default;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;

  /// The manifest that a tag or digest stands for. A blob that was never put as a manifest is none,
  /// unless a list that is here names it: other tools know children that way only. Nor is one that
  /// is missing or damaged, which the next put heals. Error: not_found when the repository is gone,
  /// invalid_input when its index.json is damaged; so in all methods.
  virtual Result<std::optional<StoredManifest>> manifest(const registry::Selector& selector) = 0;
  /// Stores the bytes and moves the tags. @param condition about tags[0], or the digest when there
  /// are no tags. Incomplete is judged in the same step as the condition. Errors: no_space;
  /// invalid_input for a media type that is none (RFC 6838) and above 4 MiB; invalid_argument for a
  /// malformed tag.
  virtual Result<Outcome> put_manifest(const NewManifest& manifest, const Condition& condition) = 0;
  /// The manifest stays. Absent comes before refused, here and below.
  virtual Result<Outcome> remove_tag(const std::string& tag, const Condition& condition) = 0;
  /// Removes a manifest, its own bytes too, and all tags that stand for it. Its blobs stay.
  virtual Result<Outcome> remove_manifest(const manifest::Digest& digest,
                                          const Condition& condition) = 0;
  /// Sorted (bytewise).
  virtual Result<std::shared_ptr<const std::vector<std::string>>> tags() = 0;
  /// Manifests whose subject is `digest`, also one that is not here, with artifactType and
  /// annotations (distribution-spec, Listing Referrers): sorted by digest.
  virtual Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) = 0;

  /// Nullopt = not here. What was put as a manifest counts as a blob, too. Who is told of a blob,
  /// here and below, may rely on it for a while, see StoreLimits::refresh_age.
  virtual Result<std::optional<std::shared_ptr<const OpenFile>>> blob(
      const manifest::Digest& digest) = 0;
  /// In bytes; nullopt = not here.
  [[nodiscard]] virtual std::optional<std::uint64_t> blob_size(
      const manifest::Digest& digest) const = 0;
  /// Refused: it is a manifest.
  virtual Result<Outcome> remove_blob(const manifest::Digest& digest) = 0;
  /// Gives a blob of another repository a name here. False = it is not there.
  virtual Result<bool> mount(const manifest::Digest& digest, Repository& from) = 0;
};

/// A blob that is being uploaded. append() and finish() of one upload exclude each other: who comes
/// second gets already_exists at once, since a client that has given a request up and sends the
/// next must not wait for the old one; the server then answers 409 or 416.
class Upload {
 public:
  virtual ~Upload() = default;
  [[nodiscard]] virtual const std::string& id() const noexcept = 0;
  /// Bytes that have come and count, also after the process's death.
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

  /// One request's bytes. They count from the moment when they are written, whether the request
  /// ends well or not: that is what a resumed upload goes on from.
  class Writing {
   public:
    virtual ~Writing() = default;
    /// Errors: no_space, io; not_found when the upload was removed meanwhile. What was written
    /// before an error counts, size() says how much.
    virtual Result<void> write(Bytes bytes) = 0;
    /// Makes the upload a blob of its repository, and ends it. The upload stays as it is on an
    /// error: verification (another digest), no_space. Only when the file system loses bytes that
    /// it had taken, it begins anew: size() is 0. Makes the repository if it is missing.
    virtual Result<void> finish(const manifest::Digest& digest) = 0;
    /// To read what was written, and what will be. Its bytes stay when the upload becomes a blob,
    /// and are gone when it is removed.
    virtual Result<std::shared_ptr<const OpenFile>> reader() = 0;
  };
  /// Errors: already_exists while another Writing lives, not_found when the upload has ended.
  virtual Result<std::unique_ptr<Writing>> begin() = 0;
};

struct StoreLimits {
  std::size_t uploads = 10'000;                  ///< open at once; more: rate_limited
  std::chrono::seconds upload_lifetime{86'400};  ///< since the last byte
  /// Repositories that are kept in memory. Each holds up to two files open, so fewer are kept when
  /// the process may have few (a quarter of ulimit -n).
  std::size_t repositories = 1'000;
  std::size_t manifest_bytes = std::size_t{64} << 20;  ///< of manifests that are kept in memory
  manifest::ListLimits index = registry::layout_index_limits;  ///< of one repository's index.json
  /// Blobs that clients are told of and that are older are made young, so that nobody collects them
  /// before they are named: see blob_age.hpp. max() = never.
  std::chrono::milliseconds refresh_age = registry::refresh_age;
};

/// What a store holds at a moment.
struct StoreCounts {
  std::size_t repositories = 0;  ///< kept in memory
  std::size_t uploads = 0;       ///< open
};

enum class StoreMode : std::uint8_t {
  read_write,
  /// Nothing is made or changed, not even to note that it is in use: that is how a file system
  /// which cannot be written is served, and how a second process reads what another one writes.
  read_only
};

class Store {
 public:
  /// Opens a directory, creating it if missing. It may hold anything else besides; only layouts are
  /// looked at. Uploads that a former process left are there. Errors: permission_denied,
  /// already_exists (another server uses it); read_only: not_found.
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& directory,
                                             const StoreLimits& limits = {},
                                             StoreMode mode = StoreMode::read_write);
  virtual ~Store() = default;

  /// Names, sorted.
  virtual Result<std::vector<std::string>> repositories() = 0;
  /// Null = there is none of this (valid) name.
  virtual Result<std::shared_ptr<Repository>> find(const std::string& name) = 0;
  /// The repository, made if missing. Error: no_space.
  virtual Result<std::shared_ptr<Repository>> create(const std::string& name) = 0;

  /// A new upload with a random id of 128 bits; its repository is made by finish() only. @param
  /// owner who may go on with it; empty = anybody.
  /// @param algorithm what it will be verified by, for speed only.
  virtual Result<std::shared_ptr<Upload>> begin_upload(const std::string& repository,
                                                       const std::string& owner,
                                                       std::string_view algorithm = "sha256") = 0;
  /// Null = no such upload in this repository of this owner.
  virtual Result<std::shared_ptr<Upload>> find_upload(const std::string& id,
                                                      const std::string& repository,
                                                      const std::string& owner) = 0;
  /// Ends an upload and drops its bytes. False = there is none.
  virtual Result<bool> remove_upload(const std::string& id, const std::string& repository,
                                     const std::string& owner) = 0;
  /// Ends all uploads of an owner, those of a former process too; not those that are being written.
  virtual void remove_uploads_of(const std::string& owner) = 0;
  /// Drops uploads whose time is up; to be called now and then.
  virtual void expire_uploads() = 0;

  [[nodiscard]] virtual StoreCounts counts() const { return {}; }
  /// Whether it is there, and takes what is written; waits for the file system as long as that
  /// takes. Errors: no_space, those of the file system.
  virtual Result<void> check() { return {}; }
};

}  // namespace fnimage::server

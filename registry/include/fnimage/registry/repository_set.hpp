// Many repositories in one place: those of a registry, or of a directory as `fnimage serve` keeps
// them (layout_tree.hpp). Thread-safety: a set may be used from several threads, an open repository
// by one, whose store() may be used by many.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

/// Tag -> what it stands for; nullopt when the listing does not tell.
using TagListing = std::map<std::string, std::optional<manifest::Descriptor>>;

class OpenRepository {
 public:
  virtual ~OpenRepository() = default;
  /// What is put into it is sure to be there after flush() only.
  virtual ImageStore& store() = 0;
  virtual Result<TagListing> tags() = 0;
  /// Manifests that have no tag and belong to no list here, as far as this place can name them: a
  /// registry cannot.
  virtual Result<std::vector<manifest::Descriptor>> untagged() = 0;
  /// Whether a manifest can be had here by its digest, now and after a restart.
  virtual Result<bool> stands(const manifest::Digest& digest) = 0;
  virtual Result<void> flush() = 0;
  /// The file that a blob is in; nullopt where blobs are no files.
  [[nodiscard]] virtual std::optional<std::filesystem::path> file_of(
      const manifest::Digest& /*blob*/) const {
    return std::nullopt;
  }
};

class RepositorySet {
 public:
  virtual ~RepositorySet() = default;
  /// A repository of it, for messages: "registry.example/team/app", "oci:/srv/registry/team/app".
  [[nodiscard]] virtual std::string describe(const std::string& name) const = 0;
  /// Sorted. Errors: those of Client::repositories(); not_found for a directory that is not there.
  virtual Result<std::vector<std::string>> names() = 0;
  enum class Mode : std::uint8_t { read, write };
  /// @param mode write makes what is missing, read does not. Errors: not_found (a registry tells
  /// only when asked for something), invalid_argument for a name that is none.
  virtual Result<std::unique_ptr<OpenRepository>> open(const std::string& name, Mode mode) = 0;
};

/// @param client outlives the set. @param prefix "" or "mirror": before each name.
std::unique_ptr<RepositorySet> registry_repositories(Client& client, std::string registry,
                                                     const std::string& prefix = {});
std::unique_ptr<RepositorySet> directory_repositories(std::filesystem::path directory);

/// A store by itself, for programs that have their own. Its tags() are those of the store.
std::unique_ptr<OpenRepository> open_repository(std::shared_ptr<ImageStore> store);

}  // namespace fnimage::registry

// Where an image is, as people write it: "registry/repo:tag", "oci:DIR[:tag]",
// "oci-archive:FILE[:tag]", "docker-archive:FILE[:name:tag]", or a bare name for the local store.
// Thread-safety: pure functions and value types.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

struct Location {
  enum class Kind : std::uint8_t { registry, layout, local, oci_archive, docker_archive };
  Kind kind = Kind::local;
  std::optional<manifest::Reference> reference{};  ///< registry and local
  std::filesystem::path directory{};               ///< layout; an archive's file
  std::string tag{};  ///< layout and archives; may be empty: then the only entry is meant

  /// A place in the file system that the user named.
  [[nodiscard]] bool is_path() const noexcept;

  [[nodiscard]] std::string str() const;
};

/// Error: invalid_argument; an unknown transport prefix is named together with the known ones.
Result<Location> parse_location(std::string_view text);

/// A store and what to ask it for.
struct OpenedImage {
  std::unique_ptr<ImageStore> store;
  Selector selector;
};

/// Opens a location for reading. Local names are looked up in `local_store`. A layout without tag
/// and with several entries is invalid_argument naming them. Archives are opened by
/// archive::open_image(), which opens all of these too. Errors: not_found when layout or store do
/// not exist, unsupported for an archive.
Result<OpenedImage> open_for_reading(const Location& location, Client& client,
                                     const std::filesystem::path& local_store);

}  // namespace fnimage::registry

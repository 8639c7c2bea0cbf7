// Media types, annotation keys and file names of the OCI image spec and of Docker's schema 2, each
// written once. Sources: image-spec media-types.md, annotations.md, image-layout.md; distribution
// manifest-v2-2.
#pragma once

#include <cstdint>
#include <string_view>

namespace fnimage::manifest {

namespace media_type {
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_empty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view oci_layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view oci_layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view docker_list =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer_gzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view docker_layer_zstd =
    "application/vnd.docker.image.rootfs.diff.tar.zstd";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
}  // namespace media_type

namespace annotation {
inline constexpr std::string_view ref_name = "org.opencontainers.image.ref.name";
inline constexpr std::string_view created = "org.opencontainers.image.created";
inline constexpr std::string_view title = "org.opencontainers.image.title";
inline constexpr std::string_view base_name = "org.opencontainers.image.base.name";
inline constexpr std::string_view base_digest = "org.opencontainers.image.base.digest";
/// Containerd's and Docker's name for the full reference of an index.json entry.
inline constexpr std::string_view containerd_name = "io.containerd.image.name";
}  // namespace annotation

/// Which of the two families of media types a tree of manifests uses. One tree never mixes them
/// (publishing rule 5).
enum class Format : std::uint8_t { oci, docker };

bool is_index_type(std::string_view media_type) noexcept;     ///< OCI index or Docker list
bool is_manifest_type(std::string_view media_type) noexcept;  ///< OCI or Docker image manifest
bool is_layer_type(std::string_view media_type) noexcept;
bool is_config_type(
    std::string_view media_type) noexcept;  ///< an image config that may be parsed as one

/// The same thing's type in the given family ("…image.manifest.v1+json" <-> "…manifest.v2+json");
/// types without a counterpart are returned unchanged.
std::string_view convert_type(std::string_view media_type, Format format) noexcept;

}  // namespace fnimage::manifest

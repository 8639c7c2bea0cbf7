// Families of media types and the table between them.
#include <algorithm>
#include <array>

#include <fnimage/manifest/media_types.hpp>

namespace fnimage::manifest {

namespace {

struct Counterparts {
  std::string_view oci;
  std::string_view docker;
};

constexpr std::array counterparts{
    Counterparts{media_type::oci_index, media_type::docker_list},
    Counterparts{media_type::oci_manifest, media_type::docker_manifest},
    Counterparts{media_type::oci_config, media_type::docker_config},
    Counterparts{media_type::oci_layer, media_type::docker_layer},
    Counterparts{media_type::oci_layer_gzip, media_type::docker_layer_gzip},
    Counterparts{media_type::oci_layer_zstd, media_type::docker_layer_zstd},
};

// Layers that registries once did not hold; the OCI names are deprecated, but images with them
// exist.
constexpr std::array<std::string_view, 4> foreign_layers{
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
};

}  // namespace

bool is_index_type(std::string_view type) noexcept {
  return type == media_type::oci_index || type == media_type::docker_list;
}

bool is_manifest_type(std::string_view type) noexcept {
  return type == media_type::oci_manifest || type == media_type::docker_manifest;
}

bool is_layer_type(std::string_view type) noexcept {
  constexpr std::array known{media_type::oci_layer,         media_type::oci_layer_gzip,
                             media_type::oci_layer_zstd,    media_type::docker_layer,
                             media_type::docker_layer_gzip, media_type::docker_layer_zstd};
  return std::find(known.begin(), known.end(), type) != known.end() ||
         std::find(foreign_layers.begin(), foreign_layers.end(), type) != foreign_layers.end();
}

bool is_config_type(std::string_view type) noexcept {
  return type == media_type::oci_config || type == media_type::docker_config;
}

std::string_view convert_type(std::string_view type, Format format) noexcept {
  for (const Counterparts& pair : counterparts) {
    if (type == pair.oci || type == pair.docker) {
      return format == Format::oci ? pair.oci : pair.docker;
    }
  }
  return type;
}

}  // namespace fnimage::manifest

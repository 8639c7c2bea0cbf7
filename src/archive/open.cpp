// See open.hpp.
#include <fnimage/archive/open.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "archive_store.hpp"

namespace fnimage::archive {

namespace {

bool is_archive_file(const registry::Location& location) {
  return location.kind == registry::Location::Kind::oci_archive ||
         location.kind == registry::Location::Kind::docker_archive;
}

}  // namespace

Result<registry::OpenedImage> open_image(const registry::Location& location,
                                         registry::Client& client,
                                         const std::filesystem::path& local_store) {
  if (is_archive_file(location)) {
    return open_archive(location);
  }
  FNIMAGE_TRY(registry::OpenedImage opened,
              registry::open_for_reading(location, client, local_store));
  if (location.kind == registry::Location::Kind::local) {
    opened.store = registry::with_referred_images(std::move(opened.store), std::nullopt, client);
  }
  return opened;
}

Result<std::unique_ptr<registry::ImageStore>> open_store(const registry::Location& location,
                                                         registry::Client& client,
                                                         const std::filesystem::path& local_store) {
  if (is_archive_file(location)) {
    return open_whole_archive(location);
  }
  if (location.kind == registry::Location::Kind::registry) {
    return client.repository(*location.reference);
  }
  FNIMAGE_TRY(
      auto layout,
      registry::OciLayout::open(
          location.kind == registry::Location::Kind::local ? local_store : location.directory,
          registry::OciLayout::Mode::existing));
  return layout;
}

}  // namespace fnimage::archive

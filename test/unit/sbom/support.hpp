// Images with a package database, put into a store layer by layer.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/check/images.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/sbom/contents.hpp>
#include <fnimage/sbom/format.hpp>

namespace fnimage::sbom {

/// Files of one layer: path -> text.
using LayerFiles = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view os_release =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"
    "VERSION_CODENAME=bookworm\nID=debian\n";

/// Three packages, one of which is for all architectures.
std::string small_status(std::string_view architecture = "ppc64el");

/// An uncompressed tar; paths that end in '@' are symbolic links to their text.
std::string make_tar(const LayerFiles& files);

struct TestImage {
  std::vector<LayerFiles> layers;
  std::string platform = "linux/ppc64le";
  std::string created = "2023-06-10T14:00:00.5+02:00";
  manifest::Annotations annotations{};
};
/// @param tag may be empty
manifest::Descriptor put_test_image(registry::ImageStore& store, const TestImage& image,
                                    const std::string& tag);

/// The contents of a stored image.
Result<std::vector<Contents>> contents_of(registry::ImageStore& store,
                                          const registry::Selector& selector,
                                          Diagnostics& diagnostics = null_diagnostics());

/// An image with os-release and small_status().
Contents small_contents();

nlohmann::json parsed(const std::string& document);

}  // namespace fnimage::sbom

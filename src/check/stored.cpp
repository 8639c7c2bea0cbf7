// Checking the images of a store, see check.hpp.
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/check/check.hpp>
#include <fnimage/check/images.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/manifest/validate.hpp>

namespace fnimage::check {

namespace {

/// What config and manifest say against each other.
void add_document_findings(const Image& image, std::vector<Finding>& findings) {
  const manifest::Platform& said = image.config.platform;
  if (image.config.has_platform() &&
      (said.os != image.platform.os ||
       manifest::normalize(said).architecture != image.platform.architecture)) {
    findings.push_back({.level = Level::error,
                        .rule = "platform",
                        .path = {},
                        .message = fmt::format("is listed for {}, and its config says {}",
                                               image.platform.str(), printable(said.str())),
                        .fix = "list it for the platform that its files are for"});
  }
  for (const manifest::Finding& finding : manifest::validate(image.manifest, image.config)) {
    findings.push_back(
        {.level = finding.fatal ? Level::error : Level::warning,
         .rule = "manifest",
         .path = {},
         .message = fmt::format("has at {} of its manifest: {}", finding.path, finding.message),
         .fix = finding.fix});
  }
}

Result<Report> check_one(const Image& image, const LayerEntries& layers) {
  const ImageFiles files = lay_files(image, layers);
  FNIMAGE_TRY(Report report, check_image(files, image.config, image.platform));
  add_document_findings(image, report.findings);
  report.sort();
  return report;
}

}  // namespace

Result<std::vector<StoredImage>> check_stored(registry::ImageStore& store,
                                              const registry::Selector& selector,
                                              const StoreOptions& options, WorkerPool& pool,
                                              Diagnostics& diagnostics) {
  FNIMAGE_TRY(const std::vector<Image> images, find_images(store, selector, options.platforms));
  const LayerReader unpack = [&](const manifest::Descriptor& blob,
                                 const Content& content) -> Result<std::vector<layer::Entry>> {
    FNIMAGE_TRY(layer::ArchiveListing listing,
                layer::unpack_tar([&] { return content.open(); }, blob.digest.hex(),
                                  options.directory, "layer " + blob.digest.str(), options.limits));
    return std::move(listing.entries);
  };
  FNIMAGE_TRY(const LayerEntries layers, read_layers(store, images, unpack, pool, diagnostics));
  std::vector<Report> reports(images.size());
  TaskGroup group(pool);
  for (std::size_t i = 0; i < images.size(); ++i) {
    group.run([&, i]() -> Result<void> {
      FNIMAGE_TRY(reports[i], check_one(images[i], layers));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  std::vector<StoredImage> checked;
  for (std::size_t i = 0; i < images.size(); ++i) {
    checked.push_back({.descriptor = images[i].descriptor, .report = std::move(reports[i])});
  }
  return checked;
}

}  // namespace fnimage::check

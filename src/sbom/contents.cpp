// From an image's files to what is in it, see contents.hpp.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/os_release.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/sbom/contents.hpp>

#include "identity.hpp"

namespace fnimage::sbom {

namespace {

using check::ImageFiles;

constexpr std::string_view status_path = "var/lib/dpkg/status";
constexpr std::string_view single_files = "var/lib/dpkg/status.d";
constexpr std::uint64_t max_database_bytes = std::uint64_t{32} << 20;  // in all
constexpr std::uint64_t max_system_bytes = std::uint64_t{64} << 10;
constexpr std::size_t max_files = 20'000;

/// What may be read of an image. By the ends of paths, since directories may be links.
bool is_wanted(std::string_view path) {
  return path.ends_with("dpkg/status") || path.find("dpkg/status.d/") != std::string_view::npos ||
         path.ends_with("os-release");
}

/// A file of the package database, read whole.
struct DatabaseFile {
  std::string path;
  std::string text;
};

class Database {
 public:
  explicit Database(const ImageFiles& files) : files_(files) {}

  Result<std::vector<DatabaseFile>> read() {
    if (const auto status = files_.resolve(status_path)) {
      FNIMAGE_CHECK(add(*status));
    }
    const auto directory = files_.resolve(single_files);
    if (directory && directory->node->entry.type == layer::EntryType::directory) {
      const std::string prefix = directory->path + "/";
      const ImageFiles::Map& nodes = files_.nodes();
      for (auto at = nodes.lower_bound(prefix); at != nodes.end() && at->first.starts_with(prefix);
           ++at) {
        // Beside each paragraph lie the checksums of its files.
        if (const auto file = files_.resolve(at->first); file && !at->first.ends_with(".md5sums")) {
          FNIMAGE_CHECK(add(*file));
        }
      }
    }
    return std::move(read_);
  }

 private:
  Result<void> add(const ImageFiles::Found& found) {
    const layer::Entry& entry = found.node->entry;
    if (entry.type != layer::EntryType::file) {
      return {};
    }
    bytes_ += entry.size();
    if (bytes_ > max_database_bytes || read_.size() >= max_files) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("/{}: the package database has more than {} MiB or {} files",
                              printable(found.path), max_database_bytes >> 20U, max_files));
    }
    DatabaseFile file{.path = "/" + found.path, .text = {}};
    if (entry.content) {
      FNIMAGE_TRY(const auto reader, entry.content->open());
      FNIMAGE_TRY(file.text, read_all(*reader, max_database_bytes));
    }
    read_.push_back(std::move(file));
    return {};
  }

  const ImageFiles& files_;
  std::vector<DatabaseFile> read_;
  std::uint64_t bytes_ = 0;
};

Result<Distribution> read_distribution(const ImageFiles& files) {
  Distribution distribution;
  auto found = files.resolve("etc/os-release");
  found = found ? found : files.resolve("usr/lib/os-release");
  if (!found || !found->node->entry.content || found->node->entry.size() > max_system_bytes) {
    return distribution;
  }
  FNIMAGE_TRY(const auto reader, found->node->entry.content->open());
  FNIMAGE_TRY(const std::string text, read_all(*reader, max_system_bytes));
  OsRelease release = parse_os_release(text);
  distribution.id = std::move(release.id);
  // Testing and unstable have no number.
  distribution.version =
      std::move(release.version_id.empty() ? release.code_name : release.version_id);
  distribution.full_name = std::move(release.pretty_name);
  return distribution;
}

/// The image's own title, if it has one.
std::string name_of(const check::Image& image, std::string_view otherwise) {
  constexpr std::size_t longest = 128;
  const std::string key(manifest::annotation::title);
  for (const auto* words : {&image.manifest.annotations, &image.config.labels}) {
    const auto found = words->find(key);
    if (found != words->end() && !found->second.empty() && found->second.size() <= longest) {
      return found->second;
    }
  }
  return std::string(otherwise.empty() ? "image" : otherwise);
}

void report(const Contents& contents, Diagnostics& diagnostics) {
  if (contents.installed.packages.empty()) {
    diagnostics.report(
        Severity::warning,
        fmt::format("{}: {}: the bill of materials names the image only", contents.platform.str(),
                    contents.has_database ? "the image's Debian package database is empty"
                                          : "the image has no Debian package database"));
  }
  for (const std::string& fault : contents.installed.faults) {
    diagnostics.report(Severity::warning, fmt::format("{}: dependencies left out: {}",
                                                      contents.platform.str(), fault));
  }
}

}  // namespace

Result<Contents> read_contents(const check::Image& image, const ImageFiles& files,
                               std::string_view name) {
  Contents contents{.image = image.descriptor,
                    .platform = image.platform,
                    .name = name_of(image, name),
                    .created = utc_time(image.config.created)};
  FNIMAGE_TRY(const std::vector<DatabaseFile> database, Database(files).read());
  contents.has_database = !database.empty();
  if (!contents.has_database) {
    return contents;
  }
  FNIMAGE_TRY(contents.distribution, read_distribution(files));
  std::vector<source::StatusFile> status;
  status.reserve(database.size());
  for (const DatabaseFile& file : database) {
    status.push_back({.name = printable(file.path), .text = file.text});
  }
  FNIMAGE_TRY(contents.installed, source::read_installed(status));
  return contents;
}

Result<std::vector<Contents>> read_all_contents(registry::ImageStore& store,
                                                const std::vector<check::Image>& images,
                                                std::string_view name,
                                                const std::filesystem::path& directory,
                                                WorkerPool& pool, Diagnostics& diagnostics) {
  const check::LayerReader reader =
      [&](const manifest::Descriptor& blob,
          const Content& content) -> Result<std::vector<layer::Entry>> {
    FNIMAGE_TRY(layer::ArchiveListing listing,
                layer::unpack_tar([&] { return content.open(); }, blob.digest.hex(), directory,
                                  "layer " + blob.digest.str(), {}, is_wanted));
    return std::move(listing.entries);
  };
  FNIMAGE_TRY(const check::LayerEntries layers,
              check::read_layers(store, images, reader, pool, diagnostics));
  std::vector<Contents> all;
  for (const check::Image& image : images) {
    auto contents = read_contents(image, check::lay_files(image, layers), name);
    if (!contents) {
      return fail(std::move(contents).error().while_doing(
          fmt::format("list the packages of {}", image.platform.str())));
    }
    report(*contents, diagnostics);
    all.push_back(std::move(*contents));
  }
  return all;
}

}  // namespace fnimage::sbom

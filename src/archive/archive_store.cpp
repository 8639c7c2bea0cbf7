// See archive_store.hpp.
#include "archive_store.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/reading_store.hpp>

#include "docker_archive.hpp"

namespace fnimage::archive {

using registry::LayoutReader;
using registry::Selector;

namespace {

class OciArchiveFiles final : public registry::LayoutFiles {
 public:
  OciArchiveFiles(layer::TarFile tar, std::string name)
      : tar_(std::move(tar)), name_(std::move(name)) {}
  [[nodiscard]] std::string describe() const override { return name_; }
  [[nodiscard]] Result<ContentPtr> content(const std::string& name) const override {
    return tar_.content(name);
  }

 private:
  layer::TarFile tar_;
  std::string name_;
};

std::unique_ptr<registry::ImageStore> store_of(LayoutReader reader) {
  auto refusal = Error(ErrorCode::unsupported, reader.describe() + " cannot be changed")
                     .with_hint("archives are written whole: use `fnimage copy SRC ARCHIVE`");
  return registry::reading_store(std::move(reader), std::move(refusal));
}

/// The image of a docker archive: by its name, by the end of a longer one, or by its place.
Result<Selector> docker_image(const LayoutReader& reader, const std::string& tag) {
  FNIMAGE_TRY(const manifest::Index index, reader.index());
  FNIMAGE_TRY(const std::vector<std::string> names, reader.tags());
  const std::string wanted = with_latest(tag);
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (name == wanted || name == tag) {
      return Selector(name);
    }
    // Podman and skopeo write the registry that they take for granted before a short name.
    if (name.ends_with("/" + wanted)) {
      found.push_back(name);
    }
  }
  if (found.size() == 1) {
    return Selector(found.front());
  }
  return fail(ErrorCode::not_found,
              fmt::format("no {} in {}; it has {}", printable(tag), reader.describe(),
                          names.empty() ? "no names" : printable(join(names, ", "))),
              "name one that it has, or one by its place: docker-archive:FILE:@0");
}

Result<std::shared_ptr<const registry::LayoutFiles>> oci_archive_files(
    const std::filesystem::path& file) {
  FNIMAGE_TRY(layer::TarFile tar, layer::TarFile::open(file));
  return std::make_shared<OciArchiveFiles>(std::move(tar), "oci-archive:" + file.string());
}

Result<std::shared_ptr<const registry::LayoutFiles>> files_of(const registry::Location& location) {
  return location.kind == registry::Location::Kind::docker_archive
             ? docker_archive_files(location.directory)
             : oci_archive_files(location.directory);
}

}  // namespace

Result<std::string> read_member(const layer::TarFile& tar, const std::string& name,
                                std::uint64_t limit) {
  FNIMAGE_TRY(const ContentPtr content, tar.content(name));
  FNIMAGE_TRY(const auto reader, content->open());
  return read_all(*reader, limit);
}

Result<std::unique_ptr<registry::ImageStore>> open_whole_archive(
    const registry::Location& location) {
  FNIMAGE_TRY(auto files, files_of(location));
  LayoutReader reader(std::move(files));
  FNIMAGE_CHECK(reader.check_version());
  return store_of(std::move(reader));
}

Result<registry::OpenedImage> open_archive(const registry::Location& location) {
  const bool docker = location.kind == registry::Location::Kind::docker_archive;
  FNIMAGE_TRY(auto files, files_of(location));
  LayoutReader reader(std::move(files));
  FNIMAGE_CHECK(reader.check_version());
  Selector selector = location.tag;
  if (location.tag.empty()) {
    FNIMAGE_TRY(selector, only_image(reader, docker ? "docker-archive:FILE:NAME:TAG"
                                                    : "oci-archive:FILE:TAG"));
  } else if (docker) {
    FNIMAGE_TRY(selector, docker_image(reader, location.tag));
  }
  return registry::OpenedImage{store_of(std::move(reader)), std::move(selector)};
}

}  // namespace fnimage::archive

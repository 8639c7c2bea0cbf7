// The digest of an uncompressed layer is the diff_id that the config promises, and is verified when
// the layer is read; so opening an archive reads only small members. A compressed layer has to be
// hashed, unless its name in the archive is its digest.
#include "docker_archive.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/layer/tar_file.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/media_types.hpp>

#include "archive_store.hpp"

namespace fnimage::archive {

namespace media_type = manifest::media_type;
using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

constexpr std::string_view manifest_file = "manifest.json";
constexpr std::uint64_t max_config_bytes = std::uint64_t{8} << 20;
constexpr std::size_t max_images = 10'000;
constexpr std::size_t max_layers = 10'000;

class DockerArchiveFiles final : public registry::LayoutFiles {
 public:
  explicit DockerArchiveFiles(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] std::string describe() const override { return name_; }
  [[nodiscard]] Result<ContentPtr> content(const std::string& name) const override {
    const auto found = files_.find(name);
    if (found == files_.end()) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", name, name_));
    }
    return found->second;
  }
  void add(std::string name, ContentPtr content) {
    files_.insert_or_assign(std::move(name), std::move(content));
  }

 private:
  std::string name_;
  std::map<std::string, ContentPtr, std::less<>> files_;
};

/// One element of manifest.json.
struct SavedImage {
  std::string config;
  std::vector<std::string> names;
  std::vector<std::string> layers;
};

Result<std::vector<std::string>> strings(const JsonObject& object, std::string_view key) {
  std::vector<std::string> found;
  const nlohmann::json* list = object.find(key);
  if (list == nullptr) {
    return found;
  }
  if (!list->is_array() || list->size() > max_layers) {
    return fail(ErrorCode::invalid_input, object.path_of(key) + ": not a list of texts");
  }
  for (const nlohmann::json& value : *list) {
    if (!value.is_string()) {
      return fail(ErrorCode::invalid_input, object.path_of(key) + ": not a list of texts");
    }
    found.push_back(value.get<std::string>());
  }
  return found;
}

Result<std::vector<SavedImage>> parse_saved(std::string_view text, const std::string& what) {
  FNIMAGE_TRY(const nlohmann::json json, parse_json(text, what));
  if (!json.is_array() || json.size() > max_images) {
    return fail(ErrorCode::invalid_input, what + " is not a list of images");
  }
  std::vector<SavedImage> images;
  for (const nlohmann::json& value : json) {
    FNIMAGE_TRY(const JsonObject object,
                JsonObject::of(value, fmt::format("{}: /{}", what, images.size())));
    SavedImage image;
    FNIMAGE_TRY(image.config, object.string("Config"));
    FNIMAGE_TRY(image.names, strings(object, "RepoTags"));
    FNIMAGE_TRY(image.layers, strings(object, "Layers"));
    images.push_back(std::move(image));
  }
  return images;
}

Result<Digest> hash(const Content& content) {
  FNIMAGE_TRY(const auto reader, content.open());
  manifest::Hasher hasher;
  std::array<std::byte, 65536> buffer{};
  while (true) {
    FNIMAGE_TRY(const std::size_t got, reader->read(buffer));
    if (got == 0) {
      return hasher.finish();
    }
    hasher.update(Bytes(buffer).first(got));
  }
}

class DockerArchiveReader {
 public:
  DockerArchiveReader(const layer::TarFile& tar, std::string what)
      : tar_(tar),
        what_(std::move(what)),
        files_(std::make_shared<DockerArchiveFiles>("docker-archive:" + what_)) {}

  Result<std::shared_ptr<const registry::LayoutFiles>> run() {
    auto text = read_member(tar_, std::string(manifest_file), manifest::max_document_bytes);
    if (!text) {
      const bool missing = text.error().code() == ErrorCode::not_found;
      return fail(missing ? Error(ErrorCode::invalid_input,
                                  fmt::format("{} is not a docker archive: it has no {}", what_,
                                              manifest_file))
                                .with_hint("if it is an archive of an OCI layout, write "
                                           "oci-archive:FILE")
                          : std::move(text).error());
    }
    FNIMAGE_TRY(const auto images,
                parse_saved(*text, fmt::format("{} in {}", manifest_file, what_)));
    manifest::Index index;
    for (const SavedImage& image : images) {
      auto added = add_image(image, index);
      if (!added) {
        return fail(std::move(added).error().while_doing(fmt::format("read {}", what_)));
      }
      ++place_;
    }
    files_->add(std::string(registry::layout_marker),
                memory_content(std::string(registry::layout_marker_text)));
    files_->add(std::string(registry::layout_index), memory_content(emit(index)));
    return files_;
  }

 private:
  Result<void> add_image(const SavedImage& saved, manifest::Index& index) {
    FNIMAGE_TRY(std::string config_bytes, read_member(tar_, saved.config, max_config_bytes));
    FNIMAGE_CHECK(check_config(saved.config, Digest::of(config_bytes)));
    FNIMAGE_TRY(const auto config, manifest::ImageConfig::parse(config_bytes));
    if (config.diff_ids.size() != saved.layers.size()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("image {} has {} layers, but its config lists {}", place_,
                              saved.layers.size(), config.diff_ids.size()));
    }
    manifest::ImageManifest image{.format = manifest::Format::docker,
                                  .config = {.media_type = std::string(media_type::docker_config),
                                             .digest = Digest::of(config_bytes),
                                             .size = config_bytes.size()},
                                  .layers = {}};
    add_blob(image.config, memory_content(std::move(config_bytes)));
    for (std::size_t i = 0; i < saved.layers.size(); ++i) {
      FNIMAGE_TRY(Descriptor layer, add_layer(saved.layers[i], config.diff_ids[i]));
      image.layers.push_back(std::move(layer));
    }
    const Document document = listed_as(image).value_or(Document::of(image));
    Descriptor entry = document.descriptor();
    if (config.has_platform()) {
      entry.platform = config.platform;
    }
    add_blob(entry, memory_content(document.bytes()));
    add_names(saved, entry, index);
    return {};
  }

  /// Writers of both formats (docker 25 and fnimage) keep an index.json beside manifest.json: its
  /// manifest of the same config and layers is the one that the image was saved from.
  std::optional<Document> listed_as(const manifest::ImageManifest& image) {
    if (!listed_) {
      listed_ = read_listed();
    }
    const auto same_blob = [](const Descriptor& a, const Descriptor& b) {
      return a.digest == b.digest;
    };
    for (const Document& document : *listed_) {
      const auto own = document.image();
      if (own && own->config.digest == image.config.digest &&
          std::ranges::equal(own->layers, image.layers, same_blob)) {
        return document;
      }
    }
    return std::nullopt;
  }

  /// What is missing or damaged in it does no harm: manifest.json says all that is needed.
  std::vector<Document> read_listed() {
    std::vector<Document> images;
    const auto text =
        read_member(tar_, std::string(registry::layout_index), manifest::max_document_bytes);
    if (!text) {
      return images;
    }
    const auto index = manifest::Index::parse(*text);
    if (!index) {
      return images;
    }
    for (const Descriptor& entry : index->manifests) {
      auto bytes =
          read_member(tar_, registry::layout_blob_name(entry.digest), manifest::max_document_bytes);
      if (!bytes || Digest::of(std::string_view(*bytes)) != entry.digest) {
        continue;
      }
      auto document = Document::from_bytes(std::move(*bytes), entry.media_type, what_);
      if (document && document->is_image() && images.size() < max_images) {
        images.push_back(std::move(*document));
      }
    }
    return images;
  }

  void add_names(const SavedImage& saved, const Descriptor& entry, manifest::Index& index) const {
    std::vector<std::string> names = saved.names;
    names.push_back(fmt::format("@{}", place_));
    for (std::string& name : names) {
      Descriptor named = entry;
      named.annotations.emplace(manifest::annotation::ref_name, std::move(name));
      index.manifests.push_back(std::move(named));
    }
  }

  Result<Descriptor> add_layer(const std::string& member, const Digest& diff_id) {
    FNIMAGE_TRY(ContentPtr content, tar_.content(member));
    FNIMAGE_TRY(const auto type, layer_type(*content, member));
    Descriptor layer{.media_type = std::string(type), .digest = diff_id, .size = content->size()};
    if (type != media_type::docker_layer) {
      const auto named = digest_in_name(member);
      if (named) {
        layer.digest = *named;
      } else {
        FNIMAGE_TRY(layer.digest, hash(*content));
      }
    }
    add_blob(layer, std::move(content));
    return layer;
  }

  static Result<std::string_view> layer_type(const Content& content, const std::string& member) {
    FNIMAGE_TRY(const bool compressed, layer::is_compressed(content));
    if (!compressed) {
      return media_type::docker_layer;
    }
    FNIMAGE_TRY(const auto reader, content.open());
    std::array<std::byte, 1> first{};
    FNIMAGE_CHECK(reader->read(first));
    constexpr std::byte gzip_magic{0x1f};
    constexpr std::byte zstd_magic{0x28};
    if (first[0] != gzip_magic && first[0] != zstd_magic) {
      return fail(ErrorCode::unsupported,
                  fmt::format("layer {} is compressed with xz", printable(member)));
    }
    return first[0] == gzip_magic ? media_type::docker_layer_gzip : media_type::docker_layer_zstd;
  }

  /// Of members that are named as in a layout; wrong names are found out when the layer is read.
  static std::optional<Digest> digest_in_name(std::string_view member) {
    constexpr std::string_view directory = "blobs/sha256/";
    return member.starts_with(directory) ? sha256_of_hex(member.substr(directory.size()))
                                         : std::nullopt;
  }

  /// Everybody names configs by their digests: "<hex>.json", or as in a layout.
  static Result<void> check_config(std::string_view member, const Digest& actual) {
    std::string_view hex = member;
    constexpr std::string_view suffix = ".json";
    hex.remove_suffix(hex.ends_with(suffix) ? suffix.size() : 0);
    const auto promised = sha256_of_hex(hex);
    const auto named = promised ? promised : digest_in_name(member);
    if (named && *named != actual) {
      return fail(
          ErrorCode::verification,
          fmt::format("config {} is damaged: its digest is {}", printable(member), actual.str()),
          "make or fetch the archive again");
    }
    return {};
  }

  static std::optional<Digest> sha256_of_hex(std::string_view hex) {
    auto digest = Digest::parse(fmt::format("sha256:{}", hex));
    return digest ? std::optional(std::move(*digest)) : std::nullopt;
  }

  void add_blob(const Descriptor& blob, ContentPtr content) {
    files_->add(registry::layout_blob_name(blob.digest), std::move(content));
  }

  const layer::TarFile& tar_;
  std::string what_;
  std::shared_ptr<DockerArchiveFiles> files_;
  std::size_t place_ = 0;
  std::optional<std::vector<Document>> listed_;  ///< images of index.json
};

}  // namespace

Result<std::shared_ptr<const registry::LayoutFiles>> docker_archive_files(
    const std::filesystem::path& file) {
  FNIMAGE_TRY(const layer::TarFile tar, layer::TarFile::open(file));
  return DockerArchiveReader(tar, file.string()).run();
}

std::string with_latest(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const bool tagged =
      name.starts_with('@') ||
      name.find(':', slash == std::string_view::npos ? 0 : slash) != std::string_view::npos;
  return tagged ? std::string(name) : fmt::format("{}:latest", name);
}

}  // namespace fnimage::archive

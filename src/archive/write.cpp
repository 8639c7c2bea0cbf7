// See write.hpp. Files are in byte order of their names, as all our tars.
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/archive/write.hpp>
#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/layer/tar_writer.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/layout_reader.hpp>

#include "docker_archive.hpp"

namespace fnimage::archive {

namespace fs = std::filesystem;

using manifest::Descriptor;
using manifest::Document;

namespace {

/// Reports how far a content has been read.
class WatchedContent final : public Content {
 public:
  WatchedContent(ContentPtr inner, std::string label, Diagnostics& diagnostics)
      : inner_(std::move(inner)), label_(std::move(label)), diagnostics_(diagnostics) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return inner_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    FNIMAGE_TRY(auto reader, inner_->open(offset));
    return std::make_unique<WatchedReader>(std::move(reader), diagnostics_.begin(label_, size()));
  }

 private:
  class WatchedReader final : public Reader {
   public:
    WatchedReader(std::unique_ptr<Reader> inner, std::unique_ptr<ProgressTask> task)
        : inner_(std::move(inner)), task_(std::move(task)) {}
    WatchedReader(const WatchedReader&) = delete;
    WatchedReader& operator=(const WatchedReader&) = delete;
    ~WatchedReader() override { task_->finish(ended_ ? "done" : "failed"); }
    Result<std::size_t> read(MutableBytes buffer) override {
      FNIMAGE_TRY(const std::size_t got, inner_->read(buffer));
      done_ += got;
      ended_ = got == 0;
      task_->update(done_);
      return got;
    }

   private:
    std::unique_ptr<Reader> inner_;
    std::unique_ptr<ProgressTask> task_;
    std::uint64_t done_ = 0;
    bool ended_ = false;
  };

  ContentPtr inner_;
  std::string label_;
  Diagnostics& diagnostics_;
};

/// manifest.json: what `docker load` reads.
Result<std::string> docker_manifest_json(const Document& root,
                                         const std::vector<std::string>& names) {
  if (root.is_index()) {
    return fail(ErrorCode::platform_mismatch,
                "a docker archive holds the image of one platform, this is a list",
                "choose one with --platform, or write an oci-archive:, which holds lists");
  }
  FNIMAGE_TRY(const auto image, root.image());
  if (!manifest::is_config_type(image.config.media_type)) {
    return fail(ErrorCode::unsupported, "a docker archive holds images, this is an artifact",
                "write an oci-archive:");
  }
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const Descriptor& layer : image.layers) {
    layers.push_back(registry::layout_blob_name(layer.digest));
  }
  nlohmann::ordered_json tags = nlohmann::ordered_json::array();
  for (const std::string& name : names) {
    tags.push_back(with_latest(name));
  }
  return to_json_text(
      nlohmann::ordered_json::array({{{"Config", registry::layout_blob_name(image.config.digest)},
                                      {"RepoTags", std::move(tags)},
                                      {"Layers", std::move(layers)}}}));
}

class ArchiveBuilder {
 public:
  ArchiveBuilder(registry::ImageStore& from, const WriteOptions& options, Diagnostics& diagnostics)
      : from_(from), options_(options), diagnostics_(diagnostics) {}

  Result<WrittenArchive> gather(const registry::Selector& selector) {
    FNIMAGE_TRY(const Document root, parts_.add(from_, selector));
    if (options_.kind == ArchiveKind::docker) {
      FNIMAGE_TRY(std::string saved, docker_manifest_json(root, options_.names));
      FNIMAGE_CHECK(add("manifest.json", std::move(saved)));
    }
    manifest::Index index;
    list(root.descriptor(), options_.names, index);
    FNIMAGE_CHECK(add_companions(index));
    FNIMAGE_CHECK(
        add(std::string(registry::layout_marker), std::string(registry::layout_marker_text)));
    FNIMAGE_CHECK(add(std::string(registry::layout_index), emit(index)));
    FNIMAGE_CHECK(add_parts());
    return WrittenArchive{
        .root = root.descriptor(), .blobs = parts_.blobs().size(), .bytes = parts_.bytes()};
  }

  [[nodiscard]] const layer::FileTree& tree() const noexcept { return tree_; }

 private:
  static void list(const Descriptor& image, const std::vector<std::string>& names,
                   manifest::Index& index) {
    if (names.empty()) {
      index.manifests.push_back(image);
    }
    for (const std::string& name : names) {
      Descriptor entry = image;
      entry.annotations.emplace(manifest::annotation::ref_name, name);
      index.manifests.push_back(std::move(entry));
    }
  }

  Result<void> add_companions(manifest::Index& index) {
    for (const auto& [subject, entries] : options_.companions.referrers) {
      for (const Descriptor& entry : entries) {
        FNIMAGE_CHECK(parts_.add(from_, entry.digest));
      }
      const registry::FallbackList fallback = registry::fallback_list(subject, entries);
      FNIMAGE_CHECK(
          add(registry::layout_blob_name(fallback.document.digest()), fallback.document.bytes()));
      list(fallback.document.descriptor(), {fallback.tag}, index);
    }
    for (const auto& [tag, entry] : options_.companions.tags) {
      FNIMAGE_CHECK(parts_.add(from_, entry.digest));
      list(entry, {tag}, index);
    }
    return {};
  }

  Result<void> add_parts() {
    for (const Document& document : parts_.documents()) {
      FNIMAGE_CHECK(add(registry::layout_blob_name(document.digest()), document.bytes()));
    }
    for (const Descriptor& blob : parts_.blobs()) {
      FNIMAGE_TRY(ContentPtr content, from_.blob(blob));
      if (content->size() != blob.size) {
        return fail(ErrorCode::verification,
                    fmt::format("blob {} in {} has {} bytes instead of {}", blob.digest.str(),
                                from_.describe(), content->size(), blob.size));
      }
      constexpr std::size_t shown_digits = 12;
      FNIMAGE_CHECK(
          add(registry::layout_blob_name(blob.digest),
              std::make_shared<WatchedContent>(
                  std::move(content),
                  fmt::format("blob sha256:{}", blob.digest.hex().substr(0, shown_digits)),
                  diagnostics_)));
    }
    return {};
  }

  Result<void> add(std::string path, std::string bytes) {
    return add(std::move(path), memory_content(std::move(bytes)));
  }
  Result<void> add(std::string path, ContentPtr content) {
    return tree_.add({.path = std::move(path), .content = std::move(content)});
  }

  registry::ImageStore& from_;
  const WriteOptions& options_;
  Diagnostics& diagnostics_;
  registry::ImageParts parts_;
  layer::FileTree tree_;
};

Result<void> store_tree(const layer::FileTree& tree, const fs::path& directory,
                        const fs::path& file) {
  FNIMAGE_TRY(AtomicFile out, AtomicFile::create(directory));
  FNIMAGE_CHECK(layer::write_tar(tree, out));
  return out.commit(file);
}

/// A misspelt directory is not made: the archive would be looked for elsewhere.
Result<void> check_place(const fs::path& file, const fs::path& directory) {
  std::error_code problem;
  if (fs::is_directory(directory, problem)) {
    return {};
  }
  return fail(ErrorCode::not_found,
              fmt::format("cannot write {}: {} is no directory", printable(file.string()),
                          printable(directory.string())),
              "make it first, or check the path");
}

}  // namespace

Result<WrittenArchive> write_archive(registry::ImageStore& from, const registry::Selector& selector,
                                     const fs::path& file, const WriteOptions& options,
                                     Diagnostics& diagnostics) {
  const fs::path directory = file.has_parent_path() ? file.parent_path() : fs::path(".");
  FNIMAGE_CHECK(check_place(file, directory));
  if (options.kind == ArchiveKind::docker && !options.companions.empty()) {
    return fail(ErrorCode::unsupported, "a docker archive cannot hold what refers to an image",
                "write an oci-archive:, or leave out --referrers");
  }
  ArchiveBuilder builder(from, options, diagnostics);
  FNIMAGE_TRY(WrittenArchive written, builder.gather(selector));
  remove_stale_temporaries(directory);
  Result<void> stored = store_tree(builder.tree(), directory, file);
  if (!stored && stored.error().code() == ErrorCode::verification) {
    // Bytes that were damaged on their way are right the next time (F20).
    stored = store_tree(builder.tree(), directory, file);
  }
  FNIMAGE_CHECK(stored);
  return written;
}

}  // namespace fnimage::archive

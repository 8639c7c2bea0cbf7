// See layout_reader.hpp. Everything that is read is verified by its digest.
#include <algorithm>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/layout_reader.hpp>

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Index;

namespace {

/// Takes a blob that turns out to be damaged away, so that it is stored again by whoever has it.
class BlobReader final : public Reader {
 public:
  BlobReader(std::shared_ptr<const LayoutFiles> files, Digest digest,
             std::unique_ptr<Reader> verifying)
      : files_(std::move(files)), digest_(std::move(digest)), inner_(std::move(verifying)) {}
  Result<std::size_t> read(MutableBytes buffer) override {
    auto count = inner_->read(buffer);
    if (!count && count.error().code() == ErrorCode::verification &&
        files_->remove_damaged(digest_)) {
      return fail(Error(ErrorCode::verification,
                        fmt::format("the copy of {} in {} was damaged and has been removed",
                                    digest_.str(), files_->describe()))
                      .with_hint("build or pull the image again, which stores it anew"));
    }
    return count;
  }

 private:
  std::shared_ptr<const LayoutFiles> files_;
  Digest digest_;
  std::unique_ptr<Reader> inner_;
};

/// A file of a layout, verified while it is read from its beginning. It does not say which file it
/// is: whoever takes it must read it, since anybody may have written there.
class LayoutBlob final : public Content {
 public:
  LayoutBlob(std::shared_ptr<const LayoutFiles> files, ContentPtr file, Descriptor descriptor,
             std::string what)
      : files_(std::move(files)),
        file_(std::move(file)),
        descriptor_(std::move(descriptor)),
        what_(std::move(what)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return file_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    FNIMAGE_TRY(auto reader, file_->open(offset));
    if (offset > 0) {
      return reader;  // the rest of something that was sent: the receiver verifies the whole
    }
    return std::make_unique<BlobReader>(
        files_, descriptor_.digest,
        verifying_reader(std::move(reader), descriptor_.digest, descriptor_.size, what_));
  }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open_unverified(
      std::uint64_t offset) const override {
    return file_->open(offset);
  }
  [[nodiscard]] std::optional<std::filesystem::path> unverified_file() const override {
    return file_->file();
  }

 private:
  std::shared_ptr<const LayoutFiles> files_;
  ContentPtr file_;
  Descriptor descriptor_;
  std::string what_;
};

}  // namespace

std::string layout_blob_name(const Digest& digest) {
  return fmt::format("blobs/{}/{}", digest.algorithm(), digest.hex());
}

std::string layout_tag_of(const Descriptor& entry) {
  const auto found = entry.annotations.find(std::string(manifest::annotation::ref_name));
  return found == entry.annotations.end() ? std::string() : found->second;
}

bool has_layout_tag(const Descriptor& entry, std::string_view tag) {
  for (const auto key : {manifest::annotation::ref_name, manifest::annotation::containerd_name}) {
    const auto found = entry.annotations.find(std::string(key));
    if (found != entry.annotations.end() && found->second == tag) {
      return true;
    }
  }
  return false;
}

Result<void> LayoutReader::check_version() const {
  const std::string what = fmt::format("{}/{}", describe(), layout_marker);
  auto text = files_->read(std::string(layout_marker), 4096);
  if (!text) {
    const bool missing = text.error().code() == ErrorCode::not_found;
    return fail(Error(missing ? ErrorCode::not_found : text.error().code(),
                      missing ? fmt::format("{} is not an OCI layout: it has no {} file",
                                            describe(), layout_marker)
                              : text.error().message())
                    .with_hint("name a layout that `fnimage build -o oci:DIR`, `fnimage copy` or "
                               "`skopeo copy … oci:DIR` wrote"));
  }
  FNIMAGE_TRY(const auto json, parse_json(*text, what));
  FNIMAGE_TRY(const auto object, JsonObject::of(json, what));
  FNIMAGE_TRY(const auto version, object.string("imageLayoutVersion"));
  if (!version.starts_with("1.")) {
    return fail(ErrorCode::unsupported,
                fmt::format("{}: layout version {} is not known", what, printable(version, 40)),
                "this version of fnimage reads layouts of version 1");
  }
  return {};
}

struct LayoutReader::Cache {
  std::mutex mutex;
  std::string text{};                    // guarded by mutex
  std::shared_ptr<const Index> index{};  // guarded by mutex
};

Result<std::string> LayoutFiles::read(const std::string& name, std::uint64_t limit) const {
  FNIMAGE_TRY(const ContentPtr file, content(name));
  FNIMAGE_TRY(const auto reader, file->open());
  return read_all(*reader, limit);
}

LayoutReader::LayoutReader(std::shared_ptr<const LayoutFiles> files, manifest::ListLimits limits)
    : files_(std::move(files)), limits_(limits), cache_(std::make_shared<Cache>()) {}

Result<Index> LayoutReader::index() const {
  FNIMAGE_TRY(const auto current, this->current());
  return *current;
}

Result<std::shared_ptr<const Index>> LayoutReader::current() const {
  auto text = files_->read(std::string(layout_index), limits_.max_bytes);
  if (!text) {
    return fail(std::move(text).error().while_doing("read the layout's index"));
  }
  const std::lock_guard lock(cache_->mutex);
  if (cache_->index && cache_->text == *text) {
    return cache_->index;
  }
  auto index = Index::parse(*text, limits_);
  if (!index) {
    return fail(
        std::move(index).error().while_doing(fmt::format("{}/{}", describe(), layout_index)));
  }
  cache_->index = std::make_shared<const Index>(std::move(*index));
  cache_->text = std::move(*text);
  return cache_->index;
}

Result<std::optional<Descriptor>> LayoutReader::find_tag(std::string_view tag) const {
  FNIMAGE_TRY(const auto index, current());
  for (const auto& entry : index->manifests) {
    if (has_layout_tag(entry, tag)) {
      return std::optional(entry);
    }
  }
  return std::optional<Descriptor>();
}

Result<Document> LayoutReader::read_document(const Digest& digest,
                                             std::string_view media_type) const {
  FNIMAGE_TRY(std::string bytes,
              files_->read(layout_blob_name(digest), manifest::max_document_bytes));
  const std::string what = fmt::format("{} in {}", digest.str(), describe());
  auto hasher = manifest::Hasher::for_digest(digest);
  hasher.update(as_bytes(bytes));
  if (hasher.finish() != digest) {
    return fail(ErrorCode::verification,
                fmt::format("{} is damaged: its bytes have another digest", what),
                "delete that blob and store the image again");
  }
  return Document::from_bytes(std::move(bytes), media_type, what);
}

Result<std::optional<Descriptor>> LayoutReader::resolve(const Selector& selector) const {
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    FNIMAGE_TRY(auto entry, find_tag(*tag));
    if (entry) {
      // Names belong to index.json alone and must not travel into lists made from the answer.
      entry->annotations.erase(std::string(manifest::annotation::ref_name));
      entry->annotations.erase(std::string(manifest::annotation::containerd_name));
    }
    return entry;
  }
  const auto& digest = std::get<Digest>(selector);
  auto document = read_document(digest, {});
  if (!document) {
    const ErrorCode code = document.error().code();
    // A layer's digest, or damaged bytes, which the next put replaces: no manifest stands there.
    if (code == ErrorCode::not_found || code == ErrorCode::invalid_input ||
        code == ErrorCode::verification) {
      return std::optional<Descriptor>();
    }
    return fail(std::move(document).error());
  }
  return std::optional(document->descriptor());
}

Result<Document> LayoutReader::get_manifest(const Selector& selector) const {
  std::optional<Digest> digest;
  std::string media_type;
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    FNIMAGE_TRY(const auto entry, find_tag(*tag));
    if (!entry) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", printable(*tag), describe()));
    }
    digest = entry->digest;
    media_type = entry->media_type;
  } else {
    digest = std::get<Digest>(selector);
  }
  auto document = read_document(*digest, media_type);
  if (!document && document.error().code() == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, fmt::format("no {} in {}", digest->str(), describe()));
  }
  return document;
}

bool LayoutReader::has_blob(const Descriptor& blob) const {
  const auto file = files_->content(layout_blob_name(blob.digest));
  return file && (*file)->size() == blob.size;
}

Result<ContentPtr> LayoutReader::blob(const Descriptor& blob) const {
  auto file = files_->content(layout_blob_name(blob.digest));
  if (!file) {
    if (file.error().code() == ErrorCode::not_found) {
      return fail(ErrorCode::not_found,
                  fmt::format("no blob {} in {}", blob.digest.str(), describe()));
    }
    return fail(std::move(file).error());
  }
  return std::make_shared<LayoutBlob>(files_, std::move(*file), blob,
                                      fmt::format("blob {} in {}", blob.digest.str(), describe()));
}

Result<std::vector<std::string>> LayoutReader::tags() const {
  FNIMAGE_TRY(const Index index, this->index());
  std::vector<std::string> names;
  for (const auto& entry : index.manifests) {
    if (auto name = layout_tag_of(entry); !name.empty()) {
      names.push_back(std::move(name));
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<std::vector<Descriptor>> LayoutReader::referrers(const Digest& digest) const {
  FNIMAGE_TRY(const Index index, this->index());
  std::vector<Descriptor> found;
  for (const auto& entry : index.manifests) {
    auto document = read_document(entry.digest, entry.media_type);
    if (!document) {
      continue;  // a layout may list what it does not hold
    }
    if (has_layout_tag(entry, referrers_tag(digest)) && document->is_index()) {
      FNIMAGE_TRY(const auto listed, document->index());
      found.insert(found.end(), listed.manifests.begin(), listed.manifests.end());
    } else if (document->is_image()) {
      FNIMAGE_TRY(const auto image, document->image());
      if (image.subject && image.subject->digest == digest) {
        found.push_back(document->descriptor());
        found.back().artifact_type = image.artifact_type;
      }
    }
  }
  return found;
}

namespace {

/// The different images that a layout is about: not the lists of what refers to others.
std::vector<Descriptor> distinct_images(const Index& index) {
  std::vector<Descriptor> found;
  for (const auto& entry : index.manifests) {
    const bool known = std::ranges::any_of(
        found, [&](const Descriptor& other) { return other.digest == entry.digest; });
    if (!known && !is_referrers_tag(layout_tag_of(entry))) {
      found.push_back(entry);
    }
  }
  return found;
}

/// The list among images that all belong to it; nullopt when it is not that clear.
Result<std::optional<Selector>> list_of_all(const LayoutReader& layout,
                                            const std::vector<Descriptor>& images) {
  const auto is_list = [](const Descriptor& entry) {
    return manifest::is_index_type(entry.media_type);
  };
  if (std::ranges::count_if(images, is_list) != 1) {
    return std::nullopt;
  }
  const Digest root = std::ranges::find_if(images, is_list)->digest;
  FNIMAGE_TRY(const Document document, layout.get_manifest(root));
  FNIMAGE_TRY(const Index list, document.index());
  const bool all = std::ranges::all_of(images, [&](const Descriptor& image) {
    return image.digest == root ||
           std::ranges::any_of(list.manifests, [&](const Descriptor& child) {
             return child.digest == image.digest;
           });
  });
  return all ? std::optional(Selector(root)) : std::nullopt;
}

}  // namespace

Result<Selector> only_image(const LayoutReader& layout, std::string_view spelling) {
  FNIMAGE_TRY(const Index index, layout.index());
  const std::vector<Descriptor> images = distinct_images(index);
  if (images.empty()) {
    return fail(ErrorCode::not_found, fmt::format("{} is empty", layout.describe()));
  }
  if (images.size() == 1) {
    return Selector(images.front().digest);
  }
  FNIMAGE_TRY(auto list, list_of_all(layout, images));
  if (list) {
    return std::move(*list);
  }
  FNIMAGE_TRY(const auto tags, layout.tags());
  return fail(ErrorCode::invalid_argument,
              fmt::format("{} holds {} images: {}", layout.describe(), images.size(),
                          printable(join(tags, ", "))),
              fmt::format("name one: {}", spelling));
}

}  // namespace fnimage::registry

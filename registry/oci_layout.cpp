// Layout on disk. Order of a publish: blobs, then manifests (blobs too), then index.json, each
// complete and synced before the next begins, so that a crash at any moment leaves the old or the
// new state. Blobs that nothing refers to are harmless.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/file_lock.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "fallback_tag.hpp"

namespace fnimage::registry {

namespace fs = std::filesystem;

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Index;

namespace {

constexpr std::string_view layout_file = "oci-layout";
constexpr std::string_view index_file = "index.json";
constexpr std::string_view lock_file = ".fnimage.lock";
constexpr std::string_view layout_text = R"({"imageLayoutVersion":"1.0.0"})";

/// A file of a layout, verified while it is read from its beginning. It does not say which file it
/// is: whoever takes it must read it, since anybody may have written there.
class LayoutBlob final : public Content {
 public:
  LayoutBlob(ContentPtr file, Descriptor descriptor, std::string what)
      : file_(std::move(file)), descriptor_(std::move(descriptor)), what_(std::move(what)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return file_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    FNIMAGE_TRY(auto reader, file_->open(offset));
    if (offset > 0) {
      return reader;  // the rest of something that was sent: the receiver verifies the whole
    }
    return verifying_reader(std::move(reader), descriptor_.digest, descriptor_.size, what_);
  }

 private:
  ContentPtr file_;
  Descriptor descriptor_;
  std::string what_;
};

/// Reads a file of the layout. Opening a FIFO that somebody put there would wait for ever.
Result<std::string> read_regular(const fs::path& file, std::uint64_t limit) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return fail(ErrorCode::invalid_input, file.string() + " is not a regular file");
  }
  return read_file(file, limit);
}

bool has_tag(const Descriptor& entry, std::string_view tag) {
  for (const auto key : {manifest::annotation::ref_name, manifest::annotation::containerd_name}) {
    const auto found = entry.annotations.find(std::string(key));
    if (found != entry.annotations.end() && found->second == tag) {
      return true;
    }
  }
  return false;
}

/// The name an entry is listed by; empty when it has none.
std::string tag_of(const Descriptor& entry) {
  const auto found = entry.annotations.find(std::string(manifest::annotation::ref_name));
  return found == entry.annotations.end() ? std::string() : found->second;
}

Result<void> check_version(const fs::path& directory) {
  const fs::path file = directory / layout_file;
  auto text = read_regular(file, 4096);
  if (!text) {
    const bool missing = text.error().code() == ErrorCode::not_found;
    return fail(Error(missing ? ErrorCode::not_found : text.error().code(),
                      missing ? fmt::format("{} is not an OCI layout: it has no {} file",
                                            directory.string(), layout_file)
                              : text.error().message())
                    .with_hint("name a directory that `fnimage build -o oci:DIR` or `skopeo copy … "
                               "oci:DIR` wrote"));
  }
  FNIMAGE_TRY(const auto json, parse_json(*text, file.string()));
  FNIMAGE_TRY(const auto object, JsonObject::of(json, file.string()));
  FNIMAGE_TRY(const auto version, object.string("imageLayoutVersion"));
  if (!version.starts_with("1.")) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("{}: layout version {} is not known", file.string(), printable(version, 40)),
        "this version of fnimage reads layouts of version 1");
  }
  return {};
}

/// What a layout that is just being made, perhaps by a process that was killed, may hold.
bool belongs_to_a_layout(const std::string& name) {
  return name == layout_file || name == index_file || name == lock_file || name == "blobs" ||
         name.starts_with(".tmp-");
}

Result<void> create_layout(const fs::path& directory) {
  FNIMAGE_CHECK(make_directories(directory));
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / lock_file));
  std::error_code error;
  if (!fs::exists(directory / layout_file, error)) {
    for (const auto& entry : fs::directory_iterator(directory, error)) {
      if (!belongs_to_a_layout(entry.path().filename().string())) {
        return fail(
            ErrorCode::already_exists,
            fmt::format("{} is not empty and not an OCI layout (it has {})", directory.string(),
                        printable(entry.path().filename().string(), 80)),
            "name an empty or new directory");
      }
    }
    FNIMAGE_CHECK(write_file_atomically(directory / layout_file, layout_text));
  }
  if (!fs::exists(directory / index_file, error)) {
    FNIMAGE_CHECK(write_file_atomically(directory / index_file, emit(Index{})));
  }
  FNIMAGE_CHECK(make_directories(directory / "blobs" / "sha256"));
  remove_stale_temporaries(directory);
  remove_stale_temporaries(directory / "blobs" / "sha256");
  remove_stale_temporaries(directory / "blobs" / "sha512");
  return {};
}

/// Gives an existing file a second name. False when the file systems or their rules do not allow
/// it.
Result<bool> try_link(const fs::path& file, const fs::path& target) {
  // The cache that hands the file out does not sync; the store must.
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(error_from_errno(errno, "open " + file.string()));
  }
  const int synced = ::fsync(fd);
  const int sync_error = errno;
  ::close(fd);
  if (synced != 0) {
    return fail(error_from_errno(sync_error, "sync " + file.string()));
  }
  if (::link(file.c_str(), target.c_str()) == 0) {
    FNIMAGE_CHECK(sync_directory(target.parent_path()));
    return true;
  }
  if (errno == ENOSPC || errno == EDQUOT || errno == EIO) {
    return fail(error_from_errno(errno, "write " + target.string()));
  }
  return false;
}

/// Counts what goes through for the progress display.
class ProgressWriter final : public Writer {
 public:
  ProgressWriter(Writer& out, ProgressTask* progress) : out_(out), progress_(progress) {}
  Result<void> write(Bytes bytes) override {
    FNIMAGE_CHECK(out_.write(bytes));
    done_ += bytes.size();
    if (progress_ != nullptr) {
      progress_->update(done_);
    }
    return {};
  }

 private:
  Writer& out_;
  ProgressTask* progress_;
  std::uint64_t done_ = 0;
};

}  // namespace

struct OciLayout::Impl {
  fs::path directory;

  [[nodiscard]] fs::path path_of(const Digest& digest) const {
    return directory / "blobs" / std::string(digest.algorithm()) / std::string(digest.hex());
  }

  [[nodiscard]] bool holds(const Digest& digest, std::uint64_t size) const {
    std::error_code error;
    const auto actual = fs::file_size(path_of(digest), error);
    return !error && actual == size;
  }

  [[nodiscard]] Result<Index> read_index() const {
    const fs::path file = directory / index_file;
    auto text = read_regular(file, manifest::max_document_bytes);
    if (!text) {
      return fail(std::move(text).error().while_doing("read the layout's index"));
    }
    auto index = Index::parse(*text);
    if (!index) {
      return fail(std::move(index).error().while_doing(file.string()));
    }
    return index;
  }

  /// Changes index.json under the lock: read anew, edited, written back in one step.
  template <class Edit>
  Result<void> edit_index(Edit edit) {
    FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / lock_file));
    FNIMAGE_TRY(Index index, read_index());
    FNIMAGE_CHECK(edit(index));
    return write_file_atomically(directory / index_file, emit(index));
  }

  [[nodiscard]] Result<std::optional<Descriptor>> find_tag(std::string_view tag) const {
    FNIMAGE_TRY(const Index index, read_index());
    for (const auto& entry : index.manifests) {
      if (has_tag(entry, tag)) {
        return std::optional(entry);
      }
    }
    return std::optional<Descriptor>();
  }

  [[nodiscard]] Result<Document> read_document(const Digest& digest,
                                               std::string_view media_type) const {
    FNIMAGE_TRY(std::string bytes, read_regular(path_of(digest), manifest::max_document_bytes));
    const std::string what = fmt::format("{} in oci:{}", digest.str(), directory.string());
    auto hasher = manifest::Hasher::for_digest(digest);
    hasher.update(as_bytes(bytes));
    if (hasher.finish() != digest) {
      return fail(ErrorCode::verification,
                  fmt::format("{} is damaged: its bytes have another digest", what),
                  "delete that blob and store the image again");
    }
    return Document::from_bytes(std::move(bytes), media_type, what);
  }
};

OciLayout::OciLayout(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OciLayout::~OciLayout() = default;

Result<std::unique_ptr<OciLayout>> OciLayout::open(const fs::path& directory, Mode mode) {
  if (mode == Mode::create) {
    FNIMAGE_CHECK(create_layout(directory));
  }
  FNIMAGE_CHECK(check_version(directory));
  auto impl = std::make_unique<Impl>(Impl{directory});
  FNIMAGE_CHECK(impl->read_index());
  return std::unique_ptr<OciLayout>(new OciLayout(std::move(impl)));
}

std::string OciLayout::describe() const {
  return "oci:" + impl_->directory.string();
}

const fs::path& OciLayout::directory() const noexcept {
  return impl_->directory;
}

Result<std::vector<Descriptor>> OciLayout::entries() {
  FNIMAGE_TRY(Index index, impl_->read_index());
  return std::move(index.manifests);
}

Result<std::optional<Descriptor>> OciLayout::resolve(const Selector& selector) {
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    FNIMAGE_TRY(auto entry, impl_->find_tag(*tag));
    if (entry) {
      // Names belong to index.json alone and must not travel into lists made from the answer.
      entry->annotations.erase(std::string(manifest::annotation::ref_name));
      entry->annotations.erase(std::string(manifest::annotation::containerd_name));
    }
    return entry;
  }
  const auto& digest = std::get<Digest>(selector);
  auto document = impl_->read_document(digest, {});
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

Result<Document> OciLayout::get_manifest(const Selector& selector) {
  std::optional<Digest> digest;
  std::string media_type;
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    FNIMAGE_TRY(const auto entry, impl_->find_tag(*tag));
    if (!entry) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", printable(*tag), describe()));
    }
    digest = entry->digest;
    media_type = entry->media_type;
  } else {
    digest = std::get<Digest>(selector);
  }
  auto document = impl_->read_document(*digest, media_type);
  if (!document && document.error().code() == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, fmt::format("no {} in {}", digest->str(), describe()));
  }
  return document;
}

Result<void> OciLayout::put_manifest(const Document& document,
                                     const std::optional<std::string>& tag) {
  const fs::path path = impl_->path_of(document.digest());
  // Compared whole, since damage need not change the size.
  if (const auto stored = read_regular(path, document.bytes().size());
      !stored || *stored != document.bytes()) {
    FNIMAGE_CHECK(make_directories(path.parent_path()));
    FNIMAGE_CHECK(write_file_atomically(path, document.bytes()));
  }
  if (!tag) {
    return {};
  }
  return impl_->edit_index([&](Index& index) -> Result<void> {
    std::erase_if(index.manifests, [&](const Descriptor& entry) { return has_tag(entry, *tag); });
    Descriptor entry = document.descriptor();
    entry.annotations.emplace(manifest::annotation::ref_name, *tag);
    index.manifests.push_back(std::move(entry));
    return {};
  });
}

Result<bool> OciLayout::has_blob(const Descriptor& blob) {
  return impl_->holds(blob.digest, blob.size);
}

Result<ContentPtr> OciLayout::blob(const Descriptor& blob) {
  auto file = file_content(impl_->path_of(blob.digest));
  if (!file) {
    if (file.error().code() == ErrorCode::not_found) {
      return fail(ErrorCode::not_found,
                  fmt::format("no blob {} in {}", blob.digest.str(), describe()));
    }
    return fail(std::move(file).error());
  }
  return std::make_shared<LayoutBlob>(std::move(*file), blob,
                                      fmt::format("blob {} in {}", blob.digest.str(), describe()));
}

Result<BlobOutcome> OciLayout::put_blob(const Descriptor& blob, const Content& content,
                                        const PutBlobOptions& options) {
  if (impl_->holds(blob.digest, blob.size)) {
    return BlobOutcome::existed;
  }
  const fs::path path = impl_->path_of(blob.digest);
  FNIMAGE_CHECK(make_directories(path.parent_path()));
  if (const auto file = content.file(); file && content.size() == blob.size) {
    FNIMAGE_TRY(const bool linked, try_link(*file, path));
    // The file may have changed since its size was read; then the copy below finds the difference.
    if (linked && !impl_->holds(blob.digest, blob.size)) {
      ::unlink(path.c_str());
    } else if (linked) {
      if (options.progress != nullptr) {
        options.progress->update(blob.size);
      }
      return BlobOutcome::uploaded;
    }
  }
  FNIMAGE_TRY(auto out, AtomicFile::create(path.parent_path()));
  FNIMAGE_TRY(auto reader, content.open());
  const auto verified = verifying_reader(std::move(reader), blob.digest, blob.size,
                                         fmt::format("blob {}", blob.digest.str()));
  ProgressWriter counted(out, options.progress);
  FNIMAGE_CHECK(copy(*verified, counted));
  FNIMAGE_CHECK(out.commit(path));
  return BlobOutcome::uploaded;
}

Result<std::vector<std::string>> OciLayout::tags() {
  FNIMAGE_TRY(const Index index, impl_->read_index());
  std::vector<std::string> names;
  for (const auto& entry : index.manifests) {
    if (auto name = tag_of(entry); !name.empty()) {
      names.push_back(std::move(name));
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<void> OciLayout::remove_tag(const std::string& tag) {
  return impl_->edit_index([&](Index& index) -> Result<void> {
    if (std::erase_if(index.manifests, [&](const Descriptor& e) { return has_tag(e, tag); }) == 0) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", printable(tag), describe()));
    }
    return {};
  });
}

Result<std::vector<Descriptor>> OciLayout::referrers(const Digest& digest) {
  FNIMAGE_TRY(const Index index, impl_->read_index());
  std::vector<Descriptor> found;
  for (const auto& entry : index.manifests) {
    auto document = impl_->read_document(entry.digest, entry.media_type);
    if (!document) {
      continue;  // a layout may list what it does not hold
    }
    if (has_tag(entry, referrers_tag(digest)) && document->is_index()) {
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

Result<fs::path> local_store_directory() {
  for (const auto& [variable, below] : {std::pair{"XDG_DATA_HOME", "fnimage/store"},
                                        std::pair{"HOME", ".local/share/fnimage/store"}}) {
    const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing sets it
    if (value != nullptr && *value == '/') {
      return fs::path(value) / below;
    }
  }
  return fail(ErrorCode::invalid_argument,
              "no place for the local store: neither XDG_DATA_HOME nor HOME is set",
              "set one of them to an absolute path");
}

}  // namespace fnimage::registry

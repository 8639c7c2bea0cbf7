// The OCI layout directory as a store. The order of writes is the crash-safety: a blob is complete
// and durable under its name before index.json can name it, and index.json is replaced in one step
// under a lock. The lock file is index.json.lock, the one that buildkit takes too; other tools
// ignore it.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/file_lock.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "blob_content.hpp"
#include "layout_index.hpp"

namespace fnimage::registry {

namespace fs = std::filesystem;
using detail::LayoutIndex;
using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

constexpr std::string_view layout_file = "oci-layout";
constexpr std::string_view index_file = "index.json";
constexpr std::string_view lock_file = "index.json.lock";
constexpr std::string_view layout_text = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::uint64_t max_layout_file_bytes = 4096;
constexpr std::size_t max_tag_bytes = 1024;

/// Size of a regular file; nullopt when there is nothing. Anything else (a FIFO would block its
/// reader for ever) is refused.
Result<std::optional<std::uint64_t>> regular_file_size(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return std::nullopt;
    }
    return fail(error_from_errno(errno, "read " + path.string()));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid_input, path.string() + " is not a regular file");
  }
  return static_cast<std::uint64_t>(status.st_size);
}

/// The bytes of a regular file, nullopt when there is none.
Result<std::optional<std::string>> read_if_there(const fs::path& path, std::uint64_t limit) {
  FNIMAGE_TRY(const std::optional<std::uint64_t> size, regular_file_size(path));
  if (!size) {
    return std::nullopt;
  }
  FNIMAGE_TRY(std::string text, read_file(path, limit));
  return text;
}

Result<void> check_version(std::string_view text, const fs::path& file) {
  FNIMAGE_TRY(const nlohmann::json value, parse_json(text, file.string()));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, file.string()));
  FNIMAGE_TRY(const std::string version, object.string("imageLayoutVersion"));
  if (!version.starts_with("1.")) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: unknown imageLayoutVersion \"{}\"",
                                                      file.string(), printable(version, 40)));
  }
  return {};
}

/// True when there is nothing but what an interrupted open() in create mode leaves.
Result<bool> may_become_layout(const fs::path& directory) {
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name != index_file && name != lock_file && name != "blobs" && !name.starts_with(".tmp-")) {
      return false;
    }
  }
  if (error) {
    return fail(error_from_errno(error.value(), "read directory " + directory.string()));
  }
  return true;
}

/// Passes bytes on and tells a progress task.
class ReportingWriter final : public Writer {
 public:
  ReportingWriter(Writer& target, ProgressTask* progress) : target_(target), progress_(progress) {}
  Result<void> write(Bytes bytes) override {
    FNIMAGE_CHECK(target_.write(bytes));
    done_ += bytes.size();
    if (progress_ != nullptr) {
      progress_->update(done_);
    }
    return {};
  }

 private:
  Writer& target_;
  ProgressTask* progress_;
  std::uint64_t done_ = 0;
};

struct FdCloser {
  int fd;
  explicit FdCloser(int value) noexcept : fd(value) {}
  FdCloser(const FdCloser&) = delete;
  FdCloser& operator=(const FdCloser&) = delete;
  ~FdCloser() {
    if (fd >= 0) {
      ::close(fd);
    }
  }
};

/// Gives `file` the name `target` too and makes that durable. False when a copy is needed instead:
/// another file system, no permission to link, too many links, a name that is taken, a wrong size.
bool try_link(const fs::path& file, const fs::path& target, std::uint64_t size) {
  const FdCloser source(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat before {};
  if (source.fd < 0 || ::fstat(source.fd, &before) != 0 || !S_ISREG(before.st_mode) ||
      static_cast<std::uint64_t>(before.st_size) != size || ::fsync(source.fd) != 0 ||
      ::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, target.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return false;
  }
  struct stat after {};
  if (::stat(target.c_str(), &after) != 0 || after.st_ino != before.st_ino ||
      after.st_dev != before.st_dev || after.st_size != before.st_size) {
    ::unlink(target.c_str());  // the source was replaced between open and link
    return false;
  }
  return true;
}

/// The subject of a manifest or list, if it has one.
std::optional<Digest> subject_of(const Document& document) {
  std::optional<Descriptor> subject;
  if (document.is_image()) {
    if (auto image = document.image()) {
      subject = std::move(image->subject);
    }
  } else if (document.is_index()) {
    if (auto index = document.index()) {
      subject = std::move(index->subject);
    }
  }
  return subject ? std::optional(subject->digest) : std::nullopt;
}

Result<void> check_tag(std::string_view tag) {
  const auto is_bad = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
  if (tag.empty() || tag.size() > max_tag_bytes || std::ranges::any_of(tag, is_bad)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" cannot be a tag", printable(tag, 160)),
                "a tag has 1 to 1024 bytes, no blanks and no control characters");
  }
  return {};
}

}  // namespace

struct OciLayout::Impl {
  fs::path directory;

  [[nodiscard]] fs::path blob_path(const Digest& digest) const {
    return directory / "blobs" / std::string(digest.algorithm()) / std::string(digest.hex());
  }
  [[nodiscard]] std::string describe() const { return "oci:" + directory.string(); }

  [[nodiscard]] Result<LayoutIndex> read_index() const {
    const fs::path file = directory / index_file;
    FNIMAGE_TRY(const std::optional<std::string> text,
                read_if_there(file, detail::max_layout_index_bytes));
    if (!text) {
      return fail(ErrorCode::invalid_input, file.string() + " is missing",
                  "the layout is damaged: build or copy into a new directory");
    }
    return LayoutIndex::parse(*text, file.string());
  }

  /// Reads, changes and replaces index.json under the lock. `change` returns whether it changed
  /// anything.
  template <class Change>
  Result<void> update_index(Change change) const {
    FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / lock_file));
    FNIMAGE_TRY(LayoutIndex index, read_index());
    FNIMAGE_TRY(const bool changed, change(index));
    if (!changed) {
      return {};
    }
    FNIMAGE_TRY(const std::string text, index.text());
    return write_file_atomically(directory / index_file, text);
  }

  Result<void> create() const;
  [[nodiscard]] Result<std::optional<Document>> read_document(const Digest& digest,
                                                              std::string_view media_type) const;
  [[nodiscard]] Result<void> store_document(const Document& document) const;
  [[nodiscard]] std::optional<manifest::Platform> platform_of(const Document& document) const;
  [[nodiscard]] Error no_such_tag(const std::string& tag, const LayoutIndex& index) const;
};

/// The marker file oci-layout comes last: whoever sees it sees a whole layout.
Result<void> OciLayout::Impl::create() const {
  FNIMAGE_CHECK(make_directories(directory));
  FNIMAGE_TRY(const bool usable, may_become_layout(directory));
  FNIMAGE_TRY(const std::optional<std::uint64_t> marker,
              regular_file_size(directory / layout_file));
  if (marker) {
    return {};  // another process was faster
  }
  if (!usable) {
    return fail(ErrorCode::invalid_input,
                directory.string() + " is not empty and not an OCI layout",
                "choose a new or empty directory");
  }
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / lock_file));
  FNIMAGE_CHECK(make_directories(directory / "blobs" / "sha256"));
  FNIMAGE_TRY(const std::optional<std::uint64_t> index, regular_file_size(directory / index_file));
  if (!index) {
    FNIMAGE_TRY(const std::string text, LayoutIndex().text());
    FNIMAGE_CHECK(write_file_atomically(directory / index_file, text));
  }
  FNIMAGE_TRY(const std::optional<std::uint64_t> again, regular_file_size(directory / layout_file));
  return again ? Result<void>{} : write_file_atomically(directory / layout_file, layout_text);
}

/// The verified document, nullopt when the blob is missing. Empty media type: what the bytes say.
Result<std::optional<Document>> OciLayout::Impl::read_document(const Digest& digest,
                                                               std::string_view media_type) const {
  FNIMAGE_TRY(std::optional<std::string> bytes,
              read_if_there(blob_path(digest), manifest::max_document_bytes));
  if (!bytes) {
    return std::nullopt;
  }
  manifest::Hasher hasher = manifest::Hasher::for_digest(digest);
  hasher.update(as_bytes(*bytes));
  if (const Digest actual = hasher.finish(); actual != digest) {
    return fail(ErrorCode::verification,
                fmt::format("{} in {} has digest {}", digest.str(), describe(), actual.str()),
                "the layout is damaged: fetch or build the image again");
  }
  FNIMAGE_TRY(Document document,
              Document::from_bytes(std::move(*bytes), media_type,
                                   fmt::format("manifest {} of {}", digest.str(), describe())));
  return document;
}

Result<void> OciLayout::Impl::store_document(const Document& document) const {
  const fs::path target = blob_path(document.digest());
  // Small enough to compare whole, so that a damaged one of the right size is repaired too.
  const auto there = read_if_there(target, document.bytes().size());
  if (there && *there && **there == document.bytes()) {
    return {};
  }
  return write_file_atomically(target, document.bytes());
}

/// What the image's config says, where other tools show it; best effort, since it only informs.
std::optional<manifest::Platform> OciLayout::Impl::platform_of(const Document& document) const {
  const auto image = document.is_image() ? document.image() : fail(ErrorCode::unsupported, "");
  if (!image || !manifest::is_config_type(image->config.media_type)) {
    return std::nullopt;
  }
  const auto text = read_if_there(blob_path(image->config.digest), manifest::max_document_bytes);
  if (!text || !*text) {
    return std::nullopt;
  }
  const auto config = manifest::ImageConfig::parse(**text);
  if (!config || config->platform.os.empty() || config->platform.architecture.empty()) {
    return std::nullopt;
  }
  return config->platform;
}

Error OciLayout::Impl::no_such_tag(const std::string& tag, const LayoutIndex& index) const {
  const std::vector<std::string> names = index.tags();
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string hint;
  if (names.empty()) {
    hint = "it holds no tags yet";
  } else if (const std::optional<std::string> near = nearest(tag, candidates)) {
    hint = fmt::format("did you mean {}?", printable(*near));
  } else {
    constexpr std::size_t shown = 5;
    hint =
        fmt::format("it holds {}{}",
                    printable(join(std::span(names).first(std::min(names.size(), shown)), ", ")),
                    names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
  }
  return Error(ErrorCode::not_found,
               fmt::format("no image \"{}\" in {}", printable(tag), describe()))
      .with_hint(std::move(hint));
}

Result<std::unique_ptr<OciLayout>> OciLayout::open(const fs::path& directory, Mode mode) {
  auto impl = std::make_unique<Impl>(Impl{directory});
  const fs::path marker = directory / layout_file;
  FNIMAGE_TRY(std::optional<std::string> text, read_if_there(marker, max_layout_file_bytes));
  if (!text && mode == Mode::create) {
    FNIMAGE_CHECK(impl->create());
    FNIMAGE_TRY(text, read_if_there(marker, max_layout_file_bytes));
  }
  if (!text) {
    std::error_code ignored;
    if (!fs::exists(directory, ignored)) {
      return fail(ErrorCode::not_found, "no such directory: " + directory.string(),
                  "check the path of the OCI layout");
    }
    return fail(ErrorCode::invalid_input, fmt::format("{} is not an OCI layout: {} is missing",
                                                      directory.string(), layout_file));
  }
  FNIMAGE_CHECK(check_version(*text, marker));
  FNIMAGE_CHECK(impl->read_index());
  if (mode == Mode::create) {
    for (const fs::path& place :
         {directory, directory / "blobs" / "sha256", directory / "blobs" / "sha512"}) {
      remove_stale_temporaries(place);
    }
  }
  return std::unique_ptr<OciLayout>(new OciLayout(std::move(impl)));
}

OciLayout::OciLayout(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OciLayout::~OciLayout() = default;

std::string OciLayout::describe() const {
  return impl_->describe();
}
const fs::path& OciLayout::directory() const noexcept {
  return impl_->directory;
}

Result<std::optional<Descriptor>> OciLayout::resolve(const Selector& selector) {
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    FNIMAGE_TRY(const LayoutIndex index, impl_->read_index());
    const Descriptor* entry = index.find(*tag);
    if (entry == nullptr) {
      return std::nullopt;
    }
    Descriptor found = *entry;
    // Names belong to index.json only and must not travel into lists.
    found.annotations.erase(std::string(manifest::annotation::ref_name));
    found.annotations.erase(std::string(manifest::annotation::containerd_name));
    return found;
  }
  const auto& digest = std::get<Digest>(selector);
  FNIMAGE_TRY(const std::optional<std::uint64_t> size, regular_file_size(impl_->blob_path(digest)));
  if (!size || *size > manifest::max_document_bytes) {
    return std::nullopt;
  }
  const Result<Document> document = get_manifest(selector);
  if (document) {
    Descriptor descriptor = document->descriptor();
    descriptor.digest = digest;  // may be asked for by sha512
    return descriptor;
  }
  const ErrorCode code = document.error().code();
  // A layer, or a damaged file that the next put replaces: no manifest stands here.
  if (code == ErrorCode::not_found || code == ErrorCode::verification ||
      code == ErrorCode::invalid_input) {
    return std::nullopt;
  }
  return fail(document.error());
}

Result<Document> OciLayout::get_manifest(const Selector& selector) {
  if (const auto* tag = std::get_if<std::string>(&selector)) {
    FNIMAGE_TRY(const LayoutIndex index, impl_->read_index());
    const Descriptor* entry = index.find(*tag);
    if (entry == nullptr) {
      return fail(impl_->no_such_tag(*tag, index));
    }
    FNIMAGE_TRY(std::optional<Document> document,
                impl_->read_document(entry->digest, entry->media_type));
    if (!document) {
      return fail(ErrorCode::not_found,
                  fmt::format("manifest {} of \"{}\" is missing in {}", entry->digest.str(),
                              printable(*tag), describe()),
                  "the layout is incomplete: fetch or build the image again");
    }
    return std::move(*document);
  }
  const auto& digest = std::get<Digest>(selector);
  Result<std::optional<Document>> document = impl_->read_document(digest, {});
  if (!document && document.error().code() == ErrorCode::invalid_input) {
    // The bytes do not say what they are; index.json may.
    FNIMAGE_TRY(const LayoutIndex index, impl_->read_index());
    if (const Descriptor* entry = index.find(digest)) {
      document = impl_->read_document(digest, entry->media_type);
    }
  }
  FNIMAGE_CHECK(document);
  if (!*document) {
    return fail(ErrorCode::not_found,
                fmt::format("no manifest {} in {}", digest.str(), describe()));
  }
  return std::move(**document);
}

Result<void> OciLayout::put_manifest(const Document& document,
                                     const std::optional<std::string>& tag) {
  if (tag) {
    FNIMAGE_CHECK(check_tag(*tag));
  }
  FNIMAGE_CHECK(impl_->store_document(document));
  Descriptor entry = document.descriptor();
  if (tag) {
    entry.platform = impl_->platform_of(document);
    return impl_->update_index([&](LayoutIndex& index) -> Result<bool> {
      FNIMAGE_CHECK(index.put(std::move(entry), *tag));
      return true;
    });
  }
  if (!subject_of(document)) {
    return {};
  }
  // A referrer has no other way to be found.
  return impl_->update_index([&](LayoutIndex& index) -> Result<bool> {
    if (index.find(entry.digest) != nullptr) {
      return false;
    }
    FNIMAGE_CHECK(index.add(entry));
    return true;
  });
}

Result<bool> OciLayout::has_blob(const Descriptor& blob) {
  FNIMAGE_TRY(const std::optional<std::uint64_t> size,
              regular_file_size(impl_->blob_path(blob.digest)));
  return size == blob.size;
}

Result<ContentPtr> OciLayout::blob(const Descriptor& blob) {
  const fs::path path = impl_->blob_path(blob.digest);
  FNIMAGE_TRY(const std::optional<std::uint64_t> size, regular_file_size(path));
  if (!size) {
    return fail(ErrorCode::not_found,
                fmt::format("no blob {} in {}", blob.digest.str(), describe()),
                "the layout is incomplete: fetch or build the image again");
  }
  if (*size != blob.size) {
    return fail(ErrorCode::verification,
                fmt::format("blob {} in {} has {} bytes instead of {}", blob.digest.str(),
                            describe(), *size, blob.size),
                "the layout is damaged: fetch or build the image again");
  }
  FNIMAGE_TRY(ContentPtr content, file_content(path));
  return detail::verified_content(std::move(content), blob.digest,
                                  fmt::format("blob {} of {}", blob.digest.str(), describe()));
}

Result<BlobOutcome> OciLayout::put_blob(const Descriptor& blob, const Content& content,
                                        const PutBlobOptions& options) {
  const fs::path target = impl_->blob_path(blob.digest);
  FNIMAGE_TRY(const bool there, has_blob(blob));
  if (there) {
    return BlobOutcome::existed;
  }
  if (content.size() != blob.size) {
    return fail(ErrorCode::verification,
                fmt::format("content for blob {} has {} bytes instead of {}", blob.digest.str(),
                            content.size(), blob.size));
  }
  FNIMAGE_CHECK(make_directories(target.parent_path()));
  if (const std::optional<fs::path> file = content.file()) {
    if (try_link(*file, target, blob.size)) {
      FNIMAGE_CHECK(sync_directory(target.parent_path()));
      if (options.progress != nullptr) {
        options.progress->update(blob.size);
      }
      return BlobOutcome::uploaded;
    }
  }
  FNIMAGE_TRY(std::unique_ptr<Reader> source, content.open());
  const std::unique_ptr<Reader> reader = manifest::verifying_reader(
      std::move(source), blob.digest, blob.size, "blob " + blob.digest.str());
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(target.parent_path()));
  ReportingWriter writer(file, options.progress);
  FNIMAGE_CHECK(copy(*reader, writer));
  FNIMAGE_CHECK(file.commit(target));
  return BlobOutcome::uploaded;
}

Result<std::vector<std::string>> OciLayout::tags() {
  FNIMAGE_TRY(const LayoutIndex index, impl_->read_index());
  return index.tags();
}

Result<void> OciLayout::remove_tag(const std::string& tag) {
  return impl_->update_index([&](LayoutIndex& index) -> Result<bool> {
    if (!index.remove(tag)) {
      return fail(impl_->no_such_tag(tag, index));
    }
    return true;
  });
}

Result<std::vector<Descriptor>> OciLayout::referrers(const Digest& digest) {
  FNIMAGE_TRY(const LayoutIndex index, impl_->read_index());
  std::vector<Descriptor> found;
  const auto add = [&](Descriptor referrer) {
    referrer.annotations.erase(std::string(manifest::annotation::ref_name));
    referrer.annotations.erase(std::string(manifest::annotation::containerd_name));
    if (std::ranges::find(found, referrer.digest, &Descriptor::digest) == found.end()) {
      found.push_back(std::move(referrer));
    }
  };
  for (const Descriptor& entry : index.entries()) {
    // Entries of foreign layouts may be missing or broken; they refer to nothing then.
    const auto document = impl_->read_document(entry.digest, entry.media_type);
    if (document && *document && subject_of(**document) == digest) {
      add(entry);
    }
  }
  const std::string fallback = fmt::format("{}-{}", digest.algorithm(), digest.hex());
  if (const Descriptor* entry = index.find(fallback)) {
    const auto document = impl_->read_document(entry->digest, entry->media_type);
    if (document && *document) {
      if (const auto list = (*document)->index()) {
        std::ranges::for_each(list->manifests, add);
      }
    }
  }
  return found;
}

Result<std::vector<Descriptor>> OciLayout::entries() {
  FNIMAGE_TRY(const LayoutIndex index, impl_->read_index());
  return index.entries();
}

Result<fs::path> local_store_directory() {
  const char* data = std::getenv("XDG_DATA_HOME");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (data != nullptr && fs::path(data).is_absolute()) {  // the XDG rules: others are ignored
    return fs::path(data) / "fnimage" / "store";
  }
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (home != nullptr && *home != '\0') {
    return fs::path(home) / ".local" / "share" / "fnimage" / "store";
  }
  return fail(ErrorCode::invalid_argument, "no place for the local store: HOME is not set",
              "set XDG_DATA_HOME or HOME");
}

}  // namespace fnimage::registry

// Layout on disk. Order of a publish: blobs, then manifests (blobs too), then index.json, each
// complete and synced before the next begins, so that a crash at any moment leaves the old or the
// new state. Blobs that nothing refers to are harmless.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/file_lock.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/blob_age.hpp>
#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/oci_layout.hpp>

namespace fnimage::registry {

namespace fs = std::filesystem;

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Index;

namespace {

constexpr std::string_view homes_directory =
    ".fnimage.homes";  ///< a file per image, see note_home()

/// Reads a file of the layout. Opening a FIFO that somebody put there would wait for ever.
Result<std::string> read_regular(const fs::path& file, std::uint64_t limit) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return fail(ErrorCode::invalid_input, file.string() + " is not a regular file");
  }
  return read_file(file, limit);
}

/// Whether a blob's bytes can be read and have another digest.
bool is_damaged(const fs::path& path, const Digest& digest) {
  auto hasher = manifest::Hasher::for_digest(digest);
  class Hashing final : public Writer {
   public:
    explicit Hashing(manifest::Hasher& to) : to_(to) {}
    Result<void> write(Bytes bytes) override {
      to_.update(bytes);
      return {};
    }

   private:
    manifest::Hasher& to_;
  };
  const auto reader = open_file(path);
  Hashing out(hasher);
  return reader && copy(**reader, out) && hasher.finish() != digest;
}

class DirectoryFiles final : public LayoutFiles {
 public:
  explicit DirectoryFiles(fs::path directory) : directory_(std::move(directory)) {}
  [[nodiscard]] std::string describe() const override { return "oci:" + directory_.string(); }
  [[nodiscard]] Result<std::string> read(const std::string& name,
                                         std::uint64_t limit) const override {
    return read_regular(directory_ / name, limit);
  }
  [[nodiscard]] Result<ContentPtr> content(const std::string& name) const override {
    return file_content(directory_ / name);
  }
  /// Only in layouts that fnimage writes to. The file is emptied first: the layer cache may have it
  /// under a second name, and goes by the size.
  bool remove_damaged(const Digest& digest) const override {
    std::error_code error;
    const fs::path path = directory_ / layout_blob_name(digest);
    if (!fs::exists(directory_ / layout_lock_file, error) || !is_damaged(path, digest)) {
      return false;
    }
    fs::resize_file(path, 0, error);
    return fs::remove(path, error);
  }

 private:
  fs::path directory_;
};

/// Gives the name to this document alone.
void set_tag(Index& index, const Document& document, const std::string& tag) {
  std::erase_if(index.manifests,
                [&](const Descriptor& entry) { return has_layout_tag(entry, tag); });
  Descriptor entry = document.descriptor();
  entry.annotations.emplace(manifest::annotation::ref_name, tag);
  index.manifests.push_back(std::move(entry));
}

/// Leaves what had one of these names without it.
void take_names(std::vector<Descriptor>& standing, const std::vector<Descriptor>& entries) {
  std::set<std::string> names;
  for (const Descriptor& entry : entries) {
    names.insert(layout_tag_of(entry));
  }
  names.erase(std::string());
  for (Descriptor& entry : standing) {
    if (names.contains(layout_tag_of(entry))) {
      entry.annotations.erase(std::string(manifest::annotation::ref_name));
      entry.annotations.erase(std::string(manifest::annotation::containerd_name));
    }
  }
}

/// Entries without a name of manifests that have others.
void drop_needless_entries(std::vector<Descriptor>& entries) {
  std::set<Digest> seen;
  for (const Descriptor& entry : entries) {
    if (!layout_tag_of(entry).empty()) {
      seen.insert(entry.digest);
    }
  }
  std::erase_if(entries, [&](const Descriptor& entry) {
    return layout_tag_of(entry).empty() && !seen.insert(entry.digest).second;
  });
}

/// What a layout that is just being made, perhaps by a process that was killed, may hold.
bool belongs_to_a_layout(const std::string& name) {
  return name == layout_marker || name == layout_index || name == layout_lock_file ||
         name == layout_writers_file || name == homes_directory || name == "blobs" ||
         name.starts_with(".tmp-");
}

Result<void> refuse_other_content(const fs::path& directory) {
  std::error_code error;
  if (fs::exists(directory / layout_marker, error)) {
    return {};
  }
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (!belongs_to_a_layout(entry.path().filename().string())) {
      return fail(ErrorCode::already_exists,
                  fmt::format("{} is not empty and not an OCI layout (it has {})",
                              directory.string(), printable(entry.path().filename().string(), 80)),
                  "name an empty or new directory");
    }
  }
  return {};
}

/// The caller has the layout's lock.
Result<void> write_layout(const fs::path& directory) {
  std::error_code error;
  const bool is_new = !fs::exists(directory / "blobs" / "sha256", error);
  if (!fs::exists(directory / layout_marker, error)) {
    FNIMAGE_CHECK(write_file_atomically(directory / layout_marker, layout_marker_text));
  }
  if (!fs::exists(directory / layout_index, error)) {
    FNIMAGE_CHECK(write_file_atomically(directory / layout_index, emit(Index{})));
  }
  FNIMAGE_CHECK(make_directories(directory / "blobs" / "sha256"));
  if (is_new) {  // or a crash may take the directories away from under what is synced in them
    FNIMAGE_CHECK(sync_directory(directory / "blobs"));
    FNIMAGE_CHECK(sync_directory(directory));
  }
  remove_stale_temporaries(directory);
  remove_stale_temporaries(directory / "blobs" / "sha256");
  remove_stale_temporaries(directory / "blobs" / "sha512");
  return {};
}

Result<void> create_layout(const fs::path& directory) {
  FNIMAGE_CHECK(make_directories(directory));
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / layout_lock_file));
  std::error_code error;
  const bool is_new = !fs::exists(directory / "blobs" / "sha256", error);
  FNIMAGE_CHECK(refuse_other_content(directory));
  FNIMAGE_CHECK(write_layout(directory));
  return is_new ? sync_directory(fs::absolute(directory, error).parent_path()) : Result<void>{};
}

/// Another process may have renamed a file into place and not synced it yet.
Result<void> sync_existing(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return fail(error_from_errno(errno, "open " + file.string()));
  }
  const int synced = ::fsync(fd);
  const int sync_error = errno;
  ::close(fd);
  if (synced != 0 && sync_error != EINVAL && sync_error != EROFS) {
    return fail(error_from_errno(sync_error, "sync " + file.string()));
  }
  return sync_directory(file.parent_path());
}

/// Gives an existing file a second name. False when the file systems or their rules do not allow
/// it.
Result<bool> try_link(const fs::path& file, const fs::path& target) {
  // The cache that hands the file out does not sync; the store must. Nor is the file young there,
  // and what collects a registry's garbage goes by that.
  (void)claim_blob(file);
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

/// Nothing stands under the final name unless size and digest are right.
Result<void> store_file(const Descriptor& blob, const Content& content, const fs::path& path,
                        ProgressTask* progress) {
  FNIMAGE_TRY(auto out, AtomicFile::create(path.parent_path()));
  FNIMAGE_TRY(auto reader, content.open());
  const auto verified = verifying_reader(std::move(reader), blob.digest, blob.size,
                                         fmt::format("blob {}", blob.digest.str()));
  ProgressWriter counted(out, progress);
  FNIMAGE_CHECK(copy(*verified, counted));
  return out.commit(path);
}

/// Forgets where images are at home that the layout does not have any more.
void sweep_homes(const fs::path& layout) {
  std::error_code error;
  fs::directory_iterator file(layout / homes_directory, error);
  for (; !error && file != fs::directory_iterator(); file.increment(error)) {
    std::string name = file->path().filename().string();
    std::replace(name.begin(), name.end(), '-', ':');
    const auto digest = Digest::parse(name);
    std::error_code ignored;
    if (!digest || !fs::exists(layout / layout_blob_name(*digest), ignored)) {
      fs::remove(file->path(), ignored);
    }
  }
}

/// Removes the blobs of one algorithm that nothing needs. What cannot be removed stays.
void sweep(const fs::path& directory, std::string_view algorithm, const std::set<Digest>& needed,
           OciLayout::Reclaimed& reclaimed) {
  remove_stale_temporaries(directory);
  std::error_code error;
  fs::directory_iterator file(directory, error);
  for (; !error && file != fs::directory_iterator(); file.increment(error)) {
    const auto digest =
        Digest::parse(fmt::format("{}:{}", algorithm, file->path().filename().string()));
    if (!digest || needed.contains(*digest)) {
      continue;  // what is no blob is not ours
    }
    std::error_code ignored;
    const std::uint64_t size = file->is_regular_file(ignored) ? file->file_size(ignored) : 0;
    if (fs::remove(file->path(), ignored)) {
      ++reclaimed.blobs;
      reclaimed.bytes += size;
    }
  }
}

/// What the entries of a layout need. What refers to an image is needed as long as the image is.
class NeededParts {
 public:
  explicit NeededParts(ImageStore& layout) : layout_(layout) {}

  Result<void> add(const std::vector<Descriptor>& entries) {
    for (const Descriptor& entry : entries) {
      if (is_referrers_tag(layout_tag_of(entry))) {
        orphans_.push_back(entry);
      } else {
        FNIMAGE_CHECK(add_entry(entry));
      }
    }
    // What is attached may have something attached itself.
    for (bool found = true; found;) {
      const auto kept = std::stable_partition(
          orphans_.begin(), orphans_.end(),
          [&](const Descriptor& entry) { return !has_subject(layout_tag_of(entry)); });
      const std::vector<Descriptor> companions(kept, orphans_.end());
      orphans_.erase(kept, orphans_.end());
      for (const Descriptor& entry : companions) {
        FNIMAGE_CHECK(add_entry(entry));
      }
      found = !companions.empty();
    }
    return {};
  }

  [[nodiscard]] const std::set<Digest>& digests() const noexcept { return digests_; }
  /// Entries that refer to nothing which is here.
  [[nodiscard]] const std::vector<Descriptor>& orphans() const noexcept { return orphans_; }

 private:
  Result<void> add_entry(const Descriptor& entry) {
    ImageParts parts;  // of each anew: how much an image may have is not what a store may have
    auto added = parts.add(layout_, entry.digest, MissingChild::is_skipped);
    for (const Digest& digest : parts.digests()) {
      digests_.insert(digest);
      subjects_.insert(referrers_tag(digest));
    }
    if (!added && added.error().code() != ErrorCode::not_found) {
      return fail(std::move(added).error().while_doing("tell which blobs are still needed"));
    }
    return {};
  }

  [[nodiscard]] bool has_subject(const std::string& tag) const {
    return subjects_.contains(tag.substr(0, tag.find('.')));
  }

  ImageStore& layout_;
  std::set<Digest> digests_;
  std::set<std::string> subjects_;  ///< the tags that list what refers to these
  std::vector<Descriptor> orphans_;
};

}  // namespace

struct OciLayout::Impl {
  Impl(const fs::path& path, const manifest::ListLimits& index_limits)
      : directory(path),
        limits(index_limits),
        reader(std::make_shared<DirectoryFiles>(path), index_limits) {}

  fs::path directory;
  manifest::ListLimits limits;
  LayoutReader reader;
  std::mutex mutex;
  std::optional<FileLock> writing;  ///< so that reclaim() of others does nothing

  Result<void> begin_writing() {
    const std::lock_guard guard(mutex);
    if (!writing) {
      FNIMAGE_TRY(FileLock held, FileLock::acquire_shared(directory / layout_writers_file));
      writing.emplace(std::move(held));
    }
    return {};
  }

  /// For reclaim(): nullopt while others write.
  Result<std::optional<FileLock>> stop_writing() {
    const std::lock_guard guard(mutex);
    writing.reset();
    return FileLock::try_acquire(directory / layout_writers_file);
  }

  [[nodiscard]] fs::path path_of(const Digest& digest) const {
    return directory / layout_blob_name(digest);
  }

  [[nodiscard]] fs::path home_file(const Digest& image) const {
    return directory / homes_directory / fmt::format("{}-{}", image.algorithm(), image.hex());
  }

  [[nodiscard]] bool holds(const Digest& digest, std::uint64_t size) const {
    std::error_code error;
    const auto actual = fs::file_size(path_of(digest), error);
    return !error && actual == size;
  }

  /// holds(), for who will name the blob: what collects a registry's garbage leaves it alone.
  [[nodiscard]] bool claims(const Digest& digest, std::uint64_t size) const {
    if (!holds(digest, size)) {
      return false;
    }
    (void)claim_blob(path_of(digest));
    return holds(digest, size);  // it may have been collected until now
  }

  [[nodiscard]] bool is_writing() {
    const std::lock_guard guard(mutex);
    return writing.has_value();
  }

  Result<void> write_document(const Document& document) {
    FNIMAGE_CHECK(begin_writing());
    const fs::path path = path_of(document.digest());
    // Compared whole, since damage need not change the size.
    if (const auto stored = read_regular(path, document.bytes().size());
        stored && *stored == document.bytes() && claims(document.digest(), stored->size())) {
      return sync_existing(path);
    }
    FNIMAGE_CHECK(make_directories(path.parent_path()));
    return write_file_atomically(path, document.bytes());
  }

  /// Changes index.json under the lock: read anew, edited, written back in one step.
  template <class Edit>
  Result<void> edit_index(Edit edit) {
    FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / layout_lock_file));
    FNIMAGE_TRY(Index index, reader.index());
    FNIMAGE_CHECK(edit(index));
    const std::string text = emit(index);
    // What nobody could read any more must not be written.
    if (text.size() > limits.max_bytes || index.manifests.size() > limits.max_entries) {
      return fail(
          ErrorCode::no_space,
          fmt::format("{} is full: it names {} images", reader.describe(), index.manifests.size()),
          "remove what is not needed any more: fnimage rm NAME");
    }
    return write_file_atomically(directory / layout_index, text);
  }
};

OciLayout::OciLayout(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OciLayout::~OciLayout() = default;

Result<void> make_layout(const fs::path& directory) {
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory / layout_lock_file));
  return write_layout(directory);
}

Result<std::unique_ptr<OciLayout>> OciLayout::open(const fs::path& directory, Mode mode,
                                                   const manifest::ListLimits& limits) {
  if (mode == Mode::create) {
    FNIMAGE_CHECK(create_layout(directory));
  }
  auto impl = std::make_unique<Impl>(directory, limits);
  if (mode == Mode::create) {
    // From now on: what is found to be there already must not be reclaimed either.
    FNIMAGE_CHECK(impl->begin_writing());
  }
  FNIMAGE_CHECK(impl->reader.check_version());
  FNIMAGE_CHECK(impl->reader.index());
  return std::unique_ptr<OciLayout>(new OciLayout(std::move(impl)));
}

std::optional<RepositoryName> OciLayout::home_of(const Digest& image) {
  constexpr std::uint64_t longest = 1024;
  const auto text = read_regular(impl_->home_file(image), longest);
  if (!text) {
    return std::nullopt;
  }
  const auto name = manifest::Reference::parse(trim(*text));
  if (!name || name->registry().empty()) {
    return std::nullopt;
  }
  return RepositoryName{name->registry(), name->repository()};
}

Result<bool> OciLayout::note_home(const Digest& image, const RepositoryName& home) {
  FNIMAGE_CHECK(impl_->begin_writing());
  const fs::path file = impl_->home_file(image);
  FNIMAGE_CHECK(make_directories(file.parent_path()));
  FNIMAGE_CHECK(write_file_atomically(file, home.registry + "/" + home.repository + "\n"));
  return true;
}

std::string OciLayout::describe() const {
  return impl_->reader.describe();
}

const LayoutReader& OciLayout::reader() const noexcept {
  return impl_->reader;
}

const fs::path& OciLayout::directory() const noexcept {
  return impl_->directory;
}

Result<std::vector<Descriptor>> OciLayout::entries() {
  FNIMAGE_TRY(Index index, impl_->reader.index());
  return std::move(index.manifests);
}

Result<void> OciLayout::put_entries(const std::vector<Descriptor>& entries) {
  return impl_->edit_index([&](Index& index) -> Result<void> {
    take_names(index.manifests, entries);
    index.manifests.insert(index.manifests.end(), entries.begin(), entries.end());
    drop_needless_entries(index.manifests);
    return {};
  });
}

Result<std::optional<Descriptor>> OciLayout::resolve(const Selector& selector) {
  return impl_->reader.resolve(selector);
}

Result<Document> OciLayout::get_manifest(const Selector& selector) {
  return impl_->reader.get_manifest(selector);
}

Result<void> OciLayout::put_manifest(const Document& document,
                                     const std::optional<std::string>& tag) {
  FNIMAGE_CHECK(impl_->write_document(document));
  if (!tag) {
    return {};
  }
  return impl_->edit_index([&](Index& index) -> Result<void> {
    set_tag(index, document, *tag);
    return {};
  });
}

Result<bool> OciLayout::put_manifest_if(const Document& document, const std::string& tag,
                                        const std::optional<Digest>& expected) {
  FNIMAGE_CHECK(impl_->write_document(document));
  bool moved = false;
  FNIMAGE_CHECK(impl_->edit_index([&](Index& index) -> Result<void> {
    const auto found =
        std::find_if(index.manifests.begin(), index.manifests.end(),
                     [&](const Descriptor& entry) { return has_layout_tag(entry, tag); });
    const bool stands = found != index.manifests.end();
    moved = expected ? stands && found->digest == *expected : !stands;
    if (moved) {
      set_tag(index, document, tag);
    }
    return {};
  }));
  return moved;
}

Result<bool> OciLayout::has_blob(const Descriptor& blob) {
  return impl_->is_writing() ? impl_->claims(blob.digest, blob.size)
                             : impl_->holds(blob.digest, blob.size);
}

Result<ContentPtr> OciLayout::blob(const Descriptor& blob) {
  return impl_->reader.blob(blob);
}

Result<BlobOutcome> OciLayout::put_blob(const Descriptor& blob, const Content& content,
                                        const PutBlobOptions& options) {
  FNIMAGE_CHECK(impl_->begin_writing());
  const fs::path path = impl_->path_of(blob.digest);
  if (impl_->claims(blob.digest, blob.size)) {
    FNIMAGE_CHECK(sync_existing(path));
    return BlobOutcome::existed;
  }
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
  Result<void> stored = store_file(blob, content, path, options.progress);
  if (!stored && stored.error().code() == ErrorCode::verification) {
    // Bytes that were damaged on their way are right the next time (F20).
    stored = store_file(blob, content, path, options.progress);
  }
  FNIMAGE_CHECK(stored);
  return BlobOutcome::uploaded;
}

Result<std::vector<std::string>> OciLayout::tags() {
  return impl_->reader.tags();
}

Result<void> OciLayout::remove_tag(const std::string& tag) {
  return impl_->edit_index([&](Index& index) -> Result<void> {
    if (std::erase_if(index.manifests,
                      [&](const Descriptor& e) { return has_layout_tag(e, tag); }) == 0) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", printable(tag), describe()));
    }
    return {};
  });
}

Result<void> OciLayout::remove_manifest(const Digest& digest) {
  return impl_->edit_index([&](Index& index) -> Result<void> {
    const auto removed =
        std::erase_if(index.manifests, [&](const Descriptor& e) { return e.digest == digest; });
    if (removed == 0) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", digest.str(), describe()));
    }
    return {};
  });
}

Result<OciLayout::Reclaimed> OciLayout::reclaim() {
  FNIMAGE_TRY(const auto alone, impl_->stop_writing());
  if (!alone) {
    return Reclaimed{.busy = true};
  }
  FNIMAGE_TRY(const Index index, impl_->reader.index());
  NeededParts needed(*this);
  FNIMAGE_CHECK(needed.add(index.manifests));
  if (!needed.orphans().empty()) {
    FNIMAGE_CHECK(impl_->edit_index([&](Index& edited) -> Result<void> {
      std::erase_if(edited.manifests, [&](const Descriptor& entry) {
        return std::ranges::find(needed.orphans(), entry) != needed.orphans().end();
      });
      return {};
    }));
  }
  Reclaimed reclaimed;
  for (const std::string_view algorithm : {"sha256", "sha512"}) {
    sweep(impl_->directory / "blobs" / algorithm, algorithm, needed.digests(), reclaimed);
  }
  sweep_homes(impl_->directory);
  return reclaimed;
}

Result<std::vector<Descriptor>> OciLayout::referrers(const Digest& digest) {
  return impl_->reader.referrers(digest);
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

// libarchive's tar reader with nothing else enabled, over a stream that counts and is scanned for
// what other readers would read in another way (tar_scanner.hpp). Bounded are:
// decompressed bytes in all, their ratio to the compressed ones, entries, bytes of one header (long
// names, pax records and sparse maps are held in memory) and of all names together (reliability
// A15, A16). Sparse files are refused. An archive without the two zero blocks at its end is
// accepted, as GNU tar and Go do.
#include "tar_reader.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <archive_entry.h>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "libarchive_stream.hpp"
#include "limited_reader.hpp"
#include "tar_scanner.hpp"

namespace fnimage::layer::detail {

namespace {

constexpr std::uint64_t max_metadata_bytes = std::uint64_t{512} << 20;

std::string text_or_empty(const char* text) {
  return text != nullptr ? std::string(text) : std::string();
}

std::optional<EntryType> type_of(struct archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) {
    return EntryType::hardlink;
  }
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return EntryType::file;
    case AE_IFDIR:
      return EntryType::directory;
    case AE_IFLNK:
      return EntryType::symlink;
    case AE_IFCHR:
      return EntryType::char_device;
    case AE_IFBLK:
      return EntryType::block_device;
    case AE_IFIFO:
      return EntryType::fifo;
    default:
      return std::nullopt;
  }
}

std::optional<std::uint32_t> owner_id(la_int64_t id) {
  // 2^32-1 means "no owner" to chown(2).
  return id >= 0 && id < 0xFFFFFFFF ? std::optional(static_cast<std::uint32_t>(id)) : std::nullopt;
}

std::map<std::string, std::string> xattrs_of(struct archive_entry* from) {
  std::map<std::string, std::string> xattrs;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (name != nullptr) {
      xattrs[name] = std::string(static_cast<const char*>(value), value != nullptr ? size : 0);
    }
  }
  return xattrs;
}

class LibarchiveTarReader final : public TarReader {
 public:
  LibarchiveTarReader(std::string what, const ArchiveLimits& limits)
      : state_{.what = std::move(what), .limits = limits}, scanner_(state_.what) {}

  Result<void> open(std::unique_ptr<Reader> archive) {
    const Utf8Locale::Scope scope(locale_);
    auto counted = std::make_unique<CountingReader>(std::move(archive), state_.compressed);
    FNIMAGE_TRY(std::unique_ptr<Reader> plain, decompress(std::move(counted), state_.what));
    auto limited = std::make_unique<LimitedReader>(std::move(plain), state_);
    input_.emplace(std::make_unique<ScannedReader>(std::move(limited), scanner_));
    handle_.reset(archive_read_new());
    if (!handle_) {
      return fail(ErrorCode::internal, "out of memory");
    }
    archive_read_support_format_tar(handle_.get());
    archive_read_support_format_empty(handle_.get());
    state_.in_header = true;
    return input_->open(handle_.get(), state_.what);
  }

  Result<std::optional<Entry>> next() override {
    const Utf8Locale::Scope scope(locale_);
    // What is buffered already counts as the new header's, which only makes the limit a little
    // tighter.
    state_.header_begin = state_.decompressed;
    state_.in_header = true;
    struct archive_entry* header = nullptr;
    const int status = archive_read_next_header(handle_.get(), &header);
    state_.in_header = false;
    if (status == ARCHIVE_EOF && !input_->failed()) {
      FNIMAGE_CHECK(drain());
      FNIMAGE_CHECK(scanner_.finish());
      return std::optional<Entry>();
    }
    // A warning is about a name that is not UTF-8; its bytes are there all the same.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
      return fail(input_->error(handle_.get(), state_.what));
    }
    if (++entries_ > state_.limits.max_entries) {
      return refuse(fmt::format("more than {} entries", state_.limits.max_entries));
    }
    FNIMAGE_TRY(Entry entry, to_entry(header));
    FNIMAGE_TRY(const std::uint64_t scanned, scanner_.take_size());
    if (scanned != size_) {
      return refuse(path_ + " has two sizes");
    }
    return std::optional<Entry>(std::move(entry));
  }

  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }

  Result<Bytes> read() override {
    const Utf8Locale::Scope scope(locale_);
    while (read_ < size_) {
      const void* data = nullptr;
      std::size_t count = 0;
      la_int64_t offset = 0;
      const int status = archive_read_data_block(handle_.get(), &data, &count, &offset);
      if (status == ARCHIVE_EOF) {
        return refuse(path_ + " is shorter than its header says");
      }
      if (status != ARCHIVE_OK) {
        return fail(input_->error(handle_.get(), state_.what));
      }
      if (offset < 0 || static_cast<std::uint64_t>(offset) != read_ || count > size_ - read_) {
        return refuse(path_ + " is a sparse file");
      }
      if (count > 0) {
        read_ += count;
        return Bytes(static_cast<const std::byte*>(data), count);
      }
    }
    return Bytes();
  }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const std::string& problem) const {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} cannot be used: {}", state_.what, problem));
  }

  /// Reads what follows the end mark, so that a cut or damaged compressed stream is noticed.
  Result<void> drain() {
    std::array<std::byte, 16384> buffer{};
    while (true) {
      FNIMAGE_TRY(const std::size_t got, input_->reader().read(buffer));
      if (got == 0) {
        return {};
      }
    }
  }

  Result<Entry> to_entry(struct archive_entry* from) {
    const char* path = archive_entry_pathname(from);
    if (path == nullptr) {
      return refuse("an entry without a readable name");
    }
    path_ = printable(path);
    Entry entry;
    FNIMAGE_TRY(entry.path, clean(path));
    const std::optional<EntryType> type = type_of(from);
    if (!type) {
      return refuse(path_ + " is of an unknown kind");
    }
    entry.type = *type;
    if (entry.path.empty() && entry.type != EntryType::directory) {
      return refuse("an entry without a name");
    }
    FNIMAGE_CHECK(set_link(entry, from));
    FNIMAGE_CHECK(set_metadata(entry, from));
    read_ = 0;
    size_ = 0;
    if (entry.type == EntryType::file) {
      if (archive_entry_sparse_count(from) > 0) {
        return refuse(path_ + " is a sparse file");
      }
      const la_int64_t size = archive_entry_size(from);
      if (size < 0) {
        return refuse(path_ + " has a negative size");
      }
      size_ = static_cast<std::uint64_t>(size);
    }
    return entry;
  }

  Result<std::string> clean(std::string_view path) const {
    Result<std::string> clean = clean_path(path);
    if (!clean) {
      return fail(std::move(clean).error().while_doing("read " + state_.what));
    }
    return clean;
  }

  Result<void> set_link(Entry& entry, struct archive_entry* from) {
    if (entry.type == EntryType::hardlink) {
      FNIMAGE_TRY(entry.link, clean(archive_entry_hardlink(from)));
    } else if (entry.type == EntryType::symlink) {
      entry.link = text_or_empty(archive_entry_symlink(from));
      constexpr std::size_t max_link_bytes = 4096;
      if (entry.link.size() > max_link_bytes) {
        return refuse(path_ + " is a symbolic link of more than 4096 bytes");
      }
    } else {
      return {};
    }
    return entry.link.empty() ? Result<void>(refuse(path_ + " is a link to nothing"))
                              : Result<void>();
  }

  Result<void> set_metadata(Entry& entry, struct archive_entry* from) {
    const auto uid = owner_id(archive_entry_uid(from));
    const auto gid = owner_id(archive_entry_gid(from));
    if (!uid || !gid) {
      return refuse(path_ + " has an impossible owner");
    }
    entry.uid = *uid;
    entry.gid = *gid;
    entry.mode = static_cast<std::uint32_t>(archive_entry_perm(from)) & 07777U;
    entry.mtime = archive_entry_mtime(from);
    if (entry.type == EntryType::char_device || entry.type == EntryType::block_device) {
      entry.device_major = static_cast<std::uint32_t>(archive_entry_rdevmajor(from));
      entry.device_minor = static_cast<std::uint32_t>(archive_entry_rdevminor(from));
    }
    entry.xattrs = xattrs_of(from);
    metadata_ += entry.path.size() + entry.link.size();
    for (const auto& [name, value] : entry.xattrs) {
      metadata_ += name.size() + value.size();
    }
    if (metadata_ > max_metadata_bytes) {
      return refuse("too much metadata");
    }
    return {};
  }

  LimitedReader::State state_;
  TarScanner scanner_;
  Utf8Locale locale_;
  std::optional<ArchiveInput> input_;
  ArchiveHandle handle_;  // after what it reads from
  std::string path_;
  std::uint64_t entries_ = 0;
  std::uint64_t metadata_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t read_ = 0;
};

}  // namespace

Result<std::unique_ptr<TarReader>> TarReader::open(std::unique_ptr<Reader> archive,
                                                   std::string what, const ArchiveLimits& limits) {
  auto reader = std::make_unique<LibarchiveTarReader>(std::move(what), limits);
  FNIMAGE_CHECK(reader->open(std::move(archive)));
  return reader;
}

}  // namespace fnimage::layer::detail

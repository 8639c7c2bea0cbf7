// The index comes from libarchive, which reads headers and skips contents. It does not tell where a
// content begins, but where each header begins: a content is what stands before the next header,
// rounded up to whole blocks.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/layer/tar_file.hpp>

#include "libarchive_stream.hpp"
#include "limited_reader.hpp"
#include "tar_header.hpp"
#include "tar_scanner.hpp"

namespace fnimage::layer {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t max_name_bytes = std::uint64_t{64} << 20;
constexpr int max_member_links = 16;

struct TarMember {
  EntryType type = EntryType::file;
  std::string link{};  ///< symlink: its text; hardlink: the path it stands for
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

using TarMembers = std::map<std::string, TarMember, std::less<>>;

/// Feeds a file to libarchive, which may jump over contents.
class SkippingInput {
 public:
  SkippingInput(const Content& file, detail::TarScanner& scanner)
      : file_(file), scanner_(scanner) {}

  int open(struct archive* handle) {
    archive_read_set_read_callback(handle, &SkippingInput::on_read);
    archive_read_set_skip_callback(handle, &SkippingInput::on_skip);
    archive_read_set_callback_data(handle, this);
    return archive_read_open1(handle);
  }

  /// From now on so many bytes may be read until the next call.
  void begin_header() noexcept { header_bytes_ = 0; }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

  /// Reads what follows the end mark.
  Result<void> drain() {
    Result<std::size_t> got = std::size_t{1};
    while (got && *got > 0) {
      begin_header();
      got = read();
    }
    return got ? Result<void>() : fail(std::move(got).error());
  }

 private:
  static la_ssize_t on_read(struct archive* /*handle*/, void* self, const void** buffer) noexcept {
    auto& input = *static_cast<SkippingInput*>(self);
    try {
      Result<std::size_t> got = input.read();
      if (!got) {
        input.error_ = std::move(got).error();
        return -1;
      }
      *buffer = input.buffer_.data();
      return static_cast<la_ssize_t>(*got);
    } catch (const std::exception&) {
      return -1;  // only memory can run out here, and C code cannot pass an exception on
    }
  }

  static la_int64_t on_skip(struct archive* /*handle*/, void* self, la_int64_t wanted) noexcept {
    auto& input = *static_cast<SkippingInput*>(self);
    const std::uint64_t rest = input.file_.size() - input.position_;
    const auto count = std::min(static_cast<std::uint64_t>(std::max<la_int64_t>(wanted, 0)), rest);
    if (auto skipped = input.scanner_.skip(count); !skipped) {
      input.error_ = std::move(skipped).error();
      return -1;
    }
    input.reader_.reset();
    input.position_ += count;
    return static_cast<la_int64_t>(count);
  }

  Result<std::size_t> read() {
    if (header_bytes_ > detail::max_header_bytes) {
      return fail(ErrorCode::invalid_input, fmt::format("it has a header larger than {}",
                                                        human_size(detail::max_header_bytes)));
    }
    if (!reader_) {
      FNIMAGE_TRY(reader_, file_.open(position_));
    }
    FNIMAGE_TRY(const std::size_t got, reader_->read(buffer_));
    FNIMAGE_CHECK(scanner_.feed(Bytes(buffer_).first(got)));
    position_ += got;
    header_bytes_ += got;
    return got;
  }

  const Content& file_;
  detail::TarScanner& scanner_;
  std::unique_ptr<Reader> reader_;
  std::uint64_t position_ = 0;
  std::uint64_t header_bytes_ = 0;
  std::optional<Error> error_;
  std::array<std::byte, 16384> buffer_{};
};

class TarIndexer {
 public:
  TarIndexer(const Content& file, std::string what, const ArchiveLimits& limits)
      : file_(file),
        what_(std::move(what)),
        limits_(limits),
        scanner_(what_),
        input_(file, scanner_) {}

  Result<TarMembers> run() {
    const detail::Utf8Locale::Scope scope(locale_);
    handle_.reset(archive_read_new());
    if (!handle_) {
      return fail(ErrorCode::internal, "out of memory");
    }
    archive_read_support_format_tar(handle_.get());
    if (input_.open(handle_.get()) != ARCHIVE_OK) {
      return damaged();
    }
    while (true) {
      input_.begin_header();
      struct archive_entry* header = nullptr;
      const int status = archive_read_next_header(handle_.get(), &header);
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN && status != ARCHIVE_EOF) {
        return damaged();
      }
      FNIMAGE_CHECK(place_last());
      if (status == ARCHIVE_EOF) {
        if (input_.error()) {
          return damaged();
        }
        FNIMAGE_CHECK(input_.drain());
        FNIMAGE_CHECK(scanner_.finish());
        return std::move(members_);
      }
      FNIMAGE_CHECK(add(header));
    }
  }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const std::string& problem) const {
    return fail(ErrorCode::invalid_input, fmt::format("{} cannot be used: {}", what_, problem));
  }

  [[nodiscard]] tl::unexpected<Error> damaged() const {
    if (input_.error()) {
      Error error = *input_.error();
      return fail(std::move(error).while_doing("read " + what_));
    }
    const char* text = archive_error_string(handle_.get());
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is damaged or no tar archive: {}", what_,
                            text != nullptr ? printable(text) : std::string("unreadable")),
                "make or fetch the archive again");
  }

  /// The header that was just found tells where the content before it began.
  Result<void> place_last() {
    if (last_ == nullptr) {
      return {};
    }
    const la_int64_t position = archive_read_header_position(handle_.get());
    const std::uint64_t padded = (last_->size + detail::tar_block_size - 1) /
                                 detail::tar_block_size * detail::tar_block_size;
    if (position < 0 || static_cast<std::uint64_t>(position) < padded ||
        static_cast<std::uint64_t>(position) > file_.size()) {
      return refuse("sizes that do not fit");
    }
    last_->offset = static_cast<std::uint64_t>(position) - padded;
    last_ = nullptr;
    return {};
  }

  Result<void> add(struct archive_entry* header) {
    const char* path = archive_entry_pathname(header);
    if (path == nullptr) {
      return refuse("an entry without a readable name");
    }
    auto name = clean_path(path);
    if (!name) {
      return fail(std::move(name).error().while_doing("read " + what_));
    }
    names_ += name->size();
    if (++entries_ > limits_.max_entries || names_ > max_name_bytes) {
      return refuse("too many entries");
    }
    FNIMAGE_TRY(const std::uint64_t scanned, scanner_.take_size());
    const char* hardlink = archive_entry_hardlink(header);
    const auto type = archive_entry_filetype(header);
    if (hardlink == nullptr && type != AE_IFREG && type != AE_IFLNK) {
      return {};  // directories mean nothing here, devices neither
    }
    TarMember member;
    if (hardlink != nullptr || type == AE_IFLNK) {
      FNIMAGE_CHECK(set_link(member, hardlink, header));
    } else if (archive_entry_sparse_count(header) > 0) {
      return refuse(printable(*name) + " is a sparse file");
    } else {
      const la_int64_t size = archive_entry_size(header);
      if (size < 0 || static_cast<std::uint64_t>(size) > file_.size()) {
        return refuse(printable(*name) + " is larger than the archive");
      }
      member.size = static_cast<std::uint64_t>(size);
      if (member.size != scanned) {
        return refuse(printable(*name) + " has two sizes");
      }
    }
    const auto [place, is_new] = members_.emplace(std::move(*name), std::move(member));
    if (!is_new) {
      return refuse(printable(place->first) + " is in it twice");
    }
    last_ = place->second.type == EntryType::file ? &place->second : nullptr;
    return {};
  }

  Result<void> set_link(TarMember& member, const char* hardlink, struct archive_entry* header) {
    const char* symlink = archive_entry_symlink(header);
    const char* text = hardlink != nullptr ? hardlink : symlink;
    member.type = hardlink != nullptr ? EntryType::hardlink : EntryType::symlink;
    member.link = text != nullptr ? text : "";
    names_ += member.link.size();
    return {};
  }

  const Content& file_;
  std::string what_;
  ArchiveLimits limits_;
  detail::Utf8Locale locale_;
  detail::TarScanner scanner_;
  SkippingInput input_;
  detail::ArchiveHandle handle_;  // after what it reads from
  TarMembers members_;
  TarMember* last_ = nullptr;
  std::uint64_t entries_ = 0;
  std::uint64_t names_ = 0;
};

/// A slice of the archive that keeps a temporary file alive.
class MemberContent final : public Content {
 public:
  MemberContent(ContentPtr slice, std::shared_ptr<const void> owner)
      : slice_(std::move(slice)), owner_(std::move(owner)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return slice_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    return slice_->open(offset);
  }

 private:
  ContentPtr slice_;
  std::shared_ptr<const void> owner_;
};

/// The path that a symbolic link's text leads to. Error: invalid_input when that is outside.
Result<std::string> follow_link(std::string_view from, std::string_view text) {
  const fs::path target = (fs::path(from).parent_path() / fs::path(text)).lexically_normal();
  return clean_path(target.string());
}

Result<fs::path> unpack(const fs::path& file, const fs::path& directory,
                        const ArchiveLimits& limits) {
  detail::LimitedReader::State state{.what = file.string(), .limits = limits};
  FNIMAGE_TRY(auto compressed, open_file(file));
  auto counted = std::make_unique<detail::CountingReader>(std::move(compressed), state.compressed);
  FNIMAGE_TRY(auto plain, detail::decompress(std::move(counted), file.string()));
  detail::LimitedReader limited(std::move(plain), state);
  FNIMAGE_TRY(AtomicFile out, AtomicFile::create(directory));
  FNIMAGE_CHECK(copy(limited, out));
  fs::path unpacked = directory / "archive.tar";
  FNIMAGE_CHECK(out.commit(unpacked, false));
  return unpacked;
}

}  // namespace

struct TarFile::Impl {
  std::string what;
  fs::path file{};  ///< the plain tar
  std::optional<TemporaryDirectory> temporary{};
  TarMembers members{};
};

TarFile::TarFile(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
TarFile::TarFile(TarFile&&) noexcept = default;
TarFile& TarFile::operator=(TarFile&&) noexcept = default;
TarFile::~TarFile() = default;

Result<TarFile> TarFile::open(const fs::path& file, const ArchiveLimits& limits) {
  auto impl = std::make_shared<Impl>(Impl{.what = file.string(), .file = file});
  FNIMAGE_TRY(ContentPtr content, file_content(file));
  FNIMAGE_TRY(const bool compressed, is_compressed(*content));
  if (compressed) {
    FNIMAGE_TRY(auto temporary, TemporaryDirectory::create("fnimage-archive"));
    impl->temporary.emplace(std::move(temporary));
    FNIMAGE_TRY(impl->file, unpack(file, impl->temporary->path(), limits));
    FNIMAGE_TRY(content, file_content(impl->file));
  }
  FNIMAGE_TRY(impl->members, TarIndexer(*content, impl->what, limits).run());
  return TarFile(std::move(impl));
}

Result<ContentPtr> TarFile::content(std::string_view member) const {
  FNIMAGE_TRY(std::string name, clean_path(member));
  for (int links = 0; links < max_member_links; ++links) {
    const auto found = impl_->members.find(name);
    if (found == impl_->members.end()) {
      return fail(ErrorCode::not_found, fmt::format("no {} in {}", printable(name), impl_->what));
    }
    const TarMember& entry = found->second;
    if (entry.type == EntryType::file) {
      return std::make_shared<MemberContent>(file_slice(impl_->file, entry.offset, entry.size),
                                             impl_);
    }
    auto target =
        entry.type == EntryType::hardlink ? clean_path(entry.link) : follow_link(name, entry.link);
    if (!target) {
      return fail(std::move(target).error().while_doing("read " + impl_->what));
    }
    name = std::move(*target);
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("{} cannot be used: the links of {} lead nowhere", impl_->what,
                          printable(member)));
}

}  // namespace fnimage::layer

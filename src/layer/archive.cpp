// Archives into packs, see the header. The pack is written first and the index last: an index means
// that its pack is whole. Both have deterministic content, so that processes which write the same
// pack at once only replace equals. Thread-safety: see the header.
#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/archive.hpp>

#include "libarchive_stream.hpp"
#include "pack_index.hpp"
#include "tar_reader.hpp"

namespace fnimage::layer {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_index_bytes = std::uint64_t{2} << 30;
constexpr std::string_view pack_suffix = ".pack";
constexpr std::string_view index_suffix = ".index";

/// Marks damage as what a second try can mend: see discard_damaged_packs().
class PackReader final : public Reader {
 public:
  explicit PackReader(std::unique_ptr<Reader> inner) : inner_(std::move(inner)) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    Result<std::size_t> got = inner_->read(buffer);
    if (!got && got.error().code() == ErrorCode::verification) {
      return fail(std::move(got).error().retryable());
    }
    return got;
  }

 private:
  std::unique_ptr<Reader> inner_;
};

/// Where a pack comes from.
enum class PackOrigin : std::uint8_t { just_written, kept };

/// A file's bytes in a pack as they were when they went in. Packs are not synced, and disks err:
/// what is packed from here goes into the layer cache under the key of the right bytes. What has
/// just been written is still in memory, and is not hashed again.
class PackedContent final : public Content {
 public:
  PackedContent(std::shared_ptr<const fs::path> pack, const detail::PackedEntry& packed,
                PackOrigin origin)
      : pack_(std::move(pack)),
        digest_(*packed.digest),
        offset_(packed.offset),
        size_(packed.size),
        origin_(origin) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
  [[nodiscard]] std::string id() const override { return digest_.str(); }

  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    const ContentPtr slice = file_slice(*pack_, offset_, size_);
    FNIMAGE_TRY(std::unique_ptr<Reader> reader, slice->open(offset));
    if (offset > 0 || origin_ == PackOrigin::just_written) {
      return reader;  // a part has no digest to compare with
    }
    return std::make_unique<PackReader>(manifest::verifying_reader(
        std::move(reader), digest_, size_, "a file in the pack " + pack_->string()));
  }

 private:
  std::shared_ptr<const fs::path> pack_;
  manifest::Digest digest_;
  std::uint64_t offset_;
  std::uint64_t size_;
  PackOrigin origin_;
};

/// Collects small files, so that a package of ten thousand costs few system calls.
class PackWriter {
 public:
  explicit PackWriter(AtomicFile file) : file_(std::move(file)) {}

  Result<void> write(Bytes bytes) {
    size_ += bytes.size();
    if (bytes.size() >= buffer_limit) {
      FNIMAGE_CHECK(flush());
      return file_.write(bytes);
    }
    buffer_ += as_text(bytes);
    return buffer_.size() >= buffer_limit ? flush() : Result<void>();
  }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  Result<void> commit(const fs::path& path) {
    FNIMAGE_CHECK(flush());
    return file_.commit(path, false);
  }

 private:
  Result<void> flush() {
    Result<void> result = file_.write(as_bytes(buffer_));
    buffer_.clear();
    return result;
  }

  static constexpr std::size_t buffer_limit = std::size_t{256} << 10;
  AtomicFile file_;
  std::string buffer_;
  std::uint64_t size_ = 0;
};

ArchiveListing to_listing(detail::PackIndex index, const fs::path& pack, PackOrigin origin) {
  ArchiveListing listing;
  listing.entries.reserve(index.entries.size());
  const auto shared_pack = std::make_shared<const fs::path>(pack);
  for (detail::PackedEntry& packed : index.entries) {
    Entry& entry = listing.entries.emplace_back(std::move(packed.entry));
    if (entry.type == EntryType::file && packed.size > 0) {
      entry.content = std::make_shared<PackedContent>(shared_pack, packed, origin);
    }
  }
  return listing;
}

std::optional<detail::PackIndex> load_index(const fs::path& index_path, const fs::path& pack) {
  const Result<std::string> text = read_file(index_path, max_index_bytes);
  if (!text) {
    return std::nullopt;
  }
  std::optional<detail::PackIndex> index = detail::parse_pack_index(*text);
  std::error_code error;
  const std::uintmax_t size = fs::file_size(pack, error);
  if (!index || error || size != index->pack_size) {
    return std::nullopt;
  }
  return index;
}

/// Copies the bytes of the reader's present entry.
Result<manifest::Digest> write_content(detail::TarReader& reader, PackWriter& pack) {
  manifest::Hasher hasher;
  while (true) {
    FNIMAGE_TRY(const Bytes bytes, reader.read());
    if (bytes.empty()) {
      return hasher.finish();
    }
    hasher.update(bytes);
    FNIMAGE_CHECK(pack.write(bytes));
  }
}

/// Reads over the bytes of the reader's present entry.
Result<void> skip_content(detail::TarReader& reader) {
  while (true) {
    FNIMAGE_TRY(const Bytes bytes, reader.read());
    if (bytes.empty()) {
      return {};
    }
  }
}

Result<detail::PackIndex> write_pack(std::unique_ptr<Reader> archive, std::string_view what,
                                     const ArchiveLimits& limits, const ContentFilter& keep,
                                     PackWriter& pack) {
  detail::PackIndex index;
  FNIMAGE_TRY(const std::unique_ptr<detail::TarReader> reader,
              detail::TarReader::open(std::move(archive), std::string(what), limits));
  while (true) {
    FNIMAGE_TRY(std::optional<Entry> entry, reader->next());
    if (!entry) {
      index.pack_size = pack.size();
      return index;
    }
    detail::PackedEntry packed{
        .entry = std::move(*entry), .offset = pack.size(), .size = reader->size()};
    if (keep && !keep(packed.entry.path)) {
      packed.size = 0;
      FNIMAGE_CHECK(skip_content(*reader));
    }
    if (packed.size > 0) {
      FNIMAGE_TRY(packed.digest, write_content(*reader, pack));
    }
    index.entries.push_back(std::move(packed));
  }
}

/// Whether everything in a pack can be read and is what was put in.
bool is_sound(const detail::PackIndex& index, const fs::path& pack) {
  const auto shared_pack = std::make_shared<const fs::path>(pack);
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  for (const detail::PackedEntry& packed : index.entries) {
    if (!packed.digest) {
      continue;
    }
    const Result<std::unique_ptr<Reader>> reader =
        PackedContent(shared_pack, packed, PackOrigin::kept).open(0);
    Result<std::size_t> got = std::size_t{1};
    while (reader && got && *got > 0) {
      got = (*reader)->read(buffer);
    }
    if (!reader || !got) {
      return false;
    }
  }
  return true;
}

fs::path pack_file(std::string_view id, const fs::path& directory) {
  return directory / fmt::format("{}{}", id, pack_suffix);
}

fs::path index_file(std::string_view id, const fs::path& directory) {
  return directory / fmt::format("{}{}", id, index_suffix);
}

/// The id becomes a file name: hex digits and what callers put behind them.
bool is_valid_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 200 && !id.starts_with('.') &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_' || c == '+';
         });
}

}  // namespace

std::optional<ArchiveListing> unpacked_tar(std::string_view id, const fs::path& directory) {
  if (!is_valid_id(id)) {
    return std::nullopt;
  }
  const fs::path pack = pack_file(id, directory);
  std::optional<detail::PackIndex> index = load_index(index_file(id, directory), pack);
  return index ? std::optional(to_listing(std::move(*index), pack, PackOrigin::kept))
               : std::nullopt;
}

Result<ArchiveListing> unpack_tar(const std::function<Result<std::unique_ptr<Reader>>()>& open,
                                  std::string_view id, const fs::path& directory,
                                  std::string_view what, const ArchiveLimits& limits,
                                  const ContentFilter& keep) {
  if (!is_valid_id(id)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} cannot name a pack file", printable(id)));
  }
  if (std::optional<ArchiveListing> known = unpacked_tar(id, directory)) {
    return std::move(*known);
  }
  FNIMAGE_TRY(std::unique_ptr<Reader> archive, open());
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(directory));
  PackWriter pack(std::move(file));
  FNIMAGE_TRY(detail::PackIndex index, write_pack(std::move(archive), what, limits, keep, pack));
  const fs::path pack_path = pack_file(id, directory);
  FNIMAGE_CHECK(pack.commit(pack_path));
  FNIMAGE_CHECK(write_file_atomically(index_file(id, directory), detail::to_text(index), false));
  return to_listing(std::move(index), pack_path, PackOrigin::just_written);
}

std::size_t discard_damaged_packs(const fs::path& directory) {
  std::vector<fs::path> packs;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == pack_suffix) {
      packs.push_back(at->path());
    }
  }
  std::size_t discarded = 0;
  for (const fs::path& pack : packs) {
    const fs::path index_path = fs::path(pack).replace_extension(index_suffix);
    const std::optional<detail::PackIndex> index = load_index(index_path, pack);
    if (!index || is_sound(*index, pack)) {
      continue;
    }
    // The index first: without it the pack counts for nothing.
    discarded += fs::remove(index_path, error) ? 1U : 0U;
    fs::remove(pack, error);
  }
  return discarded;
}

Result<std::vector<std::pair<std::string, std::string>>> read_small_tar(
    Reader& archive, std::string_view what, std::uint64_t max_total_bytes) {
  constexpr std::uint64_t max_files = 10'000;
  constexpr std::uint64_t headers = std::uint64_t{16} << 20;
  ArchiveLimits limits;
  limits.max_entries = max_files;
  limits.max_bytes = max_total_bytes + headers;
  FNIMAGE_TRY(const std::unique_ptr<detail::TarReader> reader,
              detail::TarReader::open(std::make_unique<detail::BorrowedReader>(archive),
                                      std::string(what), limits));
  std::vector<std::pair<std::string, std::string>> files;
  std::uint64_t total = 0;
  while (true) {
    FNIMAGE_TRY(std::optional<Entry> entry, reader->next());
    if (!entry) {
      return files;
    }
    if (entry->type != EntryType::file) {
      continue;
    }
    if (reader->size() > max_total_bytes - total) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} holds more than {}", what, human_size(max_total_bytes)));
    }
    total += reader->size();
    std::string text;
    while (true) {
      FNIMAGE_TRY(const Bytes bytes, reader->read());
      if (bytes.empty()) {
        break;
      }
      text += as_text(bytes);
    }
    files.emplace_back(std::move(entry->path), std::move(text));
  }
}

}  // namespace fnimage::layer

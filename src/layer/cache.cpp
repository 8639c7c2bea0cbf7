// On disk: blobs/sha256/<hex> and keys/<sha256 of the key in hex>, a key file being one line:
// "fnimage layer 1 <digest> <size> <diff_id> <tar size>\n". A blob is checked by its size only: it
// got its name by rename after the last byte. Thread-safety: the file system's renames.
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/layer/cache.hpp>

namespace fnimage::layer {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_record_bytes = 1024;

fs::path blobs_of(const fs::path& directory) {
  return directory / "blobs" / "sha256";
}

fs::path key_file(const fs::path& directory, std::string_view key) {
  return directory / "keys" / manifest::Digest::of(key).hex();
}

std::string to_line(const LayerCache::Record& record) {
  return fmt::format("fnimage layer 1 {} {} {} {}\n", record.digest.str(), record.size,
                     record.diff_id.str(), record.uncompressed_size);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

std::optional<LayerCache::Record> parse_line(std::string_view line) {
  constexpr std::size_t parts_count = 7;
  if (!line.ends_with('\n')) {
    return std::nullopt;
  }
  const std::vector<std::string_view> parts = split(line.substr(0, line.size() - 1), ' ');
  if (parts.size() != parts_count || !line.starts_with("fnimage layer 1 ")) {
    return std::nullopt;
  }
  const Result<manifest::Digest> digest = manifest::Digest::parse(parts[3]);
  const Result<manifest::Digest> diff_id = manifest::Digest::parse(parts[5]);
  const std::optional<std::uint64_t> size = parse_number(parts[4]);
  const std::optional<std::uint64_t> tar_size = parse_number(parts[6]);
  if (!digest || !diff_id || !size || !tar_size) {
    return std::nullopt;
  }
  return LayerCache::Record{*digest, *size, *diff_id, *tar_size};
}

}  // namespace

Result<LayerCache> LayerCache::open(const fs::path& directory) {
  for (const fs::path& part : {blobs_of(directory), directory / "keys"}) {
    FNIMAGE_CHECK(make_directories(part));
    remove_stale_temporaries(part);
  }
  return LayerCache(directory);
}

std::optional<LayerCache::Record> LayerCache::find(std::string_view key) const {
  const Result<std::string> line = read_file(key_file(directory_, key), max_record_bytes);
  if (!line) {
    return std::nullopt;
  }
  std::optional<Record> record = parse_line(*line);
  if (record) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(blob_path(record->digest), error);
    if (error || size != record->size) {
      return std::nullopt;
    }
  }
  return record;
}

Result<AtomicFile> LayerCache::begin() const {
  return AtomicFile::create(blobs_of(directory_));
}

Result<void> LayerCache::store(const std::optional<std::string>& key, const Record& record,
                               AtomicFile blob) {
  FNIMAGE_CHECK(blob.commit(blob_path(record.digest), false));
  if (!key) {
    return {};
  }
  return write_file_atomically(key_file(directory_, *key), to_line(record), false);
}

fs::path LayerCache::blob_path(const manifest::Digest& digest) const {
  return directory_ / "blobs" / digest.algorithm() / digest.hex();
}

}  // namespace fnimage::layer

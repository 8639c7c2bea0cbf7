// Reading archives: tar (plain, gzip, xz, zstd) and the ar of .deb files, by libarchive with only
// those readers enabled, in a C.UTF-8 locale scope. An archive is read once, front to back; file
// bytes go into an uncompressed "pack" file of the cache and entries refer to slices of it, so that
// nothing is unpacked to disk as files and a second use costs no decompression. Hostile input:
// sizes, counts, paths and the ratio of decompressed to compressed bytes are bounded (reliability
// A14-A16, A18). Thread-safety: may run for several archives at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/layer/entry.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::layer {

struct ArchiveLimits {
  std::uint64_t max_bytes = std::uint64_t{64} << 30;  ///< decompressed, in all
  std::uint64_t max_entries = 2'000'000;
  std::uint64_t max_ratio = 2000;  ///< decompressed : compressed, checked past 64 MiB
};

/// The entries of an archive in its order, contents as slices of a pack file.
struct ArchiveListing {
  std::vector<Entry> entries;
};

/// Whether the content of the file at this path is to be kept.
using ContentFilter = std::function<bool(std::string_view path)>;

/// Reads a tar stream and stores the contents of its files in the pack `<directory>/<id>.pack` with
/// an index `<id>.index` beside it; when both are there already nothing is read. Paths are cleaned,
/// owners and modes kept as they are in the archive. Contents of packs that were there already are
/// verified whenever they are read from their beginning. Errors: invalid_input for a broken,
/// truncated or hostile archive (names it by `what`), no_space.
/// @param id names the pack: the archive's sha256 in hex, plus what part of it.
/// @param keep empty = all contents. Files whose content is not kept are listed as if they were
/// empty; such a pack needs an id or a directory of its own.
Result<ArchiveListing> unpack_tar(const std::function<Result<std::unique_ptr<Reader>>()>& open,
                                  std::string_view id, const std::filesystem::path& directory,
                                  std::string_view what, const ArchiveLimits& limits = {},
                                  const ContentFilter& keep = {});

/// What an unpack_tar() with this id has put into the directory; nullopt when it is not there.
std::optional<ArchiveListing> unpacked_tar(std::string_view id,
                                           const std::filesystem::path& directory);

/// Reads every pack of a directory and removes those whose content is not what was put in, so that
/// the next unpack_tar() makes them anew; returns how many that were. Reading the content of a
/// damaged pack is a retryable verification error: this is what to do before the second try.
std::size_t discard_damaged_packs(const std::filesystem::path& directory);

/// Calls `on_member` for each member of an ar archive (a .deb) in order; the reader is valid during
/// the call only.
Result<void> read_ar(Reader& archive, std::string_view what,
                     const std::function<Result<void>(std::string_view name, std::uint64_t size,
                                                      Reader& member)>& on_member);

/// Small files of a (compressed) tar stream, whole: for a package's control archive. Error:
/// invalid_input past the limits.
Result<std::vector<std::pair<std::string, std::string>>> read_small_tar(
    Reader& archive, std::string_view what, std::uint64_t max_total_bytes);

}  // namespace fnimage::layer

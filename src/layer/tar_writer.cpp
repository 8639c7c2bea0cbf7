// The canonical form. Equal trees give equal bytes; golden tests pin them.
//
// - Entries in byte order of their paths, which puts parents before children. Paths are relative,
//   without "./"; a directory's ends in '/'. The root directory has no entry.
// - Names with hard links: the first of them in that order is the file with metadata and content,
//   the others are links ('1', size 0) to it, with the same metadata. A hard link to a symbolic
//   link, device or fifo is written as another of the same, since nothing but the inode number
//   would tell the difference.
// - ustar header ("ustar\0" "00"): numbers in octal, zero-filled, NUL at the end; checksum six
//   digits, NUL, blank; user and group names empty; device numbers 0 for all but devices. A path of
//   more than 100 bytes is split at the last '/' within the first 156 bytes.
// - A pax header ('x', name "PaxHeaders.0/<last part of the path>", mode 0644, owner 0, mtime 0)
//   goes before it only for: path or linkpath not ASCII, or too long; hdrcharset=BINARY beside them
//   when they are not UTF-8; uid or gid above 2097151; size of 8 GiB or more; mtime outside
//   0 … 2^33-1; extended attributes as SCHILY.xattr.<name>. Records are sorted by key. The ustar
//   field then holds 0, or the text cut to 100 bytes with '_' for bytes that are not ASCII.
// - Content is padded with zeros to 512 bytes. Two zero blocks end the stream, with no more
// padding.
//
// Thread-safety: see the header.
#include <algorithm>
#include <array>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/layer/tar_writer.hpp>

#include "tar_header.hpp"
#include "tar_progress.hpp"

namespace fnimage::layer {

namespace detail {

namespace {

constexpr std::size_t chunk_size = std::size_t{256} << 10;
constexpr std::array<std::byte, 2 * tar_block_size> zeros{};

tl::unexpected<Error> changed(const Entry& entry, std::string_view how) {
  return fail(ErrorCode::io,
              fmt::format("{} became {} while it was packed", printable(entry.path), how),
              "leave the files alone during the build and run it again");
}

/// The name under which each file with several names is written: root entry of the group -> name.
class LinkGroups {
 public:
  Result<void> build(const FileTree& tree) {
    for (const auto& [path, entry] : tree.entries()) {
      if (entry.type != EntryType::hardlink) {
        continue;
      }
      FNIMAGE_TRY(const Entry* root, root_of(tree, entry));
      const auto [place, is_new] = first_names_.emplace(root, std::min(root->path, path));
      if (!is_new) {
        place->second = std::min(place->second, path);
      }
    }
    return {};
  }

  /// What to write for an entry of the tree.
  [[nodiscard]] Entry resolve(const FileTree& tree, const Entry& entry) const {
    const Entry* root = &entry;
    if (entry.type == EntryType::hardlink) {
      root = root_of(tree, entry).value_or(&entry);
    }
    const auto group = first_names_.find(root);
    if (group == first_names_.end()) {
      return entry;
    }
    Entry written = *root;
    written.path = entry.path;
    if (root->type == EntryType::file && group->second != entry.path) {
      written.type = EntryType::hardlink;
      written.link = group->second;
      written.content = nullptr;
    }
    return written;
  }

 private:
  static Result<const Entry*> root_of(const FileTree& tree, const Entry& entry) {
    constexpr int max_chain = 64;
    const Entry* at = &entry;
    for (int i = 0; at != nullptr && at->type == EntryType::hardlink; ++i) {
      at = i < max_chain ? tree.find(at->link) : nullptr;
    }
    if (at == nullptr || at->type == EntryType::directory) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is a hard link to {}, which is not a file of this layer",
                              printable(entry.path), printable(entry.link)));
    }
    return at;
  }

  std::map<const Entry*, std::string> first_names_;
};

class TarStream {
 public:
  TarStream(Writer& out, const std::function<void(std::uint64_t)>& on_content)
      : out_(out), on_content_(on_content) {}

  Result<void> write(const Entry& entry) {
    FNIMAGE_TRY(const std::string header, tar_header(entry));
    FNIMAGE_CHECK(out_.write(as_bytes(header)));
    if (entry.type != EntryType::file || !entry.content) {
      return {};
    }
    Result<void> result = write_content(entry);
    if (!result) {
      return fail(std::move(result).error().while_doing("pack " + printable(entry.path)));
    }
    const auto padding =
        static_cast<std::size_t>((tar_block_size - entry.size() % tar_block_size) % tar_block_size);
    return out_.write(Bytes(zeros).first(padding));
  }

  Result<void> finish() { return out_.write(zeros); }

 private:
  Result<void> write_content(const Entry& entry) {
    const std::uint64_t size = entry.size();
    std::uint64_t have = 0;
    FNIMAGE_TRY(const std::unique_ptr<Reader> reader, entry.content->open());
    while (true) {
      FNIMAGE_TRY(const std::size_t got, reader->read(buffer_));
      if (got == 0) {
        break;
      }
      if (got > size - have) {
        return changed(entry, "longer");
      }
      FNIMAGE_CHECK(out_.write(Bytes(buffer_).first(got)));
      have += got;
      written_ += got;
      on_content_(written_);
    }
    if (have < size) {
      return changed(entry, "shorter");
    }
    // A reader of a file stops at the size it was told; only the file itself can say that it grew.
    if (const std::optional<std::filesystem::path> file = entry.content->file()) {
      std::error_code error;
      if (std::filesystem::file_size(*file, error) != size && !error) {
        return changed(entry, "longer");
      }
    }
    return {};
  }

  Writer& out_;
  const std::function<void(std::uint64_t)>& on_content_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(chunk_size);
  std::uint64_t written_ = 0;
};

}  // namespace

Result<void> write_tar(const FileTree& tree, Writer& out,
                       const std::function<void(std::uint64_t)>& on_content) {
  LinkGroups groups;
  FNIMAGE_CHECK(groups.build(tree));
  TarStream stream(out, on_content);
  for (const auto& [path, entry] : tree.entries()) {
    FNIMAGE_CHECK(stream.write(groups.resolve(tree, entry)));
  }
  return stream.finish();
}

}  // namespace detail

Result<void> write_tar(const FileTree& tree, Writer& out) {
  return detail::write_tar(tree, out, [](std::uint64_t) {});
}

}  // namespace fnimage::layer

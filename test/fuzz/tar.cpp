// Tar streams as layers and packages bring them (TarReader), image archives (TarFile), and what is
// made of their entries: a FileTree, the files of an image, and a tar of our own, which must read
// back as the tree was.
#include <map>
#include <unordered_map>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/layer/tar_file.hpp>
#include <fnimage/layer/tar_writer.hpp>

#include "fuzz.hpp"
#include "tar_reader.hpp"

namespace fnimage::fuzz {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr layer::ArchiveLimits limits{.max_bytes = std::uint64_t{4} << 20, .max_entries = 2000};

struct Read {
  std::vector<Entry> entries;
  std::map<std::string, std::string> files;  ///< the last one of a name
  bool is_whole = false;
};

void check_entry(const Entry& entry) {
  const Result<std::string> clean = layer::clean_path(entry.path);
  require(succeeded(clean) && *clean == entry.path, "paths are clean");
  require(!entry.path.empty() || entry.type == EntryType::directory, "only the root has no name");
  require(entry.mode <= 07777U, "modes are permissions");
  const bool is_link = entry.type == EntryType::symlink || entry.type == EntryType::hardlink;
  require(is_link != entry.link.empty(), "links and nothing else lead somewhere");
}

Read read_stream(std::string_view bytes, std::size_t piece) {
  Read read;
  auto reader =
      layer::detail::TarReader::open(std::make_unique<PieceReader>(bytes, piece), "input", limits);
  if (!succeeded(reader)) {
    return read;
  }
  std::uint64_t total = 0;
  while (true) {
    Result<std::optional<Entry>> entry = (*reader)->next();
    if (!succeeded(entry) || !*entry) {
      read.is_whole = entry.has_value();
      return read;
    }
    check_entry(**entry);
    require(read.entries.size() < limits.max_entries, "the number of entries is bounded");
    require((*entry)->type == EntryType::file || (*reader)->size() == 0, "only files have content");
    std::string content;
    while (true) {
      const Result<Bytes> part = (*reader)->read();
      if (!succeeded(part)) {
        return read;
      }
      if (part->empty()) {
        break;
      }
      content += as_text(*part);
    }
    require(content.size() == (*reader)->size(), "a file is as large as its header says");
    total += content.size();
    require(total <= limits.max_bytes, "the bytes are bounded");
    if ((*entry)->type == EntryType::file) {
      (*entry)->content = memory_content(content);
      read.files.insert_or_assign((*entry)->path, std::move(content));
    }
    read.entries.push_back(std::move(**entry));
  }
}

layer::FileTree tree_of(const std::vector<Entry>& entries) {
  layer::FileTree tree;
  for (const Entry& entry : entries) {
    succeeded(tree.add(entry));
  }
  for (const auto& [path, entry] : tree.entries()) {
    require(path == entry.path, "a tree's entries are at their paths");
    const std::size_t slash = path.rfind('/');
    if (slash != std::string::npos) {
      const Entry* parent = tree.find(path.substr(0, slash));
      require(parent != nullptr && parent->type == EntryType::directory,
              "what a tree holds is in directories");
    }
    const Entry* found = tree.resolve(path);
    require(found == nullptr || found->type != EntryType::symlink, "links are followed");
  }
  return tree;
}

void check_round_trip(const layer::FileTree& tree) {
  std::string tar;
  StringWriter out(tar);
  if (!succeeded(layer::write_tar(tree, out))) {
    return;
  }
  const Read again = read_stream(tar, 4096);
  if (!again.is_whole) {  // the limits of this program, which the tar may pass
    require(tar.size() > (std::size_t{1} << 20) || tree.entries().size() > 100,
            "our own tars can be read");
    return;
  }
  require(again.entries.size() == tree.entries().size(), "nothing is lost in a tar");
  std::string tar_again;
  StringWriter out_again(tar_again);
  require(succeeded(layer::write_tar(tree_of(again.entries), out_again)), "a tar can be packed");
  require(tar_again == tar, "and is the same");
}

void check_tar_file(std::string_view bytes, const Read& read) {
  static const TemporaryDirectory directory =
      std::move(*TemporaryDirectory::create("fnimage-fuzz"));
  const auto path = directory.path() / "input.tar";
  if (!write_file_atomically(path, bytes, false)) {
    return;
  }
  const Result<layer::TarFile> file = layer::TarFile::open(path, limits);
  if (!succeeded(file)) {
    return;
  }
  for (const auto& [name, expected] : read.files) {
    const Result<ContentPtr> content = file->content(name);
    if (!succeeded(content)) {
      continue;
    }
    const auto reader = (*content)->open();
    require(succeeded(reader), "contents can be opened");
    const Result<std::string> text = read_all(**reader, limits.max_bytes);
    if (succeeded(text) && read.is_whole) {
      require(*text == expected, "both readers find the same content");
    }
  }
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string_view bytes = text_of(data, size);
  const Read read = read_stream(bytes, 65536);
  const Read in_pieces = read_stream(bytes, 700);
  require(read.is_whole == in_pieces.is_whole && read.files == in_pieces.files,
          "it does not matter how the bytes come");
  check_round_trip(tree_of(read.entries));
  fnimage::check::ImageFiles image;
  image.add_layer("lower", read.entries);
  image.add_layer("upper", read.entries);
  for (const auto& [path, node] : image.nodes()) {
    require(path == node.entry.path, "an image's files are at their paths");
    const auto found = image.resolve(path);
    require(!found || found->node->entry.type != fnimage::layer::EntryType::symlink,
            "links are followed");
  }
  check_tar_file(bytes, read);
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return fnimage::fuzz::mutate_tar(data, size, max_size, seed);
}

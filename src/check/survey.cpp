// Reading the first bytes of files, see the header.
#include "survey.hpp"

#include <array>

#include "programs.hpp"

namespace fnimage::check {

namespace {

constexpr std::size_t head_bytes = 256;  // the kernel reads as much of a script's first line
constexpr std::uint32_t anybody_executes = 0111;

}  // namespace

Result<Survey> survey(const ImageFiles& files) {
  Survey seen;
  std::array<std::byte, head_bytes> buffer{};
  for (const auto& [path, node] : files.nodes()) {
    const layer::Entry& entry = node.entry;
    if (entry.type != layer::EntryType::file) {
      continue;
    }
    ++seen.files;
    const bool executable = (entry.mode & anybody_executes) != 0;
    if (entry.size() < 3) {
      continue;
    }
    FNIMAGE_TRY(const auto reader, entry.content->open());
    FNIMAGE_TRY(const std::size_t got, read_full(*reader, buffer));
    const Bytes head = Bytes(buffer).first(got);
    if (const auto identity = elf::parse_identity(head); identity && identity->is_loadable()) {
      seen.objects.emplace(path, *identity);
    } else if (executable && as_text(head).starts_with("#!")) {
      seen.scripts.emplace(path, shebang_words(as_text(head)));
    }
  }
  return seen;
}

}  // namespace fnimage::check

// ELF objects of any machine, and the dynamic loader's cache. A cache that can be read can be
// written, and is then the same for the loader.
#include <algorithm>

#include <fnimage/elf/loader_cache.hpp>
#include <fnimage/elf/object.hpp>

#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

void check_object(std::string_view bytes) {
  const ContentPtr content = memory_content(std::string(bytes));
  const auto object = elf::read_object(*content, "input");
  const auto identity =
      elf::parse_identity(as_bytes(bytes).first(std::min(bytes.size(), elf::header_bytes)));
  if (!succeeded(object)) {
    return;
  }
  require(identity.has_value() && *identity == object->identity, "both find the same identity");
  require(!identity->str().empty(), "every identity has words");
  elf::loader_flags(*identity);
  require(object->dynamic || object->needed.empty(), "only the dynamic section needs libraries");
  std::size_t text = 0;
  for (const elf::VersionNeed& need : object->version_needs) {
    text += need.library.size();
    for (const std::string& version : need.versions) {
      text += version.size();
    }
  }
  require(text <= (std::size_t{512} << 20U), "the text is bounded");
}

void check_cache(std::string_view bytes) {
  const auto libraries = elf::parse_loader_cache(bytes, "input");
  if (!succeeded(libraries)) {
    return;
  }
  for (const elf::ByteOrder order : {elf::ByteOrder::little, elf::ByteOrder::big}) {
    const std::string written = elf::write_loader_cache(*libraries, order);
    const auto again = elf::parse_loader_cache(written, "written");
    require(succeeded(again) && again->size() == libraries->size(), "a cache can be written");
    require(elf::write_loader_cache(*again, order) == written, "equal libraries give equal bytes");
    require(std::is_permutation(again->begin(), again->end(), libraries->begin()),
            "no library is changed");
  }
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  constexpr std::size_t max_input = std::size_t{64} << 10;
  if (size <= max_input) {
    check_object(text_of(data, size));
    check_cache(text_of(data, size));
  }
  return 0;
}

// Debian packages: the ar archive, its members, and the whole way that unpack_package() takes, with
// the cache that it fills. The same package from the cache is the same package.
#include <filesystem>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/layer/archive.hpp>

#include "debian/package.hpp"
#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

constexpr std::size_t max_input = std::size_t{64} << 10;

void check_members(std::string_view bytes) {
  PieceReader reader(bytes, 1000);
  std::uint64_t total = 0;
  const auto on_member = [&](std::string_view name, std::uint64_t size,
                             Reader& member) -> Result<void> {
    require(!name.empty() && name.find('/') == std::string_view::npos, "members have plain names");
    const Result<std::string> text = read_all(member, max_input);
    if (succeeded(text)) {
      require(text->size() == size, "members are as large as their headers say");
      total += size;
    }
    return {};
  };
  succeeded(layer::read_ar(reader, "input", on_member));
  require(total <= bytes.size(), "members are no larger than the archive");
}

std::string id_of(const layer::Entry& entry) {
  return entry.content ? entry.content->id() : std::string();
}

void check_package(std::string_view bytes) {
  static const TemporaryDirectory directory =
      std::move(*TemporaryDirectory::create("fnimage-fuzz"));
  const auto deb = directory.path() / "input.deb";
  const auto cache = directory.path() / "cache";
  if (!write_file_atomically(deb, bytes, false)) {
    return;
  }
  succeeded(source::debian::read_control(deb, "input"));
  const source::debian::PackageFile file{
      .what = "input", .sha256 = manifest::Digest::of(bytes), .fetch = [&] {
        return Result<std::filesystem::path>(deb);
      }};
  const auto package = source::debian::unpack_package(file, cache);
  if (succeeded(package)) {
    source::debian::PackageFile cached = file;
    cached.fetch = [] {
      return Result<std::filesystem::path>(fail(ErrorCode::internal, "asked for again"));
    };
    const auto again = source::debian::unpack_package(cached, cache);
    require(again.has_value(), "what was unpacked is in the cache");
    require(again->control == package->control, "the cache keeps control files");
    require(again->entries.size() == package->entries.size(), "the cache keeps entries");
    for (std::size_t i = 0; i < again->entries.size(); ++i) {
      const layer::Entry& a = again->entries[i];
      const layer::Entry& b = package->entries[i];
      require(a.path == b.path && a.type == b.type && a.mode == b.mode && a.link == b.link &&
                  id_of(a) == id_of(b) && a.size() == b.size() && a.xattrs == b.xattrs,
              "the cache keeps what entries say");
    }
  }
  for (const auto& one : std::filesystem::directory_iterator(directory.path())) {
    const auto name = one.path().filename();
    require(name == "input.deb" || name == "cache", "nothing is written beside the cache");
  }
  std::filesystem::remove_all(cache);
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  if (size <= max_input) {
    check_members(text_of(data, size));
    check_package(text_of(data, size));
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return fnimage::fuzz::mutate_tar(data, size, max_size, seed);
}

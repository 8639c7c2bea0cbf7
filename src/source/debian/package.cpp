// Unpacking and the cache of control files, see package.hpp. Thread-safety: no shared state; files
// of the cache appear atomically.
#include "debian/package.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/layout.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_control_bytes = std::uint64_t{64} << 20;
constexpr std::string_view control_magic = "fnimage-control 2\n";

// Lends a reader that belongs to someone else.
class BorrowedReader final : public Reader {
 public:
  explicit BorrowedReader(Reader& inner) : inner_(inner) {}
  Result<std::size_t> read(MutableBytes buffer) override { return inner_.read(buffer); }

 private:
  Reader& inner_;
};

std::string serialize(const ControlFiles& files) {
  std::string text(control_magic);
  for (const auto& [name, content] : files) {
    text += fmt::format("{} {}\n{}\n", content.size(), name, content);
  }
  return text + std::string(manifest::Digest::of(text).hex());
}

// nullopt: damaged, and therefore a miss.
std::optional<ControlFiles> deserialize(std::string_view text) {
  constexpr std::size_t hex_size = 64;
  if (!text.starts_with(control_magic) || text.size() < control_magic.size() + hex_size) {
    return std::nullopt;
  }
  const std::string_view hash = text.substr(text.size() - hex_size);
  text.remove_suffix(hex_size);
  if (manifest::Digest::of(text).hex() != hash) {
    return std::nullopt;
  }
  text.remove_prefix(control_magic.size());
  ControlFiles files;
  while (!text.empty()) {
    const std::size_t line_end = text.find('\n');
    const std::size_t space = text.find(' ');
    std::size_t size = 0;
    if (line_end == std::string_view::npos || space > line_end ||
        std::from_chars(text.data(), text.data() + space, size).ec != std::errc{} ||
        text.size() - line_end - 1 <= size) {
      return std::nullopt;
    }
    files.emplace(text.substr(space + 1, line_end - space - 1), text.substr(line_end + 1, size));
    text.remove_prefix(line_end + 1 + size + 1);
  }
  return files;
}

/// Contents that images do without are a fifth of Debian's essential packages: they are not kept.
enum class Contents : std::uint8_t { all, without_documentation };

std::string pack_id(const PackageFile& file, Contents contents) {
  return fmt::format("{}-{}", file.sha256.hex(), contents == Contents::all ? "data" : "image");
}

bool is_kept(std::string_view path) {
  return !is_left_out(merged_path(path), layer::EntryType::file);
}

/// Whether a file that is kept is a hard link to one that is not, and has its content there.
bool lacks_content(const std::vector<layer::Entry>& entries) {
  return std::ranges::any_of(entries, [](const layer::Entry& entry) {
    return entry.type == layer::EntryType::hardlink && is_kept(entry.path) && !is_kept(entry.link);
  });
}

std::string file_list_of(const std::vector<layer::Entry>& entries) {
  std::string text = "/.\n";
  for (const layer::Entry& entry : entries) {
    if (!entry.path.empty()) {
      text += fmt::format("/{}\n", entry.path);
    }
  }
  text.shrink_to_fit();
  return text;
}

std::optional<layer::ArchiveListing> listing_from_cache(const PackageFile& file,
                                                        const std::filesystem::path& packs) {
  if (!file.documentation) {
    auto listing = layer::unpacked_tar(pack_id(file, Contents::without_documentation), packs);
    if (!listing || !lacks_content(listing->entries)) {
      return listing;
    }
  }
  return layer::unpacked_tar(pack_id(file, Contents::all), packs);
}

std::optional<UnpackedPackage> from_cache(const PackageFile& file,
                                          const std::filesystem::path& cache,
                                          const std::filesystem::path& control_file) {
  auto listing = listing_from_cache(file, cache / "packs");
  if (!listing) {
    return std::nullopt;
  }
  const auto text = read_file(control_file, max_control_bytes * 2);
  auto control = text ? deserialize(*text) : std::nullopt;
  if (!control) {
    return std::nullopt;
  }
  std::string list = file_list_of(listing->entries);
  return UnpackedPackage{std::move(*control), std::move(listing->entries), std::move(list)};
}

Error broken_package(std::string_view what, std::string_view why) {
  return Error(ErrorCode::invalid_input,
               fmt::format("{}: not a Debian package that can be read: {}", what, why));
}

Result<ControlFiles> read_control_member(Reader& member, const std::string& what) {
  FNIMAGE_TRY(auto files, layer::read_small_tar(member, what, max_control_bytes));
  ControlFiles control;
  for (auto& [path, text] : files) {
    const std::string_view plain = path;
    control.emplace(plain.substr(plain.starts_with("./") ? 2 : 0), std::move(text));
  }
  return control;
}

// The members of one .deb, in the order that deb(5) demands.
class DebReader {
 public:
  DebReader(const PackageFile& file, const std::filesystem::path& cache, Contents contents)
      : file_(file), cache_(cache), contents_(contents) {}

  Result<UnpackedPackage> read(const std::filesystem::path& deb) {
    FNIMAGE_TRY(const auto reader, open_file(deb));
    FNIMAGE_CHECK(layer::read_ar(*reader, file_.what,
                                 [&](std::string_view name, std::uint64_t, Reader& member) {
                                   return on_member(name, member);
                                 }));
    if (!has_control_ || !has_data_) {
      return fail(broken(has_control_ ? "no data archive" : "no control archive"));
    }
    return std::move(package_);
  }

 private:
  Result<void> on_member(std::string_view name, Reader& member) {
    if (name == "debian-binary") {
      FNIMAGE_TRY(const std::string version, read_all(member, 64));
      if (!version.starts_with("2.")) {
        return fail(broken("format version " + printable(trim(version), 20)));
      }
      has_version_ = true;
    } else if (!has_version_) {
      return fail(broken("does not begin with debian-binary"));
    } else if (name.starts_with("control.tar") && !has_control_) {
      FNIMAGE_TRY(package_.control, read_control_member(member, file_.what));
      has_control_ = true;
    } else if (name.starts_with("data.tar") && has_control_ && !has_data_) {
      const auto open = [&member]() -> Result<std::unique_ptr<Reader>> {
        return std::make_unique<BorrowedReader>(member);
      };
      FNIMAGE_TRY(
          auto listing,
          layer::unpack_tar(open, pack_id(file_, contents_), cache_ / "packs", file_.what, {},
                            contents_ == Contents::all ? layer::ContentFilter() : is_kept));
      package_.file_list = file_list_of(listing.entries);
      package_.entries = std::move(listing.entries);
      has_data_ = true;
    }
    return {};
  }

  [[nodiscard]] Error broken(std::string_view why) const { return broken_package(file_.what, why); }

  const PackageFile& file_;
  const std::filesystem::path& cache_;
  Contents contents_;
  UnpackedPackage package_;
  bool has_version_ = false;
  bool has_control_ = false;
  bool has_data_ = false;
};

}  // namespace

std::string_view UnpackedPackage::control_file(std::string_view name) const {
  const auto found = control.find(name);
  return found == control.end() ? std::string_view{} : std::string_view(found->second);
}

Result<ControlFiles> read_control(const std::filesystem::path& deb, const std::string& what) {
  FNIMAGE_TRY(const auto reader, open_file(deb));
  ControlFiles control;
  FNIMAGE_CHECK(layer::read_ar(
      *reader, what, [&](std::string_view name, std::uint64_t, Reader& member) -> Result<void> {
        if (name.starts_with("control.tar") && control.empty()) {
          FNIMAGE_TRY(control, read_control_member(member, what));
        }
        return {};
      }));
  if (!control.contains("control")) {
    return fail(broken_package(what, "no control file"));
  }
  return control;
}

Result<UnpackedPackage> unpack_package(const PackageFile& file,
                                       const std::filesystem::path& cache) {
  const auto control_file = cache / "control" / std::string(file.sha256.hex());
  if (auto cached = from_cache(file, cache, control_file)) {
    return std::move(*cached);
  }
  FNIMAGE_TRY(const auto deb, file.fetch());
  const Contents wanted = file.documentation ? Contents::all : Contents::without_documentation;
  FNIMAGE_TRY(UnpackedPackage package, DebReader(file, cache, wanted).read(deb));
  if (!file.documentation && lacks_content(package.entries)) {
    FNIMAGE_TRY(package, DebReader(file, cache, Contents::all).read(deb));
  }
  if (package.control_file("control").empty()) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: no control file", file.what));
  }
  FNIMAGE_CHECK(write_file_atomically(control_file, serialize(package.control), /*durable=*/false));
  return package;
}

}  // namespace fnimage::source::debian

namespace fnimage::source {

std::size_t discard_damaged_packages(const std::filesystem::path& cache_directory) {
  return layer::discard_damaged_packs(cache_directory / "packs");
}

}  // namespace fnimage::source

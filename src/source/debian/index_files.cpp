// Packages files from mirror to memory: download by hash, decompress (xz, gzip; by the layer
// module) with the size and hash that the release file gives, drop the fields nobody reads
// here, cache as a table, map. Thread-safety: no shared state; files of the cache appear
// atomically.
#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <memory>
#include <span>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/compression.hpp>

#include "debian/index.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_index_bytes = std::uint64_t{1} << 30;
// Of one package; the longest in Debian have a tenth of a megabyte. Only so much is held in memory.
constexpr std::size_t max_paragraph_bytes = std::size_t{4} << 20;
// The version of the tables' form and of the kept fields: part of the cache's file names.
constexpr std::string_view table_form = "packages3";

constexpr std::array<std::string_view, 19> kept_fields{
    "Package",  "Source",     "Version",  "Architecture",   "Essential", "Multi-Arch", "Priority",
    "Depends",  "Recommends", "Provides", "Pre-Depends",    "Conflicts", "Breaks",     "Replaces",
    "Filename", "Size",       "SHA256",   "Installed-Size", "Section"};

// Cuts the text into paragraphs with the lines of the kept fields only.
class FieldFilter {
 public:
  explicit FieldFilter(PackageTableWriter& out) : out_(out) {}

  Result<void> write(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (partial_.size() + std::min(end, text.size()) > max_paragraph_bytes) {
        return too_long();
      }
      if (end == std::string_view::npos) {
        partial_ += text;
        return {};
      }
      if (partial_.empty()) {
        FNIMAGE_CHECK(line(text.substr(0, end)));
      } else {
        partial_ += text.substr(0, end);
        FNIMAGE_CHECK(line(partial_));
        partial_.clear();
      }
      text.remove_prefix(end + 1);
    }
    return {};
  }

  Result<void> finish() {
    FNIMAGE_CHECK(line(partial_));
    return line({});
  }

 private:
  Result<void> line(std::string_view text) {
    if (text.empty()) {
      return end_paragraph();
    }
    if (text.front() != ' ' && text.front() != '\t') {
      const std::string_view name = text.substr(0, text.find(':'));
      keep_ = std::find(kept_fields.begin(), kept_fields.end(), name) != kept_fields.end();
    }
    if (keep_) {
      paragraph_ += text;
      paragraph_ += '\n';
    }
    return paragraph_.size() > max_paragraph_bytes ? too_long() : Result<void>();
  }

  static Result<void> too_long() {
    return fail(ErrorCode::invalid_input,
                fmt::format("package index: one package has more than {} bytes to say of itself",
                            max_paragraph_bytes));
  }

  Result<void> end_paragraph() {
    if (!paragraph_.empty()) {
      FNIMAGE_CHECK(out_.add(paragraph_));
      paragraph_.clear();
    }
    return {};
  }

  PackageTableWriter& out_;
  std::string paragraph_;
  std::string partial_;
  bool keep_ = false;
};

Result<void> decompress(const std::filesystem::path& compressed, const IndexFile& expected,
                        PackageTableWriter& out) {
  FNIMAGE_TRY(auto file, open_file(compressed));
  FNIMAGE_TRY(const auto reader, layer::decompressing_reader(std::move(file)));
  manifest::Hasher hasher;
  FieldFilter filter(out);
  std::uint64_t total = 0;
  std::string buffer(std::size_t{256} << 10, '\0');
  while (true) {
    auto got = reader->read(std::as_writable_bytes(std::span(buffer)));
    if (!got) {
      return fail(std::move(got).error().while_doing("decompress " + compressed.string()));
    }
    if (*got == 0) {
      break;
    }
    const std::string_view chunk(buffer.data(), *got);
    total += chunk.size();
    if (total > expected.size) {
      return fail(ErrorCode::verification, "package index is larger than its release file says");
    }
    hasher.update(as_bytes(chunk));
    FNIMAGE_CHECK(filter.write(chunk));
  }
  if (total != expected.size || hasher.finish() != expected.sha256) {
    return fail(ErrorCode::verification, "package index is not what its release file says");
  }
  return filter.finish();
}

// A table in a file, mapped read-only as long as the table lives.
Result<PackageTable> map_table(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(error_from_errno(errno, fmt::format("open {}", path.string())));
  }
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  const auto size = known ? static_cast<std::size_t>(status.st_size) : 0;
  if (size == 0) {
    ::close(fd);
    return PackageTable::open({}, nullptr);
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (address == MAP_FAILED) {
    return fail(error_from_errno(error, fmt::format("map {}", path.string())));
  }
  std::shared_ptr<const void> owner(address, [size](const void* mapped) {
    ::munmap(const_cast<void*>(mapped), size);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  });
  return PackageTable::open({static_cast<const char*>(address), size}, std::move(owner));
}

struct Choice {
  std::string path;  ///< below dists/SUITE/
  IndexFile compressed;
  IndexFile plain;
};

Result<Choice> choose_file(const Release& release, const std::string& directory) {
  const std::string plain = directory + "/Packages";
  const auto listed = release.files.find(plain);
  for (const std::string_view suffix : {".xz", ".gz"}) {
    const auto compressed = release.files.find(plain + std::string(suffix));
    if (compressed != release.files.end() && listed != release.files.end() &&
        compressed->second.size <= max_index_bytes && listed->second.size <= max_index_bytes) {
      return Choice{compressed->first, compressed->second, listed->second};
    }
  }
  return fail(ErrorCode::not_found, fmt::format("{} {}: no {}.xz or .gz", release.source.uri,
                                                release.source.suite, plain));
}

Result<void> download_file(const Release& release, const Choice& choice,
                           const Downloader& downloader, const std::filesystem::path& target) {
  const std::string dists = fmt::format("dists/{}/", release.source.suite);
  if (release.by_hash) {
    const std::string directory = choice.path.substr(0, choice.path.rfind('/'));
    FNIMAGE_TRY(const std::string url,
                join_url(release.source.uri, fmt::format("{}{}/by-hash/SHA256/{}", dists, directory,
                                                         choice.compressed.sha256.hex())));
    auto fetched =
        downloader.download(url, choice.compressed.sha256, choice.compressed.size, target);
    if (fetched || fetched.error().code() != ErrorCode::not_found) {
      return fetched;
    }
  }
  FNIMAGE_TRY(const std::string url, join_url(release.source.uri, dists + choice.path));
  return downloader.download(url, choice.compressed.sha256, choice.compressed.size, target);
}

// Downloads a Packages file and leaves its table in the cache.
Result<void> make_table(const Release& release, const Choice& choice,
                        const std::string& architecture, const Downloader& downloader,
                        const std::filesystem::path& table) {
  const auto folder = table.parent_path();
  const auto compressed =
      folder / fmt::format("{}{}", choice.compressed.sha256.hex(),
                           std::filesystem::path(choice.path).extension().string());
  FNIMAGE_CHECK(download_file(release, choice, downloader, compressed));
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(folder));
  PackageTableWriter writer(file, architecture, release.source.suite + " " + choice.path);
  auto written = decompress(compressed, choice.plain, writer);
  std::error_code ignored;
  std::filesystem::remove(compressed, ignored);
  FNIMAGE_CHECK(written);
  FNIMAGE_CHECK(writer.finish());
  return file.commit(table, /*durable=*/false);
}

Result<PackageTable> load_table(const Release& release, const std::string& directory,
                                const std::string& architecture, const Downloader& downloader,
                                const std::filesystem::path& cache) {
  FNIMAGE_TRY(const Choice choice, choose_file(release, directory));
  const auto path = cache / "index" /
                    fmt::format("{}.{}.{}", choice.plain.sha256.hex(), architecture, table_form);
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    if (auto cached = map_table(path)) {
      return cached;
    }
  }
  if (auto made = make_table(release, choice, architecture, downloader, path); !made) {
    return fail(std::move(made).error().while_doing(
        fmt::format("read the package index of {} {}", release.source.suite, directory)));
  }
  return map_table(path);
}

bool is_for(const AptSource& source, const std::string& architecture) {
  return source.architectures.empty() ||
         std::find(source.architectures.begin(), source.architectures.end(), architecture) !=
             source.architectures.end();
}

}  // namespace

Result<std::shared_ptr<const PackageIndex>> load_index(std::span<const Release> releases,
                                                       const std::string& architecture,
                                                       const Downloader& downloader,
                                                       const std::filesystem::path& cache) {
  std::vector<PackageIndex::Part> parts;
  for (const Release& release : releases) {
    if (!release.has_architecture(architecture) || !is_for(release.source, architecture)) {
      continue;
    }
    for (const std::string& component : release.source.components) {
      std::vector<std::string> directories{fmt::format("{}/binary-{}", component, architecture)};
      if (release.separate_all) {
        directories.push_back(component + "/binary-all");
      }
      for (const std::string& directory : directories) {
        FNIMAGE_TRY(auto table, load_table(release, directory, architecture, downloader, cache));
        parts.push_back({.suite = release.source.suite,
                         .table = std::move(table),
                         .priority = release.not_automatic ? PackageIndex::not_automatic_priority
                                                           : PackageIndex::ordinary_priority});
      }
    }
  }
  if (parts.empty()) {
    std::vector<std::string> offered;
    if (!releases.empty()) {
      std::copy_if(releases.front().architectures.begin(), releases.front().architectures.end(),
                   std::back_inserter(offered), [](const auto& name) { return name != "all"; });
    }
    return fail(ErrorCode::platform_mismatch,
                fmt::format("Debian {} has no architecture {}: it has {}",
                            releases.empty() ? "release" : releases.front().source.suite,
                            architecture, offered.empty() ? "none" : join(offered, ", ")),
                "leave the platform out, or use another release");
  }
  return std::make_shared<const PackageIndex>(architecture, std::move(parts));
}

}  // namespace fnimage::source::debian

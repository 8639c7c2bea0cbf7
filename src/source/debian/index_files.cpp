// Packages files from mirror to memory: download by hash, decompress (xz, gzip; by the layer
// module) with the size and hash that the release file gives, drop the fields nobody reads
// here, cache, map. Thread-safety: no shared state; files of the cache appear atomically.
#include <algorithm>
#include <array>
#include <cerrno>
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
// The version of the reduced form: part of the cache's file names.
constexpr std::string_view reduced_form = "1";

constexpr std::array<std::string_view, 18> kept_fields{
    "Package",  "Source",      "Version",        "Architecture", "Essential", "Multi-Arch",
    "Priority", "Pre-Depends", "Depends",        "Provides",     "Conflicts", "Breaks",
    "Replaces", "Filename",    "Installed-Size", "Size",         "SHA256",    "Section"};

// Passes on the lines of the kept fields.
class FieldFilter {
 public:
  explicit FieldFilter(Writer& out) : out_(out) {}

  Result<void> write(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos) {
        partial_ += text;
        return {};
      }
      if (partial_.empty()) {
        line(text.substr(0, end));
      } else {
        partial_ += text.substr(0, end);
        line(partial_);
        partial_.clear();
      }
      text.remove_prefix(end + 1);
    }
    return flush(std::size_t{256} << 10);
  }

  Result<void> finish() {
    if (!partial_.empty()) {
      line(partial_);
      partial_.clear();
    }
    return flush(0);
  }

 private:
  void line(std::string_view text) {
    if (!text.empty() && text.front() != ' ' && text.front() != '\t') {
      const std::string_view name = text.substr(0, text.find(':'));
      keep_ = std::find(kept_fields.begin(), kept_fields.end(), name) != kept_fields.end();
    }
    if (text.empty() || keep_) {
      buffer_ += text;
      buffer_ += '\n';
    }
  }

  Result<void> flush(std::size_t threshold) {
    if (buffer_.size() > threshold) {
      FNIMAGE_CHECK(out_.write(as_bytes(buffer_)));
      buffer_.clear();
    }
    return {};
  }

  Writer& out_;
  std::string buffer_;
  std::string partial_;
  bool keep_ = false;
};

Result<void> decompress(const std::filesystem::path& compressed, const IndexFile& expected,
                        Writer& out) {
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

// A whole file in memory, read-only; unmapped with the last owner.
Result<PackageIndex::Part> map_file(const std::filesystem::path& path, std::string base_url) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(error_from_errno(errno, fmt::format("open {}", path.string())));
  }
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  const auto size = known ? static_cast<std::size_t>(status.st_size) : 0;
  if (size == 0) {
    ::close(fd);
    return PackageIndex::Part{std::move(base_url), {}, nullptr};
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
  return PackageIndex::Part{std::move(base_url), {static_cast<const char*>(address), size}, owner};
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

Result<PackageIndex::Part> load_part(const Release& release, const std::string& directory,
                                     const Downloader& downloader,
                                     const std::filesystem::path& cache) {
  FNIMAGE_TRY(const Choice choice, choose_file(release, directory));
  const auto folder = cache / "index";
  const auto reduced =
      folder / fmt::format("{}.{}.packages", choice.plain.sha256.hex(), reduced_form);
  std::error_code error;
  if (!std::filesystem::exists(reduced, error)) {
    const auto compressed =
        folder / fmt::format("{}{}", choice.compressed.sha256.hex(),
                             std::filesystem::path(choice.path).extension().string());
    if (auto got = download_file(release, choice, downloader, compressed); !got) {
      return fail(std::move(got).error().while_doing(
          fmt::format("read the package index of {} {}", release.source.suite, directory)));
    }
    FNIMAGE_TRY(AtomicFile file, AtomicFile::create(folder));
    auto decompressed = decompress(compressed, choice.plain, file);
    std::filesystem::remove(compressed, error);
    FNIMAGE_CHECK(decompressed);
    FNIMAGE_CHECK(file.commit(reduced, /*durable=*/false));
  }
  return map_file(reduced, release.source.uri);
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
        FNIMAGE_TRY(auto part, load_part(release, directory, downloader, cache));
        parts.push_back(std::move(part));
      }
    }
  }
  if (parts.empty()) {
    return fail(
        ErrorCode::platform_mismatch,
        fmt::format("Debian {} has no architecture {}: it has {}",
                    releases.empty() ? "release" : releases.front().source.suite, architecture,
                    releases.empty() ? "none" : join(releases.front().architectures, ", ")),
        "leave the platform out, or use another release");
  }
  return PackageIndex::build(architecture, std::move(parts));
}

}  // namespace fnimage::source::debian

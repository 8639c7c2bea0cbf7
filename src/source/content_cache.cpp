// See content_cache.hpp.
#include "content_cache.hpp"

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::source {

namespace {

constexpr std::uint64_t max_kept = std::uint64_t{8} << 20;

std::filesystem::path place_of(const std::filesystem::path& directory,
                               const manifest::Digest& digest) {
  return directory / std::string(digest.algorithm()) / std::string(digest.hex());
}

}  // namespace

std::optional<std::string> find_content(const std::filesystem::path& directory,
                                        const manifest::Descriptor& wanted) {
  if (directory.empty() || wanted.digest.algorithm() != "sha256" || wanted.size > max_kept) {
    return std::nullopt;
  }
  auto bytes = read_file(place_of(directory, wanted.digest), max_kept);
  if (!bytes || bytes->size() != wanted.size ||
      manifest::Digest::of(std::string_view(*bytes)) != wanted.digest) {
    return std::nullopt;
  }
  return std::move(*bytes);
}

void keep_content(const std::filesystem::path& directory, const manifest::Digest& digest,
                  std::string_view bytes) {
  if (!directory.empty() && digest.algorithm() == "sha256" && bytes.size() <= max_kept) {
    static_cast<void>(write_file_atomically(place_of(directory, digest), bytes, false));
  }
}

}  // namespace fnimage::source

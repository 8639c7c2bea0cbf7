// Fetching from a mirror: http and https through the Transport (redirects followed here, at most
// five; transient failures tried three times), file: from the disk. What is downloaded to a file
// has a known size and SHA-256 and appears under its name only when both are right. Thread-safety:
// all methods from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::source::debian {

/// What a server says about the version of a file, for asking whether it changed.
struct Validators {
  std::string etag{};
  std::string last_modified{};
};

struct Fetched {
  std::string body{};
  Validators validators{};
  bool unchanged = false;  ///< the validators still hold; no body
};

class Downloader {
 public:
  /// @param transport may be null when only file: addresses are used.
  Downloader(std::shared_ptr<registry::Transport> transport, bool offline);

  /// A small file, whole. Errors: not_found (404 and the like), unavailable, invalid_input past
  /// `max_bytes`.
  [[nodiscard]] Result<Fetched> get(const std::string& url, std::uint64_t max_bytes,
                                    const Validators& known = {}) const;

  /// Downloads to `target`, checked while it comes. Errors: as get(), and verification for a wrong
  /// size or hash.
  [[nodiscard]] Result<void> download(const std::string& url, const manifest::Digest& sha256,
                                      std::uint64_t size,
                                      const std::filesystem::path& target) const;

  [[nodiscard]] bool offline() const noexcept { return offline_; }

 private:
  [[nodiscard]] Result<registry::HttpResponse> follow(registry::HttpRequest request) const;

  std::shared_ptr<registry::Transport> transport_;
  bool offline_;
};

/// Reads a file that was downloaded before. Errors: verification when it is not that any more,
/// those of reading.
Result<void> verify_file(const std::filesystem::path& path, const manifest::Digest& sha256,
                         std::uint64_t size);

/// Joins a base URL and a path from an index: percent-encodes the path. Error: invalid_input for
/// ".." parts.
Result<std::string> join_url(std::string_view base, std::string_view path);

}  // namespace fnimage::source::debian

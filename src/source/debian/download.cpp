// The Downloader of download.hpp. Thread-safety: no state changes after construction.
#include "debian/download.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::source::debian {
namespace {

constexpr int max_redirects = 5;
constexpr std::array<std::chrono::milliseconds, 2> retry_delays{std::chrono::milliseconds(200),
                                                                std::chrono::milliseconds(1000)};

constexpr std::string_view mirror_hint =
    "check the network and the mirror, or use what is in the cache with --offline";

// Writes to a file and hashes; refuses the first byte too many.
class VerifyingSink final : public Writer {
 public:
  VerifyingSink(Writer& file, std::uint64_t size) : file_(file), left_(size) {}

  Result<void> write(Bytes bytes) override {
    if (bytes.size() > left_) {
      return fail(ErrorCode::verification, "more bytes than the index says");
    }
    left_ -= bytes.size();
    hasher_.update(bytes);
    return file_.write(bytes);
  }

  Result<void> finish(const manifest::Digest& expected) {
    if (left_ != 0) {
      return fail(ErrorCode::verification, fmt::format("{} bytes less than the index says", left_));
    }
    if (const manifest::Digest actual = hasher_.finish(); actual != expected) {
      return fail(ErrorCode::verification,
                  fmt::format("hash is {} where {} is expected", actual.str(), expected.str()));
    }
    return {};
  }

 private:
  Writer& file_;
  std::uint64_t left_;
  manifest::Hasher hasher_;
};

class NullWriter final : public Writer {
 public:
  Result<void> write(Bytes /*bytes*/) override { return {}; }
};

bool is_file_url(std::string_view url) {
  return url.starts_with("file:");
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// "file:///a/b%2Bc" and "file:/a/b" -> "/a/b+c"
std::filesystem::path path_of_url(std::string_view url) {
  url.remove_prefix(std::string_view("file:").size());
  if (url.starts_with("//")) {
    const std::size_t slash = url.find('/', 2);
    url.remove_prefix(slash == std::string_view::npos ? url.size() : slash);
  }
  std::string path;
  for (std::size_t i = 0; i < url.size(); ++i) {
    const bool encoded = url[i] == '%' && i + 2 < url.size() && hex_value(url[i + 1]) >= 0 &&
                         hex_value(url[i + 2]) >= 0;
    path +=
        encoded ? static_cast<char>(hex_value(url[i + 1]) * 16 + hex_value(url[i + 2])) : url[i];
    i += encoded ? 2 : 0;
  }
  return path;
}

std::string resolve_location(std::string_view base, std::string_view location) {
  if (location.find("://") != std::string_view::npos) {
    return std::string(location);
  }
  const std::size_t scheme = base.find("://");
  if (location.starts_with("//")) {
    return std::string(base.substr(0, scheme + 1)) + std::string(location);
  }
  const std::size_t path = base.find('/', scheme + 3);
  if (location.starts_with('/')) {
    return std::string(base.substr(0, path)) + std::string(location);
  }
  return std::string(base.substr(0, base.rfind('/') + 1)) + std::string(location);
}

Error error_of_status(int status, const std::string& url) {
  const std::string shown = registry::printable_url(url);
  if (status == 404 || status == 410) {
    return Error(ErrorCode::not_found, fmt::format("{} does not exist", shown))
        .with_http_status(status);
  }
  if (status == 401 || status == 403) {
    return Error(ErrorCode::unauthorized, fmt::format("{} is refused with HTTP {}", shown, status))
        .with_http_status(status);
  }
  const bool transient = status == 408 || status == 429 || status >= 500;
  return Error(transient ? ErrorCode::unavailable : ErrorCode::protocol,
               fmt::format("{} answers HTTP {}", shown, status))
      .with_hint(std::string(mirror_hint))
      .with_http_status(status)
      .retryable(transient);
}

// Runs an attempt up to three times while its failure may pass.
template <class T>
Result<T> with_retries(const std::function<Result<T>()>& attempt) {
  for (const std::chrono::milliseconds delay : retry_delays) {
    Result<T> result = attempt();
    if (result || !result.error().is_retryable()) {
      return result;
    }
    std::this_thread::sleep_for(delay);
  }
  return attempt();
}

Result<void> copy_file_url(const std::string& url, Writer& sink) {
  auto reader = open_file(path_of_url(url));
  if (!reader && reader.error().code() == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, fmt::format("{} does not exist", printable(url)));
  }
  if (!reader) {
    return fail(std::move(reader).error());
  }
  FNIMAGE_CHECK(copy(**reader, sink));
  return {};
}

}  // namespace

Downloader::Downloader(std::shared_ptr<registry::Transport> transport, bool offline)
    : transport_(std::move(transport)), offline_(offline) {}

Result<registry::HttpResponse> Downloader::follow(registry::HttpRequest request) const {
  if (transport_ == nullptr) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("no transport for {}", registry::printable_url(request.url)));
  }
  for (int hop = 0; hop <= max_redirects; ++hop) {
    auto response = transport_->perform(request);
    if (!response) {
      return fail(std::move(response).error().with_hint(std::string(mirror_hint)));
    }
    const auto location = response->header("Location");
    if (response->status < 300 || response->status >= 400 || response->status == 304 || !location) {
      return response;
    }
    request.url = resolve_location(request.url, *location);
    if (!request.url.starts_with("http://") && !request.url.starts_with("https://")) {
      return fail(ErrorCode::protocol,
                  fmt::format("redirected to {}, which is neither http nor https",
                              registry::printable_url(request.url)));
    }
  }
  return fail(ErrorCode::protocol,
              fmt::format("more than {} redirects, the last to {}", max_redirects,
                          registry::printable_url(request.url)));
}

Result<Fetched> Downloader::get(const std::string& url, std::uint64_t max_bytes,
                                const Validators& known) const {
  if (is_file_url(url)) {
    FNIMAGE_TRY(std::string body, read_file(path_of_url(url), max_bytes));
    return Fetched{.body = std::move(body)};
  }
  return with_retries<Fetched>([&]() -> Result<Fetched> {
    registry::HttpRequest request{.url = url, .max_body = max_bytes};
    if (!known.etag.empty()) {
      request.headers.push_back({"If-None-Match", known.etag});
    } else if (!known.last_modified.empty()) {
      request.headers.push_back({"If-Modified-Since", known.last_modified});
    }
    FNIMAGE_TRY(auto response, follow(std::move(request)));
    if (response.status == 304) {
      return Fetched{.validators = known, .unchanged = true};
    }
    if (response.status != 200) {
      return fail(error_of_status(response.status, url));
    }
    Validators validators{.etag = response.header("ETag").value_or(""),
                          .last_modified = response.header("Last-Modified").value_or("")};
    return Fetched{.body = std::move(response.body), .validators = std::move(validators)};
  });
}

Result<void> Downloader::download(const std::string& url, const manifest::Digest& sha256,
                                  std::uint64_t size, const std::filesystem::path& target) const {
  const std::string shown = registry::printable_url(url);
  if (offline_) {
    return fail(ErrorCode::unavailable, fmt::format("{} is not in the cache", shown),
                "build once without --offline to fill the cache");
  }
  auto result = with_retries<void>([&]() -> Result<void> {
    FNIMAGE_TRY(AtomicFile file, AtomicFile::create(target.parent_path()));
    VerifyingSink sink(file, size);
    if (is_file_url(url)) {
      FNIMAGE_CHECK(copy_file_url(url, sink));
    } else {
      FNIMAGE_TRY(const auto response, follow({.url = url, .sink = &sink}));
      if (response.status != 200) {
        return fail(error_of_status(response.status, url));
      }
    }
    FNIMAGE_CHECK(sink.finish(sha256));
    return file.commit(target, /*durable=*/false);
  });
  if (!result && result.error().code() == ErrorCode::verification) {
    return fail(
        std::move(result)
            .error()
            .while_doing("download " + shown)
            .with_hint("the mirror's files do not belong together (it is being updated, or a cache "
                       "before it is stale), or somebody changes them; try again later, use "
                       "another mirror, or leave a suite out, for example with base: {debian: "
                       "bookworm, suites: [updates]}"));
  }
  if (!result) {
    return fail(std::move(result).error().while_doing("download " + shown));
  }
  return {};
}

Result<void> verify_file(const std::filesystem::path& path, const manifest::Digest& sha256,
                         std::uint64_t size) {
  FNIMAGE_TRY(const auto reader, open_file(path));
  NullWriter nothing;
  VerifyingSink sink(nothing, size);
  Result<void> result = [&]() -> Result<void> {
    FNIMAGE_CHECK(copy(*reader, sink));
    return sink.finish(sha256);
  }();
  if (!result && result.error().code() == ErrorCode::verification) {
    return fail(ErrorCode::verification,
                fmt::format("{} is damaged: {}", path.string(), result.error().message()));
  }
  return result;
}

Result<std::string> join_url(std::string_view base, std::string_view path) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string url(base);
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return fail(ErrorCode::invalid_input,
                  fmt::format("not a path inside a mirror: {}", printable(path)));
    }
    url += '/';
    for (const char c : part) {
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') ||
                         std::string_view("-._~").find(c) != std::string_view::npos;
      if (plain) {
        url += c;
      } else {
        const auto byte = static_cast<unsigned char>(c);
        url += '%';
        url += hex[byte >> 4U];
        url += hex[byte & 15U];
      }
    }
  }
  return url;
}

}  // namespace fnimage::source::debian

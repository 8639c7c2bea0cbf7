// See blob_download.hpp.
#include "blob_download.hpp"

#include <algorithm>
#include <charconv>

#include <fnimage/base/text.hpp>

#include "error_body.hpp"

namespace fnimage::registry {

namespace {

/// The first byte that a 206 answer brings; nullopt for a malformed Content-Range, or one of a blob
/// of another size than is known.
std::optional<std::uint64_t> range_start(std::string_view value,
                                         std::optional<std::uint64_t> size) {
  constexpr std::string_view unit = "bytes ";
  const std::size_t slash = value.find('/');
  if (!value.starts_with(unit) || slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view total = value.substr(slash + 1);
  if (total != "*" && size && total != std::to_string(*size)) {
    return std::nullopt;
  }
  value.remove_prefix(unit.size());
  std::uint64_t start = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), start);
  const bool good = problem == std::errc() && end != value.data() + value.size() && *end == '-';
  return good ? std::optional(start) : std::nullopt;
}

/// Headers that leave open which bytes the body is (F19).
Result<void> check_framing(const HttpResponse& answer, const std::string& path) {
  std::optional<std::string_view> length;
  for (const Header& header : answer.headers) {
    if (equals_ignoring_case(header.name, "Content-Encoding") &&
        !equals_ignoring_case(header.value, "identity")) {
      return fail(ErrorCode::protocol,
                  path + ": sent with Content-Encoding " + printable(header.value, 40) +
                      ", which was not asked for",
                  "a proxy before the registry compresses what it must pass on unchanged");
    }
    if (equals_ignoring_case(header.name, "Content-Length")) {
      if (length && *length != header.value) {
        return fail(ErrorCode::protocol, path + ": sent with two different Content-Lengths");
      }
      length = header.value;
    }
  }
  return {};
}

/// The size of the whole that is being sent; nullopt when nothing tells.
std::optional<std::uint64_t> whole_size(const HttpResponse& answer) {
  const std::string text = answer.header("Content-Length").value_or("");
  std::uint64_t size = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), size);
  const bool good = !text.empty() && problem == std::errc() && end == text.data() + text.size();
  return good ? std::optional(size) : std::nullopt;
}

class Download final : public Writer {
 public:
  Download(const BlobPlace& place, std::uint64_t offset, Writer& sink, const OnSize& on_size)
      : place_(place), sink_(sink), on_size_(on_size), size_(place.size), position_(offset) {}

  Result<void> run(const std::stop_token& stop) {
    if (position_ > 0 && position_ == size_) {
      return {};
    }
    const Retrier retrier = place_.session->retrier(stop);
    Patience patience(retrier.options, retrier.clock);
    for (;;) {
      const std::uint64_t before = position_;
      stated_wait_.reset();
      auto result = fetch(stop);
      if (result) {
        return {};
      }
      if (position_ > before) {
        patience.progressed();
      }
      const auto delay =
          result.error().is_retryable() ? patience.failed(stated_wait_) : std::nullopt;
      if (!delay || !retrier.wait(*delay, result.error().code() == ErrorCode::rate_limited)) {
        return result;
      }
    }
  }

  Result<void> write(Bytes bytes) override {
    const std::uint64_t skipped = std::min<std::uint64_t>(skip_, bytes.size());
    skip_ -= skipped;
    bytes = bytes.subspan(static_cast<std::size_t>(skipped));
    if (size_ && bytes.size() > *size_ - position_) {
      return fail(ErrorCode::verification,
                  place_.path + ": more than the expected " + std::to_string(*size_) + " bytes");
    }
    if (bytes.empty()) {
      return {};
    }
    position_ += bytes.size();
    return sink_.write(bytes);
  }

 private:
  Result<void> fetch(const std::stop_token& stop) {
    FNIMAGE_TRY(const Url url, place_.session->url(place_.path));
    Call call{.url = url,
              .scopes = place_.scopes,
              .sink = this,
              .retry = false,  // run() knows how far it got
              .stop = stop};
    skip_ = 0;
    call.on_answer = [this](const HttpResponse& answer) { return begin(answer); };
    if (position_ > 0 && !without_range_) {
      call.headers.push_back({"Range", "bytes=" + std::to_string(position_) + "-"});
    }
    const std::uint64_t before = position_;
    FNIMAGE_TRY(const HttpResponse response, place_.session->send(call));
    constexpr int range_not_satisfiable = 416;
    if (response.status == range_not_satisfiable && position_ > 0 && !without_range_) {
      return whole_instead(printable_url(url.str()) + ": refuses to go on where it broke off");
    }
    if (response.status != 200 && response.status != 206) {
      stated_wait_ = stated_wait(response);
      return fail(response_error(response, "GET", url.str()));
    }
    if (size_ && position_ != *size_) {
      // A part of what was asked for is fine: the rest is asked for next.
      const bool part = response.status == 206 && position_ > before;
      return fail(Error(part ? ErrorCode::unavailable : ErrorCode::verification,
                        printable_url(url.str()) + ": ended after " + std::to_string(position_) +
                            " of " + std::to_string(*size_) + " bytes")
                      .retryable(part));
    }
    return {};
  }

  /// Goes on without Range, if that has not been tried yet.
  Result<void> whole_instead(std::string problem) {
    const bool first = !without_range_;
    without_range_ = true;
    return fail(Error(ErrorCode::protocol, std::move(problem)).retryable(first));
  }

  /// 200 to a ranged request brings everything: what is known already is skipped (C8).
  Result<void> begin(const HttpResponse& answer) {
    FNIMAGE_CHECK(check_framing(answer, place_.path));
    if (answer.status != 206) {
      skip_ = position_;
      return answer.status == 200 ? tell_size(answer) : Result<void>();
    }
    const auto start = range_start(answer.header("Content-Range").value_or(""), size_);
    if (start != position_) {
      return whole_instead(place_.path + ": 206 with a Content-Range not asked for");
    }
    return {};
  }

  Result<void> tell_size(const HttpResponse& answer) {
    if (has_told_size_) {
      return {};
    }
    has_told_size_ = true;
    if (!size_) {
      size_ = whole_size(answer);
    }
    return on_size_ ? on_size_(size_) : Result<void>();
  }

  const BlobPlace& place_;
  Writer& sink_;
  const OnSize& on_size_;
  std::optional<std::uint64_t> size_;
  std::uint64_t position_;
  std::uint64_t skip_ = 0;
  std::optional<std::chrono::seconds> stated_wait_{};  ///< what the last answer asked for
  bool without_range_ = false;  ///< the server's answers to ranges are of no use
  bool has_told_size_ = false;
};

}  // namespace

Result<void> download_blob(const BlobPlace& place, std::uint64_t offset, Writer& sink,
                           const std::stop_token& stop, const OnSize& on_size) {
  return Download(place, offset, sink, on_size).run(stop);
}

Result<std::optional<std::uint64_t>> remote_blob_size(const BlobPlace& place) {
  FNIMAGE_TRY(const Url url, place.session->url(place.path));
  FNIMAGE_TRY(const HttpResponse response,
              place.session->send({.method = "HEAD", .url = url, .scopes = place.scopes}));
  constexpr int not_found = 404;
  if (response.status == not_found) {
    return std::nullopt;
  }
  if (response.status != 200) {
    return fail(response_error(response, "HEAD", url.str()));
  }
  FNIMAGE_CHECK(check_framing(response, place.path));
  const auto size = whole_size(response);
  if (!size) {
    return fail(ErrorCode::protocol, printable_url(url.str()) + ": does not say how large it is");
  }
  return size;
}

}  // namespace fnimage::registry

// See remote_content.hpp. A thread per open reader pushes the body through a bounded pipe; it ends
// with the reader.
#include "remote_content.hpp"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include <fnimage/base/caught.hpp>
#include <fnimage/base/text.hpp>

#include "error_body.hpp"

namespace fnimage::registry {

namespace {

/// Bytes on their way from the network's thread to the reader's.
class Pipe {
 public:
  static constexpr std::size_t max_held = std::size_t{1} << 20;

  Result<void> push(Bytes bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return held_.size() < max_held || closed_; });
    if (closed_) {
      return fail(ErrorCode::cancelled, "nobody reads on");
    }
    held_ += as_text(bytes);
    changed_.notify_all();
    return {};
  }

  void end(Result<void> result) {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    result_ = std::move(result);
    changed_.notify_all();
  }

  Result<std::size_t> pull(MutableBytes target) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return offset_ < held_.size() || ended_; });
    const std::size_t count = std::min(target.size(), held_.size() - offset_);
    if (count == 0) {
      FNIMAGE_CHECK(result_);
      return std::size_t{0};
    }
    std::memcpy(target.data(), held_.data() + offset_, count);
    offset_ += count;
    if (offset_ == held_.size()) {
      held_.clear();
      offset_ = 0;
      changed_.notify_all();
    }
    return count;
  }

  /// From now on push() fails, and nobody waits for the network's next answer.
  void close() {
    stop();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  void stop() { stop_.request_stop(); }
  [[nodiscard]] std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string held_;
  std::size_t offset_ = 0;
  Result<void> result_;
  bool ended_ = false;
  bool closed_ = false;
  std::stop_source stop_;
};

struct Source {
  std::shared_ptr<Session> session;
  std::string path;
  Scopes scopes;
  std::uint64_t size;
};

/// The first byte that a 206 answer brings; nullopt for a malformed Content-Range, or one of a blob
/// of another size.
std::optional<std::uint64_t> range_start(std::string_view value, std::uint64_t size) {
  constexpr std::string_view unit = "bytes ";
  const std::size_t slash = value.find('/');
  if (!value.starts_with(unit) || slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view total = value.substr(slash + 1);
  if (total != "*" && total != std::to_string(size)) {
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

/// Downloads from an offset to the end into a pipe, over as many connections as that takes.
class Download final : public Writer {
 public:
  Download(const Source& source, std::uint64_t offset, Pipe& pipe)
      : source_(source), pipe_(pipe), position_(offset) {}

  Result<void> run() {
    if (position_ > 0 && position_ == source_.size) {
      return {};
    }
    const std::stop_callback link(source_.session->stop_token(), [this] { pipe_.stop(); });
    const Retrier retrier = source_.session->retrier(pipe_.stop_token());
    Patience patience(retrier.options, retrier.clock);
    for (;;) {
      const std::uint64_t before = position_;
      stated_wait_.reset();
      auto result = fetch();
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
    if (bytes.size() > source_.size - position_) {
      return fail(ErrorCode::verification, source_.path + ": more than the expected " +
                                               std::to_string(source_.size) + " bytes");
    }
    if (bytes.empty()) {
      return {};
    }
    position_ += bytes.size();
    return pipe_.push(bytes);
  }

 private:
  Result<void> fetch() {
    FNIMAGE_TRY(const Url url, source_.session->url(source_.path));
    Call call{.url = url,
              .scopes = source_.scopes,
              .sink = this,
              .retry = false,  // run() knows how far it got
              .stop = pipe_.stop_token()};
    skip_ = 0;
    call.on_answer = [this](const HttpResponse& answer) { return begin(answer); };
    if (position_ > 0 && !without_range_) {
      call.headers.push_back({"Range", "bytes=" + std::to_string(position_) + "-"});
    }
    const std::uint64_t before = position_;
    FNIMAGE_TRY(const HttpResponse response, source_.session->send(call));
    constexpr int range_not_satisfiable = 416;
    if (response.status == range_not_satisfiable && position_ > 0 && !without_range_) {
      return whole_instead(printable_url(url.str()) + ": refuses to go on where it broke off");
    }
    if (response.status != 200 && response.status != 206) {
      stated_wait_ = stated_wait(response);
      return fail(response_error(response, "GET", url.str()));
    }
    if (position_ != source_.size) {
      // A part of what was asked for is fine: the rest is asked for next.
      const bool part = response.status == 206 && position_ > before;
      return fail(Error(part ? ErrorCode::unavailable : ErrorCode::verification,
                        printable_url(url.str()) + ": ended after " + std::to_string(position_) +
                            " of " + std::to_string(source_.size) + " bytes")
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
    FNIMAGE_CHECK(check_framing(answer, source_.path));
    if (answer.status != 206) {
      skip_ = position_;
      return {};
    }
    const auto start = range_start(answer.header("Content-Range").value_or(""), source_.size);
    if (start != position_) {
      return whole_instead(source_.path + ": 206 with a Content-Range not asked for");
    }
    return {};
  }

  const Source& source_;
  Pipe& pipe_;
  std::uint64_t position_;
  std::uint64_t skip_ = 0;
  std::optional<std::chrono::seconds> stated_wait_;  ///< what the last answer asked for
  bool without_range_ = false;  ///< the server's answers to ranges are of no use
};

class RemoteReader final : public Reader {
 public:
  RemoteReader(Source source, std::uint64_t offset) : source_(std::move(source)), offset_(offset) {}
  RemoteReader(const RemoteReader&) = delete;
  RemoteReader& operator=(const RemoteReader&) = delete;
  ~RemoteReader() override { pipe_.close(); }  // and the thread, declared last, is joined first

  Result<std::size_t> read(MutableBytes buffer) override {
    if (!begun_) {
      begun_ = true;
      if (source_.size <= fits_in_pipe) {
        download();
      } else {
        FNIMAGE_CHECK(caught([this]() -> Result<void> {  // a limit of threads
          thread_ = std::jthread([this] { download(); });
          return {};
        }));
      }
    }
    return pipe_.pull(buffer);
  }

 private:
  /// A config is not worth a thread: the pipe holds all of it.
  static constexpr std::uint64_t fits_in_pipe = Pipe::max_held / 4;

  void download() { pipe_.end(Download(source_, offset_, pipe_).run()); }

  Source source_;
  std::uint64_t offset_;
  bool begun_ = false;
  Pipe pipe_;
  std::jthread thread_;
};

class RemoteBlob final : public Content {
 public:
  RemoteBlob(Source source, manifest::Digest digest)
      : source_(std::move(source)), digest_(std::move(digest)) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return source_.size; }

  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    if (offset > source_.size) {
      return fail(ErrorCode::invalid_argument, source_.path + ": opened behind its end");
    }
    std::unique_ptr<Reader> reader = std::make_unique<RemoteReader>(source_, offset);
    if (offset > 0) {
      return reader;
    }
    return manifest::verifying_reader(std::move(reader), digest_, source_.size,
                                      source_.session->registry() + source_.path);
  }

 private:
  Source source_;
  manifest::Digest digest_;
};

}  // namespace

ContentPtr remote_blob(std::shared_ptr<Session> session, std::string path, Scopes scopes,
                       const manifest::Descriptor& blob) {
  return std::make_shared<RemoteBlob>(
      Source{std::move(session), std::move(path), std::move(scopes), blob.size}, blob.digest);
}

}  // namespace fnimage::registry

// See upload.hpp. The ladder is Uploader::run(): open a session, send, and when sending fails find
// out what arrived and go on from there, as long as that is worth it.
#include "upload.hpp"

#include <algorithm>
#include <charconv>

#include <fnimage/base/text.hpp>

#include "error_body.hpp"
#include "upload_session.hpp"

namespace fnimage::registry {

namespace {

constexpr std::uint64_t min_journaled = std::uint64_t{1} << 20;

class Uploader {
 public:
  explicit Uploader(const Upload& upload)
      : upload_(upload),
        protocol_(upload),
        patience_(upload.session.retry(), upload.session.clock()),
        chunk_(upload.session.chunk_size()) {}

  Result<BlobOutcome> run() {
    take_over();
    for (;;) {
      if (!state_) {
        FNIMAGE_TRY(const Opened opened, protocol_.open());
        if (opened.outcome) {
          return end(*opened.outcome);
        }
        begin(opened);
        if (!upload_.asked && upload_.blob.size > small_blob && is_there()) {
          protocol_.abandon(state_->location);  // it was to be mounted, and is here all the same
          return end(BlobOutcome::existed);
        }
      }
      best_ = std::max(best_, state_->offset);
      std::optional<Failure> failure = send();
      if (!failure) {
        return end(BlobOutcome::uploaded);
      }
      if (failure->again && failure->may_be_complete && is_there()) {
        return end(BlobOutcome::uploaded);
      }
      if (!may_go_on(*failure) || !recover(*failure)) {
        return give_up(std::move(*failure));
      }
      if (state_ && state_->offset > best_) {
        patience_.progressed();
      }
    }
  }

 private:
  /// Goes on with what an earlier process left.
  void take_over() {
    const UploadJournal::Key key{upload_.session.registry(), upload_.repository,
                                 upload_.blob.digest, upload_.blob.size};
    if (key.size < min_journaled) {
      return;
    }
    auto entry = upload_.session.journal().claim(key);
    if (!entry) {
      warn_about_journal(entry.error());
      return;
    }
    if (!*entry) {
      return;
    }
    entry_.emplace(std::move(**entry));
    if (!entry_->known()) {
      return;
    }
    const auto location = protocol_.known_location(entry_->known()->location);
    if (!location) {
      return;
    }
    state_.emplace(UploadState{.location = *location, .sent = upload_.blob.size, .resumed = true});
    const Standing standing = ask_status();
    if (standing != Standing::known) {
      if (state_->gone) {
        upload_.session.inform(upload_.session.registry() + " has forgotten the upload of " +
                               upload_.blob.digest.str() +
                               " that was interrupted: it begins again");
      } else if (standing == Standing::useless) {
        protocol_.abandon(state_->location);
      }
      state_.reset();
      return;
    }
    upload_.session.debug("going on with the upload of " + upload_.blob.digest.str() + " at byte " +
                          std::to_string(state_->offset));
  }

  void begin(const Opened& opened) {
    state_.emplace(UploadState{.location = *opened.location, .min_chunk = opened.min_chunk});
    note();
  }

  void note() {
    if (!entry_) {
      return;
    }
    const auto saved = entry_->save({state_->location.str(), state_->offset});
    if (!saved) {
      warn_about_journal(saved.error());
      entry_.reset();
    }
  }

  void warn_about_journal(const Error& error) const {
    upload_.session.warn("uploads cannot be resumed after an interruption: " + error.describe());
  }

  std::optional<Failure> send() {
    if (state_->offset == 0 && chunk_ == 0) {
      return protocol_.put(*state_);
    }
    while (state_->offset < upload_.blob.size) {
      const std::uint64_t rest = upload_.blob.size - state_->offset;
      const std::uint64_t count =
          chunk_ == 0 ? rest : std::min(rest, std::max(chunk_, state_->min_chunk));
      if (auto failure = protocol_.patch(*state_, count)) {
        return failure;
      }
      note();
    }
    return protocol_.close(*state_);
  }

  bool is_there() {
    const auto found =
        find_remote_blob(upload_.session, upload_.repository, protocol_.scopes(), upload_.blob);
    return found && *found == BlobStanding::there;
  }

  /// Leaves a session that can be gone on with, or none. False when the registry is out of reach.
  bool recover(const Failure& failure) {
    if (failure.kind == Failure::Kind::chunks_refused) {
      chunk_ = 0;
      whole_only_ = true;
    } else if (failure.kind == Failure::Kind::too_large) {
      chunk_ = smaller_chunk();
    } else if (patience_.failures() > 1 && state_->sent > large_chunk && chunk_ == 0 &&
               !whole_only_) {
      chunk_ = large_chunk;  // a way that long is never gone without a break
    }
    const bool keeps = failure.kind == Failure::Kind::interrupted && !whole_only_;
    if (keeps && state_->sent == 0 && state_->offset == 0) {
      return true;  // nothing was sent yet
    }
    const std::uint64_t refused = state_->offset;
    Standing standing = keeps && upload_.blob.size > small_blob ? ask_status() : Standing::useless;
    if (failure.range_refused && standing == Standing::known && state_->offset == refused) {
      standing = Standing::useless;  // it contradicts itself
    }
    if (standing == Standing::known) {
      note();
    }
    if (standing != Standing::useless) {
      return standing == Standing::known;
    }
    if (failure.kind != Failure::Kind::session_lost && !state_->gone) {
      protocol_.abandon(state_->location);
    }
    state_.reset();
    return true;
  }

  enum class Standing : std::uint8_t { known, useless, out_of_reach };

  /// Asks where the session stands.
  Standing ask_status() {
    const StatusAnswer answer = protocol_.status(*state_);
    state_->gone = answer.gone;
    if (answer.location) {
      state_->location = *answer.location;
    }
    state_->min_chunk = std::max(state_->min_chunk, answer.min_chunk);
    if (!answer.stored) {
      return answer.out_of_reach ? Standing::out_of_reach : Standing::useless;
    }
    // What is said must be possible: not less than was acknowledged, not more than was sent (F10).
    if (*answer.stored < state_->offset || *answer.stored > state_->sent) {
      return Standing::useless;
    }
    state_->offset = *answer.stored;
    state_->resumed = true;
    return Standing::known;
  }

  /// The chunk to try after one was refused for its size; proxies allow 1 MiB by default.
  [[nodiscard]] std::uint64_t smaller_chunk() const {
    return chunk_ == 0 || chunk_ > large_chunk ? large_chunk : std::uint64_t{960} * 1024;
  }

  /// Waits for the next try. False when there is none: the tries or the time are used up, the
  /// registry asks for more time than is allowed, or everything is stopped.
  bool may_go_on(const Failure& failure) {
    const auto delay = failure.again ? patience_.failed(failure.wait) : std::nullopt;
    // The first failure after progress is a broken connection; what repeats itself needs time.
    const bool at_once = patience_.failures() <= 1 && !failure.needs_time;
    return delay && (at_once || upload_.session.retrier().wait(
                                    *delay, failure.error.code() == ErrorCode::rate_limited));
  }

  Result<BlobOutcome> end(BlobOutcome outcome) {
    if (entry_) {
      entry_->remove();
      // Now that the registry is known to answer.
      for (const UploadJournal::Abandoned& old : upload_.session.journal().take_abandoned()) {
        protocol_.abandon(old);
      }
    }
    if (state_ && upload_.options.progress != nullptr) {
      upload_.options.progress->update(upload_.blob.size);
    }
    return outcome;
  }

  /// What is in the journal is left for the next run, unless that could not do better.
  Result<BlobOutcome> give_up(Failure failure) {
    // Stopped before anything was sent, there is nothing to go on with.
    const bool stopped = failure.error.code() == ErrorCode::cancelled && state_->sent > 0;
    const bool later = failure.again || stopped;
    if (entry_ && later && !state_->gone && failure.kind != Failure::Kind::session_lost) {
      note();
    } else {
      if (failure.kind != Failure::Kind::session_lost) {
        protocol_.abandon(state_->location);
      }
      if (entry_) {
        entry_->remove();
      }
    }
    return fail(std::move(failure.error));
  }

  static constexpr std::uint64_t large_chunk = std::uint64_t{16} << 20;

  const Upload& upload_;
  UploadProtocol protocol_;
  Patience patience_;
  std::optional<UploadJournal::Entry> entry_;
  std::optional<UploadState> state_;
  std::uint64_t best_ = 0;  ///< the most that was ever acknowledged: more is progress
  std::uint64_t chunk_;     ///< 0: all that is left at once
  bool whole_only_ = false;
};

/// Takes nothing: the answer's status is all that is wanted.
class Refuse final : public Writer {
 public:
  Result<void> write(Bytes /*bytes*/) override { return fail(ErrorCode::cancelled, "seen enough"); }
};

/// HEAD's question by GET, for registries that refuse HEAD (C9).
Result<HttpResponse> ask_by_get(Session& session, const Url& url, const Scopes& scopes) {
  Refuse sink;
  HttpResponse answer;
  Call call{.url = url, .scopes = scopes, .headers = {{"Range", "bytes=0-0"}}, .sink = &sink};
  call.on_answer = [&answer](const HttpResponse& got) -> Result<void> {
    answer = got;
    return {};
  };
  auto response = session.send(call);
  if (!response && answer.status != 0) {
    return answer;
  }
  return response;
}

/// The whole blob's size; nullopt when the answer does not tell, or tells that of a compressed
/// form.
std::optional<std::uint64_t> size_told_by(const HttpResponse& response) {
  if (response.header("Content-Encoding")) {
    return std::nullopt;
  }
  std::string text = response.header("Content-Length").value_or("");
  if (response.status != 200) {
    const std::string range = response.header("Content-Range").value_or("");
    const std::size_t slash = range.find('/');
    text = slash == std::string::npos ? "" : range.substr(slash + 1);
  }
  std::uint64_t size = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), size);
  return problem == std::errc() && end == text.data() + text.size() ? std::optional(size)
                                                                    : std::nullopt;
}

}  // namespace

Scopes pull_scopes(const std::string& repository) {
  return {"repository:" + repository + ":pull"};
}

Scopes push_scopes(const std::string& repository) {
  return {"repository:" + repository + ":pull,push"};
}

Result<BlobStanding> find_remote_blob(Session& session, const std::string& repository,
                                      const Scopes& scopes, const manifest::Descriptor& blob) {
  FNIMAGE_TRY(const Url url, session.url("/v2/" + repository + "/blobs/" + blob.digest.str()));
  FNIMAGE_TRY(HttpResponse response,
              session.send({.method = "HEAD", .url = url, .scopes = scopes}));
  // Or there is no body that says why not, as where http is spoken to a server of https.
  const bool refused = response.status == 405 || response.status == 403 || response.status == 400;
  if (refused) {
    FNIMAGE_TRY(response, ask_by_get(session, url, scopes));
  }
  if (response.status == 404) {
    return BlobStanding::missing;
  }
  if (response.status != 200 && response.status != 206 && !(refused && response.status == 416)) {
    return fail(response_error(response, refused ? "GET" : "HEAD", url.str()));
  }
  const auto size = size_told_by(response);
  if (size && *size != blob.size) {
    session.warn(session.registry() + "/" + repository + " has only a damaged " +
                 blob.digest.str() + ": " + std::to_string(*size) + " bytes instead of " +
                 std::to_string(blob.size));
    return BlobStanding::damaged;
  }
  return BlobStanding::there;
}

std::optional<std::uint64_t> stored_bytes(std::string_view range) {
  range = trim(range);
  for (const std::string_view unit : {"bytes=", "bytes "}) {
    if (range.starts_with(unit)) {
      range.remove_prefix(unit.size());
    }
  }
  if (range == "0--1") {
    return 0;
  }
  if (!range.starts_with("0-") || range == "0-0") {
    return std::nullopt;
  }
  range.remove_prefix(2);
  std::uint64_t last = 0;
  const auto [end, problem] = std::from_chars(range.data(), range.data() + range.size(), last);
  const bool good = problem == std::errc() && end == range.data() + range.size() &&
                    last < std::numeric_limits<std::uint64_t>::max();
  return good ? std::optional(last + 1) : std::nullopt;
}

void forget_upload(Session& session, const std::string& repository,
                   const manifest::Descriptor& blob) {
  if (blob.size < min_journaled) {
    return;
  }
  auto entry =
      session.journal().claim_known({session.registry(), repository, blob.digest, blob.size});
  if (!entry || !*entry) {
    return;
  }
  if ((*entry)->known()) {
    const ContentPtr nothing = memory_content("");
    const PutBlobOptions options;
    const Upload upload{session, repository, blob, *nothing, options};
    UploadProtocol protocol(upload);
    if (const auto location = protocol.known_location((*entry)->known()->location)) {
      protocol.abandon(*location);
    }
  }
  (*entry)->remove();
}

Result<BlobOutcome> upload_blob(const Upload& upload) {
  return Uploader(upload).run();
}

}  // namespace fnimage::registry

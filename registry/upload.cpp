// See upload.hpp.
#include "upload.hpp"

#include <thread>

#include <fnimage/base/text.hpp>

#include "error_body.hpp"

namespace fnimage::registry {

namespace {

struct Opened {
  bool mounted = false;
  std::optional<Url> location{};
};

/// How one attempt ended; `again` means that a new session may do better.
struct Attempt {
  Result<BlobOutcome> outcome;
  bool again = false;
  std::optional<std::chrono::seconds> wait{};  ///< what the registry asked for
};

Attempt failed(Error error, bool again) {
  return {fail(std::move(error)), again};
}

/// A PUT that says the session is gone or confused; a new one starts from the beginning (F7, F8,
/// F9).
bool is_lost_session(const HttpResponse& response) {
  return response.status == 404 || response.status == 416 ||
         has_error_code(response, "BLOB_UPLOAD_UNKNOWN") ||
         has_error_code(response, "BLOB_UPLOAD_INVALID");
}

class Uploader {
 public:
  explicit Uploader(const Upload& upload)
      : upload_(upload), scopes_(push_scopes(upload.repository)) {
    const auto& from = upload.options.mount_from;
    if (from && from->registry == upload.session.registry() &&
        from->repository != upload.repository) {
      for (std::string& scope : pull_scopes(from->repository)) {
        scopes_.push_back(std::move(scope));
      }
      mount_from_ = from->repository;
    }
  }

  Result<Opened> open() {
    auto opened = post(true);
    // Some registries answer a mount they do not like with an error instead of a session (F35).
    if (!opened && opened.error().http_status() >= 400 && opened.error().http_status() < 500 &&
        opened.error().http_status() != 429) {
      return post(false);
    }
    return opened;
  }

  Attempt put(const Url& location) {
    const Url target = location.with_query("digest", upload_.blob.digest.str());
    const auto response =
        upload_.session.send({.method = "PUT",
                              .url = target,
                              .scopes = scopes_,
                              .headers = {{"Content-Type", "application/octet-stream"}},
                              .body = &upload_.content,
                              .progress = upload_.options.progress,
                              .retry = false});
    if (!response) {
      return failed(response.error(), response.error().is_retryable());
    }
    if (response->status == 201) {
      return {check_digest(*response), false};
    }
    Attempt attempt = failed(response_error(*response, "PUT", target.str()),
                             is_transient_status(response->status) || is_lost_session(*response));
    attempt.wait = parse_retry_after(response->header("Retry-After").value_or(""),
                                     response->header("Date").value_or(""));
    return attempt;
  }

  /// Best effort: whether the registry still knows the session is of no interest.
  void abandon(const Url& location) {
    static_cast<void>(upload_.session.send(
        {.method = "DELETE", .url = location, .scopes = scopes_, .retry = false}));
  }

  [[nodiscard]] const Scopes& scopes() const { return scopes_; }

 private:
  Result<Opened> post(bool mount) {
    FNIMAGE_TRY(Url url, upload_.session.url("/v2/" + upload_.repository + "/blobs/uploads/"));
    const std::string& digest = upload_.blob.digest.str();
    if (mount) {
      url = url.with_query("mount", digest);
      if (!mount_from_.empty()) {
        url = url.with_query("from", mount_from_);
      }
    }
    if (upload_.blob.digest.algorithm() != "sha256") {
      url = url.with_query("digest-algorithm", upload_.blob.digest.algorithm());
    }
    FNIMAGE_TRY(const HttpResponse response,
                upload_.session.send({.method = "POST", .url = url, .scopes = scopes_}));
    if (response.status == 201 && mount) {
      FNIMAGE_CHECK(check_digest(response));
      return Opened{.mounted = true};
    }
    if (response.status != 202) {
      return fail(response_error(response, "POST", url.str()));
    }
    FNIMAGE_TRY(Url location,
                upload_.session.location(response, url, upload_.session.is_insecure()));
    return Opened{.location = std::move(location)};
  }

  [[nodiscard]] Result<BlobOutcome> check_digest(const HttpResponse& response) const {
    const auto reported = response.header("Docker-Content-Digest");
    const auto digest = reported ? manifest::Digest::parse(*reported) : upload_.blob.digest;
    if (digest && digest->algorithm() == upload_.blob.digest.algorithm() &&
        *digest != upload_.blob.digest) {
      return fail(ErrorCode::verification, upload_.session.registry() + " stored " + digest->str() +
                                               " instead of " + upload_.blob.digest.str());
    }
    return BlobOutcome::uploaded;
  }

  const Upload& upload_;
  Scopes scopes_;
  std::string mount_from_;
};

/// Waits before the next attempt; false when the registry asks for more than is allowed.
bool wait_for_next(Session& session, const Attempt& attempt, int failures) {
  const RetryOptions& retry = session.retry();
  std::chrono::milliseconds delay = backoff(retry, failures, jitter());
  if (attempt.wait) {
    if (*attempt.wait > retry.max_wait) {
      return false;
    }
    delay = std::max<std::chrono::milliseconds>(delay, *attempt.wait);
  }
  if (attempt.outcome.error().code() == ErrorCode::rate_limited) {
    session.gate().close_for(delay);
    session.gate().wait();
  } else {
    std::this_thread::sleep_for(delay);
  }
  return true;
}

}  // namespace

Scopes pull_scopes(const std::string& repository) {
  return {"repository:" + repository + ":pull"};
}

Scopes push_scopes(const std::string& repository) {
  return {"repository:" + repository + ":pull,push"};
}

Result<bool> remote_has_blob(Session& session, const std::string& repository, const Scopes& scopes,
                             const manifest::Descriptor& blob) {
  FNIMAGE_TRY(const Url url, session.url("/v2/" + repository + "/blobs/" + blob.digest.str()));
  FNIMAGE_TRY(const HttpResponse response,
              session.send({.method = "HEAD", .url = url, .scopes = scopes}));
  if (response.status == 200 || response.status == 404) {
    return response.status == 200;
  }
  return fail(response_error(response, "HEAD", url.str()));
}

// The one place where the ways of sending a blob are tried; resuming in chunks from the offset that
// the registry reports belongs between put() and abandon().
Result<BlobOutcome> upload_blob(const Upload& upload) {
  Uploader uploader(upload);
  for (int failures = 0;; ++failures) {
    FNIMAGE_TRY(const Opened opened, uploader.open());
    if (opened.mounted) {
      return BlobOutcome::mounted;
    }
    const Attempt attempt = uploader.put(*opened.location);
    if (attempt.outcome) {
      return attempt.outcome;
    }
    if (attempt.again) {
      // The answer may have been lost after the registry had everything (F14).
      const auto there =
          remote_has_blob(upload.session, upload.repository, uploader.scopes(), upload.blob);
      if (there && *there) {
        return BlobOutcome::uploaded;
      }
    }
    uploader.abandon(*opened.location);
    if (!attempt.again || failures + 1 >= upload.session.retry().attempts ||
        !wait_for_next(upload.session, attempt, failures)) {
      return attempt.outcome;
    }
  }
}

}  // namespace fnimage::registry

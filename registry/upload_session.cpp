// See upload_session.hpp.
#include "upload_session.hpp"

#include <algorithm>
#include <charconv>

#include <fnimage/base/text.hpp>

#include "error_body.hpp"

namespace fnimage::registry {

namespace {

// F36: for ending a session, and before that for hearing of the one that is just being opened.
constexpr std::chrono::milliseconds cleanup_time{1000};

/// The blob as the registry gets it: it verifies the digest, so nobody does here.
class Unverified final : public Content {
 public:
  explicit Unverified(const Content& inner) : inner_(inner) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return inner_.size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    return inner_.open_unverified(offset);
  }
  [[nodiscard]] std::optional<std::filesystem::path> file() const override {
    return inner_.unverified_file();
  }

 private:
  const Content& inner_;
};

/// Notes how much was handed to the network.
class CountSent final : public ProgressTask {
 public:
  CountSent(std::uint64_t& sent, ProgressTask* shown) : sent_(sent), shown_(shown) {}
  void update(std::uint64_t done) noexcept override {
    sent_ = std::max(sent_, done);
    if (shown_ != nullptr) {
      shown_->update(done);
    }
  }
  void finish(std::string_view /*outcome*/) noexcept override {}

 private:
  std::uint64_t& sent_;
  ProgressTask* shown_;
};

/// The session is gone or confused (F7-F9).
bool is_lost_session(const HttpResponse& response) {
  return response.status == 404 || has_error_code(response, "BLOB_UPLOAD_UNKNOWN") ||
         has_error_code(response, "BLOB_UPLOAD_INVALID");
}

std::uint64_t min_chunk_of(const HttpResponse& response) {
  const std::string text = response.header("OCI-Chunk-Min-Length").value_or("");
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

UploadProtocol::UploadProtocol(const Upload& upload)
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

std::optional<Url> UploadProtocol::known_location(const std::string& text) const {
  const auto base = upload_.session.url("/v2/");
  auto location = Url::parse(text);
  if (!base || !location ||
      (base->is_https() && !location->is_https() && !upload_.session.is_insecure())) {
    return std::nullopt;
  }
  return std::move(*location);
}

Result<HttpResponse> UploadProtocol::post(std::string_view key, const std::string& from,
                                          const Content* body, Url& url) {
  FNIMAGE_TRY(url, upload_.session.url("/v2/" + upload_.repository + "/blobs/uploads/"));
  if (!key.empty()) {
    url = url.with_query(key, upload_.blob.digest.str());
  }
  if (!from.empty()) {
    url = url.with_query("from", from);
  }
  if (upload_.blob.digest.algorithm() != "sha256") {
    url = url.with_query("digest-algorithm", upload_.blob.digest.algorithm());
  }
  Call call{.method = "POST", .url = url, .scopes = scopes_, .body = body, .grace = cleanup_time};
  if (body != nullptr) {
    call.headers.push_back({"Content-Type", "application/octet-stream"});
  }
  return upload_.session.send(call);
}

Result<Opened> UploadProtocol::opened(const HttpResponse& response, const Url& url,
                                      BlobOutcome outcome) {
  if (response.status == 201) {
    FNIMAGE_CHECK(check_digest(response));
    return Opened{.outcome = outcome};
  }
  if (response.status != 202) {
    return fail(response_error(response, "POST", url.str()));
  }
  FNIMAGE_TRY(Url location, upload_.session.location(response, url, upload_.session.is_insecure()));
  return Opened{.location = std::move(location), .min_chunk = min_chunk_of(response)};
}

/// Single POST (C12); nullopt when the registry does not like it.
Result<std::optional<Opened>> UploadProtocol::post_whole() {
  Url url;
  const Unverified body(upload_.content);
  FNIMAGE_TRY(const HttpResponse response, post("digest", "", &body, url));
  if (response.status != 201) {
    upload_.session.abilities().single_post = false;
  }
  if (response.status != 201 && response.status != 202) {
    return std::nullopt;
  }
  FNIMAGE_TRY(Opened result, opened(response, url, BlobOutcome::uploaded));
  return std::optional(std::move(result));
}

Result<Opened> UploadProtocol::open() {
  if (upload_.options.probably_new && upload_.blob.size <= small_blob && mount_from_.empty() &&
      upload_.session.abilities().single_post) {
    FNIMAGE_TRY(auto result, post_whole());
    if (result) {
      return std::move(*result);
    }
  }
  Url url;
  FNIMAGE_TRY(HttpResponse response, post("mount", mount_from_, nullptr, url));
  // Some registries answer a mount they do not like with an error instead of a session, of whatever
  // kind (F35). One that asks for time has not looked at it yet.
  if (response.status >= 400 && response.status != 429) {
    FNIMAGE_TRY(response, post("", "", nullptr, url));
  }
  return opened(response, url, BlobOutcome::mounted);
}

std::optional<Failure> UploadProtocol::send(std::string_view method, const Url& url,
                                            UploadState& state, std::uint64_t count,
                                            HttpResponse& response) {
  const Unverified body(upload_.content);
  CountSent sent(state.sent, upload_.options.progress);
  bool renewed = false;
  Call call{.method = std::string(method),
            .url = url,
            .scopes = scopes_,
            .headers = {{"Content-Type", "application/octet-stream"}},
            .retry = false};
  if (count > 0 || upload_.blob.size == 0) {
    call.body = &body;
    call.body_offset = state.offset;
    call.body_limit = count;
    call.progress = &sent;
  }
  if (count > small_blob) {
    call.renewed = &renewed;
  } else {
    // It goes in one piece with the head: what a registry that breaks off has taken of it is
    // unknown.
    state.sent = std::max(state.sent, state.offset + count);
  }
  if (method == "PATCH") {
    call.headers.push_back({"Content-Range", std::to_string(state.offset) + "-" +
                                                 std::to_string(state.offset + count - 1)});
  }
  auto answer = upload_.session.send(call);
  if (!answer) {
    const bool again = answer.error().is_retryable();
    return Failure{.error = std::move(answer).error(),
                   .kind = again ? Failure::Kind::interrupted : Failure::Kind::refused,
                   .again = again};
  }
  response = std::move(*answer);
  if (renewed) {
    return Failure{.error = response_error(response, method, url.str()),
                   .kind = Failure::Kind::interrupted,
                   .again = true};
  }
  return std::nullopt;
}

Failure UploadProtocol::classify(const HttpResponse& response, std::string_view method,
                                 const Url& url, const UploadState& state) const {
  using Kind = Failure::Kind;
  Failure failure{.error = response_error(response, method, url.str())};
  if (is_lost_session(response)) {
    failure.kind = Kind::session_lost;
  } else if (response.status == 416 || is_transient_status(response.status)) {
    failure.kind = Kind::interrupted;
    failure.range_refused = response.status == 416;
    failure.needs_time = !failure.range_refused;
  } else if (response.status == 413 && upload_.blob.size > small_blob) {
    failure.kind = Kind::too_large;
  } else if (method == "PATCH" && (response.status == 405 || response.status == 501)) {
    failure.kind = Kind::chunks_refused;
  } else if (state.resumed && (has_error_code(response, "DIGEST_INVALID") ||
                               has_error_code(response, "SIZE_INVALID"))) {
    failure.kind = Kind::restart;  // what the registry held was not what it said
  }
  failure.again = failure.kind != Kind::refused;
  failure.wait = stated_wait(response);
  return failure;
}

std::optional<Failure> UploadProtocol::finished(const HttpResponse& response, const Url& url,
                                                const UploadState& state, bool all_sent) {
  if (response.status == 201) {
    if (auto good = check_digest(response); !good) {
      return Failure{.error = std::move(good).error()};
    }
    return std::nullopt;
  }
  Failure failure = classify(response, "PUT", url, state);
  failure.may_be_complete = all_sent && response.status >= 500;
  return failure;
}

std::optional<Failure> UploadProtocol::put(UploadState& state) {
  const Url url = state.location.with_query("digest", upload_.blob.digest.str());
  HttpResponse response;
  auto failure = send("PUT", url, state, upload_.blob.size, response);
  const bool all_sent = state.sent >= upload_.blob.size;
  if (failure) {
    failure->may_be_complete = all_sent && response.status == 0;
    return failure;
  }
  return finished(response, url, state, all_sent);
}

std::optional<Failure> UploadProtocol::patch(UploadState& state, std::uint64_t count) {
  HttpResponse response;
  if (auto failure = send("PATCH", state.location, state, count, response)) {
    return failure;
  }
  // 201 and others are what some registries say for 202 (F13).
  if (response.status < 200 || response.status > 204) {
    return classify(response, "PATCH", state.location, state);
  }
  // The Range of the answer is not looked at: it sticks at some registries, and the digest decides.
  state.offset += count;
  state.sent = std::max(state.sent, state.offset);
  if (response.header("Location")) {
    auto next = upload_.session.location(response, state.location, upload_.session.is_insecure());
    if (!next) {
      return Failure{.error = std::move(next).error()};
    }
    state.location = std::move(*next);
  }
  return std::nullopt;
}

std::optional<Failure> UploadProtocol::close(UploadState& state) {
  const Url url = state.location.with_query("digest", upload_.blob.digest.str());
  HttpResponse response;
  if (auto failure = send("PUT", url, state, 0, response)) {
    failure->may_be_complete = true;
    return failure;
  }
  return finished(response, url, state, true);
}

StatusAnswer UploadProtocol::status(const UploadState& state) {
  const auto response =
      upload_.session.send({.method = "GET", .url = state.location, .scopes = scopes_});
  if (!response || is_transient_status(response->status)) {
    return {.out_of_reach = true};
  }
  if (response->status < 200 || response->status > 204) {
    return {.gone = is_lost_session(*response)};
  }
  StatusAnswer answer{.stored = stored_bytes(response->header("Range").value_or("")),
                      .min_chunk = min_chunk_of(*response)};
  if (response->header("Location")) {
    auto next = upload_.session.location(*response, state.location, upload_.session.is_insecure());
    if (next) {
      answer.location = std::move(*next);
    }
  }
  return answer;
}

void UploadProtocol::abandon(const Url& location) {
  static_cast<void>(upload_.session.send({.method = "DELETE",
                                          .url = location,
                                          .scopes = scopes_,
                                          .retry = false,
                                          .timeout = cleanup_time,
                                          .even_when_stopped = true}));
}

void UploadProtocol::abandon(const UploadJournal::Abandoned& upload) {
  const auto location = known_location(upload.location);
  if (location) {
    static_cast<void>(upload_.session.send({.method = "DELETE",
                                            .url = *location,
                                            .scopes = push_scopes(upload.repository),
                                            .retry = false,
                                            .timeout = cleanup_time}));
  }
}

Result<void> UploadProtocol::check_digest(const HttpResponse& response) const {
  const auto reported = response.header("Docker-Content-Digest");
  const auto digest = reported ? manifest::Digest::parse(*reported) : upload_.blob.digest;
  if (digest && digest->algorithm() == upload_.blob.digest.algorithm() &&
      *digest != upload_.blob.digest) {
    return fail(ErrorCode::verification, upload_.session.registry() + " stored " + digest->str() +
                                             " instead of " + upload_.blob.digest.str());
  }
  return {};
}

}  // namespace fnimage::registry

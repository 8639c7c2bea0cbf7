// One registry as a Client sees it: which protocol it speaks, how it wants to be authenticated, and
// requests to it with everything that takes: tokens, challenges, redirects by hand, retries.
// Credentials and client certificates go to the registry's origin only, wherever its answers point
// to (reliability A1, A2, C28). Thread-safety: all methods may be called from several threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/registry/client.hpp>

#include "auth.hpp"
#include "retry.hpp"
#include "upload_journal.hpp"
#include "url.hpp"

namespace fnimage::registry {

/// One request to a registry, or to where it points. Members as in HttpRequest.
struct Call {
  std::string method = "GET";
  Url url{};
  Scopes scopes{};
  std::vector<Header> headers{};
  const Content* body = nullptr;
  std::uint64_t body_offset = 0;
  std::uint64_t body_limit = std::numeric_limits<std::uint64_t>::max();
  Writer* sink = nullptr;
  std::function<Result<void>(const HttpResponse&)> on_answer{};
  std::uint64_t max_body = std::uint64_t{1} << 20;
  ProgressTask* progress = nullptr;
  bool retry = true;  ///< false: transient failures are the caller's to handle
  /// When set: a 401 that a new token may cure is returned with this made true, instead of sending
  /// the body again.
  bool* renewed = nullptr;
  std::chrono::milliseconds timeout{0};
  bool even_when_stopped = false;
  std::chrono::milliseconds grace{0};
  std::stop_token stop{};  ///< of whoever waits for the answer; none: the session's
};

class Session {
 public:
  Session(std::string registry, std::shared_ptr<Transport> transport,
          std::shared_ptr<const CredentialStore> credentials, const ClientOptions& options,
          Diagnostics& diagnostics);

  [[nodiscard]] const std::string& registry() const noexcept { return registry_; }
  [[nodiscard]] const RetryOptions& retry() const noexcept { return options_.retry; }
  [[nodiscard]] std::uint64_t chunk_size() const noexcept { return options_.chunk_size; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
  /// How this registry is asked again. @param stop as in Call.
  [[nodiscard]] Retrier retrier(const std::stop_token& stop = {});
  [[nodiscard]] UploadJournal& journal() noexcept { return journal_; }
  [[nodiscard]] std::stop_token stop_token() const { return transport_->stop_token(); }
  void debug(std::string_view message) const { diagnostics_.report(Severity::debug, message); }
  void inform(std::string_view message) const { diagnostics_.report(Severity::info, message); }
  void warn(std::string_view message) const { diagnostics_.report(Severity::warning, message); }

  /// The time by the registry's clock, as far as its last answer told it.
  [[nodiscard]] std::chrono::system_clock::time_point now() const;

  /// What this registry has shown that it can do; remembered for the next request.
  struct Abilities {
    std::atomic<bool> single_post = true;  ///< a blob with the POST that opens its upload (C12)
    std::atomic<bool> many_tags = true;    ///< several tags with one PUT (C24)
  };
  [[nodiscard]] Abilities& abilities() noexcept { return abilities_; }

  /// An absolute URL of this registry for a path like "/v2/…". Where the protocol is not settled,
  /// the first call finds it out; elsewhere the first request tells all that the registry wants.
  Result<Url> url(std::string_view path);

  /// Sends a call; any status that is left after authentication, redirects of GET and HEAD and
  /// retries is a success.
  Result<HttpResponse> send(const Call& call);

  /// Where an answer to a request to `from` points: its Location. @param downgrade whether https
  /// may lead to http.
  Result<Url> location(const HttpResponse& response, const Url& from, bool downgrade) const;

  [[nodiscard]] bool is_insecure() const noexcept { return options_.insecure; }
  Result<void> ping();

 private:
  struct Endpoint {
    Url base;
    TlsOptions tls;
  };

  /// What the host configuration says about a token server, over what follows from the registry's.
  [[nodiscard]] Result<RealmSettings> realm_settings(const Url& realm, const TlsOptions& tls) const;
  Result<Endpoint> endpoint();
  Result<Endpoint> probe(const std::vector<Endpoint>& candidates);
  [[nodiscard]] Error with_way_out(Error error) const;
  [[nodiscard]] Result<std::vector<Endpoint>> candidates() const;
  Result<void> try_candidate(const Endpoint& candidate);
  Result<void> learn(const Endpoint& candidate, const HttpResponse& response);
  Result<bool> teaches(const Endpoint& endpoint, const HttpResponse& response,
                       const std::optional<std::string>& used, Scopes& scopes, bool is_first);
  Result<bool> learn_challenge(const Endpoint& endpoint, const Scopes& scopes);
  Result<HttpResponse> send_with_retries(const Call& call);
  Result<HttpResponse> send_following(const Call& call, const Endpoint& endpoint);
  Result<HttpResponse> send_authorized(const Call& call, const Endpoint& endpoint, const Url& url);
  Result<HttpResponse> perform(const Call& call, const Endpoint& endpoint, const Url& url,
                               const std::optional<std::string>& authorization);
  /// Which addresses a request that the registry has led elsewhere may go to (A3).
  [[nodiscard]] Result<PeerRule> peers_towards(const Endpoint& endpoint, const Url& url) const;
  Result<HttpResponse> perform_in_turn(const Call& call, const HttpRequest& request);
  Result<HttpResponse> ask_token_server(const HttpRequest& request);
  void report_warnings(const HttpResponse& response);
  void note_time(const HttpResponse& response);
  /// What every answer of the registry itself tells: where it is, and whether it speaks http.
  Result<void> note_peer(const Endpoint& endpoint, const HttpResponse& response);

  std::string registry_;
  std::shared_ptr<Transport> transport_;
  ClientOptions options_;
  Diagnostics& diagnostics_;
  const Clock& clock_;
  HostGate gate_;
  UploadJournal journal_;
  Abilities abilities_;
  std::atomic<std::int64_t> clock_offset_ = 0;  ///< of the registry's, in seconds; see now()
  std::atomic<AddressKind> address_ = AddressKind::global;  ///< where the registry answered last
  Authenticator authenticator_;
  std::atomic<bool> has_answered_ = false;    ///< anything at all
  std::atomic<bool> has_been_asked_ = false;  ///< at /v2/
  std::atomic<bool> is_open_ = false;         ///< to those without credentials: /v2/ says so
  std::mutex asking_;                         // held while the registry is asked for its challenge
  std::mutex mutex_;
  std::optional<Endpoint> endpoint_;  // guarded by mutex_, as the next
  std::set<std::string> warnings_;
};

}  // namespace fnimage::registry

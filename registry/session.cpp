// See session.hpp.
#include "session.hpp"

#include <algorithm>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/host_config.hpp>

#include "credential_file.hpp"
#include "error_body.hpp"

namespace fnimage::registry {

namespace {

constexpr int max_redirects = 10;
constexpr int max_challenges_met = 2;  // per request, with credentials or a token (F22)
constexpr std::size_t max_warnings = 32;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// Notes whether anything reached the caller's sink: then a request cannot simply be repeated.
class WatchedSink final : public Writer {
 public:
  explicit WatchedSink(Writer& inner) : inner_(inner) {}
  Result<void> write(Bytes bytes) override {
    touched_ = true;
    return inner_.write(bytes);
  }
  [[nodiscard]] bool touched() const noexcept { return touched_; }

 private:
  Writer& inner_;
  bool touched_ = false;
};

/// What Go's and nginx' servers answer to plain http on a TLS port.
bool is_https_only_answer(const HttpResponse& response) {
  return response.status == 400 && (response.body.find("to an HTTPS server") != std::string::npos ||
                                    response.body.find("to HTTPS port") != std::string::npos);
}

Error stopped_before(const HttpRequest& request) {
  return {ErrorCode::cancelled,
          "stopped before " + request.method + " " + printable_url(request.url)};
}

bool lacks_scope(const HttpResponse& response) {
  const auto header = response.header("WWW-Authenticate");
  const auto challenges = header ? parse_challenges(*header) : std::vector<Challenge>{};
  return !challenges.empty() && challenges.front().parameter("error") == "insufficient_scope";
}

}  // namespace

Session::Session(std::string registry, std::shared_ptr<Transport> transport,
                 std::shared_ptr<const CredentialStore> credentials, const ClientOptions& options,
                 Diagnostics& diagnostics)
    : registry_(std::move(registry)),
      transport_(std::move(transport)),
      options_(options),
      diagnostics_(diagnostics),
      clock_(options_.clock ? *options_.clock : system_clock()),
      gate_(clock_, options_.requests_per_second),
      journal_(options.upload_journal),
      authenticator_(
          registry_, std::move(credentials),
          {.realms = options_.auth_realms,
           .send = [this](const HttpRequest& request) { return ask_token_server(request); },
           .realm_settings = [this](const Url& realm,
                                    const TlsOptions& tls) { return realm_settings(realm, tls); },
           .clock = [this] { return clock_.now(); }}) {}

Retrier Session::retrier(const std::stop_token& stop) {
  return {.options = options_.retry,
          .clock = clock_,
          .gate = gate_,
          .diagnostics = diagnostics_,
          .peer = registry_,
          .stop = stop.stop_possible() ? stop : stop_token()};
}

Result<HttpResponse> Session::ask_token_server(const HttpRequest& request) {
  return retrier().send(
      [&]() -> Result<HttpResponse> {
        if (!gate_.take_turn(stop_token()) || !gate_.wait(stop_token())) {
          return fail(stopped_before(request));
        }
        return transport_->perform(request);
      },
      [] { return true; });
}

Result<RealmSettings> Session::realm_settings(const Url& realm, const TlsOptions& tls) const {
  RealmSettings settings{.tls = tls, .http = options_.insecure};
  auto own = options_.hosts.find(realm.origin().substr(realm.scheme().size() + 3));
  if (own == options_.hosts.end() && realm.has_default_port()) {
    own = options_.hosts.find(realm.host());
  }
  if (own == options_.hosts.end()) {
    return settings;
  }
  ClientOptions only_own{.certificate_directories = options_.certificate_directories};
  only_own.hosts.insert(*own);
  FNIMAGE_TRY(ClientOptions set, options_for(only_own, own->first, diagnostics_));
  settings.tls = std::move(set.tls);
  if (own->second.insecure) {
    settings.tls.verify = settings.tls.verify && !set.insecure;
  } else if (!own->second.tls_verify) {
    settings.tls.verify = tls.verify;
  }
  if (settings.tls.ca_file.empty()) {
    settings.tls.ca_file = tls.ca_file;
  }
  settings.tls.ca_pem += tls.ca_pem;
  settings.http = settings.http || set.insecure || set.plain_http;
  return settings;
}

Result<std::vector<Session::Endpoint>> Session::candidates() const {
  const auto at = [this](std::string_view scheme) {
    return Url::parse(std::string(scheme) + "://" + network_name(registry_) + "/");
  };
  const auto http = at("http");
  const auto https = at("https");
  if (!http || !https) {
    return fail(ErrorCode::invalid_argument, "not a registry: " + printable(registry_));
  }
  TlsOptions tls = options_.tls;
  if (options_.plain_http) {
    return std::vector<Endpoint>{{*http, tls}};
  }
  if (!options_.insecure) {
    return std::vector<Endpoint>{{*https, tls}};
  }
  tls.verify = false;
  return std::vector<Endpoint>{{*https, tls}, {*http, tls}};
}

/// Asks the one question that every registry answers, without credentials.
Result<void> Session::try_candidate(const Endpoint& candidate) {
  const HttpRequest request{.url = candidate.base.str() + "v2/", .tls = candidate.tls};
  FNIMAGE_TRY(const HttpResponse response, transport_->perform(request));
  return learn(candidate, response);
}

/// From the answer to that question.
Result<void> Session::learn(const Endpoint& candidate, const HttpResponse& response) {
  FNIMAGE_CHECK(note_peer(candidate, response));
  is_open_ = response.status == 200;
  has_been_asked_ = !is_transient_status(response.status);
  if (response.status == 401) {
    Scopes none;
    FNIMAGE_CHECK(authenticator_.challenged(response, std::nullopt, none));
  }
  return {};
}

/// Nobody at port 443 may mean that the registry is at port 80.
Error Session::with_way_out(Error error) const {
  const bool by_https_only = !options_.plain_http && !options_.insecure;
  const bool has_port = registry_.find(':') != std::string::npos;
  if (has_answered_ || !by_https_only || has_port || error.code() != ErrorCode::unavailable) {
    return error;
  }
  const std::string separator = error.hint().empty() ? "" : "; ";
  return Error(error.code(), error.message())
      .with_hint(error.hint() + separator +
                 "a registry without TLS wants --plain-http or --insecure")
      .retryable(error.is_retryable());
}

Result<Session::Endpoint> Session::probe(const std::vector<Endpoint>& candidates) {
  const Retrier retrier = this->retrier();
  Patience patience(options_.retry, clock_);
  for (;;) {
    std::optional<Error> first;
    bool retryable = false;
    for (const Endpoint& candidate : candidates) {
      auto found = try_candidate(candidate);
      if (found) {
        return candidate;
      }
      retryable = retryable || found.error().is_retryable();
      if (first) {
        // Both were tried on request, so both reasons are told.
        first = Error(first->code(), first->message() + "; by http: " + found.error().message())
                    .with_hint(found.error().hint());
      } else {
        first = std::move(found).error();
      }
    }
    const auto delay = retryable ? patience.failed(std::nullopt) : std::nullopt;
    if (!delay || !retrier.wait(*delay, false)) {
      return fail(std::move(*first));
    }
  }
}

Result<Session::Endpoint> Session::endpoint() {
  const std::lock_guard lock(mutex_);
  if (!endpoint_) {
    FNIMAGE_TRY(const auto possible, candidates());
    if (possible.size() == 1) {
      endpoint_ = possible.front();
    } else {
      FNIMAGE_TRY(endpoint_, probe(possible));
      diagnostics_.report(Severity::warning,
                          registry_ + (endpoint_->base.is_https()
                                           ? ": certificate not verified, as asked by --insecure"
                                           : ": reached by plain http, as allowed by --insecure"));
    }
  }
  return *endpoint_;
}

Result<Url> Session::url(std::string_view path) {
  FNIMAGE_TRY(const Endpoint found, endpoint());
  return found.base.resolve(path);
}

Result<HttpResponse> Session::send(const Call& call) {
  auto response = send_with_retries(call);
  if (!response) {
    return fail(with_way_out(std::move(response).error()));
  }
  return response;
}

Result<HttpResponse> Session::send_with_retries(const Call& call) {
  FNIMAGE_TRY(const Endpoint found, endpoint());
  if (call.sink == nullptr) {
    if (!call.retry) {
      return send_following(call, found);
    }
    return retrier(call.stop).send([&] { return send_following(call, found); },
                                   [] { return true; });
  }
  WatchedSink sink(*call.sink);
  Call watched = call;
  watched.sink = &sink;
  return retrier(call.stop).send([&] { return send_following(watched, found); },
                                 [&] { return call.retry && !sink.touched(); });
}

Result<Url> Session::location(const HttpResponse& response, const Url& from, bool downgrade) const {
  const auto value = response.header("Location");
  if (!value) {
    return fail(ErrorCode::protocol, printable_url(from.str()) + ": status " +
                                         std::to_string(response.status) + " without Location");
  }
  auto target = from.resolve(*value);
  if (!target) {
    return fail(ErrorCode::protocol,
                printable_url(from.str()) + ": bad Location: " + target.error().message());
  }
  if (from.is_https() && !target->is_https() && !downgrade) {
    return fail(ErrorCode::protocol,
                printable_url(from.str()) + " leads from https to http (" +
                    printable_url(target->str()) + "), which is refused",
                "let the proxy in front of the registry send X-Forwarded-Proto, or set the "
                "registry's relativeurls");
  }
  return target;
}

Result<HttpResponse> Session::send_following(const Call& call, const Endpoint& endpoint) {
  const bool follows = call.method == "GET" || call.method == "HEAD";
  Url url = call.url;
  for (int hops = 0;; ++hops) {
    FNIMAGE_TRY(HttpResponse response, send_authorized(call, endpoint, url));
    if (!follows || !is_redirect(response.status)) {
      return response;
    }
    if (hops == max_redirects) {
      return fail(ErrorCode::protocol, printable_url(call.url.str()) + ": more than " +
                                           std::to_string(max_redirects) + " redirects");
    }
    FNIMAGE_TRY(url, location(response, url, false));
  }
}

/// Some registries show strangers an empty house: what they may not see is "not found" or
/// "forbidden", without a challenge. Where there are credentials, the registry is asked once for
/// what it wants. True: the request is worth sending again.
Result<bool> Session::learn_challenge(const Endpoint& endpoint, const Scopes& scopes) {
  FNIMAGE_TRY(const bool known_here, authenticator_.has_credentials(scopes));
  if (!known_here) {
    return false;
  }
  const std::lock_guard lock(asking_);
  if (!authenticator_.knows_challenge() && !has_been_asked_) {
    FNIMAGE_TRY(const Url target, endpoint.base.resolve("/v2/"));
    const Call question{.url = target};
    FNIMAGE_TRY(const HttpResponse response,
                retrier().send([&] { return perform(question, endpoint, target, std::nullopt); },
                               [] { return true; }));
    if (is_transient_status(response.status)) {  // "not found" would be said of what may be there
      return fail(response_error(response, "GET", target.str()).retryable(false));
    }
    FNIMAGE_CHECK(learn(endpoint, response));
  }
  return authenticator_.knows_challenge();
}

Result<HttpResponse> Session::send_authorized(const Call& call, const Endpoint& endpoint,
                                              const Url& url) {
  if (url.origin() != endpoint.base.origin()) {
    return perform(call, endpoint, url, std::nullopt);
  }
  Scopes scopes = call.scopes;
  bool is_stranger = true;  // may find out with this request what the registry wants
  for (int challenges = 0;;) {
    FNIMAGE_TRY(const std::optional<std::string> authorization,
                authenticator_.authorization(endpoint.base, endpoint.tls, scopes));
    is_stranger = is_stranger && !authorization;
    FNIMAGE_TRY(HttpResponse response, perform(call, endpoint, url, authorization));
    FNIMAGE_CHECK(note_peer(endpoint, response));
    if (authorization && (response.status == 401 || response.status == 403)) {
      response.credentials = authenticator_.whose(scopes);
    }
    if (challenges == max_challenges_met) {
      return response;
    }
    FNIMAGE_TRY(const bool again,
                teaches(endpoint, response, authorization, scopes, challenges == 0));
    if (!again) {
      return response;
    }
    if (call.renewed != nullptr) {
      *call.renewed = true;
      return response;
    }
    challenges += is_stranger ? 0 : 1;
    is_stranger = false;
  }
}

/// Whether the request is worth sending again with what its answer says of authentication.
Result<bool> Session::teaches(const Endpoint& endpoint, const HttpResponse& response,
                              const std::optional<std::string>& used, Scopes& scopes,
                              bool is_first) {
  const bool rescope =  // 403 is final but for a right that was not asked for (F23)
      is_first && response.status == 403 && lacks_scope(response);
  if (response.status != 401 && !rescope) {
    const bool hides = response.status == 403 || response.status == 404;
    return is_first && !used && hides ? learn_challenge(endpoint, scopes) : Result<bool>(false);
  }
  return authenticator_.challenged(response, used, scopes);
}

Result<HttpResponse> Session::perform(const Call& call, const Endpoint& endpoint, const Url& url,
                                      const std::optional<std::string>& authorization) {
  FNIMAGE_TRY(const PeerRule peers, peers_towards(endpoint, url));
  HttpRequest request{.method = call.method,
                      .url = url.str(),
                      .headers = call.headers,
                      .body = call.body,
                      .body_offset = call.body_offset,
                      .body_limit = call.body_limit,
                      .sink = call.sink,
                      .on_answer = call.on_answer,
                      .max_body = call.max_body,
                      .tls = tls_towards(endpoint.base, endpoint.tls, url),
                      .peers = peers,
                      .progress = call.progress,
                      .timeout = call.timeout,
                      .even_when_stopped = call.even_when_stopped,
                      .grace = call.grace};
  if (request.method == "GET" || request.method == "HEAD") {
    request.headers.push_back({"Accept-Encoding", "identity"});  // digests are of these bytes (F19)
  }
  if (authorization) {
    request.headers.push_back({"Authorization", *authorization});
  }
  auto response =
      call.even_when_stopped ? transport_->perform(request) : perform_in_turn(call, request);
  if (response) {
    gate_.answered(response->status);
    report_warnings(*response);
    note_time(*response);
  }
  return response;
}

Result<PeerRule> Session::peers_towards(const Endpoint& endpoint, const Url& url) const {
  if (url.host() == endpoint.base.host() || is_named(options_.auth_realms, url)) {
    return PeerRule{};  // the user gave the name
  }
  PeerRule rule = peers_of(address_);
  rule.global = true;
  // Names are looked at when they are connected to, but not behind a proxy.
  const auto kind = address_kind(url.host());
  if (kind && !allows(rule, *kind)) {
    return fail(ErrorCode::unauthorized,
                registry_ + " leads to " + printable_url(url.str()) +
                    ", which is refused: the address is none that this registry may send its "
                    "clients to",
                "if that server is meant, name it: --auth-realm " + url.host());
  }
  return rule;
}

Result<HttpResponse> Session::perform_in_turn(const Call& call, const HttpRequest& request) {
  const std::stop_token stop = call.stop.stop_possible() ? call.stop : stop_token();
  static_cast<void>(gate_.take_turn(stop));
  // Downloads need no pass: an upload that has one may be reading from them.
  const bool passes = call.sink == nullptr;
  const HostGate::Pass pass = passes ? gate_.enter(stop) : HostGate::Pass(nullptr);
  if (!gate_.wait(stop)) {
    return fail(stopped_before(request));
  }
  return transport_->perform(request);
}

std::chrono::system_clock::time_point Session::now() const {
  return std::chrono::system_clock::now() + std::chrono::seconds(clock_offset_);
}

Result<void> Session::note_peer(const Endpoint& endpoint, const HttpResponse& response) {
  has_answered_ = true;
  address_ = address_kind(response.peer).value_or(AddressKind::global);
  if (!endpoint.base.is_https() && is_https_only_answer(response)) {
    return fail(ErrorCode::tls, registry_ + " speaks https, not http",
                "leave out --plain-http; for a certificate of your own add --ca-file FILE");
  }
  return {};
}

void Session::note_time(const HttpResponse& response) {
  if (response.header("Age")) {
    return;  // from a cache, as old as that
  }
  if (const auto date = parse_http_date(response.header("Date").value_or(""))) {
    clock_offset_ =
        std::chrono::duration_cast<std::chrono::seconds>(*date - std::chrono::system_clock::now())
            .count();
  }
}

void Session::report_warnings(const HttpResponse& response) {
  for (const Header& header : response.headers) {
    if (!equals_ignoring_case(header.name, "Warning") || !header.value.starts_with("299 ")) {
      continue;
    }
    const std::size_t quote = header.value.find('"');
    const std::string text =
        printable(std::string_view(header.value).substr(quote == std::string::npos ? 4 : quote));
    const std::lock_guard lock(mutex_);
    if (warnings_.size() < max_warnings && warnings_.insert(text).second) {
      diagnostics_.report(Severity::warning, registry_ + " says " + text);
    }
  }
}

Result<void> Session::ping() {
  FNIMAGE_CHECK(endpoint());
  if (is_open_) {
    return {};  // finding the endpoint was the same question
  }
  FNIMAGE_TRY(const Url target, url("/v2/"));
  FNIMAGE_TRY(const HttpResponse response, send({.url = target}));
  if (response.status == 200) {
    return {};
  }
  if (response.status == 404) {
    return fail(ErrorCode::protocol, "no registry answers at " + printable_url(target.str()),
                "check host and port");
  }
  return fail(response_error(response, "GET", target.str()));
}

}  // namespace fnimage::registry

// See auth.hpp.
#include "auth.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

#include "error_body.hpp"

namespace fnimage::registry {

namespace {

constexpr std::size_t max_token_bytes = std::size_t{64} * 1024;
constexpr std::uint64_t max_answer_bytes = std::uint64_t{256} * 1024;
constexpr std::size_t max_scope_bytes = 1024;
constexpr std::int64_t default_lifetime = 60;  // seconds; what the specification says
constexpr std::int64_t max_lifetime = std::int64_t{24} * 3600;

bool is_clean(std::string_view token) {
  return std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::string basic(const Credentials& credentials) {
  return "Basic " + to_base64(as_bytes(credentials.username + ":" + credentials.password));
}

std::string form(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string text;
  for (const auto& [name, value] : fields) {
    if (!value.empty()) {
      text += (text.empty() ? "" : "&") + std::string(name) + "=" + percent_encode(value);
    }
  }
  return text;
}

/// "a/b" of "repository:a/b:pull", the first of its kind.
std::string repository_of(const Scopes& scopes) {
  constexpr std::string_view prefix = "repository:";
  for (const std::string& scope : scopes) {
    if (scope.starts_with(prefix)) {
      const std::string_view rest = std::string_view(scope).substr(prefix.size());
      return std::string(rest.substr(0, rest.rfind(':')));
    }
  }
  return {};
}

/// Whose and where from; never a secret.
std::string description(const Credentials& credentials) {
  std::string text = "the credentials";
  if (!credentials.registry_token.empty()) {
    text += " (a registry token)";
  } else if (!credentials.identity_token.empty()) {
    text += " (an identity token)";
  } else if (!credentials.username.empty()) {
    text += " of " + printable(credentials.username);
  }
  return text + (credentials.source.empty() ? "" : " from " + printable(credentials.source));
}

/// Labels from the end that belong to everybody: one, or two as in "co.uk".
std::size_t public_labels(const std::vector<std::string_view>& labels) {
  constexpr std::array<std::string_view, 9> shared{"ac",  "co",  "com", "edu", "gob",
                                                   "gov", "net", "or",  "org"};
  constexpr std::size_t country = 2;  // letters
  const bool two =
      labels.size() > 2 && labels.back().size() == country &&
      std::find(shared.begin(), shared.end(), labels[labels.size() - 2]) != shared.end();
  return two ? 2 : 1;
}

/// The part of a host name that one owner registered; empty for addresses and bare names.
std::string registered_domain(const std::string& host) {
  const std::vector<std::string_view> labels = split(host, '.');
  const std::size_t needed = public_labels(labels) + 1;
  if (address_kind(host) || labels.size() < needed) {
    return {};
  }
  std::string domain;
  for (std::size_t i = labels.size() - needed; i < labels.size(); ++i) {
    domain += (domain.empty() ? "" : ".") + std::string(labels[i]);
  }
  return domain;
}

bool are_of_one_domain(const std::string& a, const std::string& b) {
  const std::string domain = registered_domain(a);
  return !domain.empty() && domain == registered_domain(b);
}

const Challenge* choose(const std::vector<Challenge>& challenges) {
  for (const std::string_view scheme : {"bearer", "basic"}) {
    for (const Challenge& challenge : challenges) {
      if (challenge.scheme == scheme &&
          (scheme == "basic" || !challenge.parameter("realm").empty())) {
        return &challenge;
      }
    }
  }
  return nullptr;
}

}  // namespace

Result<Token> parse_token(std::string_view body, std::chrono::steady_clock::time_point asked_at) {
  FNIMAGE_TRY(const nlohmann::json json, parse_json(body, "answer of the token server"));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, "answer of the token server"));
  FNIMAGE_TRY(std::string value, object.string_or("token", ""));
  if (value.empty()) {
    FNIMAGE_TRY(value, object.string_or("access_token", ""));
  }
  if (value.empty() || value.size() > max_token_bytes || !is_clean(value)) {
    return fail(ErrorCode::protocol, "the token server's answer holds no usable token");
  }
  FNIMAGE_TRY(const std::int64_t given, object.integer_or("expires_in", default_lifetime));
  const std::int64_t lifetime = std::clamp(given, default_lifetime, max_lifetime);
  return Token{std::move(value), asked_at + std::chrono::seconds(lifetime) * 4 / 5};
}

Result<PeerRule> allow_realm(const Url& registry, const Url& realm, const RealmPolicy& policy) {
  const auto refuse = [&](std::string_view why, std::string hint) {
    return fail(ErrorCode::unauthorized,
                registry.origin() + " asks to get a token from " + printable_url(realm.str()) +
                    ", which is refused: " + std::string(why),
                std::move(hint));
  };
  if (realm.origin() == registry.origin()) {
    return PeerRule{};
  }
  if (registry.is_https() && !realm.is_https() && !policy.http) {
    return refuse(
        "the registry is reached by https, this server by http",
        "set the realm of the registry's token authentication to an https URL; where http "
        "is meant, use --insecure, or \"insecure\": true for that host");
  }
  if (realm.host() == registry.host() || is_named(policy.named, realm)) {
    return PeerRule{};
  }
  const PeerRule near = peers_of(policy.registry);
  const std::string hint = "if that server is meant, name it: --auth-realm " + realm.host();
  if (const auto kind = address_kind(realm.host())) {
    const bool reachable = *kind == AddressKind::global || allows(near, *kind);
    if (!reachable) {
      return refuse("the address is none that this registry may send its clients to", hint);
    }
  }
  PeerRule wide = near;
  wide.global = true;
  const bool same_trust = realm.is_https() && are_of_one_domain(registry.host(), realm.host());
  if (!policy.credentials || same_trust) {
    return wide;
  }
  if (policy.registry != AddressKind::global) {
    return near;
  }
  return refuse(realm.is_https() ? "it is of another domain" : "another host, and not https", hint);
}

TlsOptions tls_towards(const Url& registry, const TlsOptions& tls, const Url& target) {
  if (target.origin() == registry.origin()) {
    return tls;
  }
  return {.verify = target.host() == registry.host() ? tls.verify : true,
          .ca_file = tls.ca_file,
          .ca_pem = tls.ca_pem};
}

Result<std::optional<Credentials>> Authenticator::credentials(const Scopes& scopes) {
  if (!credentials_) {
    return std::nullopt;
  }
  const std::string repository = repository_of(scopes);
  const std::lock_guard lock(asking_);
  const auto known = known_.find(repository);
  if (known != known_.end()) {
    return known->second;
  }
  FNIMAGE_TRY(std::optional<Credentials> found, credentials_->find(registry_, repository));
  known_.emplace(repository, found);
  return found;
}

bool Authenticator::knows_challenge() {
  const std::lock_guard lock(mutex_);
  return challenge_.has_value();
}

Result<bool> Authenticator::has_credentials(const Scopes& scopes) {
  FNIMAGE_TRY(const auto given, credentials(scopes));
  return given.has_value();
}

std::string Authenticator::whose(const Scopes& scopes) {
  const auto given = credentials(scopes);
  return given && *given ? description(**given) : std::string();
}

Authenticator::Rights Authenticator::rights_of(const Scopes& scopes) {
  Rights rights;
  for (const std::string& scope : scopes) {
    const std::size_t actions = scope.rfind(':') + 1;  // 0 when there is none
    for (const std::string_view action : split(std::string_view(scope).substr(actions), ',')) {
      rights.insert(scope.substr(0, actions) + std::string(action));
    }
  }
  return rights;
}

Result<std::optional<std::string>> Authenticator::authorization(const Url& registry,
                                                                const TlsOptions& tls,
                                                                const Scopes& scopes) {
  Question question{.registry = registry, .tls = tls, .scopes = scopes};
  {
    const std::lock_guard lock(mutex_);
    if (!challenge_) {
      return std::nullopt;
    }
    question.challenge = *challenge_;
    question.address = address_;
  }
  FNIMAGE_TRY(question.given, credentials(scopes));
  if (question.challenge.scheme == "basic") {
    return question.given ? std::optional(basic(*question.given)) : std::nullopt;
  }
  if (question.given && !question.given->registry_token.empty()) {
    return "Bearer " + question.given->registry_token;
  }
  auto token = bearer(question);
  if (!token) {
    return fail(std::move(token).error().while_doing("get a token for " + registry_));
  }
  return "Bearer " + token->value;
}

Result<Token> Authenticator::bearer(const Question& question) {
  const Rights wanted = rights_of(question.scopes);
  const auto serves = [&wanted](const Rights& rights) {
    return std::includes(rights.begin(), rights.end(), wanted.begin(), wanted.end());
  };
  std::unique_lock lock(mutex_);
  // Tokens of one repository only: another's may belong to somebody else.
  Tokens& tokens =
      tokens_[question.challenge.parameter("realm") + "\n" +
              question.challenge.parameter("service") + "\n" + repository_of(question.scopes)];
  const auto now = settings_.clock();
  for (const Granted& known : tokens.granted) {
    if (now < known.token.refresh_at && serves(known.rights)) {
      return known.token;
    }
  }
  for (const std::shared_ptr<Fetch>& fetch : tokens.fetches) {
    if (serves(fetch->rights)) {
      const std::shared_ptr<Fetch> shared = fetch;  // outlives its place in the list
      fetched_.wait(lock, [&shared] { return shared->result.has_value(); });
      return *shared->result;
    }
  }
  const auto own = std::make_shared<Fetch>(Fetch{.rights = wanted});
  tokens.fetches.push_back(own);
  lock.unlock();
  auto result = fetch(question);
  lock.lock();
  std::erase(tokens.fetches, own);
  own->result = result;
  if (result) {
    keep(tokens, wanted, *result);
  }
  fetched_.notify_all();
  return result;
}

void Authenticator::keep(Tokens& tokens, const Rights& rights, const Token& token) {
  std::erase_if(tokens.granted, [&rights](const Granted& known) {
    return std::includes(rights.begin(), rights.end(), known.rights.begin(), known.rights.end());
  });
  tokens.granted.push_back({rights, token});
}

Result<HttpRequest> Authenticator::token_request(const Question& question, ContentPtr& body) const {
  auto realm = Url::parse(question.challenge.parameter("realm"));
  if (!realm) {
    return fail(ErrorCode::protocol,
                "the registry names a token server that is none: " + realm.error().message());
  }
  RealmSettings settings{.tls = tls_towards(question.registry, question.tls, *realm)};
  if (settings_.realm_settings && realm->origin() != question.registry.origin()) {
    FNIMAGE_TRY(settings, settings_.realm_settings(*realm, settings.tls));
  }
  const std::optional<Credentials>& known = question.given;
  FNIMAGE_TRY(const PeerRule peers, allow_realm(question.registry, *realm,
                                                {.named = settings_.realms,
                                                 .registry = question.address,
                                                 .credentials = known.has_value(),
                                                 .http = settings.http}));
  const std::string service = question.challenge.parameter("service");
  HttpRequest request{.max_body = max_answer_bytes, .tls = std::move(settings.tls), .peers = peers};
  if (known && !known->identity_token.empty()) {
    body = memory_content(form({{"grant_type", "refresh_token"},
                                {"refresh_token", known->identity_token},
                                {"service", service},
                                {"scope", join(question.scopes, " ")},
                                {"client_id", "fnimage"}}));
    request.method = "POST";
    request.url = realm->str();
    request.body = body.get();
    request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
    return request;
  }
  Url url = service.empty() ? *realm : realm->with_query("service", service);
  for (const std::string& scope : question.scopes) {
    url = url.with_query("scope", scope);
  }
  request.url = url.str();
  if (known) {
    request.headers.push_back({"Authorization", basic(*known)});
  }
  return request;
}

Result<Token> Authenticator::fetch(const Question& question) const {
  ContentPtr body;
  FNIMAGE_TRY(const HttpRequest request, token_request(question, body));
  const auto asked_at = settings_.clock();
  FNIMAGE_TRY(HttpResponse response, settings_.send(request));
  if (response.status != 200) {
    response.credentials = question.given ? description(*question.given) : std::string();
    return fail(response_error(response, request.method, request.url));
  }
  return parse_token(response.body, asked_at);
}

Result<bool> Authenticator::challenged(const HttpResponse& response,
                                       const std::optional<std::string>& used, Scopes& scopes) {
  std::vector<Challenge> challenges;
  for (const Header& header : response.headers) {
    if (equals_ignoring_case(header.name, "WWW-Authenticate")) {
      for (Challenge& challenge : parse_challenges(header.value)) {
        challenges.push_back(std::move(challenge));
      }
    }
  }
  const Challenge* chosen = choose(challenges);
  if (chosen == nullptr) {
    return false;
  }
  FNIMAGE_TRY(const std::optional<Credentials> known, credentials(scopes));
  const std::lock_guard lock(mutex_);
  challenge_ = *chosen;
  address_ = address_kind(response.peer).value_or(AddressKind::global);
  if (chosen->scheme == "basic") {
    return known && used != basic(*known);
  }
  if (known && !known->registry_token.empty()) {
    return used != "Bearer " + known->registry_token;
  }
  // The token that was refused is of no more use; another thread may have replaced it already.
  for (auto& [audience, tokens] : tokens_) {
    std::erase_if(tokens.granted,
                  [&used](const Granted& one) { return used == "Bearer " + one.token.value; });
  }
  const std::string wanted = chosen->parameter("scope");
  for (const std::string_view scope : split(wanted, ' ')) {
    if (!scope.empty() && wanted.size() <= max_scope_bytes &&
        std::find(scopes.begin(), scopes.end(), scope) == scopes.end()) {
      scopes.emplace_back(scope);
    }
  }
  return true;
}

}  // namespace fnimage::registry

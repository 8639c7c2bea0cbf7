// See auth.hpp.
#include "auth.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

#include "error_body.hpp"

namespace fnimage::registry {

namespace {

constexpr std::size_t max_token_bytes = std::size_t{64} * 1024;
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

std::string token_key(const Challenge& challenge, const Scopes& scopes) {
  return challenge.parameter("realm") + "\n" + challenge.parameter("service") + "\n" +
         join(scopes, " ");
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

Result<void> allow_realm(const Url& registry, const Url& realm) {
  if (realm.origin() == registry.origin() || realm.is_https() ||
      (!registry.is_https() && realm.host() == registry.host())) {
    return {};
  }
  return fail(ErrorCode::unauthorized,
              registry.origin() + " asks to send its credentials to " + printable_url(realm.str()) +
                  ", which is refused: another host, and not https",
              "set the realm of the registry's token authentication to an https URL");
}

TlsOptions tls_towards(const Url& registry, const TlsOptions& tls, const Url& target) {
  if (target.origin() == registry.origin()) {
    return tls;
  }
  return {.verify = target.host() == registry.host() ? tls.verify : true, .ca_file = tls.ca_file};
}

Result<std::optional<Credentials>> Authenticator::credentials() {
  if (!credentials_) {
    return std::nullopt;
  }
  return credentials_->find(registry_);
}

Result<std::optional<std::string>> Authenticator::authorization(const Url& registry,
                                                                const TlsOptions& tls,
                                                                const Scopes& scopes) {
  const std::lock_guard lock(mutex_);
  if (!challenge_) {
    return std::nullopt;
  }
  if (challenge_->scheme == "bearer") {
    FNIMAGE_TRY(std::string value, bearer(registry, tls, scopes));
    return value;
  }
  FNIMAGE_TRY(const std::optional<Credentials> known, credentials());
  return known ? std::optional(basic(*known)) : std::nullopt;
}

Result<std::string> Authenticator::bearer(const Url& registry, const TlsOptions& tls,
                                          const Scopes& scopes) {
  const std::string key = token_key(*challenge_, scopes);
  const auto known = tokens_.find(key);
  if (known != tokens_.end() && std::chrono::steady_clock::now() < known->second.refresh_at) {
    return "Bearer " + known->second.value;
  }
  auto token = fetch(registry, tls, scopes);
  if (!token) {
    return fail(std::move(token).error().while_doing("get a token for " + registry_));
  }
  const std::string value = "Bearer " + token->value;
  tokens_.insert_or_assign(key, std::move(*token));
  return value;
}

Result<Token> Authenticator::fetch(const Url& registry, const TlsOptions& tls,
                                   const Scopes& scopes) {
  auto realm = Url::parse(challenge_->parameter("realm"));
  if (!realm) {
    return fail(ErrorCode::protocol,
                "the registry names a token server that is none: " + realm.error().message());
  }
  if (registry.is_https() && !realm->is_https()) {
    return fail(ErrorCode::unauthorized,
                registry.origin() + " is reached by https, but its token server " +
                    printable_url(realm->str()) + " by http: refused",
                "set the realm of the registry's token authentication to an https URL");
  }
  FNIMAGE_TRY(const std::optional<Credentials> known, credentials());
  if (known) {
    FNIMAGE_CHECK(allow_realm(registry, *realm));
  }
  const std::string service = challenge_->parameter("service");
  HttpRequest request{.tls = tls_towards(registry, tls, *realm)};
  ContentPtr body;
  if (known && !known->identity_token.empty()) {
    body = memory_content(form({{"grant_type", "refresh_token"},
                                {"refresh_token", known->identity_token},
                                {"service", service},
                                {"scope", join(scopes, " ")},
                                {"client_id", "fnimage"}}));
    request.method = "POST";
    request.url = realm->str();
    request.body = body.get();
    request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
  } else {
    Url url = service.empty() ? *realm : realm->with_query("service", service);
    for (const std::string& scope : scopes) {
      url = url.with_query("scope", scope);
    }
    request.url = url.str();
    if (known) {
      request.headers.push_back({"Authorization", basic(*known)});
    }
  }
  const auto asked_at = std::chrono::steady_clock::now();
  FNIMAGE_TRY(const HttpResponse response, send_(request));
  if (response.status != 200) {
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
  const std::lock_guard lock(mutex_);
  challenge_ = *chosen;
  if (chosen->scheme == "basic") {
    FNIMAGE_TRY(const std::optional<Credentials> known, credentials());
    return known && used != basic(*known);
  }
  // The token that was refused is of no more use; another thread may have replaced it already.
  const auto stale = tokens_.find(token_key(*chosen, scopes));
  if (stale != tokens_.end() && used == "Bearer " + stale->second.value) {
    tokens_.erase(stale);
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

#include "access/gate.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "access/challenge.hpp"
#include "api/access.hpp"
#include "api/reply.hpp"
#include "store/store.hpp"

namespace fnimage::server {

namespace {

Response unauthorized_reply(std::string challenge, std::string message) {
  Response response = error_reply(status::unauthorized, code::unauthorized, std::move(message));
  response.headers.push_back({"WWW-Authenticate", std::move(challenge)});
  return response;
}

Response busy_reply() {
  Response response = error_reply(status::too_many_requests, code::too_many_requests,
                                  "too many passwords are being verified: try again in a moment");
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

Response denied_reply(const Caller& caller, Right right, const std::string& repository) {
  return error_reply(status::forbidden,
                     {{code::denied,
                       fmt::format("{} may not {} here: whoever runs the registry can allow it",
                                   caller.subject.name, to_string(right)),
                       repository}});
}

/// What a request does.
Right needed_right(const Target& target, const Request& request) {
  if (target.endpoint == Endpoint::uploads || target.endpoint == Endpoint::upload) {
    return Right::push;
  }
  if (request.method == "GET" || request.method == "HEAD") {
    return Right::pull;
  }
  return request.method == "DELETE" ? Right::remove : Right::push;
}

/// Whether a blob is to be mounted that the caller may pull, though not with this token: with
/// another one it need not be uploaded.
bool lacks_source(const Caller& caller, const Target& target, const Request& request) {
  const auto from = mount_source(target, request);
  return from && caller.rights_in(*from).has(Right::pull) && !caller.may(Right::pull, *from);
}

/// The client's address, without its port.
std::string address_of(const Request& request) {
  return request.peer.substr(0, request.peer.rfind(':'));
}

struct AuthorizationField {
  std::string scheme;  ///< lower case; empty = there is no such field
  std::string value;
};

AuthorizationField authorization_of(const Request& request) {
  // Of several fields none is chosen: together they are no good one.
  const std::string field = request.joined("Authorization");
  const std::size_t blank = std::min(field.find(' '), field.size());
  return {.scheme = to_lower(field.substr(0, blank)),
          .value = std::string(trim(std::string_view(field).substr(blank)))};
}

}  // namespace

Result<std::unique_ptr<Gate>> Gate::open(const AccessOptions& options,
                                         std::chrono::milliseconds pause,
                                         const PasswordLimits& limits) {
  if (!options.htpasswd && !options.tokens) {
    return fail(ErrorCode::invalid_argument, "there are rules, and nobody who could log in",
                "name the users: --htpasswd FILE; or the tokens: --tokens FILE");
  }
  std::string external_url;
  if (!options.external_url.empty()) {
    FNIMAGE_TRY(external_url, check_external_url(options.external_url));
  }
  FNIMAGE_TRY(auto files, PolicyFiles::open(options, pause));
  TokenKey key = TokenKey::random();
  if (options.token_key) {
    FNIMAGE_TRY(key, TokenKey::from_file(*options.token_key));
  }
  return std::unique_ptr<Gate>(
      new Gate(std::move(files), std::move(key), std::move(external_url), limits));
}

bool Gate::is_quick(const Request& request) {
  const std::string scheme = authorization_of(request).scheme;
  return scheme.empty() || scheme == "bearer";
}

Caller Gate::nobody() {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return {.policy = files_->current(), .now = now.count()};
}

Gate::Entry Gate::enter(const Request& request, const Target& target) {
  const bool has_repository =
      target.endpoint != Endpoint::base && target.endpoint != Endpoint::catalog;
  if (has_repository && !is_valid_repository(target.repository)) {
    return invalid_name_reply(target.repository);
  }
  const auto challenge = [&](std::string_view error) {
    return bearer_challenge(request, external_url_, wanted_scope(target, request), error);
  };
  auto identified = identify(request, challenge);
  if (auto* refusal = std::get_if<Response>(&identified)) {
    return std::move(*refusal);
  }
  auto caller = std::make_shared<const Caller>(std::move(std::get<Caller>(identified)));
  const Right right = needed_right(target, request);
  const bool may = target.endpoint == Endpoint::base      ? caller->has_credentials
                   : target.endpoint == Endpoint::catalog ? caller->may_list()
                                                          : caller->may(right, target.repository);
  if (may && !lacks_source(*caller, target, request)) {
    return caller;
  }
  if (!may && caller->is_anonymous()) {
    return unauthorized_reply(challenge(""), "log in first, e.g. docker login REGISTRY");
  }
  if (!may && has_repository && !caller->rights_in(target.repository).has(right)) {
    return denied_reply(*caller, right, target.repository);
  }
  return unauthorized_reply(challenge("insufficient_scope"),
                            "the token was given for something else: get another");
}

std::optional<Response> Gate::refuse_overview(const Request& request) {
  const auto challenge = [](std::string_view) { return basic_challenge(); };
  const auto identified = identify(request, challenge);
  if (const auto* refusal = std::get_if<Response>(&identified)) {
    return *refusal;
  }
  const Caller& caller = std::get<Caller>(identified);
  if (caller.is_anonymous()) {
    return unauthorized_reply(basic_challenge(), "log in first: as a user, or with a token");
  }
  if (!caller.policy->may_anywhere(caller.subject, Right::pull, caller.now)) {
    return error_reply(status::forbidden, code::denied, "who may pull nothing may not see this");
  }
  return std::nullopt;
}

Gate::Entry Gate::enter_page(const Request& request) {
  auto identified = identify(request, [](std::string_view) { return basic_challenge(); });
  if (auto* refusal = std::get_if<Response>(&identified)) {
    return std::move(*refusal);
  }
  return std::make_shared<const Caller>(std::move(std::get<Caller>(identified)));
}

Gate::Identified Gate::identify(const Request& request, const Challenge& challenge) {
  Identified identified = identify_unnoted(request, challenge);
  if (const auto* caller = std::get_if<Caller>(&identified)) {
    request.caller = caller->subject.name;
  }
  return identified;
}

Gate::Identified Gate::identify_unnoted(const Request& request, const Challenge& challenge) {
  const AuthorizationField field = authorization_of(request);
  if (field.scheme.empty()) {
    return nobody();
  }
  if (field.scheme == "bearer") {
    auto caller = identify_bearer(nobody(), field.value);
    if (caller) {
      return std::move(*caller);
    }
    return unauthorized_reply(challenge("invalid_token"),
                              "the token is not good, or not any more: get another");
  }
  const auto decoded = field.scheme == "basic" ? from_base64(field.value)
                                               : fail(ErrorCode::unsupported, "another scheme");
  const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return unauthorized_reply(challenge(""), "Authorization is neither Basic nor Bearer");
  }
  return identify_password(nobody(), decoded->substr(0, colon), decoded->substr(colon + 1), request,
                           challenge);
}

Gate::Identified Gate::identify_password(Caller caller, const std::string& user,
                                         const std::string& password, const Request& request,
                                         const Challenge& challenge) {
  caller.has_credentials = true;
  const Policy& policy = *caller.policy;
  const auto* token = policy.tokens == nullptr ? nullptr : policy.tokens->find_secret(password);
  if (token != nullptr && token->is_valid(caller.now)) {
    caller.subject = {Subject::Kind::token, token->name};
    return caller;
  }
  if (policy.users != nullptr) {
    switch (passwords_.check(*policy.users, user, password, address_of(request))) {
      case PasswordCheck::Verdict::right:
        caller.subject = {Subject::Kind::user, user};
        return caller;
      case PasswordCheck::Verdict::busy:
        return busy_reply();
      default:
        break;
    }
  }
  return unauthorized_reply(challenge(""), "the user's name or the password is wrong");
}

std::optional<Caller> Gate::identify_bearer(Caller caller, std::string_view token) const {
  caller.has_credentials = true;
  const Policy& policy = *caller.policy;
  if (const auto* fixed = policy.tokens == nullptr ? nullptr : policy.tokens->find_secret(token)) {
    caller.subject = {Subject::Kind::token, fixed->name};
    return fixed->is_valid(caller.now) ? std::optional(std::move(caller)) : std::nullopt;
  }
  auto claims = key_.read(token, caller.now);
  auto subject = claims ? Subject::parse(claims->subject) : std::nullopt;
  // The subject must still be there, with the password or secret that it logged in with.
  const auto credential = subject ? policy.credential_of(*subject, caller.now) : std::nullopt;
  if (!credential || key_.mark(*credential) != claims->credential) {
    return std::nullopt;
  }
  caller.subject = std::move(*subject);
  caller.scopes = std::move(claims->scopes);
  return caller;
}

}  // namespace fnimage::server

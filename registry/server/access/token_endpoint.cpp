// Gate's token server: distribution, "Token Authentication Specification" and "OAuth2 Token
// Authentication".
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>

#include "access/challenge.hpp"
#include "access/gate.hpp"
#include "api/reply.hpp"

namespace fnimage::server {

namespace {

constexpr std::size_t longest_form = 65'536;

std::string challenge_here(std::string_view /*error*/) {
  return basic_challenge();
}

Response no_token_reply(std::string message) {
  Response response = error_reply(status::unauthorized, code::unauthorized, std::move(message));
  response.headers.push_back({"WWW-Authenticate", basic_challenge()});
  return response;
}

Response bad_form_reply(std::string message) {
  return error_reply(status::bad_request, code::unsupported, std::move(message));
}

}  // namespace

/// Takes the form of a POST.
class Gate::GrantReceiver final : public BodyReceiver {
 public:
  GrantReceiver(Gate& gate, const Request& request) : gate_(gate), request_(request) {}

  std::optional<Response> write(Bytes bytes) override {
    if (form_.size() + bytes.size() > longest_form) {
      return error_reply(status::too_large, code::size_invalid, "the form is too large");
    }
    form_ += as_text(bytes);
    return std::nullopt;
  }

  Response end() override {
    std::ranges::replace(form_, '+', ' ');  // a blank, in forms; '+' itself is %2B there
    const Query form(form_);
    if (form.get("grant_type") != "password") {
      return bad_form_reply("grant_type is not password: log in with a user's name and password");
    }
    const auto user = form.get("username");
    const auto password = form.get("password");
    if (!user || !password) {
      return bad_form_reply("username or password is missing");
    }
    const auto identified =
        gate_.identify_password(gate_.nobody(), *user, *password, request_, challenge_here);
    if (const auto* refusal = std::get_if<Response>(&identified)) {
      return *refusal;
    }
    return gate_.grant(std::get<Caller>(identified), form.get("scope").value_or(""));
  }

 private:
  Gate& gate_;
  Request request_;
  std::string form_{};
};

Answer Gate::answer_token(const Request& request) {
  if (request.method == "POST") {
    if (!request.has_body) {
      return bad_form_reply("there is no form");
    }
    return std::make_unique<GrantReceiver>(*this, request);
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return method_reply("GET, HEAD, POST");
  }
  const auto identified = identify(request, challenge_here);
  if (const auto* refusal = std::get_if<Response>(&identified)) {
    return *refusal;
  }
  std::string scopes;
  for (const std::string& scope : Query(request.query).all("scope")) {
    scopes += scopes.empty() ? scope : " " + scope;
  }
  return grant(std::get<Caller>(identified), scopes);
}

Response Gate::grant(const Caller& caller, std::string_view scopes) const {
  const auto credential = caller.policy->credential_of(caller.subject, caller.now);
  if (!credential) {
    return no_token_reply("log in first, e.g. docker login REGISTRY");
  }
  if (caller.scopes) {  // else a stolen one could be renewed for ever
    return no_token_reply("a token is not given for a token: log in");
  }
  const Scopes asked = Scopes::parse(scopes);
  Scopes granted;
  for (const Scope& scope : asked.repositories()) {
    granted.add(scope.repository, scope.rights & caller.rights_in(scope.repository));
  }
  if (asked.has_catalog()) {
    granted.add_catalog();
  }
  if (caller.is_anonymous() && granted.empty() && !asked.empty()) {
    return no_token_reply("log in first, e.g. docker login REGISTRY");
  }
  const std::string token = key_.issue({.subject = caller.subject.str(),
                                        .credential = key_.mark(*credential),
                                        .scopes = granted,
                                        .expires = caller.now + bearer_lifetime.count()});
  // Both names of the token, for older and newer clients. Not when it was made: clients whose
  // clocks go wrong would take it to be over.
  Response response = json_reply(to_json_text({{"token", token},
                                               {"access_token", token},
                                               {"expires_in", bearer_lifetime.count()},
                                               {"scope", granted.str()}}) +
                                 "\n");
  response.headers.push_back({"Cache-Control", "no-store"});
  return response;
}

}  // namespace fnimage::server

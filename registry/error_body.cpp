// See error_body.hpp.
#include "error_body.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

#include "challenge.hpp"
#include "retry.hpp"

namespace fnimage::registry {

namespace {

constexpr std::size_t max_errors = 20;
constexpr std::chrono::seconds max_shown_wait = std::chrono::hours(24 * 365);

struct SpecError {
  std::string code;
  std::string message;
};

std::string text_member(const nlohmann::json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

std::vector<SpecError> parse_errors(std::string_view body) {
  std::vector<SpecError> result;
  const auto json = parse_json(body, "error answer");
  if (!json || !json->is_object()) {
    return result;
  }
  const auto errors = json->find("errors");
  if (errors == json->end() || !errors->is_array()) {
    // The form of OAuth2 token servers.
    if (std::string details = text_member(*json, "details"); !details.empty()) {
      result.push_back({"", std::move(details)});
    } else if (std::string error = text_member(*json, "error"); !error.empty()) {
      result.push_back({std::move(error), text_member(*json, "error_description")});
    }
    return result;
  }
  for (const nlohmann::json& entry : *errors) {
    if (entry.is_object() && result.size() < max_errors) {
      result.push_back({text_member(entry, "code"), text_member(entry, "message")});
    }
  }
  return result;
}

struct Meaning {
  ErrorCode code;
  std::string_view hint;
};

Meaning meaning_of(int status) {
  switch (status) {
    case 401:
      return {ErrorCode::unauthorized,
              "log in: fnimage login REGISTRY (docker login, podman login and skopeo login do as "
              "well)"};
    case 403:
      return {
          ErrorCode::unauthorized,
          "this account may not do that: use another with `fnimage login`, or ask for the right"};
    case 404:
      return {ErrorCode::not_found, "check the registry, repository and tag"};
    case 405:
    case 501:
      return {ErrorCode::unsupported, "this registry does not offer the operation"};
    case 407:
      return {ErrorCode::unauthorized,
              "put user and password into the proxy's URL in the environment"};
    case 413:
      return {ErrorCode::unsupported,
              "raise the size limit of the registry or of the proxy in front of it"};
    case 429:
      return {ErrorCode::rate_limited, "wait, or log in: accounts have higher limits"};
    case 507:
      return {ErrorCode::no_space, "free space in the registry, or raise the quota"};
    default:
      return {is_transient_status(status) || status >= 500 ? ErrorCode::unavailable
                                                           : ErrorCode::protocol,
              ""};
  }
}

/// The right that a challenge says is missing (F22).
std::string denied_scope(const HttpResponse& response) {
  const auto header = response.header("WWW-Authenticate");
  if (!header || (response.status != 401 && response.status != 403)) {
    return {};
  }
  const auto challenges = parse_challenges(*header);
  return challenges.empty() ? std::string() : challenges.front().parameter("scope");
}

}  // namespace

std::string error_text(const HttpResponse& response) {
  std::string result;
  for (const SpecError& error : parse_errors(response.body)) {
    result += result.empty() ? "" : "; ";
    result += error.code;
    result += error.code.empty() || error.message.empty() ? "" : ": ";
    result += error.message;
  }
  return printable(result.empty() ? std::string_view(trim(response.body)) : result);
}

bool has_error_code(const HttpResponse& response, std::string_view code) {
  for (const SpecError& error : parse_errors(response.body)) {
    if (error.code == code) {
      return true;
    }
  }
  return false;
}

bool is_content_unknown(const HttpResponse& response) {
  return response.status >= 400 && response.status < 500 &&
         has_error_code(response, "MANIFEST_BLOB_UNKNOWN");
}

Error response_error(const HttpResponse& response, std::string_view method, std::string_view url) {
  Meaning meaning = meaning_of(response.status);
  if (has_error_code(response, "TOOMANYREQUESTS")) {
    meaning = meaning_of(429);
  } else if (has_error_code(response, "DIGEST_INVALID") && response.status == 400 &&
             !is_content_unknown(response)) {  // else it is that content's link that is invalid
    meaning = {ErrorCode::verification, "the content changed while it was read or on its way"};
  } else if (has_error_code(response, "UNSUPPORTED")) {
    meaning = meaning_of(405);
  }
  std::string message = std::string(method) + " " + printable_url(url) + ": status " +
                        std::to_string(response.status);
  if (const std::string text = error_text(response); !text.empty()) {
    message += ": " + text;
  }
  if (const std::string scope = denied_scope(response); !scope.empty()) {
    message += "; denied: scope " + printable(scope);
  }
  if (const auto wait = stated_wait(response); wait && *wait > std::chrono::seconds(0)) {
    message += "; it asks to wait " + in_seconds(std::min(*wait, max_shown_wait));
  }
  if (!response.credentials.empty() && response.status == 401) {
    message += "; " + response.credentials + " were refused";
  } else if (!response.credentials.empty() && response.status == 403) {
    message += "; asked with " + response.credentials;
  }
  return Error(meaning.code, std::move(message))
      .with_hint(std::string(meaning.hint))
      .retryable(is_transient_status(response.status) || meaning.code == ErrorCode::rate_limited)
      .with_http_status(response.status);
}

}  // namespace fnimage::registry

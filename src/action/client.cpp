#include <algorithm>
#include <charconv>
#include <random>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/action/client.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/clock.hpp>

namespace fnimage::action {

namespace {

using nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t brief_bytes = 2048;
constexpr std::string_view initialised_text = "Cannot initialize the action more than once.";
constexpr std::string_view name_space = "guest";
constexpr std::string_view action_name = "/guest/action";
constexpr std::string_view action_version = "0.0.1";

constexpr JsonLimits answer_limits{.max_bytes = max_answer_bytes, .max_depth = max_answer_depth};

std::string random_hex(std::size_t bytes) {
  std::random_device source;
  std::vector<std::byte> random(bytes);
  std::generate(random.begin(), random.end(), [&source] { return std::byte(source() & 0xffU); });
  return to_hex(random);
}

/// What the platform says about an activation; all of it as text.
ordered_json context_of(std::string_view activation_id, milliseconds timeout) {
  const auto deadline = std::chrono::system_clock::now() + timeout;
  const auto since_1970 = std::chrono::duration_cast<milliseconds>(deadline.time_since_epoch());
  return {{"namespace", name_space},          {"action_name", action_name},
          {"action_version", action_version}, {"activation_id", activation_id},
          {"transaction_id", random_hex(16)}, {"deadline", std::to_string(since_1970.count())}};
}

std::string variable_name(std::string_view key) {
  std::string name = "__OW_";
  std::transform(key.begin(), key.end(), std::back_inserter(name), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return name;
}

ordered_json init_value(std::string_view activation_id, milliseconds timeout,
                        const Variables& environment) {
  const ordered_json context = context_of(activation_id, timeout);
  ordered_json variables = ordered_json::object();
  for (const auto& [key, text] : context.items()) {
    variables[variable_name(key)] = text;
  }
  for (const auto& [name, text] : environment) {
    variables[name] = text;
  }
  return {{"name", "action"}, {"main", "main"}, {"binary", false}, {"env", std::move(variables)}};
}

/// The members of an object that is text already, to be put among others.
std::string with_value(const ordered_json& object, std::string_view value) {
  std::string text = to_json_text(object);
  text.pop_back();
  return fmt::format("{}{}\"value\":{}}}", text, object.empty() ? "" : ",", value);
}

/// Why the platform's HTTP client would find no answer in it. A body that is shorter than its
/// length fails as a transfer, one that is longer is cut, as it is for the platform.
std::string framing_of(const registry::HttpResponse& response) {
  std::size_t lengths = 0;
  std::string length;
  for (const registry::Header& header : response.headers) {
    if (equals_ignoring_case(header.name, "Content-Length")) {
      ++lengths;
      length = header.value;
    }
  }
  if (const auto encoding = response.header("Transfer-Encoding")) {
    return fmt::format("Transfer-Encoding: {} instead of a Content-Length",
                       printable(*encoding, 80));
  }
  if (lengths != 1) {
    return lengths == 0 ? "no Content-Length" : fmt::format("{} Content-Length headers", lengths);
  }
  if (length != std::to_string(response.body.size())) {
    return fmt::format("Content-Length {} with a body of {} bytes", printable(length, 80),
                       response.body.size());
  }
  constexpr int no_content = 204;
  return response.status == no_content ? "204, which has no content" : "";
}

bool is_port(std::string_view text) {
  constexpr unsigned most = 65535;
  unsigned port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  return problem == std::errc() && end == text.data() + text.size() && port > 0 && port <= most;
}

bool is_host(std::string_view text) {
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) {
    text = text.substr(1, text.size() - 2);
    return text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
  }
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  });
}

Error timed_out(std::string_view what, milliseconds timeout) {
  return Error(ErrorCode::unavailable, fmt::format("{}: no whole answer within {:g} s", what,
                                                   std::chrono::duration<double>(timeout).count()))
      .with_hint("give it more time with --timeout, or look at the action's log");
}

}  // namespace

Result<std::string> parse_url(std::string_view text) {
  std::string_view rest = trim(text);
  std::string_view scheme = "http://";
  bool has_scheme = false;
  for (const std::string_view known : {"http://", "https://"}) {
    if (equals_ignoring_case(rest.substr(0, known.size()), known)) {
      scheme = known;
      rest.remove_prefix(known.size());
      has_scheme = true;
    }
  }
  rest = rest.ends_with('/') ? rest.substr(0, rest.size() - 1) : rest;
  const std::size_t bracket = rest.rfind(']');
  const std::size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const bool has_port = colon != std::string_view::npos;
  if (!is_host(rest.substr(0, colon)) ||
      !(has_port ? is_port(rest.substr(colon + 1)) : has_scheme)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no address of an action", printable(text)),
                "write HOST:PORT or http://HOST:PORT, without a path");
  }
  return fmt::format("{}{}", scheme, rest);
}

Result<std::string> parse_value(std::string_view text, std::string_view what) {
  const auto value = parse_json(text, what, answer_limits);
  if (!value) {
    return fail(ErrorCode::invalid_argument, value.error().message(),
                "give a JSON object or array, such as '{\"name\": \"ada\"}'");
  }
  if (!value->is_object() && !value->is_array()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: neither a JSON object nor an array", what),
                "the platform carries nothing else");
  }
  return std::string(trim(text));
}

Result<nlohmann::json> json_of(const Answer& answer) {
  return parse_json(answer.body, "the answer", answer_limits);
}

std::string brief(const Answer& answer) {
  const auto value = json_of(answer);
  if (value && value->is_object() && value->contains("error")) {
    const nlohmann::json& error = (*value)["error"];
    return error.is_string() ? printable(error.get_ref<const std::string&>(), brief_bytes)
                             : printable(to_json_text(error), brief_bytes);
  }
  return answer.body.empty() ? "an empty body" : printable(trim(answer.body), brief_bytes / 8);
}

bool says_initialised(const Answer& answer) {
  constexpr int forbidden = 403;
  return answer.status == forbidden && answer.body.find(initialised_text) != std::string::npos;
}

std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::success:
      return "success";
    case Outcome::application_error:
      return "application error";
    case Outcome::developer_error:
      return "developer error";
    case Outcome::no_response:
      return "no valid response";
    case Outcome::shutting_down:
      return "shutting down";
  }
  return "";
}

Judgement judge_init(const Answer& answer) {
  constexpr int shutting_down = 503;
  if (!answer.framing.empty()) {
    return {Outcome::no_response,
            fmt::format("the platform would see no answer: {}", answer.framing)};
  }
  if (answer.status == shutting_down) {
    return {Outcome::shutting_down, "status 503: " + brief(answer)};
  }
  if (answer.status != 200) {
    return {Outcome::developer_error, fmt::format("status {}: {}", answer.status, brief(answer))};
  }
  return {};
}

Judgement judge_run(const Answer& answer) {
  if (Judgement judgement = judge_init(answer); judgement.outcome != Outcome::success) {
    return judgement;
  }
  const auto value = json_of(answer);
  if (!value) {
    return {Outcome::developer_error, value.error().message()};
  }
  if (!value->is_object() && !value->is_array()) {
    return {Outcome::developer_error,
            "the result is neither an object nor an array: " + brief(answer)};
  }
  if (value->is_object() && value->contains("error")) {
    return {Outcome::application_error, brief(answer)};
  }
  return {};
}

Error error_of(const Judgement& judgement, std::string_view request) {
  switch (judgement.outcome) {
    case Outcome::application_error:
      return {ErrorCode::invalid_input, "the function answers an error: " + judgement.reason};
    case Outcome::shutting_down:
      return Error(ErrorCode::unavailable, fmt::format("{}: {}", request, judgement.reason))
          .with_hint("it is being stopped; the platform would ask another one");
    case Outcome::no_response:
      return Error(ErrorCode::protocol, fmt::format("{}: {}", request, judgement.reason))
          .with_hint("have it send each answer with its Content-Length, not chunked");
    default:
      return Error(ErrorCode::protocol, fmt::format("{}: {}", request, judgement.reason))
          .with_hint("its standard error says more");
  }
}

Result<std::unique_ptr<registry::Transport>> make_transport(milliseconds timeout,
                                                            const std::stop_token& stop) {
  // Silence means that the function works: only the time of the request counts.
  return registry::make_curl_transport(
      {.stall_timeout = std::chrono::ceil<std::chrono::seconds>(timeout) + std::chrono::seconds(1),
       .stop = stop});
}

std::string_view Client::init_path() const noexcept {
  return endpoint_.knative ? "/" : "/init";
}

std::string_view Client::run_path() const noexcept {
  return endpoint_.knative ? "/" : "/run";
}

Result<Answer> Client::ask(std::string_view method, std::string_view path, std::string body,
                           milliseconds timeout) const {
  const ContentPtr content = memory_content(std::move(body));
  registry::HttpRequest request{.method = std::string(method),
                                .url = endpoint_.url + std::string(path),
                                .headers = {{"Accept", "application/json"}},
                                .max_body = max_answer_bytes,
                                .whole_errors = true,
                                .own_connection = true,
                                .timeout = timeout};
  if (content->size() > 0) {
    request.headers.push_back({"Content-Type", "application/json"});
    request.body = content.get();
  }
  const auto began = steady_clock::now();
  auto response = transport_->perform(request);
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
  if (!response) {
    constexpr milliseconds tolerance{50};
    if (response.error().code() == ErrorCode::unavailable && took + tolerance >= timeout) {
      return fail(timed_out(fmt::format("{} {}", method, request.url), timeout));
    }
    if (response.error().code() == ErrorCode::tls) {
      return fail(ErrorCode::tls, response.error().message(), "write http:// if it speaks no TLS");
    }
    return fail(std::move(response).error());
  }
  Answer answer{.status = response->status, .took = took};
  answer.content_type = response->header("Content-Type").value_or("");
  answer.framing = framing_of(*response);
  answer.body = std::move(response->body);
  return answer;
}

Result<Answer> Client::send(std::string_view method, std::string_view path,
                            std::string body) const {
  return ask(method, path, std::move(body), endpoint_.timeout);
}

Result<Answer> Client::init(std::string_view activation_id, const Variables& environment) const {
  const ordered_json value = init_value(activation_id, endpoint_.timeout, environment);
  return send("POST", init_path(), to_json_text({{endpoint_.knative ? "init" : "value", value}}));
}

Result<Answer> Client::run(std::string_view activation_id, std::string_view value) const {
  const ordered_json context = context_of(activation_id, endpoint_.timeout);
  return send(
      "POST", run_path(),
      with_value(endpoint_.knative ? ordered_json{{"activation", context}} : context, value));
}

Result<Answer> Client::init_and_run(std::string_view activation_id, const Variables& environment,
                                    std::string_view value) const {
  const ordered_json both = {{"init", init_value(activation_id, endpoint_.timeout, environment)},
                             {"activation", context_of(activation_id, endpoint_.timeout)}};
  return send("POST", run_path(), with_value(both, value));
}

Result<void> Client::wait(milliseconds patience) const {
  constexpr milliseconds pause{50};
  constexpr milliseconds least{1};
  const auto end = steady_clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
    auto answer = ask("GET", "/", {}, std::clamp(left, least, endpoint_.timeout));
    if (answer || answer.error().code() != ErrorCode::unavailable) {
      FNIMAGE_CHECK(answer);
      return {};
    }
    if (steady_clock::now() + pause >= end) {
      return fail(std::move(answer).error());
    }
    if (!registry::system_clock().sleep_until(steady_clock::now() + pause,
                                              transport_->stop_token())) {
      return fail(ErrorCode::cancelled, "stopped while waiting for " + endpoint_.url);
    }
  }
}

std::string new_activation_id() {
  return random_hex(16);
}

}  // namespace fnimage::action

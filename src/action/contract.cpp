// The checks of contract.hpp, in the order in which one fresh action can go through all of them.
// Those that test/e2e/conformance.py has as well have the same names there.
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/action/contract.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::action {

namespace {

using nlohmann::json;

constexpr int http_ok = 200;
constexpr int http_bad_request = 400;
constexpr std::size_t shown_bytes = 300;

constexpr const char* json_error_fix =
    "answer what goes wrong with a status of 400 or more and {\"error\": \"…\"}";

/// What is wrong, and what to do about it; without detail nothing is.
struct Problem {
  std::string detail{};
  std::string fix{};
};

/// Of what is no JSON (an error page) the beginning is enough.
std::string shown(const Answer& answer) {
  constexpr std::size_t page_bytes = 80;
  return fmt::format("{} {}", answer.status,
                     json_of(answer) ? printable(brief(answer), shown_bytes)
                                     : printable(trim(answer.body), page_bytes));
}

bool has_error(const Answer& answer) {
  const auto value = json_of(answer);
  return value && value->is_object() && value->contains("error") && !(*value)["error"].is_null();
}

Problem expect_error(const Answer& answer, std::string_view what) {
  if (answer.status < http_bad_request) {
    return {fmt::format("{} is answered {}, where an error is expected", what, shown(answer)),
            json_error_fix};
  }
  if (!has_error(answer)) {
    return {fmt::format("{} is answered {}, without an \"error\" in JSON", what, shown(answer)),
            json_error_fix};
  }
  return {};
}

/// Any answer that a function may give.
Problem expect_sane(const Answer& answer, std::string_view what) {
  if (answer.status >= http_bad_request) {
    return expect_error(answer, what);
  }
  const auto value = json_of(answer);
  if (answer.status != http_ok || !value || !(value->is_object() || value->is_array())) {
    return {fmt::format("{} is answered {}, where 200 and an object or array are expected", what,
                        shown(answer)),
            "give back a JSON object or array"};
  }
  return {};
}

/// What of `expected` the result does not have; empty = it has all.
std::string missing_of(const json& result, const json& expected) {
  if (!expected.is_object() || !result.is_object()) {
    return result == expected ? "" : printable(to_json_text(expected), shown_bytes);
  }
  for (const auto& [key, value] : expected.items()) {
    const auto found = result.find(key);
    if (found == result.end() || *found != value) {
      return printable(fmt::format("\"{}\": {}", key, to_json_text(value)), shown_bytes);
    }
  }
  return {};
}

Problem expect_result(const Answer& answer, const ExpectedCall& call) {
  const std::string what = "a call with " + printable(call.arguments, shown_bytes);
  if (Problem problem = expect_sane(answer, what); !problem.detail.empty()) {
    return problem;
  }
  if (answer.status != http_ok) {
    return {fmt::format("{} is answered {}", what, shown(answer)), "see the action's log"};
  }
  const auto result = json_of(answer);
  const auto expected = parse_json(call.expected, "what is expected");
  if (!expected) {
    return {expected.error().message()};
  }
  const std::string missing = missing_of(*result, *expected);
  return missing.empty() ? Problem{}
                         : Problem{fmt::format("{} is answered {}, without {}", what,
                                               printable(trim(answer.body), shown_bytes), missing),
                                   "see the action's log"};
}

class Contract {
 public:
  Contract(const Client& client, const std::vector<ExpectedCall>& calls)
      : client_(client), calls_(calls) {}

  Result<std::vector<ContractCheck>> run(Diagnostics& diagnostics);

 private:
  using Check = Result<Problem> (Contract::*)();
  struct Entry {
    const char* name;
    bool initialised;  ///< of no use without an /init that went well
    Check check;
  };

  Result<ContractCheck> perform(const Entry& entry);
  void judge_silence(const Error& error);
  Result<Answer> note(std::string_view what, const std::function<Result<Answer>()>& request);
  void note_fault(std::string_view what, std::string_view fault);
  Result<Answer> ask(std::string_view method, std::string_view path, std::string body = {});
  Result<Answer> init();
  Result<Answer> call(std::string_view value);
  Result<Problem> expect_refusals(std::string_view path, int& accepted);

  Result<Problem> other_requests();
  Result<Problem> run_before_init();
  Result<Problem> malformed_requests();
  Result<Problem> init_without_code();
  Result<Problem> second_init();
  Result<Problem> calls();
  Result<Problem> runs_in_a_row();
  Result<Problem> bad_values();
  Result<Problem> malformed_runs();
  Result<Problem> large_argument();
  Result<Problem> answers();

  const Client& client_;
  const std::vector<ExpectedCall>& calls_;
  int malformed_inits_ = 0;  ///< that were taken for good ones
  bool initialised_ = false;
  bool answered_ = false;  ///< at least once
  std::string ended_{};    ///< why nothing more is asked
  std::chrono::steady_clock::time_point asked_at_{};
  std::optional<Error> unreachable_{};                        ///< and never was otherwise
  std::map<std::string, std::string, std::less<>> faults_{};  ///< of answers, with their request
};

/// Also remembers what is wrong with it whatever it answers.
Result<Answer> Contract::note(std::string_view what,
                              const std::function<Result<Answer>()>& request) {
  asked_at_ = std::chrono::steady_clock::now();
  Result<Answer> answer = request();
  if (!answer) {
    return answer;
  }
  answered_ = true;
  const std::string whose = fmt::format("{} ({})", what, answer->status);
  if (!answer->framing.empty()) {
    note_fault(whose, answer->framing);
  }
  const std::string_view type = answer->content_type;
  if (!equals_ignoring_case(trim(type.substr(0, type.find(';'))), "application/json")) {
    note_fault(whose, type.empty() ? std::string("no Content-Type")
                                   : "Content-Type: " + printable(type, 80));
  }
  if (!json_of(*answer)) {
    note_fault(whose, "no JSON");
  }
  return answer;
}

void Contract::note_fault(std::string_view what, std::string_view fault) {
  faults_.try_emplace(std::string(fault), what);
}

Result<Answer> Contract::ask(std::string_view method, std::string_view path, std::string body) {
  return note(fmt::format("{} {}", method, path),
              [&] { return client_.send(method, path, std::move(body)); });
}

Result<Answer> Contract::init() {
  return note(fmt::format("POST {}", client_.init_path()),
              [&] { return client_.init(new_activation_id()); });
}

Result<Answer> Contract::call(std::string_view value) {
  return note(fmt::format("POST {}", client_.run_path()),
              [&] { return client_.run(new_activation_id(), value); });
}

Result<Problem> Contract::other_requests() {
  struct Other {
    const char* method;
    const char* path;
    bool unknown;  ///< else the path is one of its own, with another method
  };
  constexpr std::array own_paths{Other{"GET", "/", true}, Other{"POST", "/", true},
                                 Other{"GET", "/run", false}, Other{"PUT", "/init", false}};
  constexpr std::array one_path{Other{"POST", "/no-such-path", true}, Other{"PUT", "/", false}};
  const auto all = client_.endpoint().knative ? std::span<const Other>(one_path)
                                              : std::span<const Other>(own_paths);
  for (const Other& other : all) {
    FNIMAGE_TRY(const Answer answer, ask(other.method, other.path));
    const bool refused = other.unknown ? answer.status == 404 || answer.status == 405
                                       : answer.status >= http_bad_request;
    if (!refused) {
      return Problem{fmt::format("{} {} is answered {}, where {} is expected", other.method,
                                 other.path, shown(answer), other.unknown ? "404" : "an error"),
                     client_.endpoint().knative
                         ? "answer nothing but POST /, and all else with 404"
                         : "answer nothing but POST /init and POST /run, and all else with 404"};
    }
  }
  return Problem{};
}

Result<Problem> Contract::run_before_init() {
  FNIMAGE_TRY(const Answer answer, call("{}"));
  Problem problem = expect_error(answer, "POST /run before /init");
  if (answer.status == http_ok) {
    problem.fix = "start it anew if it was initialised before; otherwise have it wait for /init";
  }
  return problem;
}

/// @param accepted how many of the malformed requests were taken for good ones.
Result<Problem> Contract::expect_refusals(std::string_view path, int& accepted) {
  constexpr std::size_t deep = 100'000;
  const std::array<std::pair<const char*, std::string>, 4> bodies{
      {{"a \"{\" alone", "{"},
       {"an array", "[1]"},
       {"invalid UTF-8", "\xff\xfe"},
       {"100000 open brackets", std::string(deep, '[')}}};
  Problem first;
  for (const auto& [what, body] : bodies) {
    FNIMAGE_TRY(const Answer answer, ask("POST", path, body));
    accepted += answer.status == http_ok ? 1 : 0;
    Problem problem = expect_error(answer, fmt::format("POST {} with {}", path, what));
    if (first.detail.empty()) {
      first = std::move(problem);
    }
  }
  return first;
}

Result<Problem> Contract::malformed_requests() {
  return expect_refusals(client_.init_path(), malformed_inits_);
}

Result<Problem> Contract::malformed_runs() {
  int accepted = 0;
  FNIMAGE_TRY(Problem problem, expect_refusals(client_.run_path(), accepted));
  if (!problem.detail.empty()) {
    return problem;
  }
  FNIMAGE_TRY(const Answer answer, call("{}"));
  return expect_sane(answer, "POST /run after them");
}

Result<Problem> Contract::init_without_code() {
  FNIMAGE_TRY(const Answer answer, init());
  initialised_ = answer.status == http_ok || says_initialised(answer);
  if (answer.status == http_ok) {
    return Problem{};
  }
  if (says_initialised(answer)) {
    return malformed_inits_ > 0
               ? Problem{"a malformed /init was taken for a good one", json_error_fix}
               : Problem{"it was initialised before",
                         "start it anew: what is checked is an action that nobody has called"};
  }
  return Problem{fmt::format("/init without code is answered {}", shown(answer)),
                 "have the function in the image, with a runtime that takes an /init without code; "
                 "the platform's own runtimes want the code with each action"};
}

Result<Problem> Contract::second_init() {
  FNIMAGE_TRY(const Answer answer, init());
  if (!says_initialised(answer) || !has_error(answer)) {
    return Problem{fmt::format("a second /init is answered {}", shown(answer)),
                   "answer it 403 {\"error\": \"Cannot initialize the action more than once.\"}"};
  }
  return Problem{};
}

Result<Problem> Contract::calls() {
  if (calls_.empty()) {
    FNIMAGE_TRY(const Answer answer, call("{}"));
    return expect_sane(answer, "a call with {}");
  }
  for (const ExpectedCall& expected : calls_) {
    FNIMAGE_TRY(const Answer answer, call(expected.arguments));
    if (Problem problem = expect_result(answer, expected); !problem.detail.empty()) {
      return problem;
    }
  }
  return Problem{};
}

Result<Problem> Contract::runs_in_a_row() {
  constexpr int runs = 5;
  for (int i = 1; i <= runs; ++i) {
    FNIMAGE_TRY(const Answer answer, call(calls_.empty() ? "{}" : calls_.front().arguments));
    Problem problem = calls_.empty() ? expect_sane(answer, "a call with {}")
                                     : expect_result(answer, calls_.front());
    if (!problem.detail.empty()) {
      return Problem{fmt::format("run {} of {}: {}", i, runs, problem.detail), problem.fix};
    }
  }
  return Problem{};
}

Result<Problem> Contract::bad_values() {
  for (const char* value : {"\"neither object nor array\"", "42", "true"}) {
    FNIMAGE_TRY(const Answer answer, call(value));
    if (Problem problem = expect_error(answer, fmt::format("the value {}", value));
        !problem.detail.empty()) {
      return problem;
    }
  }
  return Problem{};
}

Result<Problem> Contract::large_argument() {
  constexpr int too_large = 413;
  const std::string text(platform_limit - std::string_view(R"({"text":""})").size(), 'x');
  FNIMAGE_TRY(const Answer answer, call(fmt::format(R"({{"text":"{}"}})", text)));
  if (answer.status == too_large) {
    return Problem{fmt::format("an argument of 1 MiB is answered {}", shown(answer)),
                   "take requests of somewhat more than 1 MiB, as the platform sends them"};
  }
  return expect_sane(answer, "an argument of 1 MiB");
}

/// Each fault once, with the first request that had it.
Result<Problem> Contract::answers() {
  std::string text;
  for (const auto& [fault, request] : faults_) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", request, fault);
  }
  return Problem{std::move(text),
                 "send each answer, errors too, as JSON with Content-Type: application/json and "
                 "one Content-Length, not chunked"};
}

/// Whether there is anything to go on with after an answer that did not come.
void Contract::judge_silence(const Error& error) {
  constexpr std::chrono::milliseconds tolerance{50};
  const bool out_of_time =
      std::chrono::steady_clock::now() - asked_at_ + tolerance >= client_.endpoint().timeout;
  if (error.code() == ErrorCode::unavailable && out_of_time) {
    ended_ = "an answer before did not come in time";
    return;
  }
  if (error.code() == ErrorCode::unavailable && client_.send("GET", "/")) {
    answered_ = true;
    return;
  }
  if (error.code() == ErrorCode::unavailable || error.code() == ErrorCode::tls) {
    ended_ = "it does not answer any more";
    unreachable_ = answered_ ? std::nullopt : std::optional(error);
  }
}

/// Error: cancelled only.
Result<ContractCheck> Contract::perform(const Entry& entry) {
  ContractCheck check{.name = entry.name};
  if (!ended_.empty() || (entry.initialised && !initialised_)) {
    check.verdict = Verdict::skipped;
    check.detail = ended_.empty() ? "it is not initialised" : ended_;
    return check;
  }
  Result<Problem> problem = (this->*entry.check)();
  if (problem) {
    if (!problem->detail.empty()) {
      check.verdict = Verdict::failed;
      check.detail = std::move(problem->detail);
      check.fix = std::move(problem->fix);
    }
    return check;
  }
  const Error& error = problem.error();
  if (error.code() == ErrorCode::cancelled) {
    return fail(error);
  }
  check.verdict = Verdict::failed;
  check.detail = error.message();
  check.fix = error.hint();
  judge_silence(error);
  return check;
}

Result<std::vector<ContractCheck>> Contract::run(Diagnostics& diagnostics) {
  constexpr std::array entries{
      Entry{"other requests", false, &Contract::other_requests},
      Entry{"run before init", false, &Contract::run_before_init},
      Entry{"malformed requests", false, &Contract::malformed_requests},
      Entry{"init without code", false, &Contract::init_without_code},
      Entry{"second init", true, &Contract::second_init},
      Entry{"calls", true, &Contract::calls},
      Entry{"runs in a row", true, &Contract::runs_in_a_row},
      Entry{"bad values", true, &Contract::bad_values},
      Entry{"malformed runs", true, &Contract::malformed_runs},
      Entry{"large argument", true, &Contract::large_argument},
  };
  std::vector<ContractCheck> checks;
  for (const Entry& entry : entries) {
    if (client_.endpoint().knative && entry.check == &Contract::run_before_init) {
      continue;  // what is in the image may run without
    }
    const auto task = diagnostics.begin(entry.name, 0);
    FNIMAGE_TRY(checks.emplace_back(), perform(entry));
    if (unreachable_) {
      return fail(std::move(*unreachable_));
    }
  }
  if (answered_) {
    ended_.clear();  // what there was can be judged all the same
  }
  FNIMAGE_TRY(checks.emplace_back(), perform(Entry{"answers", false, &Contract::answers}));
  return checks;
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::failed:
      return "FAIL";
    case Verdict::skipped:
      return "skipped";
  }
  return "";
}

Result<std::vector<ContractCheck>> check_contract(const Client& client,
                                                  const std::vector<ExpectedCall>& calls,
                                                  Diagnostics& diagnostics) {
  return Contract(client, calls).run(diagnostics);
}

}  // namespace fnimage::action

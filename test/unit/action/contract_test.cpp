// Each fault of an action is named by the check that is for it, and by that alone.
#include <algorithm>

#include <fnimage/action/contract.hpp>

#include "fake_action.hpp"

namespace fnimage::action {
namespace {

using namespace std::chrono_literals;
using test::fails_with;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<ContractCheck> checked(const FakeAction& fake,
                                   const std::vector<ExpectedCall>& calls = {},
                                   std::chrono::milliseconds timeout = std::chrono::minutes(1)) {
  return unwrap(check_contract(fake.client(false, timeout), calls, null_diagnostics()));
}

/// "NAME: DETAIL"
std::vector<std::string> with_verdict(const std::vector<ContractCheck>& checks, Verdict verdict) {
  std::vector<std::string> texts;
  for (const ContractCheck& check : checks) {
    if (check.verdict == verdict) {
      texts.push_back(check.name + ": " + check.detail);
    }
  }
  return texts;
}

std::vector<std::string> failed(const std::vector<ContractCheck>& checks) {
  return with_verdict(checks, Verdict::failed);
}

FakeAction::Fault when(std::function<bool(const SeenRequest&)> matches, const Reply& reply) {
  return [matches = std::move(matches), reply](const SeenRequest& request) {
    return matches(request) ? std::optional(reply) : std::nullopt;
  };
}

bool has(const SeenRequest& request, std::string_view text) {
  return request.body.find(text) != std::string::npos;
}

bool is_run(const SeenRequest& request) {
  return request.target == "/run" && has(request, "activation_id");
}

TEST(Contract, AnActionThatKeepsItHasNothingWrong) {
  const FakeAction fake;
  const auto checks = checked(fake, {{R"({"a": 1})", R"({"a": 1})"}, {"[1]", "[1]"}});
  EXPECT_THAT(failed(checks), IsEmpty());
  EXPECT_THAT(with_verdict(checks, Verdict::skipped), IsEmpty());
  std::vector<std::string> names;
  for (const ContractCheck& check : checks) {
    names.push_back(check.name);
  }
  EXPECT_THAT(names, ElementsAre("other requests", "run before init", "malformed requests",
                                 "init without code", "second init", "calls", "runs in a row",
                                 "bad values", "malformed runs", "large argument", "answers"));
  std::size_t largest = 0;
  for (const SeenRequest& request : fake.server().requests()) {
    largest = std::max(largest, request.body.size());
  }
  EXPECT_GT(largest, std::size_t{1} << 20);
  EXPECT_EQ(fake.server().requests().size(), fake.server().connections());
}

TEST(Contract, OneThatWasInitialisedIsNamed) {
  const FakeAction fake;
  unwrap(fake.client().init("1"));
  EXPECT_THAT(failed(checked(fake)),
              ElementsAre(HasSubstr("run before init: "), HasSubstr("it was initialised before")));
}

TEST(Contract, ResultsOtherThanExpectedAreNamed) {
  EXPECT_THAT(failed(checked(FakeAction(), {{R"({"a": 1})", R"({"a": 2})"}})),
              ElementsAre(AllOf(HasSubstr("calls: "), HasSubstr("without \"a\": 2")),
                          HasSubstr("runs in a row: run 1 of 5")));
  EXPECT_THAT(failed(checked(FakeAction(), {{"[1]", "[2]"}})).front(), HasSubstr("without [2]"));
}

TEST(Contract, StockRuntimesThatWantCodeAreNamedAndTheRestIsSkipped) {
  const FakeAction stock(when(
      [](const SeenRequest& request) {
        return request.line() == "POST /init" && has(request, "env");
      },
      json_reply(403, R"({"error": "Missing main/no code to execute."})")));
  const auto checks = checked(stock);
  EXPECT_THAT(failed(checks), ElementsAre(AllOf(HasSubstr("init without code: "),
                                                HasSubstr("Missing main/no code"))));
  EXPECT_EQ(6U, with_verdict(checks, Verdict::skipped).size());
}

TEST(Contract, AnswersToWhatIsNoRequestAreNamed) {
  EXPECT_THAT(failed(checked(FakeAction(
                  when([](const SeenRequest& request) { return request.line() == "GET /"; },
                       json_reply(200, "{}"))))),
              ElementsAre(HasSubstr("other requests: GET / is answered 200")));
  EXPECT_THAT(failed(checked(FakeAction(when(
                  [](const SeenRequest& request) {
                    return request.line() == "POST /run" &&
                           request.body == "[" + std::string(99'999, '[');
                  },
                  json_reply(200, "{}"))))),
              ElementsAre(HasSubstr("malformed runs: POST /run with 100000 open brackets")));
  EXPECT_THAT(failed(checked(FakeAction(when(
                  [](const SeenRequest& request) {
                    return is_run(request) && has(request, "\"value\":42");
                  },
                  json_reply(200, "{}"))))),
              ElementsAre(HasSubstr("bad values: the value 42 is answered 200")));
}

TEST(Contract, AMalformedInitThatIsTakenIsNamed) {
  EXPECT_THAT(failed(checked(FakeAction(when(
                  [](const SeenRequest& request) {
                    return request.line() == "POST /init" && request.body == "[1]";
                  },
                  json_reply(200, "{}"))))),
              ElementsAre(HasSubstr("malformed requests: POST /init with an array")));
}

TEST(Contract, ASecondInitThatIsTakenIsNamed) {
  EXPECT_THAT(failed(checked(FakeAction(when(
                  [](const SeenRequest& request) {
                    return request.line() == "POST /init" && has(request, "env");
                  },
                  json_reply(200, "{}"))))),
              Contains(HasSubstr("second init: a second /init is answered 200")));
}

TEST(Contract, LargeArgumentsThatAreRefusedAreNamed) {
  EXPECT_THAT(
      failed(checked(FakeAction(when(
          [](const SeenRequest& request) { return request.body.size() > (std::size_t{1} << 20); },
          json_reply(413, R"({"error": "too large"})"))))),
      ElementsAre(HasSubstr("large argument: ")));
}

TEST(Contract, FaultsOfAnswersAreNamedOnce) {
  const auto found = failed(checked(
      FakeAction(when([](const SeenRequest& request) { return request.line() == "GET /"; },
                      {.raw = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n3\r\n<p>\r\n0\r\n\r\n"}))));
  EXPECT_THAT(found, ElementsAre(AllOf(HasSubstr("answers: "), HasSubstr("GET / (404): no JSON"),
                                       HasSubstr("Content-Type: text/html"),
                                       HasSubstr("Transfer-Encoding: chunked"))));
}

TEST(Contract, AfterAnAnswerThatDoesNotComeNothingIsAsked) {
  Reply stalled = json_reply(200, R"({"a": 1})");
  stalled.fault = Reply::Fault::stall_head;
  const FakeAction fake(when(is_run, stalled));
  const auto checks = checked(fake, {}, 300ms);
  EXPECT_THAT(failed(checks),
              ElementsAre(AllOf(HasSubstr("run before init: "), HasSubstr("within 0.3 s"))));
  EXPECT_EQ(8U, with_verdict(checks, Verdict::skipped).size());
  EXPECT_EQ(5U, fake.server().requests().size());
}

TEST(Contract, AConnectionThatIsLostIsNamedAndTheRestGoesOn) {
  const FakeAction fake(
      when([](const SeenRequest& request) { return has(request, "\"value\":true"); },
           {.fault = Reply::Fault::drop}));
  const auto checks = checked(fake);
  EXPECT_THAT(failed(checks), ElementsAre(HasSubstr("bad values: ")));
  EXPECT_THAT(with_verdict(checks, Verdict::skipped), IsEmpty());
}

TEST(Contract, WhereNothingAnswersThatIsTheError) {
  const FakeAction fake([](const SeenRequest&) { return Reply{.fault = Reply::Fault::drop}; });
  EXPECT_THAT(check_contract(fake.client(), {}, null_diagnostics()),
              fails_with(ErrorCode::unavailable));
}

TEST(Contract, OtherProtocolsAreFindings) {
  const FakeAction fake([](const SeenRequest&) { return Reply{.raw = "220 mail ready\r\n"}; });
  EXPECT_FALSE(failed(checked(fake)).empty());
}

}  // namespace
}  // namespace fnimage::action

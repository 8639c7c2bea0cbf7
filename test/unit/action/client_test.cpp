// What a running action is asked, and how its answers are judged.
#include <atomic>
#include <chrono>

#include <fnimage/action/client.hpp>
#include <fnimage/action/invoke.hpp>

#include "fake_action.hpp"

namespace fnimage::action {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::fails_with;
using test::is_ok;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Answers /run with this; all else as the contract says.
FakeAction::Fault runs(const Reply& reply) {
  return [reply](const SeenRequest& request) {
    return request.target == "/run" ? std::optional(reply) : std::nullopt;
  };
}

Judgement judged(const Reply& reply) {
  const FakeAction fake(runs(reply));
  return unwrap(invoke(fake.client(), {})).judgement;
}

TEST(Url, IsHostAndPort) {
  EXPECT_EQ("http://127.0.0.1:8080", unwrap(parse_url("127.0.0.1:8080")));
  EXPECT_EQ("http://node-1.site:8080", unwrap(parse_url("http://node-1.site:8080/")));
  EXPECT_EQ("https://fn.example", unwrap(parse_url("https://fn.example")));
  EXPECT_EQ("http://[::1]:80", unwrap(parse_url("[::1]:80")));
  for (const char* bad : {"", "http://", "host", ":8080", "host:", "host:0", "host:65536",
                          "host:8x", "http://host:1/run", "http://u:p@host:1", "host:1?x",
                          "ftp://host:1", "::1", "[::1", "a b:1"}) {
    EXPECT_THAT(parse_url(bad), fails_with(ErrorCode::invalid_argument)) << bad;
  }
}

TEST(Value, IsObjectOrArrayAndStaysAsItIsSpelled) {
  EXPECT_EQ(R"({"b": 1.50, "a": 2})", unwrap(parse_value(" {\"b\": 1.50, \"a\": 2}\n", "it")));
  EXPECT_THAT(parse_value("[1]", "it"), is_ok());
  EXPECT_THAT(parse_value("1", "it"),
              fails_with(ErrorCode::invalid_argument, HasSubstr("neither")));
  EXPECT_THAT(parse_value("{", "it"), fails_with(ErrorCode::invalid_argument, HasSubstr("byte")));
}

TEST(Invoke, TellsWhatThePlatformTells) {
  const FakeAction fake;
  const Activation done =
      unwrap(invoke(fake.client(), {.arguments = R"({"a": 1})", .environment = {{"K", "v"}}}));
  EXPECT_TRUE(done.initialised);
  EXPECT_EQ(Outcome::success, done.judgement.outcome);
  EXPECT_EQ(json({{"a", 1}, {"id", done.id}}), unwrap(json_of(done.answer)));

  const auto requests = fake.server().requests();
  ASSERT_EQ(2U, requests.size());
  EXPECT_THAT(fake.server().lines(), ElementsAre("POST /init", "POST /run"));
  EXPECT_NE(requests[0].connection, requests[1].connection) << "one connection for each request";
  EXPECT_EQ("application/json", requests[1].header("Content-Type"));
  EXPECT_EQ("application/json", requests[1].header("Accept"));
  const json init = json::parse(requests[0].body)["value"];
  EXPECT_EQ("main", init["main"]);
  EXPECT_EQ(false, init["binary"]);
  EXPECT_FALSE(init.contains("code"));
  EXPECT_EQ("v", init["env"]["K"]);
  EXPECT_EQ(init["env"]["__OW_ACTIVATION_ID"], done.id);
  const json run = json::parse(requests[1].body);
  for (const char* key : {"namespace", "action_name", "action_version", "activation_id",
                          "transaction_id", "deadline"}) {
    EXPECT_TRUE(run[key].is_string()) << key;
  }
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const std::int64_t left = std::stoll(run["deadline"].get<std::string>()) - now.count();
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 60'000);
}

TEST(Invoke, AnActionThatWasInitialisedIsRunUnlessThatIsAnError) {
  const FakeAction fake;
  EXPECT_TRUE(unwrap(invoke(fake.client(), {})).initialised);
  EXPECT_FALSE(unwrap(invoke(fake.client(), {})).initialised);
  EXPECT_THAT(invoke(fake.client(), {.initialisation = Initialisation::required}),
              fails_with(ErrorCode::already_exists));
  const std::size_t before = fake.server().requests().size();
  EXPECT_FALSE(unwrap(invoke(fake.client(), {.initialisation = Initialisation::none})).initialised);
  EXPECT_EQ(before + 1, fake.server().requests().size());
}

TEST(Invoke, AnInitThatFailsIsTheError) {
  const FakeAction stock([](const SeenRequest&) {
    return json_reply(403, R"({"error": "Missing main/no code to execute."})");
  });
  const auto result = invoke(stock.client(), {});
  EXPECT_THAT(result, fails_with(ErrorCode::protocol, HasSubstr("no code to execute")));
  EXPECT_THAT(result.error().hint(), HasSubstr("its code with /init"));
  EXPECT_THAT(stock.server().lines(), ElementsAre("POST /init"));

  const FakeAction away([](const SeenRequest&) { return json_reply(503, R"({"error": "x"})"); });
  EXPECT_THAT(invoke(away.client(), {}), fails_with(ErrorCode::unavailable));
}

TEST(Invoke, TheSingleEndpointIsToldAllAtOnceAndWithoutInitAgain) {
  std::atomic<bool> initialised = false;
  const FakeAction fake([&initialised](const SeenRequest& request) {
    const bool again = json::parse(request.body).contains("init") && initialised.exchange(true);
    return again ? json_reply(403, R"({"error":"Cannot initialize the action more than once."})")
                 : json_reply(200, json::parse(request.body)["value"].dump());
  });
  const Client client = fake.client(/*knative=*/true);
  EXPECT_TRUE(unwrap(invoke(client, {.arguments = R"({"a":1})"})).initialised);
  const Activation second = unwrap(invoke(client, {.arguments = R"({"a":2})"}));
  EXPECT_FALSE(second.initialised);
  EXPECT_EQ(R"({"a":2})", second.answer.body);
  EXPECT_THAT(fake.server().lines(), ElementsAre("POST /", "POST /", "POST /"));
  const json first = json::parse(fake.server().requests()[0].body);
  EXPECT_TRUE(first["init"]["env"].is_object());
  EXPECT_TRUE(first["activation"]["deadline"].is_string());
  EXPECT_THAT(invoke(client, {.initialisation = Initialisation::required}),
              fails_with(ErrorCode::already_exists));
}

TEST(Judgement, FollowsThePlatform) {
  EXPECT_EQ(Outcome::success, judged(json_reply(200, "[1]")).outcome);
  EXPECT_EQ(Outcome::success, judged(json_reply(200, R"({"a": {"error": 1}})")).outcome);
  const Judgement application = judged(json_reply(200, R"({"error": {"cell": 2}})"));
  EXPECT_EQ(Outcome::application_error, application.outcome);
  EXPECT_EQ(R"({"cell":2})", application.reason);
  const Judgement failed = judged(json_reply(502, R"({"error": "ValueError: \u001b[1m"})"));
  EXPECT_EQ(Outcome::developer_error, failed.outcome);
  EXPECT_EQ(R"(status 502: ValueError: \x1b[1m)", failed.reason);
  EXPECT_EQ(Outcome::developer_error, judged(json_reply(200, "42")).outcome);
  EXPECT_EQ(Outcome::developer_error, judged(json_reply(200, "<html>")).outcome);
  EXPECT_EQ(Outcome::developer_error, judged(json_reply(302, "{}")).outcome);
  EXPECT_EQ(Outcome::shutting_down, judged(json_reply(503, "{}")).outcome);
}

TEST(Judgement, AnswersWithoutAUsableLengthAreNone) {
  const Judgement chunked =
      judged({.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"});
  EXPECT_EQ(Outcome::no_response, chunked.outcome);
  EXPECT_THAT(chunked.reason, HasSubstr("Transfer-Encoding: chunked"));
  const Judgement endless = judged({.raw = "HTTP/1.1 200 OK\r\n\r\n{}"});
  EXPECT_EQ(Outcome::no_response, endless.outcome);
  EXPECT_THAT(endless.reason, HasSubstr("no Content-Length"));
  const Judgement twice =
      judged({.raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"});
  EXPECT_EQ(Outcome::no_response, twice.outcome);
  EXPECT_EQ(Outcome::no_response, judged({.raw = "HTTP/1.1 204 No Content\r\n\r\n"}).outcome);
  EXPECT_EQ(Outcome::no_response,
            judged({.raw = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"}).outcome);
}

TEST(Answers, OfErrorsAreReadToTheirEnd) {
  const std::string text(100'000, 'x');
  const FakeAction fake(runs(json_reply(502, "{\"error\": \"" + text + "\"}")));
  const Activation done = unwrap(invoke(fake.client(), {}));
  EXPECT_EQ(unwrap(json_of(done.answer))["error"], text);
}

TEST(Answers, AreBounded) {
  const FakeAction fake([](const SeenRequest&) {
    return Reply{.headers = {{"Content-Type", "application/json"}},
                 .body = std::string(std::size_t{1} << 20, ' '),
                 .fault = Reply::Fault::endless};
  });
  EXPECT_THAT(fake.client().send("POST", "/run", "{}"),
              fails_with(ErrorCode::protocol, HasSubstr("larger than allowed")));
}

TEST(Answers, ThatDoNotComeInTimeAreNamed) {
  Reply stalled = json_reply(200, R"({"a": 1})");
  stalled.fault = Reply::Fault::stall;
  const FakeAction fake(runs(stalled));
  EXPECT_THAT(invoke(fake.client(false, 200ms), {}),
              fails_with(ErrorCode::unavailable, HasSubstr("no whole answer within 0.2 s")));
}

TEST(Answers, ThatEndEarlyFailAndAreNotAskedForAgain) {
  Reply cut = json_reply(200, R"({"a": 1})");
  cut.fault = Reply::Fault::cut;
  const FakeAction fake(runs(cut));
  EXPECT_THAT(invoke(fake.client(), {}), fails_with(ErrorCode::unavailable));
  EXPECT_THAT(fake.server().lines(), ElementsAre("POST /init", "POST /run"));
}

TEST(Wait, EndsWithTheFirstAnswerOrTheLastError) {
  std::atomic<int> asked = 0;
  const FakeAction late([&asked](const SeenRequest&) {
    return ++asked < 3 ? std::optional(Reply{.fault = Reply::Fault::drop}) : std::nullopt;
  });
  EXPECT_THAT(late.client().wait(60s), is_ok());
  EXPECT_EQ(3, asked.load());
  const FakeAction never([](const SeenRequest&) { return Reply{.fault = Reply::Fault::drop}; });
  EXPECT_THAT(never.client().wait(120ms), fails_with(ErrorCode::unavailable));
  EXPECT_GT(never.server().requests().size(), 1U);
}

TEST(ActivationId, IsNewEachTime) {
  EXPECT_EQ(32U, new_activation_id().size());
  EXPECT_NE(new_activation_id(), new_activation_id());
}

}  // namespace
}  // namespace fnimage::action

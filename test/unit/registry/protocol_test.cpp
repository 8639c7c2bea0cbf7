// The client's pure parts as tables: challenges, retry decisions, error answers, tokens, links,
// credentials.
#include <fnimage/registry/credentials.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "auth.hpp"
#include "challenge.hpp"
#include "error_body.hpp"
#include "repository_store.hpp"
#include "retry.hpp"

namespace fnimage::registry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Challenges, BearerWithQuotedParameters) {
  const auto found = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push")");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].parameter("realm"), "https://auth.example/token");
  EXPECT_EQ(found[0].parameter("service"), "registry.example");
  EXPECT_EQ(found[0].parameter("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(found[0].parameter("none"), "");
}

TEST(Challenges, SeveralInOneHeader) {
  const auto found = parse_challenges(
      R"(Negotiate, Basic Realm = "a \"b\", c" , charset=UTF-8,, bearer realm="https://x/")");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].scheme, "negotiate");
  EXPECT_EQ(found[1].parameter("realm"), R"(a "b", c)");
  EXPECT_EQ(found[1].parameter("charset"), "UTF-8");
  EXPECT_EQ(found[2].scheme, "bearer");
}

TEST(Challenges, NonsenseIsBoundedAndHarmless) {
  for (const std::string& text :
       {std::string(), std::string(","), std::string("="), std::string("Bearer realm=\"open"),
        std::string("\x01\x02"), std::string(100'000, ','), std::string("Basic realm=\"\\")}) {
    EXPECT_LE(parse_challenges(text).size(), 16U);
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += "Basic a=b,";
  }
  EXPECT_LE(parse_challenges(many).size(), 16U);
}

TEST(Retry, StatusTable) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    EXPECT_TRUE(is_transient_status(status)) << status;
  }
  for (const int status : {200, 201, 301, 400, 401, 403, 404, 405, 409, 413, 416, 501, 507}) {
    EXPECT_FALSE(is_transient_status(status)) << status;
  }
}

TEST(Retry, RetryAfterInSecondsAndAsDate) {
  const auto now = std::chrono::system_clock::from_time_t(1'700'000'000);  // 2023-11-14 22:13:20
  EXPECT_EQ(parse_retry_after("3", "", now), seconds(3));
  EXPECT_EQ(parse_retry_after(" 0 ", "", now), seconds(0));
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:13:50 GMT", "", now), seconds(30));
  // Against the answer's own clock, however wrong ours is.
  EXPECT_EQ(
      parse_retry_after("Sat, 01 Jan 2000 00:00:10 GMT", "Sat, 01 Jan 2000 00:00:00 GMT", now),
      seconds(10));
  EXPECT_EQ(parse_retry_after("Sat, 01 Jan 2000 00:00:10 GMT", "", now), seconds(0));
  EXPECT_EQ(parse_retry_after("soon", "", now), std::nullopt);
  EXPECT_EQ(parse_retry_after("-5", "", now), std::nullopt);
  EXPECT_EQ(parse_retry_after("", "", now), std::nullopt);
  EXPECT_GT(parse_retry_after("99999999999999999999999", "", now), seconds(1'000'000));
}

TEST(Retry, BackoffDoublesUpToTheCapAndIsJittered) {
  const RetryOptions options{.first_delay = milliseconds(200), .max_delay = milliseconds(3000)};
  EXPECT_EQ(backoff(options, 0, 1.0), milliseconds(200));
  EXPECT_EQ(backoff(options, 0, 0.0), milliseconds(100));
  EXPECT_EQ(backoff(options, 3, 1.0), milliseconds(1600));
  EXPECT_EQ(backoff(options, 9, 1.0), milliseconds(3000));
  EXPECT_EQ(backoff(options, 1'000'000, 1.0), milliseconds(3000));
}

TEST(ErrorAnswers, SayCodeAndMessageWithoutControlBytes) {
  const HttpResponse response{
      .status = 400,
      .body =
          R"({"errors":[{"code":"NAME_INVALID","message":"bad \u001b[31mname"},{"code":"X"}]})"};
  EXPECT_THAT(error_text(response),
              AllOf(HasSubstr("NAME_INVALID: bad "), HasSubstr("; X"), Not(HasSubstr("\x1b"))));
  const Error error = response_error(response, "PUT", "http://u:p@r.example/v2/x?digest=y");
  EXPECT_EQ(error.code(), ErrorCode::protocol);
  EXPECT_EQ(error.http_status(), 400);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("PUT http://r.example/v2/x: status 400"),
                                     Not(HasSubstr("u:p")), Not(HasSubstr("digest=y"))));
}

TEST(ErrorAnswers, AnyBodyWillDo) {
  const std::string page = "<html>" + std::string(5000, 'x');
  EXPECT_LT(error_text({.status = 502, .body = page}).size(), 600U);
  EXPECT_THAT(error_text({.status = 502, .body = page}), HasSubstr("<html>"));
  EXPECT_EQ(error_text({.status = 502}), "");
  const std::string odd = R"({"errors":[1,null,{"code":5}]})";
  EXPECT_EQ(error_text({.status = 400, .body = odd}), odd);
  EXPECT_EQ(error_text({.status = 401, .body = R"({"details":"wrong"})"}), "wrong");
}

TEST(ErrorAnswers, ClassFollowsStatusAndCode) {
  const auto code = [](int status, std::string body = {}) {
    return response_error({.status = status, .body = std::move(body)}, "GET", "http://r/").code();
  };
  EXPECT_EQ(code(401), ErrorCode::unauthorized);
  EXPECT_EQ(code(403), ErrorCode::unauthorized);
  EXPECT_EQ(code(404), ErrorCode::not_found);
  EXPECT_EQ(code(405), ErrorCode::unsupported);
  EXPECT_EQ(code(413), ErrorCode::unsupported);
  EXPECT_EQ(code(429), ErrorCode::rate_limited);
  EXPECT_EQ(code(503), ErrorCode::unavailable);
  EXPECT_EQ(code(507), ErrorCode::no_space);
  EXPECT_EQ(code(302), ErrorCode::protocol);
  EXPECT_EQ(code(403, R"({"errors":[{"code":"TOOMANYREQUESTS"}]})"), ErrorCode::rate_limited);
  EXPECT_EQ(code(400, R"({"errors":[{"code":"DIGEST_INVALID"}]})"), ErrorCode::verification);
  EXPECT_EQ(code(400, R"({"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]})"),
            ErrorCode::protocol);
}

TEST(Tokens, BothNamesAndLifetime) {
  const auto now = std::chrono::steady_clock::now();
  EXPECT_EQ(unwrap(parse_token(R"({"token":"t"})", now)).value, "t");
  EXPECT_EQ(unwrap(parse_token(R"({"token":"t"})", now)).refresh_at, now + seconds(48));
  EXPECT_EQ(unwrap(parse_token(R"({"access_token":"a","expires_in":300})", now)).refresh_at,
            now + seconds(240));
  EXPECT_EQ(unwrap(parse_token(R"({"token":"t","expires_in":-1})", now)).refresh_at,
            now + seconds(48));
}

TEST(Tokens, UnusableOnesAreRefused) {
  const auto now = std::chrono::steady_clock::now();
  for (const std::string_view body :
       {R"({})", R"({"token":""})", R"({"token":"a b"})", R"({"token":"a\r\nX: y"})",
        R"({"token":"\u00e9"})", "[]", "no"}) {
    EXPECT_FALSE(parse_token(body, now).has_value()) << body;
  }
}

TEST(Tls, SettingsBelongToTheRegistry) {
  const Url registry = unwrap(Url::parse("https://r.example:5000/"));
  const TlsOptions tls{
      .verify = false, .ca_file = "ca.pem", .cert_file = "c.pem", .key_file = "k.pem"};
  const TlsOptions own = tls_towards(registry, tls, unwrap(Url::parse("https://r.example:5000/x")));
  EXPECT_FALSE(own.verify);
  EXPECT_EQ(own.cert_file, "c.pem");
  const TlsOptions port =
      tls_towards(registry, tls, unwrap(Url::parse("https://r.example:5001/x")));
  EXPECT_FALSE(port.verify);
  EXPECT_TRUE(port.cert_file.empty() && port.key_file.empty());
  const TlsOptions other =
      tls_towards(registry, tls, unwrap(Url::parse("https://o.example:5000/")));
  EXPECT_TRUE(other.verify);
  EXPECT_TRUE(other.cert_file.empty() && other.key_file.empty());
}

TEST(Links, NextIsFound) {
  EXPECT_EQ(next_link(R"(</v2/a/tags/list?n=2&last=b>; rel="next")"), "/v2/a/tags/list?n=2&last=b");
  EXPECT_EQ(next_link(R"(<x>; rel=prev, <y>; title="t"; rel=next)"), "y");
  EXPECT_EQ(next_link(R"(<x>; rel="prev")"), std::nullopt);
  EXPECT_EQ(next_link("<x"), std::nullopt);
  EXPECT_EQ(next_link(""), std::nullopt);
}

class DockerConfigTest : public ::testing::Test {
 protected:
  Result<std::optional<Credentials>> find(std::string_view config, std::string_view registry) {
    const auto file = directory_.write("config.json", config);
    FNIMAGE_TRY(const auto store, docker_config_credentials(file));
    return store->find(registry);
  }
  test::TempDir directory_;
};

TEST_F(DockerConfigTest, FormsOfAnEntry) {
  constexpr std::string_view config = R"({"auths": {
    "r.example:5000": {"auth": "dXNlcjpwYTpzcw=="},
    "plain.example": {"username": "u", "password": "p"},
    "token.example": {"auth": "PHRva2VuPjo=", "identitytoken": "idt"},
    "https://old.example/v1/": {"auth": "YTpi"}}})";
  const auto entry = unwrap(find(config, "r.example:5000"));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->username, "user");
  EXPECT_EQ(entry->password, "pa:ss");
  EXPECT_EQ(unwrap(find(config, "plain.example"))->password, "p");
  EXPECT_EQ(unwrap(find(config, "token.example"))->identity_token, "idt");
  EXPECT_EQ(unwrap(find(config, "old.example"))->username, "a");
}

TEST_F(DockerConfigTest, OnlyTheExactRegistry) {
  constexpr std::string_view config = R"({"auths": {
    "reg.io": {"auth": "YTpi"}, "https://old.io/team/x": {"auth": "YTpi"}}})";
  for (const std::string_view other :
       {"reg.io.evil.com", "reg.io:5000", "reg", "eg.io", "REG.io.", "old.io", ""}) {
    EXPECT_EQ(unwrap(find(config, other)), std::nullopt) << other;
  }
}

TEST_F(DockerConfigTest, BrokenFilesAreErrorsThatNameThem) {
  for (const std::string_view config :
       {"{", "[]", R"({"auths": 1})", R"({"auths": {"r": 1}})",
        R"({"auths": {"r": {"auth": "!"}}})", R"({"auths": {"r": {"auth": "YQ=="}}})"}) {
    EXPECT_THAT(find(config, "r"), fails_with(ErrorCode::invalid_input, HasSubstr("config.json")))
        << config;
  }
}

TEST_F(DockerConfigTest, MissingFileMeansAnonymous) {
  const auto store = unwrap(docker_config_credentials(directory_ / "none.json"));
  EXPECT_EQ(unwrap(store->find("r.example")), std::nullopt);
}

}  // namespace
}  // namespace fnimage::registry

// Scopes, signed tokens and challenges.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fnimage/test/result_matchers.hpp>

#include "access/bearer.hpp"
#include "access/challenge.hpp"
#include "access/password_check.hpp"
#include "access/scopes.hpp"
#include "access_fixture.hpp"

namespace fnimage::server {
namespace {

TEST(Scopes, Shapes) {
  struct Case {
    std::string_view text;
    std::string_view understood;
  };
  for (const Case& one : std::vector<Case>{
           {"repository:a/b:pull,push", "repository:a/b:pull,push"},
           {"repository:a:push,pull,push", "repository:a:pull,push"},
           {"repository:a:*", "repository:a:pull,push,delete"},
           {"repository:a:pull repository:b:delete", "repository:a:pull repository:b:delete"},
           {"repository:a:pull+repository:b:pull", "repository:a:pull repository:b:pull"},
           {"repository:a:pull  repository:a:push", "repository:a:pull,push"},
           {"repository(plugin):a:pull", "repository:a:pull"},
           {"registry:catalog:*", "registry:catalog:*"},
           {"registry:catalog:* repository:a:pull", "registry:catalog:* repository:a:pull"},
           {"repository:a:admin", ""},
           {"repository:a:pull,admin", "repository:a:pull"},
           {"repository:a:", ""},
           {"repository:a", ""},
           {"repository::pull", ""},
           {"repository:host:5000/a:pull", ""},
           {"repository:A:pull", ""},
           {"repository:../a:pull", ""},
           {"registry:catalog:pull", ""},
           {"other:a:pull", ""},
           {"repositoryx:a:pull", ""},
           {":::", ""},
           {"", ""},
       }) {
    EXPECT_EQ(Scopes::parse(one.text).str(), one.understood) << one.text;
  }
  const Scopes scopes = Scopes::parse("repository:a:pull repository:b:push");
  EXPECT_EQ(scopes.rights_in("a"), Rights{Right::pull});
  EXPECT_EQ(scopes.rights_in("b"), Rights{Right::push});
  EXPECT_TRUE(scopes.rights_in("c").empty());
}

TEST(Scopes, AreBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "repository:a" + std::to_string(i) + ":pull ";
  }
  EXPECT_LE(Scopes::parse(text).repositories().size(), 100);
}

Claims claims_of_ann() {
  return {.subject = "user:ann",
          .credential = "mark",
          .scopes = Scopes::parse("repository:a:pull,push registry:catalog:*"),
          .expires = 1000};
}

TEST(Bearer, WhatWasSignedIsRead) {
  const TokenKey key = TokenKey::random();
  const std::string token = key.issue(claims_of_ann());
  EXPECT_EQ(token.find_first_of("+/= \""), std::string::npos) << token;
  const auto claims = key.read(token, 999);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->subject, "user:ann");
  EXPECT_EQ(claims->credential, "mark");
  EXPECT_EQ(claims->scopes, claims_of_ann().scopes);
  EXPECT_FALSE(key.read(token, 1000)) << "its time is over";
  EXPECT_FALSE(TokenKey::random().read(token, 0)) << "another key";
}

TEST(Bearer, AnyChangeSpoilsIt) {
  const TokenKey key = TokenKey::random();
  const std::string token = key.issue(claims_of_ann());
  for (std::size_t i = 0; i < token.size(); ++i) {
    EXPECT_FALSE(key.read(token.substr(0, i), 0)) << i;
    std::string other = token;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(key.read(other, 0)) << i;
  }
  EXPECT_FALSE(key.read(token + "A", 0));
  EXPECT_FALSE(key.read(" " + token, 0));
  EXPECT_FALSE(key.read(token + "." + token, 0));
  EXPECT_FALSE(key.read("", 0));
  EXPECT_FALSE(key.read(".", 0));
  EXPECT_FALSE(key.read(std::string(100'000, 'a') + ".b", 0));
}

TEST(Bearer, AKeyForEachUse) {
  const TokenKey key = TokenKey::random();
  const std::string token = key.issue(claims_of_ann());
  const std::string payload = token.substr(0, token.find('.'));
  EXPECT_FALSE(key.read(payload + "." + key.mark(payload), 0));
  EXPECT_NE(key.mark("a"), key.mark("b"));
  EXPECT_NE(key.mark("a"), TokenKey::random().mark("a"));
}

TEST(Bearer, KeyFile) {
  AccessFiles files;
  const auto path = files.directory.path() / "key";
  const auto made = TokenKey::from_file(path);
  ASSERT_TRUE(made) << made.error().describe();
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto again = TokenKey::from_file(path);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->read(made->issue(claims_of_ann()), 0));
  EXPECT_THAT(TokenKey::from_file(files.write("short", "too short\n")),
              test::fails_with(ErrorCode::invalid_input));
}

TEST(Challenge, OfARequest) {
  const Request request = make_request("GET", "/v2/");
  EXPECT_EQ(bearer_challenge(request, "", "", ""),
            R"(Bearer realm="http://registry.test:5000/v2/token",service="registry.test:5000")");
  Request secure = request;
  secure.is_secure = true;
  EXPECT_EQ(bearer_challenge(secure, "", "repository:a:pull", "invalid_token"),
            R"(Bearer realm="https://registry.test:5000/v2/token",service="registry.test:5000",)"
            R"(scope="repository:a:pull",error="invalid_token")");
  EXPECT_EQ(bearer_challenge(request, "https://public.test/base", "", ""),
            R"(Bearer realm="https://public.test/base/v2/token",service="public.test")");
}

TEST(Challenge, HostsThatAreNone) {
  for (const char* host : {"", "a\"b", "a b", "a,b", "a\r\nb", "a/b", "a@b"}) {
    Request request = make_request("GET", "/v2/");
    request.headers[0].value = host;
    EXPECT_EQ(bearer_challenge(request, "", "", ""), R"(Basic realm="fnimage")") << host;
  }
}

TEST(Challenge, ScopeOfARequest) {
  struct Case {
    const char* method;
    const char* path;
    const char* scope;
  };
  for (const Case& one : std::vector<Case>{
           {"GET", "/v2/", ""},
           {"GET", "/v2/_catalog", "registry:catalog:*"},
           {"HEAD", "/v2/a/b/manifests/x", "repository:a/b:pull"},
           {"GET", "/v2/a/tags/list", "repository:a:pull"},
           {"PUT", "/v2/a/manifests/x", "repository:a:pull,push"},
           {"DELETE", "/v2/a/manifests/x", "repository:a:delete"},
           {"DELETE", "/v2/a/blobs/x", "repository:a:delete"},
           {"POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"},
           {"POST", "/v2/a/blobs/uploads/?mount=x&from=b",
            "repository:a:pull,push repository:b:pull"},
           {"POST", "/v2/a/blobs/uploads/?mount=x&from=a", "repository:a:pull,push"},
           {"POST", "/v2/a/blobs/uploads/?mount=x&from=b%22", "repository:a:pull,push"},
           {"GET", "/v2/a/blobs/uploads/x", "repository:a:pull,push"},
           {"DELETE", "/v2/a/blobs/uploads/x", "repository:a:pull,push"},
           {"GET", "/v2/a%22b/tags/list", ""},
       }) {
    const Request request = make_request(one.method, one.path);
    EXPECT_EQ(wanted_scope(*parse_target(request.path), request), one.scope)
        << one.method << " " << one.path;
  }
}

TEST(Challenge, ExternalUrl) {
  EXPECT_EQ(check_external_url("https://a.test/").value_or(""), "https://a.test");
  EXPECT_EQ(check_external_url("http://[::1]:5000/a/b//").value_or(""), "http://[::1]:5000/a/b");
  for (const char* url : {"", "a.test", "ftp://a.test", "https://", "https://a\"b", "https:///a",
                          "https://a/b?c", "https://user@a.test", "https://a.test/b c"}) {
    EXPECT_THAT(check_external_url(url), test::fails_with(ErrorCode::invalid_argument)) << url;
  }
}

TEST(PasswordCheck, Verdicts) {
  using enum PasswordCheck::Verdict;
  PasswordCheck passwords;
  const Htpasswd users = *Htpasswd::parse(both_users(), "users");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(passwords.check(users, "ann", "ann-secret", "p"), right);
    EXPECT_EQ(passwords.check(users, "ann", "bob-secret", "p"), wrong);
    EXPECT_EQ(passwords.check(users, "eve", "ann-secret", "p"), wrong);
    EXPECT_EQ(passwords.check(users, "eve", "bob-secret", "p"), wrong);
    EXPECT_EQ(passwords.check(users, "", "", "p"), wrong);
  }
  const Htpasswd later = *Htpasswd::parse(new_ann_entry, "users");
  EXPECT_EQ(passwords.check(later, "ann", "ann-secret", "p"), wrong) << "what was right before";
  EXPECT_EQ(passwords.check(later, "ann", "new-secret", "p"), right);
  EXPECT_EQ(passwords.check(later, "bob", "bob-secret", "p"), wrong);
}

/// Cost 11, tenths of a second, of "slow-secret".
constexpr std::string_view slow_entry =
    "slow:$2y$11$8UU0f3ka/YcVN4yotp7VJuxzDYllJar7OoJrl1STjdjcIMXyjx15W";

TEST(PasswordCheck, WhatWasRightIsRemembered) {
  PasswordCheck passwords;
  const Htpasswd users = *Htpasswd::parse(slow_entry, "users");
  const auto time = [&](const std::string& password) {
    const auto begin = std::chrono::steady_clock::now();
    (void)passwords.check(users, "slow", password, "p");
    return std::chrono::steady_clock::now() - begin;
  };
  const auto first = time("slow-secret");
  EXPECT_LT(time("slow-secret") * 10, first);
  EXPECT_GT(time("wrong") * 10, first);
  EXPECT_GT(time("wrong") * 10, first) << "failures are not remembered";
}

TEST(PasswordCheck, GuessingHasBounds) {
  using enum PasswordCheck::Verdict;
  PasswordCheck passwords({.running = 1, .inside = 3, .inside_of_peer = 2});
  const Htpasswd users = *Htpasswd::parse(slow_entry, "users");
  std::vector<std::thread> threads;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      if (passwords.check(users, "slow", "guess" + std::to_string(i), "attacker") ==
          PasswordCheck::Verdict::busy) {
        ++refused;
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(passwords.check(users, "slow", "slow-secret", "friend"), right)
      << "one address cannot take all places";
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GE(refused, 1);
  EXPECT_EQ(passwords.check(users, "slow", "other", "attacker"), wrong) << "places are given back";
}

}  // namespace
}  // namespace fnimage::server

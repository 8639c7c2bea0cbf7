// What the files of a server's access say: users, rules, tokens; and that they are read again.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fnimage/test/result_matchers.hpp>

#include "access/htpasswd.hpp"
#include "access/machine_tokens.hpp"
#include "access/policy_files.hpp"
#include "access/rights.hpp"
#include "access/rules.hpp"
#include "access/secrets.hpp"
#include "access/watched_file.hpp"
#include "access_fixture.hpp"

namespace fnimage::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Rights, Text) {
  EXPECT_EQ(*parse_rights("pull"), Rights{Right::pull});
  EXPECT_EQ(*parse_rights("delete,push,pull"), Rights::all());
  EXPECT_EQ(to_string(Rights::all()), "pull,push,delete");
  for (const char* text : {"", "read", "pull,", "pull push", "PULL", "*"}) {
    EXPECT_THAT(parse_rights(text), test::fails_with(ErrorCode::invalid_input)) << text;
  }
}

TEST(Pattern, Matches) {
  struct Case {
    const char* pattern;
    const char* name;
    bool matches;
  };
  for (const Case& one : std::vector<Case>{
           {"team/a", "team/a", true},
           {"team/a", "team/ab", false},
           {"team/*", "team/a", true},
           {"team/*", "team/a/b", true},
           {"team/*", "team", false},
           {"team/*", "teams/a", false},
           {"*", "any/thing", true},
           {"**", "a", true},
           {"*/b", "a/b", true},
           {"*/b", "a/b/c", false},
           {"*/b", "b/b/b", true},
           {"a*c*e", "abcde", true},
           {"a*c*e", "ace", true},
           {"a*c*e", "abde", false},
           {"", "a", false},
           {"a", "", false},
       }) {
    EXPECT_EQ(matches(one.pattern, one.name), one.matches) << one.pattern << " " << one.name;
  }
}

TEST(Pattern, ManyStarsTakeNoTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) {
    pattern += "*a";
  }
  EXPECT_FALSE(matches(pattern + "b", std::string(255, 'a')));
}

TEST(Pattern, WhatNoNameMatches) {
  for (const char* pattern : {"", "Team/*", "team/?", "host:5000/a", "a b", "a\"b"}) {
    EXPECT_THAT(check_pattern(pattern), test::fails_with(ErrorCode::invalid_input)) << pattern;
  }
}

TEST(Htpasswd, KnownVectors) {
  struct Vector {
    const char* entry;
    std::string password;
  };
  for (const Vector& one : std::vector<Vector>{
           {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
           {"$2b$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"},
           {"$2y$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U"},
           {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", ""},
           {"$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq", "\xa3"},
           {"$2y$04$XdhdObLSfNmUgQUXgF6j2eHWqR5SF4Iz03Kv4GEaX1.oiZ67lMibC", "ann-secret"},
       }) {
    EXPECT_TRUE(verify_bcrypt(one.entry, one.password)) << one.entry;
    EXPECT_FALSE(verify_bcrypt(one.entry, one.password + "x")) << one.entry;
    EXPECT_FALSE(verify_bcrypt(one.entry, one.password + std::string("\0x", 2))) << one.entry;
  }
  EXPECT_FALSE(verify_bcrypt("$2y$04$AkQN9UZ/n1l3kwbLUke21O.IRcJeQeo6jiLHEPPcBbBJIJCsUWaiy",
                             std::string(100'000, 'a')));
}

TEST(Htpasswd, Users) {
  const auto users = Htpasswd::parse("# ours\r\n\n" + both_users(), "users");
  ASSERT_TRUE(users) << users.error().describe();
  ASSERT_NE(users->find("ann"), nullptr);
  EXPECT_TRUE(verify_bcrypt(*users->find("ann"), "ann-secret"));
  EXPECT_EQ(users->find("eve"), nullptr);
  EXPECT_EQ(users->find(""), nullptr);
  std::set<std::string> decoys;
  for (std::uint64_t choice = 0; choice < 10; ++choice) {
    decoys.insert(users->decoy(choice));
  }
  EXPECT_EQ(decoys.size(), 2);
  const auto nobody = Htpasswd::parse("", "users");
  EXPECT_FALSE(verify_bcrypt(nobody->decoy(3), "x"));
}

TEST(Htpasswd, WhatIsRefused) {
  const std::string salt_and_hash = "XdhdObLSfNmUgQUXgF6j2eHWqR5SF4Iz03Kv4GEaX1.oiZ67lMibC";
  for (const std::string& line : std::vector<std::string>{
           "ann:$apr1$DvdHZNbe$Vp1j5EFRNyfCm8QStLJX50", "ann:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=",
           "ann:plain", "ann:", "ann", ":$2y$04$" + salt_and_hash, "ann:$2x$04$" + salt_and_hash,
           "ann:$2y$04$" + salt_and_hash + "x", "ann:$2y$04$" + salt_and_hash.substr(1),
           "ann:$2y$03$" + salt_and_hash, "ann:$2y$31$" + salt_and_hash,
           "ann:$2y$0x$" + salt_and_hash, "ann:$2y$04$" + salt_and_hash + ":more",
           "anonymous:$2y$04$" + salt_and_hash, "*:$2y$04$" + salt_and_hash,
           "a\x1b[0m:$2y$04$" + salt_and_hash,
           "bob:$2y$04$" + salt_and_hash,  // the second of the name
       }) {
    const auto users = Htpasswd::parse(std::string(bob_entry) + "\n" + line + "\n", "DIR/users");
    ASSERT_FALSE(users) << line;
    EXPECT_EQ(users.error().code(), ErrorCode::invalid_input);
    EXPECT_THAT(users.error().message(), StartsWith("DIR/users:3: ")) << line;
    EXPECT_FALSE(users.error().hint().empty()) << line;
    EXPECT_EQ(users.error().describe().find("Vp1j5E"), std::string::npos) << "shows an entry";
  }
}

TEST(Rules, AddUp) {
  const auto rules = AccessRules::parse(
      "# who      where      what\n"
      "ann        team/*     pull,push\n"
      "ann        team/old   delete\n"
      "*          shared/*   pull\n"
      "anonymous  public/*   pull\n",
      "rules");
  ASSERT_TRUE(rules) << rules.error().describe();
  EXPECT_EQ(rules->rights_of("ann", "team/a"), (Rights{Right::pull, Right::push}));
  EXPECT_EQ(rules->rights_of("ann", "team/old"), Rights::all());
  EXPECT_TRUE(rules->rights_of("ann", "shared/a").empty());
  EXPECT_EQ(rules->rights_of("*", "shared/a"), Rights{Right::pull});
  EXPECT_TRUE(rules->knows("anonymous"));
  EXPECT_FALSE(rules->covers_all("anonymous", Right::pull));
}

TEST(Rules, WhatIsRefused) {
  for (const char* line : {"ann", "ann team/*", "ann team/* read", "ann team/* pull push",
                           "ann Team pull", "ann team/* pull,"}) {
    const auto rules = AccessRules::parse(std::string("ann * pull\n") + line, "rules");
    ASSERT_FALSE(rules) << line;
    EXPECT_THAT(rules.error().message(), StartsWith("rules:2: ")) << line;
    EXPECT_FALSE(rules.error().hint().empty()) << line;
  }
}

TEST(Policy, WhoMayWhat) {
  Policy policy;
  policy.users = std::make_shared<const Htpasswd>(*Htpasswd::parse(both_users(), "users"));
  const Subject ann{Subject::Kind::user, "ann"};
  EXPECT_EQ(policy.rights_of(ann, "a", 0), Rights::all()) << "without rules";
  EXPECT_TRUE(policy.rights_of({}, "a", 0).empty());
  policy.rules = std::make_shared<const AccessRules>(
      *AccessRules::parse("ann a pull,push\n* shared pull\nanonymous public pull\n", "rules"));
  EXPECT_EQ(policy.rights_of(ann, "a", 0), (Rights{Right::pull, Right::push}));
  EXPECT_EQ(policy.rights_of(ann, "shared", 0), Rights{Right::pull});
  EXPECT_EQ(policy.rights_of(ann, "public", 0), Rights{Right::pull}) << "logging in takes nothing";
  EXPECT_TRUE(policy.rights_of(ann, "other", 0).empty());
  EXPECT_TRUE(policy.rights_of({}, "shared", 0).empty());
  EXPECT_EQ(policy.rights_of({}, "public", 0), Rights{Right::pull});
  policy.anonymous_pull = true;
  EXPECT_EQ(policy.rights_of({}, "other", 0), Rights{Right::pull});
  EXPECT_EQ(policy.credential_of({Subject::Kind::user, "eve"}, 0), std::nullopt);
}

TEST(MachineTokens, MadeAndFound) {
  test::TempDir directory;
  const auto file = directory.path() / "tokens";
  const auto secret = add_token(
      file,
      {.name = "ci", .rights = "pull,push", .patterns = {"team/*", "shared"}, .expires = 2000});
  ASSERT_TRUE(secret) << secret.error().describe();
  const auto other = add_token(file, {.name = "node-7", .patterns = {"*"}});
  ASSERT_TRUE(other) << other.error().describe();
  EXPECT_THAT(add_token(file, {.name = "ci", .patterns = {"*"}}),
              test::fails_with(ErrorCode::already_exists));

  WatchedFile content(file);
  const auto text = content.changed();
  ASSERT_TRUE(text && *text);
  EXPECT_THAT(**text,
              HasSubstr("ci " + sha256_hex(*secret) + " pull,push team/* 1970-01-01T00:33:20Z\n"));
  EXPECT_EQ((*text)->find(*secret), std::string::npos);
  const auto tokens = MachineTokens::parse(**text, "tokens");
  ASSERT_TRUE(tokens) << tokens.error().describe();
  const MachineToken* ci = tokens->find_secret(*secret);
  ASSERT_NE(ci, nullptr);
  EXPECT_EQ(ci, tokens->find("ci"));
  EXPECT_EQ(ci->rights_in("team/a", 1999), (Rights{Right::pull, Right::push}));
  EXPECT_TRUE(ci->rights_in("other", 1999).empty());
  EXPECT_TRUE(ci->rights_in("team/a", 2000).empty()) << "its time is over";
  EXPECT_FALSE(ci->is_valid(2000));
  EXPECT_TRUE(tokens->find("node-7")->is_valid(2000));
  EXPECT_EQ(tokens->find_secret(*secret + "x"), nullptr);
  EXPECT_EQ(tokens->find_secret(ci->hash), nullptr);
  EXPECT_EQ(tokens->find_secret(""), nullptr);
}

TEST(MachineTokens, AddsToAFileWithoutItsLastLineEnd) {
  AccessFiles files;
  const auto file = files.write("tokens", "a " + std::string(64, 'a') + " pull *");
  ASSERT_TRUE(add_token(file, {.name = "b", .patterns = {"*"}}));
  const auto text = WatchedFile(file).changed();
  const auto tokens = MachineTokens::parse(**text, "tokens");
  ASSERT_TRUE(tokens) << tokens.error().describe();
  EXPECT_NE(tokens->find("a"), nullptr);
  EXPECT_NE(tokens->find("b"), nullptr);
}

TEST(MachineTokens, WhatIsRefused) {
  const std::string hash(64, 'a');
  for (const std::string& line : std::vector<std::string>{
           "ci " + hash + " pull", "ci " + hash + " pull * 2030-01-31 more",
           "ci " + hash + " pull * tomorrow", "ci " + hash + " all *", "ci " + hash + " pull Team",
           "ci " + hash.substr(1) + " pull *", "ci " + std::string(64, 'A') + " pull *",
           "first " + hash + " pull *",               // another secret of a name
           "ci " + std::string(64, 'f') + " pull *",  // a secret of two names
       }) {
    const auto tokens =
        MachineTokens::parse("first " + std::string(64, 'f') + " pull *\n" + line, "tokens");
    ASSERT_FALSE(tokens) << line;
    EXPECT_EQ(tokens.error().code(), ErrorCode::invalid_input);
    EXPECT_THAT(tokens.error().message(), StartsWith("tokens:2: ")) << line;
  }
  test::TempDir directory;
  for (const NewToken& token : std::vector<NewToken>{
           {.name = "", .patterns = {"*"}},
           {.name = "a b", .patterns = {"*"}},
           {.name = "#", .patterns = {"*"}},
           {.name = "a", .patterns = {}},
           {.name = "a", .rights = "all", .patterns = {"*"}},
           {.name = "a", .patterns = {"a\nb"}},
       }) {
    EXPECT_THAT(add_token(directory.path() / "tokens", token),
                test::fails_with(ErrorCode::invalid_argument));
  }
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "tokens"));
}

TEST(Time, Text) {
  EXPECT_EQ(parse_time("1970-01-02").value_or(0), 86'400);
  EXPECT_EQ(parse_time("2001-09-09T01:46:40Z").value_or(0), 1'000'000'000);
  EXPECT_EQ(parse_time("2024-02-29T23:59:59Z").value_or(0), 1'709'251'199);
  for (const char* text :
       {"", "2030", "2030-13-01", "2030-02-30", "2030-01-01T24:00:00Z", "2030-01-01T00:00:00",
        "2030-01-01 00:00:00Z", "2030-1-01", "+030-01-01", "2030-01-01T00:00:00+00:00"}) {
    EXPECT_THAT(parse_time(text), test::fails_with(ErrorCode::invalid_argument)) << text;
  }
}

TEST(WatchedFile, SeesEachChange) {
  AccessFiles files;
  WatchedFile file(files.write("a", "one"));
  EXPECT_EQ(*file.changed(), "one");
  EXPECT_EQ(*file.changed(), std::nullopt);
  files.write("a", "two");  // of the same size, within a tick of the clock
  EXPECT_EQ(*file.changed(), "two");
  std::filesystem::rename(files.write("b", "two"), files.directory.path() / "a");
  EXPECT_EQ(*file.changed(), std::nullopt) << "the same bytes";
  std::filesystem::remove(file.path());
  EXPECT_THAT(file.changed(), test::fails_with(ErrorCode::not_found));
  files.write("a", "three");
  EXPECT_EQ(*file.changed(), "three");
}

TEST(WatchedFile, AFifoIsNotWaitedFor) {
  test::TempDir directory;
  const auto path = directory.path() / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(WatchedFile(path).changed(), test::fails_with(ErrorCode::invalid_input));
}

TEST(PolicyFiles, BrokenOnesLeaveWhatWasThere) {
  AccessFiles files;
  files.users(both_users());
  files.rules("ann a pull\n");
  std::vector<std::string> warnings;
  files.options.warn = [&](const std::string& message) { warnings.push_back(message); };
  const auto opened = PolicyFiles::open(files.options, std::chrono::milliseconds(0));
  ASSERT_TRUE(opened) << opened.error().describe();
  PolicyFiles& policies = **opened;
  const Subject ann{Subject::Kind::user, "ann"};
  EXPECT_TRUE(policies.current()->rights_of(ann, "a", 0).has(Right::pull));

  files.rules("ann a pull\nann b all\n");
  files.users(bob_entry);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(policies.current()->rights_of(ann, "a", 0).has(Right::pull));
    EXPECT_EQ(policies.current()->users->find("ann"), nullptr) << "other files are not stopped";
  }
  ASSERT_EQ(warnings.size(), 1) << "told once";
  EXPECT_THAT(warnings[0], HasSubstr("rules:2: \"all\" is no right"));
  std::filesystem::remove(*files.options.rules);
  EXPECT_TRUE(policies.current()->rights_of(ann, "a", 0).has(Right::pull));
  EXPECT_EQ(warnings.size(), 2);
  files.rules("ann b pull\n");
  EXPECT_TRUE(policies.current()->rights_of(ann, "a", 0).empty());
  EXPECT_TRUE(policies.current()->rights_of(ann, "b", 0).has(Right::pull));
  EXPECT_EQ(warnings.size(), 2);
}

TEST(PolicyFiles, AtTheStartTheyMustBeGood) {
  AccessFiles files;
  files.users("ann:plain\n");
  EXPECT_THAT(PolicyFiles::open(files.options), test::fails_with(ErrorCode::invalid_input));
  files.users(both_users());
  files.options.rules = files.directory.path() / "missing";
  EXPECT_THAT(PolicyFiles::open(files.options), test::fails_with(ErrorCode::not_found));
}

}  // namespace
}  // namespace fnimage::server

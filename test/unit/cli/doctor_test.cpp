// fnimage doctor against real registries of several settings, and against one that is none.
#include <atomic>
#include <future>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/test/docker_registry.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>

#include "program.hpp"

namespace fnimage::test {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class Doctor : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = DockerRegistry::missing(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
  /// The verdicts by name.
  [[nodiscard]] std::map<std::string, std::string> verdicts(
      std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "doctor");
    arguments.emplace_back("--json");
    const Outcome outcome = program_.run(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto json = unwrap(parse_json(outcome.out, "output"));
    EXPECT_EQ(json.at("usable"), true);
    std::map<std::string, std::string> result;
    for (const auto& finding : json.at("findings")) {
      result[finding.at("name")] = finding.at("verdict");
    }
    return result;
  }
  Program program_;
};

TEST_F(Doctor, FindsWhatARegistryCanDoAndRemovesWhatItPut) {
  const DockerRegistry registry({.deletion = true});
  const auto found = verdicts({"--plain-http", registry.address()});
  for (const char* name :
       {"connection", "clock", "blob upload", "chunked upload", "upload status",
        "mount between repositories", "OCI image", "OCI index", "Docker manifest list", "tag list",
        "removal of manifests", "removal of blobs"}) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_EQ(found.at(name), "ok") << name;
  }
  // docker-registry 2.8 does not know an upload any more that was cut within a request.
  for (const char* name :
       {"cut uploads", "mount from anywhere", "conditional PUT", "referrers API"}) {
    EXPECT_EQ(found.at(name), "no") << name;
  }
  EXPECT_FALSE(found.contains("cleaned up"));
  const Outcome inspect = program_.run(
      {"inspect", "--plain-http", registry.address() + "/fnimage-doctor:fnimage-doctor"});
  EXPECT_EQ(inspect.exit_code, 4) << inspect.err;
}

TEST(DoctorOfUploads, CutOnesAreGoneOnWithWhereTheRegistryKeepsThem) {
  const Program program;
  for (const bool forgets : {false, true}) {
    // A part of the large body arrives. Only then is it told how that upload stands; before, the
    // doctor asks once about another.
    std::atomic<int> questions = 0;
    std::promise<void> arrived;
    const std::shared_future<void> has_arrived = arrived.get_future().share();
    MemoryRegistry registry({.forgets = forgets,
                             .instead = [&](const SeenRequest& request) -> std::optional<Reply> {
                               if (request.line().starts_with("GET /up/") && questions++ > 0) {
                                 has_arrived.wait();
                               }
                               return std::nullopt;
                             },
                             .spoil =
                                 [&](const SeenRequest& request, Reply&) {
                                   if (request.header("Content-Length").value_or("").size() > 5) {
                                     arrived.set_value();
                                   }
                                 }});
    registry.cut_next({50'000});
    const Outcome told =
        program.run({"doctor", "--plain-http", registry.address() + "/team/probe"});
    const char* expected = forgets ? "cut uploads +no +begin again: status 404"
                                   : "cut uploads +ok +resumed at byte 50028";
    EXPECT_THAT(told.out, ContainsRegex(expected)) << told.err;
    EXPECT_THAT(told.out, ContainsRegex("chunked upload +ok"));
    EXPECT_EQ(registry.open_uploads(), forgets ? 1U : 0U) << "cancelled where that is possible";
  }
}

TEST_F(Doctor, SaysWhatStays) {
  const DockerRegistry registry;
  const auto found = verdicts({"--plain-http", registry.address() + "/team/probe"});
  EXPECT_EQ(found.at("removal of blobs"), "no");
  EXPECT_EQ(found.at("cleaned up"), "no");
  const Outcome told = program_.run({"doctor", "--plain-http", registry.address()});
  EXPECT_THAT(told.out, AllOf(HasSubstr("-> `fnimage rm` puts a placeholder"),
                              HasSubstr("storage: {delete: {enabled: true}}")));
}

TEST_F(Doctor, ReadOnlyWritesNothing) {
  const DockerRegistry registry({.tls = true});
  const auto found = verdicts({"--ca-file", registry.ca_file(), "--read-only", registry.address()});
  EXPECT_EQ(found.at("certificate"), "ok");
  EXPECT_FALSE(found.contains("blob upload"));
}

TEST_F(Doctor, CredentialsAreExplainedAndNeverShown) {
  const DockerRegistry registry({.user = "ann", .password = "canary-pass"});
  const std::string& address = registry.address();
  const Outcome none = program_.run({"doctor", "--plain-http", address});
  EXPECT_EQ(none.exit_code, 7);
  EXPECT_THAT(none.out, AllOf(HasSubstr("basic"), HasSubstr("fnimage login " + address)));
  const Outcome known =
      program_.run({"doctor", "--plain-http", "--debug", "--creds", "ann:canary-pass", address});
  EXPECT_EQ(known.exit_code, 0) << known.err;
  EXPECT_THAT(known.out, HasSubstr("from the command line, accepted"));
  EXPECT_THAT(known.out + known.err, Not(HasSubstr("canary-pass")));
}

TEST_F(Doctor, WhatIsNoRegistryIsSaid) {
  const ScriptedServer server(
      [](const SeenRequest&) { return Reply{.status = 404, .body = "\x1b[2J"}; });
  const Outcome outcome = program_.run({"doctor", "--plain-http", server.address()});
  EXPECT_EQ(outcome.exit_code, 10) << outcome.err;
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("\x1b")));
  EXPECT_EQ(program_.run({"doctor", "a b"}).exit_code, 2);
  EXPECT_EQ(program_.run({"doctor", "host:1/UPPER"}).exit_code, 2);
}

TEST_F(Doctor, ReadsTheHostConfiguration) {
  const DockerRegistry registry({.deletion = true});
  program_.set("XDG_CONFIG_HOME", program_.directory().path().string());
  program_.directory().write("fnimage/registries.json", R"({"hosts": {")" + registry.address() +
                                                            R"(": {"plain_http": true}}})");
  EXPECT_EQ(verdicts({registry.address()}).at("OCI index"), "ok");
  program_.directory().write("fnimage/registries.json", R"({"hosts": {"x": {"plain_htpp": 1}}})");
  const Outcome outcome = program_.run({"doctor", registry.address()});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("registries.json"), HasSubstr("plain_http")));
}

}  // namespace
}  // namespace fnimage::test

// Credentials on the command line, in the environment and kept by `fnimage login`, against a
// registry that wants them.
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/test/docker_registry.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "program.hpp"

namespace fnimage::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int not_found = 4;
constexpr int unauthorized = 7;
constexpr const char* secret = "canary-pass";

class Login : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = DockerRegistry::missing(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
    registry_ =
        std::make_unique<DockerRegistry>(DockerRegistryOptions{.user = "ann", .password = secret});
    program_.set("REGISTRY_AUTH_FILE", (program_.directory() / "auth.json").string());
  }
  [[nodiscard]] const std::string& address() const { return registry_->address(); }
  /// Exit code 4 when the credentials are accepted, since there is no such image; else 7.
  [[nodiscard]] Outcome inspect(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"inspect", "--plain-http", "--debug", address() + "/a:x"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program_.run(arguments);
  }
  void expect_no_secret(const Outcome& outcome) const {
    EXPECT_THAT(outcome.out + outcome.err,
                AllOf(Not(HasSubstr(secret)), Not(HasSubstr("YW5uOmNhbmFyeS1wYXNz"))));
  }

  std::unique_ptr<DockerRegistry> registry_;
  Program program_;
};

TEST_F(Login, IsTriedThenKeptAndForgottenByLogout) {
  EXPECT_EQ(inspect().exit_code, unauthorized);
  const Outcome in = program_.run_with_input(
      {"login", address(), "--plain-http", "--username", "ann", "--password-stdin", "--json"},
      std::string(secret) + "\n");
  EXPECT_EQ(in.exit_code, 0) << in.err;
  const auto json = unwrap(parse_json(in.out, "output"));
  EXPECT_EQ(json.at("registry"), address());
  EXPECT_THAT(json.at("saved").get<std::string>(), HasSubstr("auth.json"));
  expect_no_secret(in);
  const Outcome known = inspect();
  EXPECT_EQ(known.exit_code, not_found) << known.err;
  expect_no_secret(known);
  EXPECT_EQ(program_.run({"logout", address()}).exit_code, 0);
  EXPECT_EQ(inspect().exit_code, unauthorized);
  EXPECT_EQ(program_.run({"logout", address()}).exit_code, not_found);
}

TEST_F(Login, WrongPasswordIsNotKept) {
  const Outcome outcome = program_.run_with_input(
      {"login", address(), "--plain-http", "--username", "ann", "--password-stdin"}, "canary-no");
  EXPECT_EQ(outcome.exit_code, unauthorized);
  EXPECT_THAT(outcome.err, Not(HasSubstr("canary-no")));
  EXPECT_FALSE(std::filesystem::exists(program_.directory() / "auth.json"));
}

TEST_F(Login, AsksOnTheTerminalWithoutShowingThePassword) {
  const Outcome outcome = program_.run_dialogue({"login", address(), "--plain-http"},
                                                {{"User at ", "ann"}, {"Password: ", secret}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("logged in"));
  expect_no_secret(outcome);
  EXPECT_EQ(inspect().exit_code, not_found);
}

TEST_F(Login, WithoutTerminalAndInputIsMisuse) {
  EXPECT_EQ(program_.run({"logout"}).exit_code, 2);
  const Outcome outcome =
      program_.run({"login", address(), "--plain-http", "--username", "ann", "--password-stdin"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("no password on standard input"));
}

TEST_F(Login, CommandLineAndEnvironmentGoToTheNamedRegistryOnly) {
  EXPECT_EQ(inspect({"--creds", std::string("ann:") + secret}).exit_code, not_found);
  EXPECT_EQ(inspect({"--creds", "ann:wrong"}).exit_code, unauthorized);
  program_.set("FNIMAGE_USERNAME", "ann");
  program_.set("FNIMAGE_PASSWORD", secret);
  const Outcome outcome = inspect();
  EXPECT_EQ(outcome.exit_code, not_found) << outcome.err;
  expect_no_secret(outcome);
  const Outcome several = program_.run(
      {"manifest", "create", "--plain-http", address() + "/a:x", "other.example:5000/b:x"});
  EXPECT_EQ(several.exit_code, 2);
  EXPECT_THAT(several.err, AllOf(HasSubstr("several registries"), HasSubstr("FNIMAGE_REGISTRY")));
  program_.set("FNIMAGE_REGISTRY", "other.example:5000");
  EXPECT_EQ(inspect().exit_code, unauthorized);
}

TEST_F(Login, TokensComeFromInputAndEnvironment) {
  const Outcome outcome = program_.run_with_input(
      {"inspect", "--plain-http", address() + "/a:x", "--registry-token-stdin"}, "canary-token\n");
  EXPECT_EQ(outcome.exit_code, unauthorized);  // this registry takes passwords only
  EXPECT_THAT(outcome.err, Not(HasSubstr("canary-token")));
  EXPECT_EQ(program_
                .run_with_input({"inspect", "--plain-http", address() + "/a:x", "--creds", "a:b",
                                 "--identity-token-stdin"},
                                "t")
                .exit_code,
            2);
  program_.set("FNIMAGE_IDENTITY_TOKEN", "canary-token");
  EXPECT_EQ(inspect().exit_code, unauthorized);
}

TEST_F(Login, RefusedCredentialsAreNamed) {
  program_.set("FNIMAGE_USERNAME", "ann");
  program_.set("FNIMAGE_PASSWORD", "wrong");
  EXPECT_THAT(inspect().err, HasSubstr("the credentials of ann from the environment were refused"));
}

TEST_F(Login, LogoutNamesWhatStillHasCredentials) {
  program_.set("DOCKER_AUTH_CONFIG", R"({"auths": {")" + address() + R"(": {"auth": "YTpi"}}})");
  EXPECT_THAT(program_.run({"logout", address()}).err, HasSubstr("DOCKER_AUTH_CONFIG"));
  program_.directory().write("auth.json",
                             R"({"auths": {")" + address() + R"(": {"auth": "YTpi"}}})");
  const Outcome outcome = program_.run({"logout", address()});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("DOCKER_AUTH_CONFIG still has credentials"));
}

TEST_F(Login, FlagsAreForTheNamedRegistryAndUndoTheFile) {
  const std::string creds = std::string("ann:") + secret;
  program_.directory().write("config/fnimage/registries.json",
                             R"({"hosts": {")" + address() + R"(": {"plain_http": true}}})");
  program_.set("XDG_CONFIG_HOME", (program_.directory() / "config").string());
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"inspect", address() + "/a:x", "--creds", creds};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program_.run(arguments).exit_code;
  };
  constexpr int tls = 9;
  EXPECT_EQ(run({}), not_found);
  EXPECT_EQ(run({"--plain-http=false"}), tls);
  EXPECT_EQ(run({"--insecure"}), not_found);
}

TEST_F(Login, InsecureIsNotForTheBaseOfAnotherRegistry) {
  const DockerRegistry other({.tls = true});
  program_.directory().write("fnimage.yaml", "name: x\nplatforms: [linux/amd64]\nbase: {image: " +
                                                 other.address() + "/base:1}\n");
  const Outcome outcome = program_.run({"build", "--insecure", "--push", "-t", address() + "/x:1",
                                        "--creds", std::string("ann:") + secret, "."});
  EXPECT_EQ(outcome.exit_code, 9) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(other.address()));
}

TEST_F(Login, SidesOfACopyHaveTheirOwn) {
  const DockerRegistry other({.tls = true, .user = "bob", .password = "of-bob"});
  const std::string from = address() + "/a:x";
  const std::string to = other.address() + "/a:x";
  const auto copy = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"copy", from, to};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program_.run(arguments);
  };
  const std::string src = "--src-creds=ann:" + std::string(secret);
  // The source answers, by http and to ann, that there is no such image.
  EXPECT_EQ(copy({"--src-plain-http", src, "--dest-creds=bob:of-bob"}).exit_code, not_found);
  EXPECT_EQ(copy({"--dest-plain-http", src}).exit_code, 9);
  EXPECT_EQ(copy({"--src-plain-http", "--src-creds=ann:no"}).exit_code, unauthorized);
  EXPECT_EQ(copy({"--src-plain-http", "--creds=ann:x"}).exit_code, 2);
}

}  // namespace
}  // namespace fnimage::test

// Credential files and helpers: which entry wins, the helper protocol, what is saved and kept.
#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <fnimage/base/json.hpp>
#include <fnimage/registry/credentials.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "helper.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A PATH whose first directory has the helpers of one test.
class HelperTest : public ::testing::Test {
 protected:
  HelperTest() : path_(std::getenv("PATH")) {
    ::setenv("PATH", (directory_.path().string() + ":" + path_).c_str(), 1);
  }
  ~HelperTest() override { ::setenv("PATH", path_.c_str(), 1); }

  void helper(const std::string& name, const std::string& script) const {
    const auto file =
        directory_.write("docker-credential-" + name, "#!/bin/sh\nset -u\n" + script + "\n");
    ::chmod(file.c_str(), 0700);
  }
  /// Keeps one file per server, as real ones do.
  void keeping_helper(const std::string& name) const {
    const std::string place = (directory_ / (name + ".kept")).string();
    helper(name, "f=" + place + R"(
case $1 in
  store) cat > $f ;;
  get) read -r s; test -e $f || { echo "credentials not found in native keychain"; exit 1; }; cat $f ;;
  erase) test -e $f || { echo "credentials not found in native keychain"; exit 1; }; rm $f ;;
  list) test -e $f && echo '{"r.example:5000":"ann"}' || echo '{}' ;;
esac)");
  }
  std::unique_ptr<CredentialStore> store(std::string_view config) const {
    return unwrap(docker_config_credentials(directory_.write("config.json", config)));
  }
  [[nodiscard]] std::filesystem::path config() const { return directory_ / "config.json"; }

  test::TempDir directory_;
  std::string path_;
};

TEST_F(HelperTest, IsAskedByTheProtocol) {
  helper("one", R"(test "$1" = get || exit 9
server=$(cat); echo "{\"ServerURL\":\"$server\",\"Username\":\"ann\",\"Secret\":\"pw of $server\"}")");
  const auto found = unwrap(helper_get("one", "r.example:5000"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->username, "ann");
  EXPECT_EQ(found->password, "pw of r.example:5000");
}

TEST_F(HelperTest, TokenUserMeansIdentityToken) {
  helper("one", R"(echo '{"Username":"<token>","Secret":"idt"}')");
  const auto found = unwrap(helper_get("one", "r.example"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->identity_token, "idt");
  EXPECT_EQ(found->username + found->password, "");
}

TEST_F(HelperTest, NothingThereMeansAnonymous) {
  helper("one", "echo 'credentials not found in native keychain'; exit 1");
  EXPECT_EQ(unwrap(helper_get("one", "r.example")), std::nullopt);
}

TEST_F(HelperTest, FailuresAreToldWithoutControlBytes) {
  helper("one", R"(printf 'locked \033[2J' >&2; exit 3)");
  EXPECT_THAT(helper_get("one", "r.example"),
              fails_with(ErrorCode::unavailable,
                         AllOf(HasSubstr("exit code 3"), HasSubstr("locked \\x1b[2J"))));
  EXPECT_THAT(helper_get("none-such", "r.example"),
              fails_with(ErrorCode::not_found, HasSubstr("docker-credential-none-such")));
  for (const char* name : {"../evil", "a/b", "", "-x", "a b", "a;b"}) {
    EXPECT_THAT(helper_get(name, "r.example"), fails_with(ErrorCode::invalid_input)) << name;
  }
}

TEST_F(HelperTest, EndlessAndSilentHelpersEnd) {
  helper("loud", "exec yes");
  EXPECT_THAT(helper_get("loud", "r.example"),
              fails_with(ErrorCode::unavailable, HasSubstr("too much")));
  helper("silent", "exec sleep 1000");
  EXPECT_THAT(helper_get("silent", "r.example", {.time = std::chrono::milliseconds(50)}),
              fails_with(ErrorCode::unavailable, HasSubstr("does not answer")));
  // A grandchild that keeps the pipes open is not waited for.
  helper("parent", R"(sleep 1000 & echo $! > )" + (directory_ / "pid").string() +
                       R"(; echo '{"Username":"u","Secret":"s"}')");
  EXPECT_EQ(unwrap(helper_get("parent", "r.example"))->password, "s");
  ::kill(std::stoi(directory_.read("pid")), SIGKILL);
}

TEST_F(HelperTest, SecretsAreNoArguments) {
  const std::string log = (directory_ / "args").string();
  helper("one", "echo \"$@\" $# > " + log + "; cat > /dev/null; env >> " + log);
  EXPECT_THAT(helper_store("one", "r.example", {.username = "ann", .password = "canary"}), is_ok());
  EXPECT_THAT(directory_.read("args"), AllOf(HasSubstr("store 1"), Not(HasSubstr("canary"))));
}

TEST_F(HelperTest, FilesNameThemAndTheMoreSpecificWins) {
  helper("ecr", R"(echo '{"Username":"u","Secret":"of-ecr"}')");
  helper("all", R"(echo '{"Username":"u","Secret":"of-all"}')");
  const auto kept = store(R"({"credsStore": "all", "credHelpers": {"ecr.example": "ecr"},
    "auths": {"ecr.example": {"auth": "YTpi"}, "direct.example": {"auth": "YTpi"}}})");
  EXPECT_EQ(unwrap(kept->find("ecr.example"))->password, "of-ecr");
  EXPECT_EQ(unwrap(kept->find("ecr.example"))->source, "docker-credential-ecr");
  EXPECT_EQ(unwrap(kept->find("direct.example"))->password, "b");
  EXPECT_EQ(unwrap(kept->find("direct.example"))->source, config().string());
  EXPECT_EQ(unwrap(kept->find("other.example"))->password, "of-all");
}

TEST_F(HelperTest, BrokenGeneralHelperMattersOnlyToItsEntries) {
  const auto kept = store(R"({"credsStore": "gone", "auths": {"noted.example": {}}})");
  EXPECT_EQ(unwrap(kept->find("anonymous.example")), std::nullopt);
  EXPECT_THAT(kept->find("noted.example"),
              fails_with(ErrorCode::not_found, HasSubstr("docker-credential-gone")));
}

TEST_F(HelperTest, RepositoriesHaveTheirOwn) {
  // Passwords: whole = w, team = t, team/action = a.
  const auto kept = store(R"({"auths": {"r.example:5000": {"auth": "dTp3"},
    "r.example:5000/team": {"auth": "dTp0"}, "r.example:5000/team/action": {"auth": "dTph"}}})");
  const auto password = [&](std::string_view registry, std::string_view repository) {
    const auto found = unwrap(kept->find(registry, repository));
    return found ? found->password : "none";
  };
  EXPECT_EQ(password("r.example:5000", ""), "w");
  EXPECT_EQ(password("r.example:5000", "team"), "t");
  EXPECT_EQ(password("r.example:5000", "team/other"), "t");
  EXPECT_EQ(password("r.example:5000", "team/action"), "a");
  EXPECT_EQ(password("r.example:5000", "team/action/deep"), "a");
  EXPECT_EQ(password("r.example:5000", "teams/action"), "w");
  EXPECT_EQ(password("r.example", "team/action"), "none");
}

TEST_F(HelperTest, LoginKeepsEverythingElseOfTheFile) {
  directory_.write("config.json",
                   R"({"psFormat": "x", "auths": {"other.example": {"auth": "YTpi", "k": 1}}})");
  const Credentials given{.username = "ann", .password = "s:1"};
  EXPECT_EQ(unwrap(save_credentials(config(), "r.example:5000", given)), config().string());
  const auto json = unwrap(parse_json(directory_.read("config.json"), "config"));
  EXPECT_EQ(json.at("psFormat"), "x");
  EXPECT_EQ(json.at("auths").at("other.example").at("k"), 1);
  struct stat status {};
  ASSERT_EQ(::stat(config().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto found = unwrap(unwrap(docker_config_credentials(config()))->find("r.example:5000"));
  EXPECT_EQ(found->username, "ann");
  EXPECT_EQ(found->password, "s:1");
  EXPECT_TRUE(unwrap(remove_credentials(config(), "r.example:5000")));
  EXPECT_FALSE(unwrap(remove_credentials(config(), "r.example:5000")));
  EXPECT_THAT(directory_.read("config.json"), HasSubstr("other.example"));
  EXPECT_THAT(unwrap(remove_all_credentials(config())), ElementsAre("other.example"));
  EXPECT_THAT(directory_.read("config.json"), HasSubstr("psFormat"));
}

TEST_F(HelperTest, LoginGoesThroughLinks) {
  directory_.write("real.json", "{}");
  std::filesystem::create_symlink(directory_ / "real.json", config());
  EXPECT_THAT(save_credentials(config(), "r.example", {.username = "u", .password = "p"}), is_ok());
  EXPECT_TRUE(std::filesystem::is_symlink(config()));
  EXPECT_THAT(directory_.read("real.json"), HasSubstr("r.example"));
}

TEST_F(HelperTest, LoginUsesTheHelperThatIsConfigured) {
  keeping_helper("safe");
  directory_.write("config.json", R"({"credsStore": "safe"})");
  const Credentials given{.username = "ann", .password = "canary"};
  EXPECT_EQ(unwrap(save_credentials(config(), "r.example:5000", given)), "docker-credential-safe");
  EXPECT_THAT(
      directory_.read("config.json"),
      AllOf(HasSubstr("r.example:5000"), Not(HasSubstr("auth\"")), Not(HasSubstr("canary"))));
  EXPECT_EQ(unwrap(unwrap(docker_config_credentials(config()))->find("r.example:5000"))->password,
            "canary");
  EXPECT_THAT(unwrap(remove_all_credentials(config())), ElementsAre("r.example:5000"));
  EXPECT_EQ(unwrap(unwrap(docker_config_credentials(config()))->find("r.example:5000")),
            std::nullopt);
}

TEST_F(HelperTest, DockerIoIsKeptUnderTheNameThatDockerLogsInWith) {
  const std::string key = "https://index.docker.io/v1/";
  const auto user = [](const CredentialStore& from) {
    const auto found = unwrap(from.find("docker.io", "library/alpine"));
    return found ? found->username : "none";
  };
  EXPECT_EQ(user(*store(R"({"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}})")), "a");
  EXPECT_EQ(user(*store(R"({"auths": {"index.docker.io": {"auth": "YTpi"}}})")), "a");
  EXPECT_EQ(user(*store(R"({"auths": {"docker.io": {"auth": "YTpi"}}})")), "a");
  EXPECT_EQ(user(*store(R"({"auths": {"https://docker.io.evil/v1/": {"auth": "YTpi"}}})")), "none");
  helper("named", R"(read -r s; echo "{\"Username\":\"$s\",\"Secret\":\"x\"}")");
  EXPECT_EQ(user(*store(R"({"credsStore": "named"})")), key);
  EXPECT_EQ(user(*store(R"({"credHelpers": {"https://index.docker.io/v1/": "named"}})")), key);

  directory_.write("config.json", "{}");
  EXPECT_THAT(save_credentials(config(), "docker.io", {.username = "a", .password = "b"}), is_ok());
  EXPECT_TRUE(
      unwrap(parse_json(directory_.read("config.json"), "config")).at("auths").contains(key));
  EXPECT_TRUE(unwrap(remove_credentials(config(), "docker.io")));
  EXPECT_THAT(directory_.read("config.json"), Not(HasSubstr("docker.io")));
}

TEST_F(HelperTest, RegistryTokensAreKeptInFilesOnly) {
  directory_.write("config.json", "{}");
  EXPECT_THAT(save_credentials(config(), "r.example", {.registry_token = "t"}), is_ok());
  const auto kept = unwrap(unwrap(docker_config_credentials(config()))->find("r.example"));
  EXPECT_EQ(kept->registry_token, "t");
  directory_.write("config.json", R"({"credsStore": "safe"})");
  EXPECT_THAT(save_credentials(config(), "r.example", {.registry_token = "t"}),
              fails_with(ErrorCode::unsupported));
}

TEST_F(HelperTest, TextOfTheEnvironmentGoesBeforeFiles) {
  directory_.write("config.json", R"({"auths": {"r.example": {"auth": "YTpi"},
                                                "s.example": {"auth": "YTpi"}}})");
  ::setenv("REGISTRY_AUTH_FILE", config().c_str(), 1);
  ::setenv("DOCKER_AUTH_CONFIG", R"({"auths": {"r.example": {"auth": "dTpw"}}})", 1);
  const auto found = unwrap(default_credentials());
  ::setenv("DOCKER_AUTH_CONFIG", "{", 1);
  const auto broken = default_credentials();
  ::unsetenv("DOCKER_AUTH_CONFIG");
  ::unsetenv("REGISTRY_AUTH_FILE");
  EXPECT_EQ(unwrap(found->find("r.example"))->username, "u");
  EXPECT_EQ(unwrap(found->find("r.example"))->source, "DOCKER_AUTH_CONFIG");
  EXPECT_EQ(unwrap(found->find("s.example"))->username, "a");
  EXPECT_THAT(broken, fails_with(ErrorCode::invalid_input, HasSubstr("DOCKER_AUTH_CONFIG")));
}

TEST_F(HelperTest, BrokenFilesAreNotOverwritten) {
  directory_.write("config.json", "{\"auths\": ");
  EXPECT_THAT(save_credentials(config(), "r.example", {.username = "u", .password = "p"}),
              fails_with(ErrorCode::invalid_input, HasSubstr("config.json")));
  EXPECT_EQ(directory_.read("config.json"), "{\"auths\": ");
}

TEST(Chained, FirstThatHasSomeWins) {
  std::vector<std::unique_ptr<CredentialStore>> stores;
  stores.push_back(fixed_credentials("a.example", {.username = "first"}));
  stores.push_back(fixed_credentials("a.example", {.username = "second"}));
  stores.push_back(fixed_credentials("b.example", {.username = "third"}));
  const auto chain = chained_credentials(std::move(stores));
  EXPECT_EQ(unwrap(chain->find("a.example"))->username, "first");
  EXPECT_EQ(unwrap(chain->find("b.example"))->username, "third");
  EXPECT_EQ(unwrap(chain->find("c.example")), std::nullopt);
}

}  // namespace
}  // namespace fnimage::registry

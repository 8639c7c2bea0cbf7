// Settings of single registries: the file, the shared certificate directories, and both against a
// real registry with a private authority that wants a client certificate.
#include <fnimage/registry/host_config.hpp>
#include <fnimage/test/docker_registry.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::DockerRegistry;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(HostConfig, AllMembers) {
  const test::TempDir directory;
  const auto file = directory.write("registries.json", R"({"hosts": {
    "serverless:30501": {"plain_http": true},
    "r.example": {"insecure": false, "tls_verify": false, "ca_file": "ca.pem", "ca_dir": "/etc/x",
      "cert_file": "c.pem", "key_file": "k.pem", "auth_realms": ["auth.example.org"]}}})");
  const auto hosts = unwrap(read_host_config(file));
  ASSERT_EQ(hosts.size(), 2U);
  EXPECT_EQ(hosts.at("serverless:30501").plain_http, true);
  const HostOptions& host = hosts.at("r.example");
  EXPECT_EQ(host.tls_verify, false);
  EXPECT_EQ(host.ca_file, directory / "ca.pem");
  EXPECT_EQ(host.ca_dir, "/etc/x");
  EXPECT_EQ(host.key_file, directory / "k.pem");
  EXPECT_THAT(host.auth_realms, ElementsAre("auth.example.org"));
  EXPECT_THAT(unwrap(read_host_config(directory / "none.json")), IsEmpty());
}

TEST(HostConfig, MistakesAreNamedWithTheirPlace) {
  const test::TempDir directory;
  const auto read = [&](std::string_view text) {
    return read_host_config(directory.write("registries.json", text));
  };
  EXPECT_THAT(read(R"({"hosts": {"a:1": {"plain_htpp": true}}})"),
              fails_with(ErrorCode::invalid_input,
                         AllOf(HasSubstr("registries.json"), HasSubstr("plain_htpp"))));
  for (const std::string_view text :
       {"{", "[]", R"({"host": {}})", R"({"hosts": []})", R"({"hosts": {"a": 1}})",
        R"({"hosts": {"a": {"insecure": "yes"}}})", R"({"hosts": {"a": {"auth_realms": "x"}}})",
        R"({"hosts": {"a": {"cert_file": "x"}}})", R"({"hosts": {"a": {"mirrors": "m"}}})",
        R"({"hosts": {"a": {"mirrors": ["https://m/"]}}})",
        R"({"hosts": {"a": {"mirrors": [""]}}})", R"({"hosts": {"a": {"connections": 1}}})",
        R"({"hosts": {"a": {"limit_rate": "10X"}}})", R"({"hosts": {"a": {"chunk_size": -1}}})",
        R"({"hosts": {"a": {"limit_rate": "9999999G"}}})",
        R"({"hosts": {"a": {"credentials": {}}}})",
        R"({"hosts": {"a": {"credentials": {"username": "u"}}}})",
        R"({"hosts": {"a": {"credentials": {"authfile": "f", "helper": "h"}}}})"}) {
    EXPECT_THAT(read(text), fails_with(ErrorCode::invalid_input, HasSubstr("registries.json")))
        << text;
  }
}

TEST(HostConfig, MirrorsLimitsAndCredentials) {
  const test::TempDir directory;
  const auto file = directory.write("registries.json", R"({"hosts": {"r.example": {
    "mirrors": ["m.example:5000", "n.example/hub"], "connections": 4, "limit_rate": "10M",
    "chunk_size": 65536, "credentials": {"username": "ann", "password_file": "secret"}}}})");
  const HostOptions host = unwrap(read_host_config(file)).at("r.example");
  EXPECT_THAT(host.mirrors, ElementsAre("m.example:5000", "n.example/hub"));
  EXPECT_EQ(host.connections, 4U);
  EXPECT_EQ(host.limit_rate, 10U << 20U);
  EXPECT_EQ(host.chunk_size, 65536U);
  EXPECT_EQ(host.credentials.username, "ann");
  EXPECT_EQ(host.credentials.password_file, directory / "secret");
}

TEST(HostConfig, SecretsAreRefusedAndNotShown) {
  const test::TempDir directory;
  const auto result = read_host_config(directory.write(
      "registries.json",
      R"({"hosts": {"a": {"credentials": {"username": "u", "password": "canary"}}}})"));
  ASSERT_THAT(result, fails_with(ErrorCode::invalid_input,
                                 AllOf(HasSubstr("password"), Not(HasSubstr("canary")))));
  EXPECT_THAT(result.error().hint(), HasSubstr("password_file"));
}

TEST(HostConfig, BelongsToTheExactHostAndYieldsToTheCaller) {
  ClientOptions options;
  options.hosts["a.example:5000"] = {.plain_http = true, .ca_file = "host.pem"};
  EXPECT_TRUE(unwrap(options_for(options, "a.example:5000", null_diagnostics())).plain_http);
  EXPECT_FALSE(unwrap(options_for(options, "a.example", null_diagnostics())).plain_http);
  options.insecure = true;
  options.tls.ca_file = "own.pem";
  const ClientOptions own = unwrap(options_for(options, "a.example:5000", null_diagnostics()));
  EXPECT_FALSE(own.plain_http);
  EXPECT_EQ(own.tls.ca_file, "own.pem");
}

class CertificatesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = DockerRegistry::missing(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
    registry_ = std::make_unique<DockerRegistry>(
        test::DockerRegistryOptions{.tls = true, .client_certificate = true});
  }
  void copy(const std::filesystem::path& file, const std::string& name) const {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::filesystem::copy_file(file, directory_ / name);
  }
  std::unique_ptr<DockerRegistry> registry_;
  test::TempDir directory_;
};

TEST_F(CertificatesTest, SharedDirectoriesGiveAuthorityAndClientCertificate) {
  const std::string& address = registry_->address();
  TestClient without({.certificate_directories = {directory_.path()}});
  EXPECT_THAT(without->ping(address), fails_with(ErrorCode::tls, HasSubstr("not trusted")));
  copy(registry_->ca_file(), address + "/ca.crt");
  TestClient anonymous({.certificate_directories = {directory_.path()}});
  EXPECT_FALSE(anonymous->ping(address));
  copy(registry_->cert_file(), address + "/client.cert");
  copy(registry_->key_file(), address + "/client.key");
  TestClient client({.certificate_directories = {directory_ / "none", directory_.path()}});
  EXPECT_THAT(client->ping(address), is_ok());
}

/// A token server whose certificate nobody knows, of a registry by http.
TEST(TokenServers, CertificatesAreVerifiedByTheirOwnSettings) {
  if (const std::string reason = DockerRegistry::missing(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const DockerRegistry realm(test::DockerRegistryOptions{.tls = true});
  test::ScriptedServer server([&](const test::SeenRequest&) {
    return test::Reply{
        .status = 401,
        .headers = {{"WWW-Authenticate", "Bearer realm=\"https://" + realm.address() + "/v2/\""}}};
  });
  const auto credentials = [&] {
    return fixed_credentials(server.address(), {.username = "ann", .password = "p"});
  };
  ClientOptions options{.plain_http = true};
  TestClient strict(options, credentials());
  EXPECT_THAT(strict->ping(server.address()), fails_with(ErrorCode::tls, HasSubstr("not trusted")));
  // It answers with something else than a token, so its certificate was accepted.
  for (const HostOptions& own : {HostOptions{.ca_file = realm.ca_file()},
                                 HostOptions{.insecure = true}, HostOptions{.tls_verify = false}}) {
    options.hosts[realm.address()] = own;
    TestClient client(options, credentials());
    EXPECT_THAT(client->ping(server.address()),
                fails_with(ErrorCode::protocol, HasSubstr("no usable token")));
  }
  TestClient trusting({.plain_http = true, .tls = {.ca_file = realm.ca_file()}}, credentials());
  EXPECT_THAT(trusting->ping(server.address()), fails_with(ErrorCode::protocol));
}

TEST(TokenServers, ByHttpBehindHttpsOnlyWhenThatIsAccepted) {
  if (const std::string reason = DockerRegistry::missing(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  test::ScriptedServer realm(
      [](const test::SeenRequest&) { return test::Reply{.body = R"({"token":"T"})"}; });
  const DockerRegistry registry(
      test::DockerRegistryOptions{.tls = true, .token_realm = realm.url("/token")});
  const auto ping = [&](const ClientOptions& options) {
    TestClient client(options,
                      fixed_credentials(registry.address(), {.username = "ann", .password = "p"}));
    return client->ping(registry.address());
  };
  ClientOptions options{.tls = {.ca_file = registry.ca_file()}};
  const std::string host = realm.address().substr(0, realm.address().find(':'));
  for (const std::vector<std::string>& named : {std::vector<std::string>{}, {host}}) {
    options.auth_realms = named;
    EXPECT_THAT(ping(options),
                fails_with(ErrorCode::unauthorized, HasSubstr("this server by http")));
  }
  EXPECT_THAT(realm.requests(), IsEmpty());
  // The registry does not know that token, but it was asked for.
  EXPECT_THAT(ping({.insecure = true}), fails_with(ErrorCode::unauthorized));
  EXPECT_EQ(realm.requests().empty(), false);
  const std::size_t before = realm.requests().size();
  options.hosts[realm.address()].plain_http = true;
  EXPECT_THAT(ping(options), fails_with(ErrorCode::unauthorized));
  EXPECT_GT(realm.requests().size(), before);
}

TEST_F(CertificatesTest, DirectoryOfAuthoritiesAddsToTheFile) {
  copy(registry_->ca_file(), "authorities/own.pem");
  ClientOptions options{.ca_dir = directory_ / "authorities"};
  options.hosts[registry_->address()] = {.cert_file = registry_->cert_file(),
                                         .key_file = registry_->key_file()};
  TestClient client(options);
  EXPECT_THAT(client->ping(registry_->address()), is_ok());
  options.tls.ca_file = directory_ / "authorities/own.pem";
  TestClient both(options);
  EXPECT_THAT(both->ping(registry_->address()), is_ok());
  TestClient none({.ca_dir = directory_ / "none"});
  EXPECT_THAT(none->ping(registry_->address()), fails_with(ErrorCode::not_found));
}

}  // namespace
}  // namespace fnimage::registry

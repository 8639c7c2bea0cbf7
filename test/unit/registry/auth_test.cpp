// Where token servers may be, at which addresses, and what the authenticator does with the
// credentials it finds.
#include "auth.hpp"

#include <fnimage/test/scripted_server.hpp>

#include "address.hpp"
#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct AddressCase {
  std::string_view address;
  std::optional<AddressKind> kind;
};

TEST(Addresses, KindsTable) {
  constexpr AddressCase cases[] = {
      {"127.0.0.1", AddressKind::loopback},
      {"127.9.9.9", AddressKind::loopback},
      {"0.0.0.0", AddressKind::loopback},
      {"10.1.2.3", AddressKind::site},
      {"172.16.0.1", AddressKind::site},
      {"172.32.0.1", AddressKind::global},
      {"192.168.255.255", AddressKind::site},
      {"100.64.0.1", AddressKind::site},
      {"169.254.169.254", AddressKind::link_local},
      {"198.51.100.7", AddressKind::global},
      {"[::1]", AddressKind::loopback},
      {"::", AddressKind::loopback},
      {"fe80::1%eth0", AddressKind::link_local},
      {"fd00::1", AddressKind::site},
      {"2001:db8::1", AddressKind::global},
      {"::ffff:169.254.169.254", AddressKind::link_local},
      {"64:ff9b::a9fe:a9fe", AddressKind::link_local},
      {"2002:7f00:1::", AddressKind::loopback},
      {"localhost", std::nullopt},
      {"10.1.2", std::nullopt},
      {"", std::nullopt},
  };
  for (const AddressCase& c : cases) {
    EXPECT_EQ(address_kind(c.address), c.kind) << c.address;
  }
}

struct RealmCase {
  std::string_view registry;
  std::string_view realm;
  AddressKind address;  ///< of the registry
  bool allowed;
};

TEST(Realm, CredentialsGoOnlyWhereTheyMay) {
  constexpr auto global = AddressKind::global;
  constexpr auto site = AddressKind::site;
  constexpr auto loopback = AddressKind::loopback;
  constexpr RealmCase cases[] = {
      {"https://r.example.com/", "https://r.example.com/token", global, true},
      {"https://r.example.com/", "https://r.example.com:8443/token", global, true},
      {"https://r.example.com/", "https://auth.example.com/token", global, true},
      {"https://r.example.com/", "https://auth.example.org/token", global, false},
      {"https://r.example.com/", "https://auth.example.com.evil.org/token", global, false},
      {"https://a.co.uk/", "https://b.co.uk/token", global, false},
      {"https://r.a.co.uk/", "https://auth.a.co.uk/token", global, true},
      {"https://r.example.com/", "http://r.example.com/token", global, false},
      {"https://r.example.com/", "http://169.254.169.254/token", global, false},
      {"https://r.example.com/", "https://169.254.169.254/token", global, false},
      {"https://r.example.com/", "https://10.0.0.1/token", global, false},
      {"https://r.example.com/", "https://127.0.0.1/token", global, false},
      {"https://r.example.com/", "https://[::ffff:10.0.0.1]/token", global, false},
      {"https://registry/", "https://auth/token", global, false},
      {"https://10.0.0.1/", "https://10.0.0.2/token", site, true},
      {"https://10.0.0.1/", "http://10.0.0.2/token", site, false},
      {"http://10.0.0.1:5000/", "http://10.0.0.2:5001/token", site, true},
      {"http://10.0.0.1:5000/", "http://127.0.0.1:5001/token", site, false},
      {"http://10.0.0.1:5000/", "http://169.254.169.254/token", site, false},
      {"http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", loopback, true},
      {"http://127.0.0.1:5000/", "http://169.254.169.254/token", loopback, false},
      {"http://r.example:5000/", "http://r.example:5001/token", global, true},
      {"http://r.example:5000/", "http://evil.example:5000/token", global, false},
      {"http://r.example:5000/", "http://r.example.evil.example/token", global, false},
  };
  for (const RealmCase& c : cases) {
    EXPECT_EQ(allow_realm(unwrap(Url::parse(c.registry)), unwrap(Url::parse(c.realm)),
                          {.registry = c.address})
                  .has_value(),
              c.allowed)
        << c.registry << " " << c.realm;
  }
}

TEST(Realm, AddressesAreHeldToTheRegistrysPlace) {
  const Url registry = unwrap(Url::parse("https://r.example.com/"));
  const Url realm = unwrap(Url::parse("https://auth.example.com/token"));
  const PeerRule outside = unwrap(allow_realm(registry, realm, {}));
  EXPECT_TRUE(outside.global);
  EXPECT_FALSE(outside.site || outside.loopback || outside.link_local);
  const Url other = unwrap(Url::parse("https://auth.intern/token"));
  const PeerRule inside = unwrap(allow_realm(registry, other, {.registry = AddressKind::site}));
  EXPECT_TRUE(inside.site);
  EXPECT_FALSE(inside.global || inside.loopback || inside.link_local);
}

TEST(Realm, NamedServersAreAllowedButNotByHttpForHttps) {
  const Url registry = unwrap(Url::parse("https://r.example.com/"));
  const RealmPolicy policy{.named = {"auth.example.org", "10.0.0.1:8443"}};
  const auto allowed = [&](std::string_view realm) {
    return allow_realm(registry, unwrap(Url::parse(realm)), policy).has_value();
  };
  EXPECT_TRUE(allowed("https://auth.example.org/t"));
  EXPECT_TRUE(allowed("https://AUTH.example.org:444/t"));
  EXPECT_TRUE(allowed("https://10.0.0.1:8443/t"));
  EXPECT_FALSE(allowed("https://10.0.0.1/t"));
  EXPECT_FALSE(allowed("http://auth.example.org/t"));
  EXPECT_FALSE(allowed("https://x.auth.example.org/t"));
}

TEST(Realm, HttpOnlyWhereItIsAccepted) {
  const Url registry = unwrap(Url::parse("https://r.example.com/"));
  const auto allowed = [&](std::string_view realm, RealmPolicy policy) {
    policy.named = {"auth.example.org"};
    return allow_realm(registry, unwrap(Url::parse(realm)), policy).has_value();
  };
  EXPECT_TRUE(allowed("http://r.example.com:5001/t", {.http = true}));
  EXPECT_TRUE(allowed("http://auth.example.org/t", {.http = true}));
  EXPECT_FALSE(allowed("http://auth.example.com/t", {.http = true}));  // anybody may be there
  EXPECT_FALSE(allowed("http://169.254.169.254/t", {.http = true}));
  EXPECT_FALSE(allowed("http://r.example.com:5001/t", {}));
}

TEST(Peers, NamesAreHeldToTheRuleToo) {
  ScriptedServer server([](const SeenRequest&) { return Reply{}; });
  const auto transport = unwrap(make_curl_transport({}));
  const std::string port = server.address().substr(server.address().find(':'));
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    EXPECT_THAT(
        transport->perform({.url = "http://" + host + port + "/", .peers = {.loopback = false}}),
        fails_with(ErrorCode::unauthorized, HasSubstr("refused")))
        << host;
  }
  EXPECT_THAT(server.requests(), IsEmpty());
  // Refused before anything is sent, so this needs no network.
  EXPECT_THAT(transport->perform({.url = "http://198.51.100.7/", .peers = {.global = false}}),
              fails_with(ErrorCode::unauthorized, HasSubstr("198.51.100.7")));
  const HttpResponse fine = unwrap(transport->perform({.url = server.url("/")}));
  EXPECT_EQ(fine.peer, "127.0.0.1");
  // A kept-alive connection is no way around the rule, but serves whom it allows.
  EXPECT_FALSE(transport->perform({.url = server.url("/"), .peers = {.loopback = false}}));
  EXPECT_TRUE(transport->perform({.url = server.url("/"), .peers = {.site = false}}));
  EXPECT_EQ(server.requests().back().connection, server.requests().front().connection);
}

/// Answers 401 with a challenge until `accepted` is sent.
Reply gate(const SeenRequest& request, const std::string& challenge, const std::string& accepted) {
  if (request.header("authorization") == accepted) {
    return {.status = 404};
  }
  return {.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
}

TEST(Auth, RegistryTokenIsUsedAsItIs) {
  ScriptedServer auth;
  ScriptedServer server([&](const SeenRequest& request) {
    return gate(request, "Bearer realm=\"" + auth.url("/t") + "\",service=\"s\"", "Bearer given");
  });
  TestClient client({.plain_http = true},
                    fixed_credentials(server.address(), {.registry_token = "given"}));
  EXPECT_THAT(client.repository(server.address() + "/a")->resolve("x"), is_ok());
  EXPECT_THAT(auth.requests(), IsEmpty());
}

TEST(Auth, RepositoriesUseTheirOwnCredentialsAndAHelperIsAskedOnce) {
  class Counting final : public CredentialStore {
   public:
    [[nodiscard]] Result<std::optional<Credentials>> find(
        std::string_view /*registry*/, std::string_view repository) const override {
      ++asked;
      return Credentials{.username = "u", .password = std::string(repository)};
    }
    mutable std::atomic<int> asked{0};
  };
  ScriptedServer server([](const SeenRequest& request) {
    return gate(request, "Basic realm=\"x\"",
                request.target.find("/team/") != std::string::npos
                    ? "Basic dTp0ZWFtL2E="  // u:team/a
                    : "Basic dTpi");        // u:b
  });
  const auto store = std::make_shared<Counting>();
  TestClient client({.plain_http = true}, store);
  const auto one = client.repository(server.address() + "/team/a");
  const auto two = client.repository(server.address() + "/b");
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(one->resolve("x"), is_ok());
    EXPECT_THAT(two->resolve("x"), is_ok());
  }
  EXPECT_LE(store->asked, 3);  // for each repository, and for the registry itself
}

TEST(Auth, MissingScopeIsAskedForOnceThenNamed) {
  ScriptedServer auth([](const SeenRequest&) { return Reply{.body = R"({"token":"T"})"}; });
  const std::string realm = "Bearer realm=\"" + auth.url("/t") + "\"";
  ScriptedServer server([&](const SeenRequest& request) -> Reply {
    if (!request.header("authorization")) {
      return {.status = 401, .headers = {{"WWW-Authenticate", realm}}};
    }
    return {.status = 403,
            .headers = {{"WWW-Authenticate",
                         realm + ",scope=\"repository:a:delete\",error=\"insufficient_scope\""}}};
  });
  TestClient client({.plain_http = true});
  EXPECT_THAT(client.repository(server.address() + "/a")->tags(),
              fails_with(ErrorCode::unauthorized, HasSubstr("denied: scope repository:a:delete")));
  EXPECT_EQ(server.requests().size(), 3U);  // without a token, with one, with more rights
  EXPECT_THAT(auth.requests().back().target, HasSubstr("delete"));
}

}  // namespace
}  // namespace fnimage::registry

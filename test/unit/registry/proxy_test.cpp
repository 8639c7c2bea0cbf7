// Proxies of the environment: which one a URL goes through, that requests and bodies come through
// whole, and what is said when they do not.
#include "proxy.hpp"

#include <cstdlib>
#include <map>

#include <fnimage/registry/transport.hpp>
#include <fnimage/test/relay.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::HttpProxy;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::TlsFront;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

using Environment = std::map<std::string, std::string>;

std::string proxy_for(const std::string& url, const Environment& environment) {
  return Proxies::from([&](const char* name) {
           const auto found = environment.find(name);
           return found == environment.end() ? std::string() : found->second;
         })
      .for_url(url);
}

TEST(Proxies, LowerCaseThenUpperCaseThenAll) {
  const Environment both{{"http_proxy", "low"}, {"HTTP_PROXY", "up"}, {"HTTPS_PROXY", "tls"}};
  EXPECT_EQ(proxy_for("http://r.example/", both), "low");
  EXPECT_EQ(proxy_for("HTTPS://r.example/", both), "tls");
  EXPECT_EQ(proxy_for("http://r.example/", {{"HTTP_PROXY", "up"}}), "up");
  EXPECT_EQ(proxy_for("http://r.example/", {{"HTTP_PROXY", "up"}, {"REQUEST_METHOD", "GET"}}), "");
  EXPECT_EQ(proxy_for("https://r.example/", {{"http_proxy", "low"}}), "");
  EXPECT_EQ(proxy_for("https://r.example/", {{"ALL_PROXY", "all"}}), "all");
  EXPECT_EQ(proxy_for("http://r.example/", {{"all_proxy", "all"}}), "all");
}

TEST(Proxies, LoopbackAndExceptionsGoDirectly) {
  Environment environment{{"http_proxy", "p"}};
  for (const char* url : {"http://localhost:5000/", "http://127.1.2.3/", "http://[::1]:5000/"}) {
    EXPECT_EQ(proxy_for(url, environment), "") << url;
  }
  environment["NO_PROXY"] = "other.example, .intern 10.0.0.0/8,registry.example:5000";
  EXPECT_EQ(proxy_for("http://a.intern/", environment), "");
  EXPECT_EQ(proxy_for("http://10.1.2.3:5000/", environment), "");
  EXPECT_EQ(proxy_for("http://Registry.example:5000/", environment), "");
  EXPECT_EQ(proxy_for("http://registry.example/", environment), "p");
  environment["no_proxy"] = "nothing.example";
  EXPECT_EQ(proxy_for("http://a.intern/", environment), "p");
}

TEST(Proxies, ExceptionsTable) {
  struct Case {
    std::string_view entry;
    std::string_view host;
    bool excepted;
  };
  constexpr Case cases[] = {
      {"*", "r.example", true},
      {"example", "r.example", true},
      {"r.example", "r.example", true},
      {"r.example", "r.example.", true},
      {"r.example", "xr.example", false},
      {"r.example", "r.example.evil", false},
      {".r.example", "a.r.example", true},
      {"*.r.example", "a.r.example", true},
      {"r.example:443", "r.example", true},
      {"r.example:444", "r.example", false},
      {"", "r.example", false},
      {".", "r.example", false},
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1:443", "10.0.0.1", true},
      {"10.0.0.1:80", "10.0.0.1", false},
      {"0.0.1", "10.0.0.1", false},
      {"10.0.0.0/31", "10.0.0.1", true},
      {"10.0.0.0/32", "10.0.0.1", false},
      {"10.0.0.0/33", "10.0.0.1", false},
      {"10.0.0.0/x", "10.0.0.1", false},
      {"fd00::/8", "fd12::1", true},
      {"fd00::/8", "10.0.0.1", false},
      {"[fd12::1]:443", "fd12::1", true},
      {"[fd12::1]:80", "fd12::1", false},
      {"fd12::1", "fd12::1", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(excepts(c.entry, c.host, "443"), c.excepted) << c.entry << " " << c.host;
  }
}

/// A registry that only a proxy can find.
class ThroughProxy : public ::testing::Test {
 protected:
  ~ThroughProxy() override {
    ::unsetenv("http_proxy");   // NOLINT(concurrency-mt-unsafe): no transport is left
    ::unsetenv("https_proxy");  // NOLINT(concurrency-mt-unsafe)
  }
  /// What is made from now on goes there.
  static std::unique_ptr<Transport> transport_through(const std::string& proxy) {
    ::setenv("http_proxy", proxy.c_str(), 1);   // NOLINT(concurrency-mt-unsafe)
    ::setenv("https_proxy", proxy.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    return unwrap(make_curl_transport({.stall_timeout = std::chrono::seconds(10)}));
  }

  const std::string bytes_ = random_bytes(5'000'001);
  test::TempDir directory_;
  ContentPtr content_ = unwrap(file_content(directory_.write("blob", bytes_)));
  test::Certificate certificate_ = test::make_certificate();
  TlsOptions trusting_{.ca_pem = certificate_.certificate};
  ScriptedServer server_{[](const SeenRequest&) { return Reply{.status = 201}; }};
};

TEST_F(ThroughProxy, RequestsAndFilesAreForwarded) {
  const HttpProxy proxy(server_.address());
  const auto client = transport_through("http://ann:s%40cret@" + proxy.address());
  const HttpResponse answer = unwrap(client->perform({.url = "http://registry.test:5000/v2/"}));
  EXPECT_EQ(answer.peer, "");
  const HttpRequest put{
      .method = "PUT", .url = "http://registry.test:5000/up", .body = content_.get()};
  EXPECT_EQ(unwrap(client->perform(put)).status, 201);
  ASSERT_THAT(server_.lines(), ElementsAre("GET /v2/", "PUT /up"));
  EXPECT_TRUE(server_.requests()[1].body == bytes_);
  EXPECT_THAT(proxy.heads().at(0), AllOf(StartsWith("GET http://registry.test:5000/v2/ "),
                                         HasSubstr("Proxy-Authorization: Basic YW5uOnNAY3JldA==")));
}

TEST_F(ThroughProxy, FilesComeWholeThroughTls) {
  const HttpProxy proxy(server_.address());
  const TlsFront front(certificate_, proxy.address());
  const auto client = transport_through("https://" + front.address());
  const HttpRequest put{.method = "PUT",
                        .url = "http://registry.test:5000/up",
                        .body = content_.get(),
                        .tls = trusting_};
  EXPECT_EQ(unwrap(client->perform(put)).status, 201);
  EXPECT_TRUE(server_.requests().at(0).body == bytes_);
  // As a file it does as well as in memory.
  HttpRequest by_file = put;
  by_file.tls = {.ca_file = directory_.write("ca.pem", certificate_.certificate)};
  EXPECT_EQ(unwrap(client->perform(by_file)).status, 201);
}

TEST_F(ThroughProxy, TunnelsHearNothingOfWhatGoesThrough) {
  const TlsFront registry(certificate_, server_.address());
  const HttpProxy proxy(registry.address());
  const TlsFront front(certificate_, proxy.address());
  for (const std::string& address : {"http://" + proxy.address(), "https://" + front.address()}) {
    const auto client = transport_through(address);
    const HttpRequest put{.method = "PUT",
                          .url = "https://registry.test:5000/up",
                          .headers = {{"Authorization", "Bearer canary"}},
                          .body = content_.get(),
                          .tls = trusting_};
    EXPECT_EQ(unwrap(client->perform(put)).status, 201);
    EXPECT_TRUE(server_.requests().back().body == bytes_);
    EXPECT_EQ(server_.requests().back().header("authorization"), "Bearer canary");
  }
  ASSERT_EQ(proxy.heads().size(), 2U);
  for (const std::string& head : proxy.heads()) {
    EXPECT_THAT(head, AllOf(StartsWith("CONNECT registry.test:5000 "), Not(HasSubstr("canary"))));
  }
}

TEST_F(ThroughProxy, TroubleIsToldOfTheProxyWithoutItsPassword) {
  std::string closed;
  {
    const ScriptedServer gone;
    closed = gone.address();
  }
  HttpProxy proxy(server_.address());
  const TlsFront untrusted(certificate_, proxy.address());
  const auto ask = [](const std::string& address, const std::string& scheme) {
    const auto client = transport_through(address);
    const auto answer = client->perform({.url = scheme + "://registry.test:5000/v2/"});
    if (!answer) {
      EXPECT_THAT(answer.error().describe() + answer.error().hint(), Not(HasSubstr("s3cret")));
    }
    return answer;
  };
  const std::string with_password = "http://ann:s3cret@";
  EXPECT_THAT(ask(with_password + closed, "http"),
              fails_with(ErrorCode::unavailable,
                         AllOf(HasSubstr("cannot connect to the proxy http://" + closed),
                               HasSubstr("connection refused"))));
  EXPECT_THAT(ask(with_password + "no-such-proxy.invalid:3128", "https"),
              fails_with(ErrorCode::unavailable, HasSubstr("no-such-proxy.invalid:3128")));
  EXPECT_THAT(ask("https://ann:s3cret@" + untrusted.address(), "http"),
              fails_with(ErrorCode::tls, HasSubstr("certificate of the proxy")));
  proxy.refuse(407);
  EXPECT_THAT(
      ask(with_password + proxy.address(), "https"),
      fails_with(ErrorCode::unauthorized, HasSubstr("refuses the way to registry.test:5000")));
  EXPECT_EQ(unwrap(ask(with_password + proxy.address(), "http")).status, 407);
  proxy.refuse(503);
  const auto busy = ask(with_password + proxy.address(), "https");
  ASSERT_THAT(busy, fails_with(ErrorCode::unavailable, HasSubstr("cannot reach registry.test")));
  EXPECT_TRUE(busy.error().is_retryable());
  EXPECT_THAT(server_.lines(), IsEmpty());
}

// --- certificates, which need the same servers ---

TEST(Certificates, HintsFitTheCause) {
  ScriptedServer server([](const SeenRequest&) { return Reply{}; });
  const auto hint_for = [&server](const test::Certificate& certificate, bool trusted) {
    const TlsFront front(certificate, server.address());
    const auto answer = unwrap(make_curl_transport({}))
                            ->perform({.url = "https://" + front.address() + "/",
                                       .tls = {.ca_pem = trusted ? certificate.certificate : ""}});
    EXPECT_THAT(answer, fails_with(ErrorCode::tls, HasSubstr("certificate of 127.0.0.1")));
    return answer ? std::string() : answer.error().hint();
  };
  EXPECT_THAT(hint_for(test::make_certificate(-10, -1), true), HasSubstr("clock"));
  EXPECT_THAT(hint_for(test::make_certificate(5, 10), true), HasSubstr("clock"));
  EXPECT_THAT(hint_for(test::make_certificate(-1, 1, "DNS:other.test"), true),
              HasSubstr("host name"));
  EXPECT_THAT(hint_for(test::make_certificate(), false), HasSubstr("--ca-file"));
}

}  // namespace
}  // namespace fnimage::registry

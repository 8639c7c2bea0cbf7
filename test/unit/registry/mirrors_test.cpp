// Mirrors of a registry, and the limits and credentials of single hosts, against scripted servers.
#include <condition_variable>
#include <future>
#include <thread>

#include <fnimage/registry/host_config.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "sample_image.hpp"
#include "scripted_repository.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A registry with a blob and a manifest, and another that is said to be its mirror.
class MirrorsTest : public ::testing::Test {
 protected:
  const std::string large_ = random_bytes(5'000'000);
  const std::string small_ = "{}";
  const manifest::Document image_ = image_of(small_, {large_});

  Reply content(const SeenRequest& request) const {
    if (request.target.ends_with(blob_of(large_).digest.str())) {
      return {.body = large_};
    }
    if (request.target.ends_with(blob_of(small_).digest.str())) {
      return {.body = small_};
    }
    if (request.target.ends_with(image_.digest().str()) || request.target.ends_with("/v1")) {
      return reply_with(image_);
    }
    return {.status = 404};
  }
  /// Wants ann's password, but not from the mirror.
  Reply origin(const SeenRequest& request) const {
    if (!request.header("authorization")) {
      return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
    }
    return content(request);
  }
  [[nodiscard]] TestClient client(const std::vector<std::string>& mirrors) const {
    ClientOptions options{.plain_http = true};
    options.hosts[origin_.address()].mirrors = mirrors;
    return TestClient(std::move(options),
                      fixed_credentials(origin_.address(), {.username = "ann", .password = "p"}));
  }
  void expect_content(TestClient& from) {
    const auto store = from.repository(origin_.address() + "/team/a");
    EXPECT_EQ(unwrap(store->get_manifest(image_.digest())).bytes(), image_.bytes());
    for (const std::string& bytes : {small_, large_}) {
      const ContentPtr blob = unwrap(store->blob(blob_of(bytes)));
      EXPECT_TRUE(unwrap(read_all(*unwrap(blob->open()), bytes.size())) == bytes);
      EXPECT_TRUE(unwrap(read_all(*unwrap(blob->open(1)), bytes.size())) == bytes.substr(1));
    }
  }

  ScriptedServer origin_{[this](const SeenRequest& request) { return origin(request); }};
};

TEST_F(MirrorsTest, AreReadFirstWithoutTheRegistrysCredentials) {
  ScriptedServer mirror([&](const SeenRequest& request) { return content(request); });
  TestClient from = client({mirror.address() + "/cache"});
  expect_content(from);
  EXPECT_THAT(origin_.requests(), IsEmpty());
  EXPECT_THAT(mirror.lines(), SizeIs(3));  // the manifest, and each blob once
  for (const SeenRequest& request : mirror.requests()) {
    EXPECT_EQ(request.header("authorization"), std::nullopt);
    EXPECT_TRUE(request.target.starts_with("/v2/cache/team/a/")) << request.target;
  }
  // Tags, and what exists, are the registry's own to say.
  const auto store = from.repository(origin_.address() + "/team/a");
  EXPECT_THAT(store->get_manifest("v1"), is_ok());
  EXPECT_THAT(store->has_blob(blob_of(small_)), is_ok());
  EXPECT_THAT(store->resolve(image_.digest()), is_ok());
  EXPECT_THAT(mirror.lines(), SizeIs(3));
}

TEST_F(MirrorsTest, ThatFailOrLieAreLeftForTheNextAndTheRegistry) {
  ScriptedServer broken([](const SeenRequest&) { return Reply{.status = 500}; });
  ScriptedServer lying([&](const SeenRequest& request) {
    Reply reply = content(request);
    reply.body.back() = static_cast<char>(reply.body.back() ^ 1);
    return reply;
  });
  ScriptedServer empty([](const SeenRequest&) { return Reply{.status = 404}; });
  std::string gone;
  {
    const ScriptedServer server;
    gone = server.address();
  }
  TestClient from = client({gone, broken.address(), empty.address(), lying.address()});
  expect_content(from);
  EXPECT_THAT(empty.lines(), SizeIs(3));  // what it lacks says nothing about the rest
  EXPECT_THAT(from.messages(), AllOf(SizeIs(3), Each(HasSubstr("left out from here on"))));
}

TEST_F(MirrorsTest, LargeBlobsThatAreLiesReachNobody) {
  ScriptedServer lying([&](const SeenRequest& request) {
    Reply reply = content(request);
    if (request.target.find("/blobs/") != std::string::npos) {
      reply.body.back() = static_cast<char>(reply.body.back() ^ 1);
    }
    return reply;
  });
  TestClient from = client({lying.address()});
  const auto store = from.repository(origin_.address() + "/team/a");
  const ContentPtr blob = unwrap(store->blob(blob_of(large_)));
  EXPECT_TRUE(unwrap(read_all(*unwrap(blob->open()), large_.size())) == large_);
}

TEST_F(MirrorsTest, StandInForARegistryThatIsDown) {
  ScriptedServer mirror([&](const SeenRequest& request) { return content(request); });
  std::string gone;
  {
    const ScriptedServer server;
    gone = server.address();
  }
  ClientOptions options{.plain_http = true};
  options.hosts[gone].mirrors = {mirror.address()};
  TestClient from(std::move(options));
  const auto found = from.repository(gone + "/a")->resolve(image_.digest());
  EXPECT_EQ(unwrap(found)->size, image_.bytes().size());
}

TEST_F(MirrorsTest, AreNeverWrittenToNorAskedForADestination) {
  test::MemoryRegistry registry;
  ScriptedServer mirror([&](const SeenRequest& request) { return content(request); });
  ClientOptions options{.plain_http = true};
  options.hosts[registry.address()].mirrors = {mirror.address()};
  TestClient client(std::move(options));
  const auto from = make_memory_store("from");
  test::put_list(*from, "v1");
  const auto to = client.repository(registry.address() + "/a");
  EXPECT_THAT(transfer(*from, "v1", *to, {.tags = {"v1"}}, null_diagnostics()), is_ok());
  EXPECT_THAT(mirror.requests(), IsEmpty());
}

TEST(HostLimitsTest, ConnectionsOfOneHost) {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t now = 0;
  std::size_t most = 0;
  std::size_t seen = 0;
  // The first two wait for each other, so that the limit is reached for certain.
  ScriptedServer server([&](const SeenRequest&) {
    std::unique_lock lock(mutex);
    most = std::max(most, ++now);
    ++seen;
    changed.notify_all();
    changed.wait(lock, [&] { return seen >= 2; });
    --now;
    return Reply{};
  });
  TransportOptions options;
  options.hosts[server.address()].connections = 2;
  const auto transport = unwrap(make_curl_transport(options));
  {
    std::vector<std::jthread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back(
          [&] { EXPECT_THAT(transport->perform({.url = server.url("/")}), is_ok()); });
    }
  }
  EXPECT_EQ(most, 2U);
}

/// Much more than libcurl 7.88 reads in one go (100 buffers), which it does not hold back.
std::string more_than_a_burst() {
  return std::string(40'000'000, 'x');
}

TEST(HostLimitsTest, RateOfOneHost) {
  const std::string bytes = more_than_a_burst();
  ScriptedServer slow([&](const SeenRequest&) { return Reply{.body = bytes}; });
  TransportOptions options;
  options.hosts[slow.address()].rate_limit = bytes.size();
  const auto transport = unwrap(make_curl_transport(options));
  std::string target;
  StringWriter sink(target);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(transport->perform({.url = slow.url("/"), .sink = &sink}), is_ok());
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
  EXPECT_TRUE(target == bytes);
}

TEST(HostLimitsTest, RateOfOneHostHoldsNobodyElseUp) {
  const std::string bytes = more_than_a_burst();
  std::promise<void> asked;
  ScriptedServer slow([&](const SeenRequest&) {
    asked.set_value();
    return Reply{.body = bytes};
  });
  ScriptedServer other([](const SeenRequest&) { return Reply{.body = "small"}; });
  std::stop_source stop;
  TransportOptions options;
  options.hosts[slow.address()].rate_limit = 40'000;  // it would take minutes
  options.stop = stop.get_token();
  const auto transport = unwrap(make_curl_transport(options));
  const auto download = [&](const ScriptedServer& from) {
    std::string target;
    StringWriter sink(target);
    return transport->perform({.url = from.url("/"), .sink = &sink});
  };
  auto endless = std::async(std::launch::async, [&] { return download(slow); });
  asked.get_future().wait();
  EXPECT_THAT(download(other), is_ok());
  stop.request_stop();
  EXPECT_THAT(endless.get(), fails_with(ErrorCode::cancelled));
}

TEST(HostLimitsTest, ComeFromTheFileByNetworkName) {
  std::map<std::string, HostOptions> hosts;
  hosts["a.example:5000"].limit_rate = 100'000;
  hosts["docker.io"].connections = 3;
  hosts["b.example"].plain_http = true;
  const auto limits = host_limits(hosts);
  ASSERT_THAT(limits, SizeIs(2));
  EXPECT_EQ(limits.at("a.example:5000").rate_limit, 100'000U);
  EXPECT_EQ(limits.at("registry-1.docker.io").connections, 3U);
  EXPECT_EQ(unwrap(options_for({.hosts = {{"c.example", {.chunk_size = 70'000}}}}, "c.example",
                               null_diagnostics()))
                .chunk_size,
            70'000U);
}

TEST(HostCredentials, ByEachForm) {
  const test::TempDir directory;
  directory.write("password", "secret of ann\n");
  directory.write("auth.json", R"({"auths": {"b.example": {"auth": "Ym9iOnB3"}}})");
  const auto hosts = unwrap(read_host_config(directory.write("registries.json", R"({"hosts": {
    "a.example": {"credentials": {"username": "ann", "password_file": "password"}},
    "b.example": {"credentials": {"authfile": "auth.json"}},
    "c.example": {"credentials": {"helper": "none-such"}},
    "d.example": {"credentials": {"username": "ann", "password_file": "none"}}}})")));
  const auto store = host_credentials(hosts);
  const auto ann = unwrap(store->find("a.example", "team/a"));
  EXPECT_EQ(ann->password, "secret of ann");
  EXPECT_EQ(ann->source, directory / "password");
  EXPECT_EQ(unwrap(store->find("b.example"))->username, "bob");
  EXPECT_THAT(store->find("c.example"),
              fails_with(ErrorCode::not_found, HasSubstr("docker-credential-none-such")));
  EXPECT_THAT(store->find("d.example"), fails_with(ErrorCode::not_found));
  EXPECT_EQ(unwrap(store->find("other.example")), std::nullopt);
}

/// What docker.io is asked over the network, and where.
Result<HttpResponse> docker_hub(const HttpRequest& request) {
  if (request.url.starts_with("https://auth.docker.io/token")) {
    return HttpResponse{.status = 200, .body = R"({"token":"T"})"};
  }
  for (const Header& header : request.headers) {
    if (header.name == "Authorization" && header.value == "Bearer T") {
      return HttpResponse{.status = 404};
    }
  }
  return HttpResponse{
      .status = 401,
      .headers = {{"WWW-Authenticate",
                   R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io")"}}};
}

TEST(DockerIo, IsAskedAtItsHostForTheFullName) {
  for (const std::string name : {"docker.io/alpine", "docker.io/library/alpine"}) {
    const auto transport = std::make_shared<PlayedTransport>(docker_hub);
    RecordingDiagnostics diagnostics;
    Client client(transport, fixed_credentials("docker.io", {.username = "u", .password = "p"}), {},
                  diagnostics);
    const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse(name))));
    EXPECT_EQ(unwrap(store->resolve("3")), std::nullopt);
    std::vector<std::string> urls;
    for (const HttpRequest& request : transport->asked()) {
      urls.push_back(request.url);
    }
    const std::string manifest = "https://registry-1.docker.io/v2/library/alpine/manifests/3";
    EXPECT_THAT(urls, ElementsAre(manifest,
                                  AllOf(HasSubstr("https://auth.docker.io/token"),
                                        HasSubstr("library%2Falpine")),
                                  manifest));
  }
}

}  // namespace
}  // namespace fnimage::registry

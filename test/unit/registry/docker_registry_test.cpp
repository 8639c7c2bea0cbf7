// The client against somebody else's server: Debian's docker-registry, plain, with TLS and with
// basic authentication.
#include <mutex>
#include <thread>

#include <fnimage/registry/client.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/docker_registry.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "client_fixture.hpp"
#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

using test::DockerRegistry;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

#define FNIMAGE_NEEDS_DOCKER_REGISTRY()                                        \
  if (const std::string reason = DockerRegistry::missing(); !reason.empty()) { \
    GTEST_SKIP() << reason;                                                    \
  }

TEST(DockerRegistryClient, PushesAndPullsAnImage) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/team/action");
  EXPECT_EQ(unwrap(store->resolve("latest")), std::nullopt);
  EXPECT_THAT(store->get_manifest("latest"), fails_with(ErrorCode::not_found, HasSubstr("latest")));

  const std::string config =
      R"({"architecture":"ppc64le","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})";
  const std::string layer = random_bytes(9'000'000);
  for (const std::string& bytes : {config, layer}) {
    const ContentPtr content = memory_content(bytes);
    EXPECT_FALSE(unwrap(store->has_blob(blob_of(bytes))));
    EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *content, {})), BlobOutcome::uploaded);
    EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *content, {})), BlobOutcome::existed);
  }
  const manifest::Document document = image_of(config, {layer});
  ASSERT_THAT(store->put_manifest(document, "latest"), is_ok());
  ASSERT_THAT(store->put_manifest(document, "v1"), is_ok());
  ASSERT_THAT(store->put_manifest(document, std::nullopt), is_ok());

  EXPECT_EQ(unwrap(store->resolve("latest"))->digest, document.digest());
  EXPECT_EQ(unwrap(store->resolve(document.digest()))->size, document.bytes().size());
  EXPECT_EQ(unwrap(store->get_manifest("v1")).bytes(), document.bytes());
  EXPECT_EQ(unwrap(store->get_manifest(document.digest())).bytes(), document.bytes());
  EXPECT_THAT(unwrap(store->tags()), ElementsAre("latest", "v1"));
  EXPECT_THAT(unwrap(store->referrers(document.digest())), IsEmpty());

  const ContentPtr back = unwrap(store->blob(blob_of(layer)));
  const auto whole = unwrap(back->open());
  EXPECT_TRUE(unwrap(read_all(*whole, layer.size())) == layer);
  const auto tail = unwrap(back->open(8'999'990));
  EXPECT_TRUE(unwrap(read_all(*tail, 100)) == layer.substr(8'999'990));

  const auto other = client.repository(registry.address() + "/team/other");
  const ContentPtr content = memory_content(layer);
  EXPECT_EQ(
      unwrap(other->put_blob(blob_of(layer), *content,
                             {.mount_from = RepositoryName{registry.address(), "team/action"}})),
      BlobOutcome::mounted);
  EXPECT_TRUE(unwrap(other->has_blob(blob_of(layer))));
}

TEST(DockerRegistryClient, ManyDestinationsAtOnce) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  TestClient client({.plain_http = true});
  const auto from = make_memory_store("from");
  const manifest::Document list = test::put_list(*from, "v1");
  std::vector<std::unique_ptr<ImageStore>> stores;
  std::vector<Destination> destinations;
  for (int i = 0; i < 20; ++i) {
    stores.push_back(client.repository(registry.address() + "/f" + std::to_string(i)));
    destinations.push_back({.selector = Selector("v1"),
                            .store = stores.back().get(),
                            .tags = {"latest", "stable"},
                            .tag_platforms = true});
  }
  const auto results = unwrap(transfer_all(*from, destinations, 8, null_diagnostics()));
  EXPECT_EQ(results[0].blobs_uploaded, 5U);
  EXPECT_EQ(results[19].blobs_mounted, 5U);
  for (const auto& store : stores) {
    EXPECT_EQ(unwrap(store->get_manifest("stable")).bytes(), list.bytes());
    EXPECT_THAT(unwrap(store->tags()), ElementsAre("latest", "latest-amd64", "latest-ppc64le",
                                                   "stable", "stable-amd64", "stable-ppc64le"));
  }
}

TEST(DockerRegistryClient, SeveralPushTheSameImageAtOnce) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  const auto from = make_memory_store("from");
  const manifest::Document list = test::put_list(*from, "v1");
  constexpr int rounds = 12;
  constexpr int pushers = 4;
  std::mutex mutex;
  std::vector<std::string> errors;
  for (int round = 0; round < rounds; ++round) {
    const std::string name = registry.address() + "/r" + std::to_string(round);
    std::vector<std::jthread> threads;
    for (int i = 0; i < pushers; ++i) {
      threads.emplace_back([&, i] {
        // As separate processes: nothing is shared but the registry.
        Client client(unwrap(make_curl_transport({})), {},
                      {.plain_http = true, .retry = {.first_delay = std::chrono::milliseconds(50)}},
                      null_diagnostics());
        const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse(name))));
        const auto sent = transfer(
            *from, "v1", *store, {.tags = {"t" + std::to_string(i), "latest"}}, null_diagnostics());
        const std::lock_guard lock(mutex);
        if (!sent) {
          errors.push_back(sent.error().describe());
        }
      });
    }
  }
  EXPECT_THAT(errors, IsEmpty());
}

TEST(DockerRegistryClient, LostBlobIsThereAgainBeforeANewTagIs) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  TestClient client({.plain_http = true});
  const auto from = make_memory_store("from");
  const manifest::Document list = test::put_list(*from, "v1");
  const auto store = client.repository(registry.address() + "/a");
  unwrap(transfer(*from, "v1", *store, {.tags = {"latest"}}, null_diagnostics()));
  const auto image =
      unwrap(unwrap(from->get_manifest(unwrap(list.index()).manifests[1].digest)).image());
  registry.lose_blob("a", std::string(image.layers[1].digest.hex()));
  unwrap(transfer(*from, "v1", *store, {.tags = {"v2"}}, null_diagnostics()));
  const auto pulled = make_memory_store("pulled");
  EXPECT_THAT(transfer(*store, "v2", *pulled, {.tags = {"v2"}}, null_diagnostics()), is_ok());
}

TEST(DockerRegistryClient, ChunksAndSmallBlobsWithoutAsking) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  TestClient client({.plain_http = true, .chunk_size = 1'000'000});
  const auto store = client.repository(registry.address() + "/a");
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{3'500'000}}) {
    const std::string bytes = random_bytes(size);
    for (int run = 0; run < 2; ++run) {
      EXPECT_THAT(store->put_blob(blob_of(bytes), *memory_content(bytes), {.probably_new = true}),
                  is_ok());
      const ContentPtr back = unwrap(store->blob(blob_of(bytes)));
      EXPECT_TRUE(unwrap(read_all(*unwrap(back->open()), size)) == bytes) << size;
    }
  }
}

TEST(DockerRegistryClient, ContentThatIsNotWhatItSaysIsRefused) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/a");
  const ContentPtr wrong = memory_content("changed!");
  EXPECT_THAT(store->put_blob(blob_of("original"), *wrong, {}),
              fails_with(ErrorCode::verification));
  EXPECT_FALSE(unwrap(store->has_blob(blob_of("original"))));
  const manifest::Document dangling = image_of("nobody has this", {});
  EXPECT_THAT(store->put_manifest(dangling, "latest"),
              fails_with(ErrorCode::protocol, HasSubstr("MANIFEST_BLOB_UNKNOWN")));
  EXPECT_EQ(unwrap(store->resolve("latest")), std::nullopt);
}

TEST(DockerRegistryClient, TagsCannotBeRemovedAlone) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  for (const bool deletion : {false, true}) {
    const DockerRegistry registry({.deletion = deletion});
    TestClient client({.plain_http = true});
    const auto store = client.repository(registry.address() + "/a");
    const ContentPtr config = memory_content("{}");
    ASSERT_THAT(store->put_blob(blob_of("{}"), *config, {}), is_ok());
    ASSERT_THAT(store->put_manifest(image_of("{}", {}), "latest"), is_ok());
    EXPECT_THAT(store->remove_tag("latest"), fails_with(ErrorCode::unsupported));
    EXPECT_THAT(unwrap(store->tags()), ElementsAre("latest"));
  }
}

TEST(DockerRegistryClient, BasicAuthentication) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry({.user = "ann", .password = "right"});
  const auto with = [&](const std::string& password) {
    return fixed_credentials(registry.address(), {.username = "ann", .password = password});
  };
  TestClient good({.plain_http = true}, with("right"));
  EXPECT_THAT(good->ping(registry.address()), is_ok());
  const ContentPtr content = memory_content("x");
  EXPECT_THAT(good.repository(registry.address() + "/a")->put_blob(blob_of("x"), *content, {}),
              is_ok());

  TestClient wrong({.plain_http = true}, with("wrong"));
  EXPECT_THAT(wrong->ping(registry.address()),
              fails_with(ErrorCode::unauthorized, HasSubstr(registry.address())));
  TestClient nobody({.plain_http = true});
  const auto result = nobody.repository(registry.address() + "/a")->get_manifest("latest");
  ASSERT_THAT(result, fails_with(ErrorCode::unauthorized));
  EXPECT_THAT(result.error().hint(), HasSubstr("docker login"));
}

TEST(DockerRegistryClient, PrivateAuthority) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry({.tls = true, .user = "ann", .password = "right"});
  const auto credentials = [&] {
    return fixed_credentials(registry.address(), {.username = "ann", .password = "right"});
  };
  TestClient trusting({.tls = {.ca_file = registry.ca_file()}}, credentials());
  EXPECT_THAT(trusting->ping(registry.address()), is_ok());
  const std::string layer = random_bytes(5'000'000);
  const ContentPtr content = memory_content(layer);
  EXPECT_EQ(
      unwrap(
          trusting.repository(registry.address() + "/a")->put_blob(blob_of(layer), *content, {})),
      BlobOutcome::uploaded);

  TestClient plain({}, credentials());
  const auto refused = plain->ping(registry.address());
  ASSERT_THAT(refused, fails_with(ErrorCode::tls, HasSubstr("not trusted")));
  EXPECT_THAT(refused.error().hint(), HasSubstr("--ca-file"));

  TestClient missing_file({.tls = {.ca_file = "/no/such/ca.pem"}}, credentials());
  EXPECT_THAT(missing_file->ping(registry.address()),
              fails_with(ErrorCode::tls, HasSubstr("/no/such/ca.pem")));

  TestClient http({.plain_http = true}, credentials());
  const auto https_only = http->ping(registry.address());
  ASSERT_THAT(https_only, fails_with(ErrorCode::tls, HasSubstr("speaks https, not http")));

  TestClient insecure({.insecure = true}, credentials());
  EXPECT_THAT(insecure->ping(registry.address()), is_ok());
  EXPECT_THAT(insecure->ping(registry.address()), is_ok());
  EXPECT_THAT(insecure.messages(), ElementsAre(HasSubstr("certificate not verified")));
}

TEST(DockerRegistryClient, PlainHttpRegistry) {
  FNIMAGE_NEEDS_DOCKER_REGISTRY();
  const DockerRegistry registry;
  TestClient https({});
  const auto refused = https->ping(registry.address());
  ASSERT_THAT(refused, fails_with(ErrorCode::tls, HasSubstr("speaks http, not https")));
  EXPECT_THAT(refused.error().hint(), HasSubstr("--insecure"));
  TestClient insecure({.insecure = true});
  EXPECT_THAT(insecure->ping(registry.address()), is_ok());
  EXPECT_THAT(insecure.messages(), ElementsAre(HasSubstr("plain http")));
}

}  // namespace
}  // namespace fnimage::registry

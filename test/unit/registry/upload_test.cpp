// The upload ladder against a registry that keeps broken uploads, and against its odd relatives:
// what is sent again, what is asked, and that what arrives is right (C9-C19, F3, F6-F14, F21).
#include "upload.hpp"

#include <fnimage/registry/client.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Habits = MemoryRegistry::Habits;

constexpr std::size_t large = 3'000'000;
/// What one connection may have on its way when it breaks.
constexpr std::size_t slack = 1;

/// One large blob on its way to a registry with habits.
struct Ladder {
  explicit Ladder(Habits habits = {}, ClientOptions options = {})
      : registry(std::move(habits)), client(plain(std::move(options))) {}

  Result<BlobOutcome> put(PutBlobOptions options = {}) {
    const auto store = client.repository(registry.address() + "/a/b");
    return store->put_blob(descriptor, *memory_content(bytes), options);
  }
  void expect_whole() const { EXPECT_TRUE(registry.blob(descriptor.digest.str()) == bytes); }

  static ClientOptions plain(ClientOptions options) {
    options.plain_http = true;
    return options;
  }

  MemoryRegistry registry;
  TestClient client;
  std::string bytes = random_bytes(large);
  manifest::Descriptor descriptor = blob_of(bytes);
};

TEST(UploadLadder, StoredBytesAreReadWithSuspicion) {
  EXPECT_EQ(stored_bytes("0-99"), 100U);
  EXPECT_EQ(stored_bytes("bytes=0-99"), 100U);
  EXPECT_EQ(stored_bytes("0-1"), 2U);
  EXPECT_EQ(stored_bytes("0--1"), 0U);
  for (const char* text : {"", "0-0", "1-5", "0-", "0-5x", "0-99999999999999999999999", "-5",
                           "0-18446744073709551615", "bytes"}) {
    EXPECT_EQ(stored_bytes(text), std::nullopt) << text;
  }
}

TEST(UploadLadder, BreakIsFollowedByTheRestOnly) {
  for (const std::size_t cut : {std::size_t{2}, std::size_t{1'000'000}, large - 1}) {
    Ladder ladder;
    ladder.registry.cut_next({cut});
    EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
    ladder.expect_whole();
    EXPECT_LE(ladder.registry.received(), large + slack) << cut;
    EXPECT_EQ(ladder.registry.count("POST"), 1U);
    EXPECT_EQ(ladder.registry.count("PATCH"), 1U);
  }
}

TEST(UploadLadder, ManyBreaksWithProgressAreNotTooMany) {
  Ladder ladder;
  ladder.registry.cut_next(std::vector<std::size_t>(20, 100'000));
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  EXPECT_LE(ladder.registry.received(), large + slack);
  EXPECT_EQ(ladder.registry.count("POST"), 1U);
}

TEST(UploadLadder, LostSessionsBeginAnewBounded) {
  Ladder ladder({.forgets = true});
  ladder.registry.cut_next({1'000'000, 2'000'000});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  EXPECT_EQ(ladder.registry.received(), 2 * large);
  EXPECT_EQ(ladder.registry.count("POST"), 3U);

  Ladder hopeless({.forgets = true});
  hopeless.registry.cut_next(std::vector<std::size_t>(50, 1'000'000));
  EXPECT_THAT(hopeless.put(), fails_with(ErrorCode::unavailable));
  EXPECT_LE(hopeless.registry.count("POST"), 5U);
}

TEST(UploadLadder, RangesThatCannotBeTrustedMeanANewSession) {
  const std::vector<std::function<std::string(std::size_t)>> ranges{
      [](std::size_t) { return std::string(); },                          // missing
      [](std::size_t) { return std::string("0-0"); },                     // stuck, ambiguous
      [](std::size_t) { return std::string("0-99999999"); },              // more than was sent
      [](std::size_t stored) { return "5-" + std::to_string(stored); },   // not from the beginning
      [](std::size_t stored) { return "0-" + std::to_string(stored); }};  // one too many
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    Ladder ladder({.range = ranges[i]});
    ladder.registry.cut_next({1'000'000});
    EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded) << i;
    ladder.expect_whole();
    EXPECT_EQ(ladder.registry.open_uploads(), 0U) << i;
  }
}

TEST(UploadLadder, NothingStoredCanBeSaidInTwoWays) {
  Ladder ladder({.range = [](std::size_t stored) {
    return stored == 0 ? "0--1" : "bytes=0-" + std::to_string(stored - 1);
  }});
  ladder.registry.cut_next({0, 500'000});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  EXPECT_LE(ladder.registry.received(), large + slack);
}

TEST(UploadLadder, ChunksGoInOrderToTheNewestLocation) {
  Ladder ladder({.patch_status = 201, .min_chunk = 700'000}, {.chunk_size = 100'000});
  ladder.registry.cut_next({700'000, 10});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  std::vector<std::string> ranges;
  for (const SeenRequest& request : ladder.registry.server().requests()) {
    if (request.method == "PATCH") {
      ranges.push_back(request.header("Content-Range").value_or(""));
    }
  }
  EXPECT_THAT(ranges,
              ::testing::ElementsAre("0-699999", "700000-1399999", "700010-1400009",
                                     "1400010-2100009", "2100010-2800009", "2800010-2999999"));
}

TEST(UploadLadder, SizeLimitOfAProxyIsMetWithChunks) {
  Ladder ladder({.max_body = 1'000'000});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  EXPECT_EQ(ladder.registry.open_uploads(), 0U);
}

TEST(UploadLadder, RefusedPatchMeansTheWholeAgain) {
  Ladder ladder({.instead = [](const SeenRequest& request) -> std::optional<Reply> {
    return request.method == "PATCH" ? std::optional<Reply>({.status = 405}) : std::nullopt;
  }});
  ladder.registry.cut_next({1'000'000, 1'000'000});  // the second one is the PATCH
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
}

TEST(UploadLadder, ServerThatIsAheadIsBelieved) {
  // The PATCH arrives whole, only its answer is lost: nothing but the closing PUT is left.
  Ladder ladder;
  ladder.registry.cut_next({1'000'000, large - 1'000'000});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  EXPECT_LE(ladder.registry.received(), large + slack);
}

TEST(UploadLadder, LostAnswerOfALargeBlobIsFoundByHead) {
  std::atomic<bool> lost = false;
  Ladder ladder({.instead = [&lost](const SeenRequest& request) -> std::optional<Reply> {
    if (request.method == "HEAD" && lost) {
      return Reply{.status = 200};
    }
    if (request.method == "PUT" && !lost.exchange(true)) {
      return Reply{.fault = Reply::Fault::drop};
    }
    return std::nullopt;
  }});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  EXPECT_EQ(ladder.registry.count("PUT"), 1U);
  EXPECT_EQ(ladder.registry.count("PATCH"), 0U);
}

TEST(UploadLadder, BytesThatChangedMeanwhileAreNotKept) {
  // The registry holds other bytes than it was sent: the digest decides, and all goes again.
  std::atomic<int> answers = 0;
  Ladder ladder({.instead = [&answers](const SeenRequest& request) -> std::optional<Reply> {
    if (request.method == "PUT" && request.body.empty() && answers++ == 0) {
      return Reply{.status = 400, .body = R"({"errors":[{"code":"DIGEST_INVALID"}]})"};
    }
    return std::nullopt;
  }});
  ladder.registry.cut_next({1'000'000});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  EXPECT_EQ(ladder.registry.count("POST"), 2U);
}

TEST(UploadLadder, TokenThatExpiresIsRenewedWithoutSendingEverythingTwice) {
  std::atomic<int> refusals = 0;
  Habits habits;
  habits.instead = [&refusals](const SeenRequest& request) -> std::optional<Reply> {
    if (request.method == "PATCH" && refusals++ == 0) {
      return Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=x"}}};
    }
    return std::nullopt;
  };
  MemoryRegistry registry(std::move(habits));
  TestClient client({.plain_http = true},
                    fixed_credentials(registry.address(), {.username = "a", .password = "b"}));
  const std::string bytes = random_bytes(large);
  registry.cut_next({1'000'000});
  const auto store = client.repository(registry.address() + "/a");
  EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *memory_content(bytes), {})),
            BlobOutcome::uploaded);
  EXPECT_TRUE(registry.blob(blob_of(bytes).digest.str()) == bytes);
  EXPECT_EQ(registry.count("POST"), 1U);
}

TEST(UploadLadder, SmallNewBlobsAreSentWithThePostWhereThatIsPossible) {
  for (const bool single : {true, false}) {
    MemoryRegistry registry({.single_post = single});
    TestClient client({.plain_http = true});
    const auto store = client.repository(registry.address() + "/a");
    for (const std::string bytes : {"one", "two"}) {
      EXPECT_EQ(
          unwrap(store->put_blob(blob_of(bytes), *memory_content(bytes), {.probably_new = true})),
          BlobOutcome::uploaded);
      EXPECT_EQ(registry.blob(blob_of(bytes).digest.str()), bytes);
    }
    EXPECT_EQ(registry.count("HEAD"), 0U);
    EXPECT_EQ(registry.count("PUT"), single ? 0U : 2U);
    EXPECT_EQ(registry.count("POST /v2/a/blobs/uploads/?digest="), single ? 2U : 1U)
        << "what is refused is not tried again";
  }
}

TEST(UploadLadder, HeadThatIsRefusedIsReplacedByGet) {
  for (const int refusal : {403, 405}) {
    const std::string there = random_bytes(100'000);
    Ladder ladder({.instead = [refusal](const SeenRequest& request) -> std::optional<Reply> {
      return request.method == "HEAD" ? std::optional<Reply>({.status = refusal}) : std::nullopt;
    }});
    EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
    EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::existed);
  }
}

TEST(UploadLadder, BlobOfAnotherSizeIsNotThere) {
  const std::string torn = "7 bytes";
  for (const bool by_get : {false, true}) {
    Ladder ladder({.instead = [&](const SeenRequest& request) -> std::optional<Reply> {
      if (request.method == "HEAD" && by_get) {
        return Reply{.status = 405};
      }
      if (request.method == "GET" && by_get) {
        return Reply{
            .status = 206, .headers = {{"Content-Range", "bytes 0-0/7"}}, .body = torn.substr(1)};
      }
      return request.method == "HEAD" ? std::optional(Reply{.headers = {{"Content-Length", "7"}}})
                                      : std::nullopt;
    }});
    EXPECT_THAT(ladder.put(), fails_with(ErrorCode::verification, HasSubstr("damaged copy")))
        << "it is sent, but the registry keeps what it has";
    ladder.expect_whole();
    EXPECT_THAT(ladder.client.messages(),
                ::testing::Contains(HasSubstr("7 bytes instead of " + std::to_string(large))));
  }
}

TEST(UploadLadder, DamagedBlobThatTheRegistryReplacesIsRepaired) {
  std::atomic<bool> sent = false;
  Ladder ladder({.instead = [&sent](const SeenRequest& request) -> std::optional<Reply> {
    sent = sent || request.method == "PUT";
    return request.method == "HEAD" && !sent
               ? std::optional(Reply{.headers = {{"Content-Length", "7"}}})
               : std::nullopt;
  }});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
}

TEST(UploadLadder, MountThatIsAnsweredWithAnyErrorBecomesAPlainUpload) {
  // The rule: whatever error a mount is answered with, a plain POST follows; only 429 is waited
  // for.
  for (const int status : {400, 403, 404, 405, 415, 500, 501, 502}) {
    Ladder ladder({.instead = [status](const SeenRequest& request) -> std::optional<Reply> {
      return request.target.find("mount=") != std::string::npos
                 ? std::optional(Reply{.status = status})
                 : std::nullopt;
    }});
    EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded) << status;
    ladder.expect_whole();
  }
}

TEST(UploadLadder, SmallestChunkMayBeToldByTheStatus) {
  Ladder ladder({.spoil =
                     [](const SeenRequest& request, Reply& reply) {
                       if (request.method == "GET") {
                         reply.headers.emplace_back("OCI-Chunk-Min-Length", "1500000");
                       }
                     }},
                {.chunk_size = 1'000'000});
  ladder.registry.cut_next({500'000});
  EXPECT_EQ(unwrap(ladder.put()), BlobOutcome::uploaded);
  ladder.expect_whole();
  std::vector<std::string> ranges;
  for (const SeenRequest& request : ladder.registry.server().requests()) {
    if (request.method == "PATCH") {
      ranges.push_back(request.header("Content-Range").value_or(""));
    }
  }
  EXPECT_THAT(ranges, ::testing::ElementsAre("0-999999", "500000-1999999", "2000000-2999999"));
}

TEST(UploadLadder, BytesThatAreDamagedHereAreFoundWhenTheRegistryRefusesThem) {
  const test::TempDir directory;
  const auto layout = unwrap(OciLayout::open(directory / "layout", OciLayout::Mode::create));
  Ladder ladder;
  unwrap(layout->put_blob(ladder.descriptor, *memory_content(ladder.bytes), {}));
  const auto digest = ladder.descriptor.digest;
  directory.write("layout/" + layout_blob_name(digest), std::string(ladder.bytes.size(), 'x'));
  const auto store = ladder.client.repository(ladder.registry.address() + "/a");
  const ContentPtr content = unwrap(layout->blob(ladder.descriptor));
  EXPECT_THAT(store->put_blob(ladder.descriptor, *content, {}),
              fails_with(ErrorCode::verification, HasSubstr("has been removed")));
  EXPECT_FALSE(unwrap(layout->has_blob(ladder.descriptor)));
}

TEST(UploadLadder, WrongDigestInTheAnswerIsAnError) {
  Ladder ladder({.instead = [](const SeenRequest& request) -> std::optional<Reply> {
    return request.method == "PUT"
               ? std::optional<Reply>(
                     {.status = 201,
                      .headers = {{"Docker-Content-Digest", blob_of("other").digest.str()}}})
               : std::nullopt;
  }});
  EXPECT_THAT(ladder.put(), fails_with(ErrorCode::verification, HasSubstr("stored")));
}

}  // namespace
}  // namespace fnimage::registry

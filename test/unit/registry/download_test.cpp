// Downloads under faults (F18-F20, F24, C8, A5, A13): either every byte is right, or nothing is
// kept and the error says why.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::size_t first_byte(const SeenRequest& request) {
  const std::string range = request.header("Range").value_or("bytes=0-");
  std::size_t start = 0;
  std::from_chars(range.data() + std::string("bytes=").size(), range.data() + range.size(), start);
  return start;
}

/// What an honest server answers to a (ranged) GET.
Reply part_of(const std::string& bytes, const SeenRequest& request) {
  const std::size_t start = first_byte(request);
  if (!request.header("Range")) {
    return {.body = bytes};
  }
  return {.status = 206,
          .headers = {{"Content-Range", "bytes " + std::to_string(start) + "-" +
                                            std::to_string(bytes.size() - 1) + "/" +
                                            std::to_string(bytes.size())}},
          .body = bytes.substr(start)};
}

/// A client on a repository whose blobs a function serves.
class Downloads : public ::testing::Test {
 protected:
  void serve(std::function<Reply(const SeenRequest&)> blobs) {
    server_.otherwise([this, blobs = std::move(blobs)](const SeenRequest& request) -> Reply {
      const auto known = manifests_.find(request.target);
      return known != manifests_.end() ? known->second : blobs(request);
    });
  }
  [[nodiscard]] std::unique_ptr<ImageStore> repository() {
    return client_.repository(server_.address() + "/a/b");
  }
  [[nodiscard]] Result<std::string> download(const std::string& wanted) {
    const auto content = unwrap(repository()->blob(blob_of(wanted)));
    const auto reader = unwrap(content->open());
    return read_all(*reader, 2 * wanted.size() + 1000);
  }
  /// Serves a manifest under a tag. Before serve().
  void add_manifest(const manifest::Document& document, const std::string& tag) {
    manifests_["/v2/a/b/manifests/" + tag] = {.headers = {{"Content-Type", document.media_type()}},
                                              .body = document.bytes()};
  }
  [[nodiscard]] std::size_t blob_requests() const {
    const auto lines = server_.lines();
    return static_cast<std::size_t>(std::ranges::count_if(
        lines, [](const std::string& line) { return line.starts_with("GET /v2/a/b/blobs/"); }));
  }
  [[nodiscard]] std::unique_ptr<OciLayout> layout() const {
    return unwrap(OciLayout::open(directory_ / "layout", OciLayout::Mode::create));
  }

  std::map<std::string, Reply> manifests_;  // before the server, whose threads read it
  test::TempDir directory_;
  ScriptedServer server_;
  std::stop_source stop_;
  TestClient client_{{.plain_http = true}, {}, stop_.get_token()};
};

TEST_F(Downloads, ResetsAtAnyByteManyTimesSendNothingTwice) {
  const std::string bytes = random_bytes(600'000);
  std::atomic<std::size_t> sent = 0;
  serve([&](const SeenRequest& request) {
    Reply reply = part_of(bytes, request);
    const std::size_t piece = 1 + (first_byte(request) * 7919) % 40'000;
    if (piece < reply.body.size()) {
      reply.fault = Reply::Fault::cut;
      reply.cut_after = piece;
    }
    sent += std::min(piece, reply.body.size());
    return reply;
  });
  EXPECT_TRUE(unwrap(download(bytes)) == bytes);
  EXPECT_GT(blob_requests(), 15U);
  EXPECT_EQ(sent, bytes.size());
}

TEST_F(Downloads, NoProgressEndsAfterTheAttempts) {
  const std::string bytes = random_bytes(1000);
  serve([&](const SeenRequest&) {
    return Reply{.body = bytes, .fault = Reply::Fault::cut, .cut_after = 0};
  });
  EXPECT_THAT(download(bytes), fails_with(ErrorCode::unavailable));
  EXPECT_EQ(blob_requests(), 5U);
}

TEST_F(Downloads, AllLayersTogetherWaitAsLongAsTheRegistryAsks) {
  const auto clock = std::make_shared<ManualClock>();
  const Clock::Time opens = clock->now() + std::chrono::seconds(5);
  std::map<std::string, std::string> blobs;
  for (std::size_t i = 0; i < 6; ++i) {
    const std::string bytes = random_bytes(1000 + i);
    blobs["/v2/a/b/blobs/" + blob_of(bytes).digest.str()] = bytes;
  }
  std::mutex mutex;
  std::map<std::string, std::vector<Clock::Time>> asked;
  serve([&](const SeenRequest& request) -> Reply {
    const std::lock_guard lock(mutex);
    asked[request.target].push_back(clock->now());
    return clock->now() < opens ? Reply{.status = 429, .headers = {{"Retry-After", "2"}}}
                                : Reply{.body = blobs.at(request.target)};
  });
  TestClient client({.plain_http = true, .clock = clock});
  const auto store = client.repository(server_.address() + "/a/b");
  {
    std::vector<std::jthread> threads;
    for (const auto& [target, bytes] : blobs) {
      threads.emplace_back([&store, &bytes = bytes] {
        const auto content = unwrap(store->blob(blob_of(bytes)));
        EXPECT_TRUE(unwrap(read_all(*unwrap(content->open()), bytes.size())) == bytes);
      });
    }
  }
  for (const auto& [target, times] : asked) {
    for (std::size_t i = 1; i < times.size(); ++i) {
      EXPECT_GE(times[i] - times[i - 1], std::chrono::seconds(2)) << target;
    }
  }
  EXPECT_THAT(client.messages(), ::testing::Contains(HasSubstr("trying again in 2 s")));
}

TEST_F(Downloads, UnreasonableRetryAfterIsAnErrorAtOnce) {
  const std::string bytes = random_bytes(1000);
  serve([&](const SeenRequest&) {
    return Reply{.status = 429, .headers = {{"Retry-After", "86400"}}};
  });
  EXPECT_THAT(download(bytes),
              fails_with(ErrorCode::rate_limited, HasSubstr("asks to wait 86400 s")));
  EXPECT_EQ(blob_requests(), 1U);
}

TEST_F(Downloads, ReaderThatGoesDoesNotWaitForTheRegistry) {
  serve([&](const SeenRequest&) {
    return Reply{.status = 429, .headers = {{"Retry-After", "100"}}};
  });
  const auto content = unwrap(repository()->blob(blob_of("some bytes")));
  auto reader = unwrap(content->open());
  {
    const std::jthread reading([&] {
      std::vector<std::byte> buffer(10);
      EXPECT_FALSE(reader->read(buffer));
    });
    while (client_.messages().empty()) {  // until it says that it waits
      std::this_thread::yield();
    }
    stop_.request_stop();
  }
  reader.reset();
  EXPECT_EQ(blob_requests(), 1U);
}

TEST_F(Downloads, ServersThatCannotResumeAreAskedForTheWhole) {
  const std::string bytes = random_bytes(100'000);
  const std::vector<std::function<Reply(const SeenRequest&)>> habits{
      [&](const SeenRequest&) { return Reply{.body = bytes}; },  // 200 instead of 206
      [&](const SeenRequest& request) {
        return request.header("Range") ? Reply{.status = 416} : Reply{.body = bytes};
      },
      [&](const SeenRequest& request) {  // another range than the one asked for
        return request.header("Range") ? Reply{.status = 206,
                                               .headers = {{"Content-Range", "bytes 0-9/100000"}},
                                               .body = bytes.substr(0, 10)}
                                       : Reply{.body = bytes};
      },
      [&](const SeenRequest& request) {  // a range of a blob of another size
        return request.header("Range")
                   ? Reply{.status = 206,
                           .headers = {{"Content-Range", "bytes 30000-99999/100001"}},
                           .body = bytes.substr(30'000)}
                   : Reply{.body = bytes};
      },
      [&](const SeenRequest& request) {  // no Content-Range at all
        return request.header("Range") ? Reply{.status = 206, .body = bytes.substr(30'000)}
                                       : Reply{.body = bytes};
      }};
  for (std::size_t i = 0; i < habits.size(); ++i) {
    std::atomic<int> round = 0;
    serve([&](const SeenRequest& request) {
      if (round++ == 0) {
        return Reply{.body = bytes, .fault = Reply::Fault::cut, .cut_after = 30'000};
      }
      return habits[i](request);
    });
    const auto got = download(bytes);
    ASSERT_THAT(got, is_ok()) << i;
    EXPECT_TRUE(*got == bytes) << i;
  }
}

TEST_F(Downloads, ShorterRangesThanAskedForAreGoneOnWith) {
  const std::string bytes = random_bytes(10'000);
  std::atomic<int> round = 0;
  serve([&](const SeenRequest& request) {
    if (round++ == 0) {
      return Reply{.body = bytes, .fault = Reply::Fault::cut, .cut_after = 1'000};
    }
    const std::size_t start = first_byte(request);
    const std::string piece = bytes.substr(start, 3'000);
    return Reply{
        .status = 206,
        .headers = {{"Content-Range", "bytes " + std::to_string(start) + "-" +
                                          std::to_string(start + piece.size() - 1) + "/10000"}},
        .body = piece};
  });
  EXPECT_TRUE(unwrap(download(bytes)) == bytes);
}

TEST_F(Downloads, AmbiguousAnswersAreRefused) {
  const std::string bytes = random_bytes(100);
  serve([&](const SeenRequest& request) {
    EXPECT_EQ(request.header("Accept-Encoding"), "identity");
    return Reply{.headers = {{"Content-Encoding", "gzip"}}, .body = bytes};
  });
  EXPECT_THAT(download(bytes), fails_with(ErrorCode::protocol, HasSubstr("Content-Encoding")));
  serve([&](const SeenRequest&) {
    return Reply{.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Length: 50\r\n\r\n" +
                        bytes};
  });
  const auto refused = download(bytes);
  ASSERT_FALSE(refused);
  EXPECT_THAT(std::vector({ErrorCode::protocol, ErrorCode::unavailable}),
              ::testing::Contains(refused.error().code()));
}

TEST_F(Downloads, EndlessAnswersStopAtTheSize) {
  const std::string bytes = random_bytes(1000);
  serve([&](const SeenRequest&) {
    return Reply{.headers = {{"Transfer-Encoding", "chunked"}},
                 .body = "400\r\n" + std::string(1024, 'x') + "\r\n",
                 .fault = Reply::Fault::endless};
  });
  EXPECT_FALSE(download(bytes));
}

TEST_F(Downloads, AByteThatWasFlippedOnceIsFetchedAgain) {
  const std::string bytes = random_bytes(200'000);
  std::string flipped = bytes;
  flipped[150'000] = static_cast<char>(flipped[150'000] ^ 4);
  std::atomic<int> round = 0;
  serve([&](const SeenRequest&) { return Reply{.body = round++ == 0 ? flipped : bytes}; });
  const auto store = layout();
  const auto content = unwrap(repository()->blob(blob_of(bytes)));
  EXPECT_THAT(store->put_blob(blob_of(bytes), *content, {}), is_ok());
  EXPECT_EQ(round, 2);
  EXPECT_TRUE(unwrap(store->has_blob(blob_of(bytes))));
}

TEST_F(Downloads, BytesThatAreAlwaysWrongLeaveNothing) {
  const std::string bytes = random_bytes(200'000);
  std::string flipped = bytes;
  flipped[0] = static_cast<char>(flipped[0] ^ 1);
  std::atomic<int> round = 0;
  serve([&](const SeenRequest&) {
    ++round;
    return Reply{.body = flipped};
  });
  const auto store = layout();
  const auto content = unwrap(repository()->blob(blob_of(bytes)));
  EXPECT_THAT(
      store->put_blob(blob_of(bytes), *content, {}),
      fails_with(ErrorCode::verification, AllOf(HasSubstr(manifest::Digest::of(bytes).str()),
                                                HasSubstr(manifest::Digest::of(flipped).str()))));
  EXPECT_EQ(round, 2) << "once again, and no more";
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "layout/blobs/sha256"));
}

TEST_F(Downloads, ForeignLayersAreNeverFetchedFromTheirUrls) {
  ScriptedServer elsewhere;
  const std::string config = "{}";
  manifest::ImageManifest image{.config = blob_of(config, manifest::media_type::oci_config),
                                .layers = {blob_of("foreign")}};
  image.layers[0].urls = {elsewhere.url("/foreign.tar")};
  add_manifest(manifest::Document::of(image), "v1");
  serve([&](const SeenRequest& request) {
    return request.target.ends_with(blob_of(config).digest.str()) ? Reply{.body = config}
                                                                  : Reply{.status = 404};
  });
  const auto store = layout();
  const auto from = repository();
  EXPECT_THAT(transfer(*from, "v1", *store, {.tags = {"v1"}}, null_diagnostics()), is_ok());
  EXPECT_THAT(elsewhere.lines(), IsEmpty());
  EXPECT_FALSE(unwrap(store->has_blob(image.layers[0])));
}

/// Addresses of other hosts are signed for a while and know no credentials: each piece is asked of
/// the registry anew.
TEST(RedirectedDownload, GoesOnThroughTheRegistryWithoutItsCredentials) {
  const std::string bytes = random_bytes(100'000);
  ScriptedServer elsewhere;
  elsewhere.otherwise([&](const SeenRequest& request) {
    EXPECT_EQ(request.header("Authorization"), std::nullopt);
    Reply reply = part_of(bytes, request);
    if (first_byte(request) < 60'000) {
      reply.fault = Reply::Fault::cut;
      reply.cut_after = 20'000;
    }
    return reply;
  });
  std::atomic<int> signature = 0;
  ScriptedServer server([&](const SeenRequest& request) -> Reply {
    if (!request.header("Authorization")) {
      return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    }
    return {
        .status = 307,
        .headers = {{"Location", elsewhere.url("/b?signature=" + std::to_string(signature++))}}};
  });
  TestClient client({.plain_http = true},
                    fixed_credentials(server.address(), {.username = "ann", .password = "secret"}));
  const auto content = unwrap(client.repository(server.address() + "/a/b")->blob(blob_of(bytes)));
  EXPECT_TRUE(unwrap(read_all(*unwrap(content->open()), bytes.size())) == bytes);
  EXPECT_THAT(elsewhere.lines(),
              ::testing::ElementsAre("GET /b?signature=0", "GET /b?signature=1",
                                     "GET /b?signature=2", "GET /b?signature=3"));
}

TEST_F(Downloads, LayersComeInParallelAndCutOnesGoOn) {
  constexpr std::size_t layers = 6;
  std::map<std::string, std::string> blobs;
  std::vector<std::string> contents;
  for (std::size_t i = 0; i < layers; ++i) {
    contents.push_back(random_bytes(100'000 + i));
  }
  const manifest::Document image = image_of("{}", contents);
  contents.emplace_back("{}");
  for (const std::string& bytes : contents) {
    blobs["/v2/a/b/blobs/" + blob_of(bytes).digest.str()] = bytes;
  }
  add_manifest(image, "v1");
  std::mutex mutex;
  std::map<std::string, int> rounds;
  serve([&](const SeenRequest& request) {
    const std::string& bytes = blobs.at(request.target);
    Reply reply = part_of(bytes, request);
    const std::lock_guard lock(mutex);
    if (rounds[request.target]++ == 0 && bytes.size() > 2) {
      reply.fault = Reply::Fault::cut;
      reply.cut_after = 50'000;
    }
    return reply;
  });
  const auto store = layout();
  const auto from = repository();
  EXPECT_THAT(transfer(*from, "v1", *store, {.tags = {"v1"}}, null_diagnostics()), is_ok());
  for (const std::string& bytes : contents) {
    const auto content = unwrap(store->blob(blob_of(bytes)));
    EXPECT_TRUE(unwrap(read_all(*unwrap(content->open()), bytes.size())) == bytes);
  }
}

}  // namespace
}  // namespace fnimage::registry

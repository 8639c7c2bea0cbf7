// transfer_all() and TaskGraph: how many requests a push takes, what several destinations share,
// and that nothing goes before what it needs.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <sys/resource.h>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/sanitized.hpp>

#include "client_fixture.hpp"
#include "retry.hpp"
#include "sample_image.hpp"
#include "task_graph.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::ElementsAre;

// --- the graph ---

TEST(TaskGraph, OrderHoldsAndHeavyOnesGoLargestFirst) {
  WorkerPool pool(4);
  TaskGraph graph;
  std::mutex mutex;
  std::vector<int> order;
  const auto note = [&](int what) {
    return [&, what]() -> Result<void> {
      const std::lock_guard lock(mutex);
      order.push_back(what);
      return {};
    };
  };
  const auto gate = graph.add(note(0), {});
  const auto small = graph.add(note(10), {gate}, 10);
  const auto large = graph.add(note(30), {gate}, 30);
  const auto middle = graph.add(note(20), {gate}, 20);
  graph.add(note(1), {small, middle, large});
  EXPECT_THAT(graph.run(pool, 1), is_ok());
  EXPECT_THAT(order, ElementsAre(0, 30, 20, 10, 1));
}

TEST(TaskGraph, FailureStopsWhatHasNotBegun) {
  WorkerPool pool(2);
  TaskGraph graph;
  std::atomic<bool> ran = false;
  const auto bad = graph.add([] { return fail(ErrorCode::io, "broken"); }, {});
  graph.add(
      [&ran]() -> Result<void> {
        ran = true;
        return {};
      },
      {bad});
  EXPECT_THAT(graph.run(pool, 8), fails_with(ErrorCode::io));
  EXPECT_FALSE(ran);
}

TEST(TaskGraph, LightOnesPassHeavyOnes) {
  WorkerPool pool(3);
  TaskGraph graph;
  std::atomic<bool> light_ran = false;
  for (int i = 0; i < 5; ++i) {
    graph.add(
        [&light_ran]() -> Result<void> {
          light_ran.wait(false);  // as long as the light one takes
          return {};
        },
        {}, 1000);
  }
  graph.add(
      [&light_ran]() -> Result<void> {
        light_ran = true;
        light_ran.notify_all();
        return {};
      },
      {});
  EXPECT_THAT(graph.run(pool, 2), is_ok());
}

TEST(TaskGraph, ExceptionIsAnError) {
  WorkerPool pool(2);
  TaskGraph graph;
  graph.add([]() -> Result<void> { throw std::runtime_error("thrown"); }, {});
  EXPECT_THAT(graph.run(pool, 8), fails_with(ErrorCode::internal, ::testing::HasSubstr("thrown")));
}

TEST(TaskGraph, RunsWithoutThreads) {
  if (test::sanitized) {
    GTEST_SKIP() << "a sanitizer's own memory would be limited";
  }
  const auto run = [] {
    // No room for another thread's stack.
    const rlimit none{.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &none);
    WorkerPool pool(2);
    TaskGraph graph;
    int ran = 0;
    std::vector<TaskGraph::Id> after;
    for (int i = 0; i < 10; ++i) {
      after = {graph.add(
          [&ran]() -> Result<void> {
            ++ran;
            return {};
          },
          after)};
    }
    std::_Exit(graph.run(pool, 1) && ran == 10 ? 0 : 1);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}

TEST(TaskGraph, NothingToDoIsDone) {
  WorkerPool pool(1);
  TaskGraph graph;
  EXPECT_THAT(graph.run(pool, 1), is_ok());
}

// --- requests ---

class ScheduleTest : public ::testing::Test {
 protected:
  Result<std::vector<TransferResult>> send(const std::vector<std::string>& names,
                                           bool tag_platforms = false) {
    stores_.clear();
    std::vector<Destination> destinations;
    for (const std::string& name : names) {
      stores_.push_back(client_.repository(registry_.address() + "/" + name));
      destinations.push_back({.selector = Selector("v1"),
                              .store = stores_.back().get(),
                              .tags = {"latest"},
                              .tag_platforms = tag_platforms});
    }
    return transfer_all(*from_, destinations, 8, null_diagnostics());
  }
  /// A store with the list and its images as "v1", and not one blob.
  std::unique_ptr<ImageStore> without_blobs() {
    std::unique_ptr<ImageStore> store = make_memory_store("without blobs");
    for (const auto& child : unwrap(list_.index()).manifests) {
      unwrap(store->put_manifest(unwrap(from_->get_manifest(child.digest)), std::nullopt));
    }
    unwrap(store->put_manifest(list_, "v1"));
    return store;
  }
  [[nodiscard]] std::vector<std::string> lines() { return registry_.server().lines(); }

  MemoryRegistry registry_{{.many_tags = true}};
  TestClient client_{{.plain_http = true}};
  std::unique_ptr<ImageStore> from_ = make_memory_store("from");
  manifest::Document list_ = test::put_list(*from_, "v1");
  std::vector<std::unique_ptr<ImageStore>> stores_;
};

TEST_F(ScheduleTest, FirstPushOfTwoPlatforms) {
  const auto results = unwrap(send({"a"}, true));
  EXPECT_EQ(results[0].blobs_uploaded, 5U);
  EXPECT_EQ(registry_.tag("a", "latest"), list_.digest().str());
  // Three questions, five small blobs of two requests, two images and the list under their tags.
  EXPECT_EQ(lines().size(), 3U + 10U + 2U + 1U);
  EXPECT_EQ(registry_.count("HEAD /v2/a/blobs/"), 0U);
  const std::vector<std::string> all = lines();
  for (const auto* line = all.data(); line != all.data() + 3; ++line) {
    EXPECT_THAT(*line, ::testing::StartsWith("HEAD /v2/a/manifests/"));
  }
  EXPECT_THAT(std::vector<std::string>(all.end() - 3, all.end() - 1),
              ::testing::UnorderedElementsAre("PUT /v2/a/manifests/latest-amd64",
                                              "PUT /v2/a/manifests/latest-ppc64le"));
  EXPECT_EQ(all.back(), "PUT /v2/a/manifests/latest");
}

TEST_F(ScheduleTest, TargetsOfOneRepositoryAreTaggedByPlatformToo) {
  const auto store = client_.repository(registry_.address() + "/a");
  const std::vector<Destination> destinations{
      {.selector = Selector("v1"), .store = store.get(), .tags = {"one"}, .tag_platforms = true},
      {.selector = Selector("v1"),
       .store = store.get(),
       .tags = {"two", "three"},
       .tag_platforms = true}};
  unwrap(transfer_all(*from_, destinations, 8, null_diagnostics()));
  const auto children = unwrap(list_.index()).manifests;
  for (const std::string tag : {"one", "two", "three"}) {
    EXPECT_EQ(registry_.tag("a", tag), list_.digest().str());
    EXPECT_EQ(registry_.tag("a", tag + "-amd64"), children[0].digest.str());
    EXPECT_EQ(registry_.tag("a", tag + "-ppc64le"), children[1].digest.str());
  }
  EXPECT_EQ(registry_.count("POST"), 5U);
  // One: two images and the list. The other two: one request for the two tags of each of the three.
  EXPECT_EQ(registry_.count("PUT /v2/a/manifests/"), 6U);
}

TEST_F(ScheduleTest, RefusedListLeavesItsTagAndSaysWhy) {
  std::atomic<bool> refuses = true;
  MemoryRegistry registry({.instead = [&](const SeenRequest& request) -> std::optional<Reply> {
    const bool list = request.line() == "PUT /v2/a/manifests/latest";
    return list && refuses
               ? std::optional<Reply>(
                     {.status = 403,
                      .body = R"({"errors":[{"code":"DENIED","message":"lists are not taken"}]})"})
               : std::nullopt;
  }});
  const auto store = client_.repository(registry.address() + "/a");
  const TransferOptions options{.tags = {"latest"}, .tag_platforms = true};
  EXPECT_THAT(transfer(*from_, "v1", *store, options, null_diagnostics()),
              fails_with(ErrorCode::unauthorized, ::testing::HasSubstr("lists are not taken")));
  EXPECT_EQ(registry.tag("a", "latest"), "");
  EXPECT_NE(registry.tag("a", "latest-amd64"), "");
  refuses = false;
  EXPECT_THAT(transfer(*from_, "v1", *store, options, null_diagnostics()), is_ok());
  EXPECT_EQ(registry.tag("a", "latest"), list_.digest().str());
}

TEST_F(ScheduleTest, ChangedLayerOfOnePlatformSendsOnlyItself) {
  unwrap(send({"a"}, true));
  const std::size_t before = lines().size();
  manifest::Index changed = unwrap(list_.index());
  auto image = unwrap(unwrap(from_->get_manifest(changed.manifests[0].digest)).image());
  image.layers.back() = test::put_bytes(*from_, "a changed line", image.layers.back().media_type);
  image.config = test::put_bytes(*from_, "{\"changed\":1}", image.config.media_type);
  const auto document = manifest::Document::of(image);
  unwrap(from_->put_manifest(document, std::nullopt));
  auto descriptor = document.descriptor();
  descriptor.platform = changed.manifests[0].platform;
  changed.manifests[0] = descriptor;
  unwrap(from_->put_manifest(manifest::Document::of(changed), "v1"));

  const auto results = unwrap(send({"a"}, true));
  EXPECT_EQ(results[0].manifests_uploaded, 2U) << "one image and the list";
  // Questions about two images, the tag and the three blobs of the image that is there (the shared
  // layer among them), two small blobs of two requests, the image under its tag, the other's tag,
  // the list under its own.
  EXPECT_EQ(lines().size() - before, 2U + 1U + 3U + 4U + 1U + 1U + 1U);
}

TEST_F(ScheduleTest, PushOfWhatStandsOnlyAsks) {
  unwrap(send({"a"}, true));
  const std::size_t before = lines().size();
  const auto results = unwrap(send({"a"}, true));
  EXPECT_EQ(results[0].manifests_uploaded, 0U);
  const std::vector<std::string> all = lines();
  // Two images and the tag, then the platforms' tags.
  EXPECT_EQ(all.size() - before, 5U);
  EXPECT_TRUE(
      std::all_of(all.begin() + static_cast<std::ptrdiff_t>(before), all.end(),
                  [](const std::string& line) { return line.starts_with("HEAD /v2/a/man"); }));
}

TEST_F(ScheduleTest, OnlyTheTagThatStandsElsewhereMoves) {
  unwrap(send({"a"}, true));
  const auto children = unwrap(list_.index()).manifests;
  const auto store = client_.repository(registry_.address() + "/a");
  unwrap(store->put_manifest(unwrap(from_->get_manifest(children[0].digest)), "latest-ppc64le"));
  const std::size_t before = registry_.count("PUT /v2/a/manifests/");
  unwrap(send({"a"}, true));
  EXPECT_EQ(registry_.count("PUT /v2/a/manifests/") - before, 1U);
  EXPECT_EQ(registry_.tag("a", "latest-ppc64le"), children[1].digest.str());
}

TEST_F(ScheduleTest, BlobThatTheRegistryLostIsThereBeforeANewTagIs) {
  const auto store = client_.repository(registry_.address() + "/a");
  unwrap(transfer(*from_, "v1", *store, {.tags = {"v1"}}, null_diagnostics()));
  for (const auto& child : unwrap(list_.index()).manifests) {
    const auto image = unwrap(unwrap(from_->get_manifest(child.digest)).image());
    for (const auto& blob : {image.config, image.layers.front(), image.layers.back()}) {
      registry_.lose(blob.digest.str());
      const std::string tag = "t" + std::to_string(lines().size());
      const auto again =
          unwrap(transfer(*from_, "v1", *store, {.tags = {"v1", tag}}, null_diagnostics()));
      EXPECT_EQ(again.blobs_uploaded, 1U);
      EXPECT_EQ(again.blobs_existed, 4U);
      EXPECT_TRUE(registry_.blob(blob.digest.str()).has_value());
      EXPECT_EQ(registry_.tag("a", tag), list_.digest().str());
    }
  }
}

TEST_F(ScheduleTest, BlobThatNobodyHasKeepsTheNewTagAway) {
  const auto store = client_.repository(registry_.address() + "/a");
  unwrap(transfer(*from_, "v1", *store, {.tags = {"v1"}}, null_diagnostics()));
  const auto children = unwrap(list_.index()).manifests;
  const auto image = unwrap(unwrap(from_->get_manifest(children[0].digest)).image());
  registry_.lose(image.config.digest.str());
  const auto lists_only = without_blobs();
  EXPECT_THAT(transfer(*lists_only, "v1", *store, {.tags = {"v2"}}, null_diagnostics()),
              fails_with(ErrorCode::not_found, ::testing::HasSubstr("config sha256:")));
  EXPECT_EQ(registry_.tag("a", "v2"), "");
}

TEST_F(ScheduleTest, ImageThatTheRegistryLostIsSentAgainUnderATagThatStands) {
  unwrap(send({"a"}));
  const auto lost = unwrap(list_.index()).manifests[0].digest;
  registry_.lose(lost.str());
  const auto results = unwrap(send({"a"}));
  EXPECT_EQ(results[0].manifests_uploaded, 1U);
  const auto store = client_.repository(registry_.address() + "/a");
  EXPECT_TRUE(unwrap(store->resolve(lost)).has_value());
}

TEST_F(ScheduleTest, RepairSendsWhatTheRegistryLostUnderTagsThatStand) {
  unwrap(send({"a"}, true));
  const auto store = client_.repository(registry_.address() + "/a");
  const Destination repair{.selector = Selector("v1"),
                           .store = store.get(),
                           .tags = {"latest"},
                           .tag_platforms = true,
                           .repair = true};
  for (const auto& child : unwrap(list_.index()).manifests) {
    const auto image = unwrap(unwrap(from_->get_manifest(child.digest)).image());
    for (const auto& blob : {image.config, image.layers.front(), image.layers.back()}) {
      registry_.lose(blob.digest.str());
      EXPECT_EQ(unwrap(send({"a"}, true))[0].blobs_uploaded, 0U) << "nothing would be published";
      const std::size_t manifests = registry_.count("PUT /v2/a/manifests/");
      const auto results = unwrap(transfer_all(*from_, {repair}, 8, null_diagnostics()));
      EXPECT_EQ(results[0].blobs_uploaded, 1U);
      EXPECT_EQ(results[0].blobs_existed, 4U);
      EXPECT_TRUE(results[0].moved.empty());
      EXPECT_TRUE(registry_.blob(blob.digest.str()).has_value());
      EXPECT_EQ(registry_.count("PUT /v2/a/manifests/"), manifests);
    }
  }
  const std::size_t posts = registry_.count("POST ");
  EXPECT_EQ(unwrap(transfer_all(*from_, {repair}, 8, null_diagnostics()))[0].blobs_existed, 5U);
  EXPECT_EQ(registry_.count("POST "), posts);
}

TEST_F(ScheduleTest, RepairSaysWhatNobodyHas) {
  unwrap(send({"a"}));
  const auto children = unwrap(list_.index()).manifests;
  const auto image = unwrap(unwrap(from_->get_manifest(children[0].digest)).image());
  registry_.lose(image.config.digest.str());
  const auto lists_only = without_blobs();
  const auto store = client_.repository(registry_.address() + "/a");
  EXPECT_THAT(transfer_all(*lists_only,
                           {{.selector = Selector("v1"), .store = store.get(), .tags = {"latest"}}},
                           8, null_diagnostics()),
              is_ok());
  EXPECT_THAT(
      transfer_all(
          *lists_only,
          {{.selector = Selector("v1"), .store = store.get(), .tags = {"latest"}, .repair = true}},
          8, null_diagnostics()),
      fails_with(ErrorCode::not_found, ::testing::HasSubstr("config sha256:")));
}

TEST_F(ScheduleTest, EachBlobGoesToARegistryOnceAndIsMountedElsewhere) {
  const std::string large = random_bytes(300'000);
  manifest::ImageManifest image{
      .config = test::put_bytes(*from_, "{}", manifest::media_type::oci_config),
      .layers = {test::put_bytes(*from_, large, manifest::media_type::oci_layer_gzip)}};
  unwrap(from_->put_manifest(manifest::Document::of(image), "v1"));
  const auto results = unwrap(send({"a", "b", "c"}));
  EXPECT_EQ(results[0].blobs_uploaded, 2U);
  EXPECT_EQ(results[1].blobs_mounted, 2U);
  EXPECT_EQ(results[2].blobs_mounted, 2U);
  EXPECT_LT(registry_.received(), large.size() + 100) << "and the config";
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(registry_.tag(name, "latest"), manifest::Document::of(image).digest().str());
  }
}

TEST_F(ScheduleTest, RepositoryThatHasTheImageIsWhereOthersMountFrom) {
  unwrap(send({"a"}));
  const std::uint64_t sent = registry_.received();
  const auto results = unwrap(send({"a", "b"}));
  EXPECT_EQ(results[1].blobs_mounted, 5U);
  EXPECT_EQ(registry_.received(), sent);
}

TEST_F(ScheduleTest, TwoTagsOfOneRepositoryShareEverything) {
  const auto store = client_.repository(registry_.address() + "/a");
  const std::vector<Destination> destinations{
      {.selector = Selector("v1"), .store = store.get(), .tags = {"one"}},
      {.selector = Selector("v1"), .store = store.get(), .tags = {"two", "three"}}};
  unwrap(transfer_all(*from_, destinations, 8, null_diagnostics()));
  EXPECT_EQ(registry_.count("POST"), 5U);
  for (const char* tag : {"one", "two", "three"}) {
    EXPECT_EQ(registry_.tag("a", tag), list_.digest().str());
  }
}

TEST_F(ScheduleTest, ManyTagsGoWithOneRequestWhereThatIsPossible) {
  for (const bool many : {true, false}) {
    MemoryRegistry registry({.many_tags = many});
    const auto store = client_.repository(registry.address() + "/a");
    unwrap(transfer(*from_, Selector("v1"), *store, {.tags = {"a", "b", "c"}}, null_diagnostics()));
    for (const char* tag : {"a", "b", "c"}) {
      EXPECT_EQ(registry.tag("a", tag), list_.digest().str());
    }
    // Two images, and the list with all its tags; where they are not confirmed, under each again.
    EXPECT_EQ(registry.count("PUT /v2/a/manifests/"), many ? 3U : 6U);
  }
}

TEST_F(ScheduleTest, ListsBelowListsGoBeforeThem) {
  // The inner list names an image that the outer one names too, before and after it.
  const manifest::Index inner = unwrap(list_.index());
  manifest::Index outer;
  outer.manifests = {inner.manifests[0], list_.descriptor(), inner.manifests[1]};
  unwrap(from_->put_manifest(manifest::Document::of(outer), "v1"));
  unwrap(send({"a"}));
  const std::vector<std::string> seen = lines();
  const auto position = [&](const manifest::Digest& digest) {
    return std::ranges::find(seen, "PUT /v2/a/manifests/" + digest.str()) - seen.begin();
  };
  EXPECT_LT(position(inner.manifests[0].digest), position(list_.digest()));
  EXPECT_LT(position(inner.manifests[1].digest), position(list_.digest()));
  EXPECT_LT(position(list_.digest()), position(manifest::Document::of(outer).digest()));
}

// --- a registry that is asked too much ---

TEST(HostGate, FewerRequestsAtOnceAfter429AndMoreAgainLater) {
  HostGate gate;
  const std::stop_token never;
  {
    const auto first = gate.enter(never);
    const auto second = gate.enter(never);
    const auto third = gate.enter(never);
    const auto fourth = gate.enter(never);
    gate.answered(429);
  }
  const auto most_at_once = [&] {
    std::atomic<int> running = 0;
    std::atomic<int> most = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        const auto pass = gate.enter(never);
        const int now = ++running;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --running;
      });
    }
    threads.clear();
    return most.load();
  };
  EXPECT_LE(most_at_once(), 2);
  gate.answered(429);
  EXPECT_LE(most_at_once(), 1);
  for (int i = 0; i < 8; ++i) {
    gate.answered(200);
  }
  const auto first = gate.enter(never);
  const auto second = gate.enter(never);  // would wait for ever if there were still only one
}

TEST(HostGate, WhatIsClosedIsEnteredWhenItOpens) {
  const ManualClock clock;
  HostGate gate(clock);
  const std::stop_token never;
  const Clock::Time begin = clock.now();
  EXPECT_TRUE(gate.close_for(std::chrono::seconds(5)));
  EXPECT_FALSE(gate.close_for(std::chrono::seconds(2))) << "closed already, and for longer";
  {
    const auto pass = gate.enter(never);
    EXPECT_EQ(clock.now() - begin, std::chrono::seconds(5));
  }
  gate.close_for(std::chrono::seconds(3));
  EXPECT_TRUE(gate.wait(never));
  EXPECT_EQ(clock.now() - begin, std::chrono::seconds(8));
}

TEST(HostGate, StopEndsEveryWait) {
  HostGate gate;
  gate.close_for(std::chrono::hours(1));
  std::stop_source stop;
  const std::jthread other([&] { stop.request_stop(); });
  EXPECT_FALSE(gate.wait(stop.get_token()));
  const auto pass = gate.enter(stop.get_token());
  EXPECT_FALSE(pause_for(std::chrono::hours(1), stop.get_token()));
}

}  // namespace
}  // namespace fnimage::registry

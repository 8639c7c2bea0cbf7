// The resolver against a registry that counts: what it asks for and what not, and what it says when
// the registry is away.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/resolve/resolver.hpp>
#include <fnimage/test/memory_registry.hpp>

#include "images.hpp"

namespace fnimage::resolve {
namespace {

using namespace std::chrono_literals;
using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Time that stands still unless it is moved.
class HandClock final : public registry::Clock {
 public:
  [[nodiscard]] Time now() const override { return Time{} + 1h + std::chrono::nanoseconds(now_); }
  bool sleep_until(Time /*time*/, const std::stop_token& /*stop*/) const override { return true; }
  void pass(std::chrono::nanoseconds duration) { now_ += duration.count(); }

 private:
  std::atomic<std::int64_t> now_ = 0;
};

/// What the registry answers instead of what it has.
struct Mood {
  std::atomic<int> status = 0;  ///< 0 = as it should
  std::atomic<bool> holds = false;
  std::mutex mutex;
  std::condition_variable released;

  std::optional<test::Reply> answer(const test::SeenRequest& request) {
    if (request.target.find("/manifests/") != std::string::npos) {
      std::unique_lock lock(mutex);
      released.wait(lock, [this] { return !holds; });
    }
    return status == 0 ? std::nullopt : std::optional(test::Reply{.status = status});
  }
  void release() {
    {
      const std::lock_guard lock(mutex);
      holds = false;
    }
    released.notify_all();
  }
};

class ResolverTest : public ::testing::Test {
 protected:
  ~ResolverTest() override { mood_.release(); }

  std::unique_ptr<registry::ImageStore> store(const std::string& repository = "action") {
    return unwrap(client_->repository(
        unwrap(manifest::Reference::parse(registry_.address() + "/" + repository))));
  }
  std::string name(const std::string& rest = "action:latest") {
    return registry_.address() + "/" + rest;
  }
  Resolver& resolver() {
    if (!resolver_) {
      options.clock = clock_;
      resolver_.emplace(open_with(client_), options);
    }
    return *resolver_;
  }
  /// Requests since the last time.
  std::vector<std::string> asked() {
    std::vector<std::string> lines = registry_.server().lines();
    std::vector<std::string> fresh;
    for (std::size_t i = seen_; i < lines.size(); ++i) {
      if (lines[i] != "GET /v2/") {
        fresh.push_back(lines[i]);
      }
    }
    seen_ = lines.size();
    return fresh;
  }
  Document publish(const std::string& tag, std::string_view salt,
                   const std::string& variants = {}) {
    const auto to = store();
    return put_list(*to, {put_image(*to, linux_amd64, salt), put_image(*to, linux_ppc64le, salt)},
                    tag, variants);
  }
  Document publish_gpu(const std::string& tag) {
    const auto to = store();
    return put_list(*to, {put_image(*to, linux_amd64, tag, std::string(one_gpu))}, tag);
  }
  void push_done() { asked(); }

  ResolverOptions options{.patience = 60s};
  Mood mood_;
  test::MemoryRegistry registry_{
      {.instead = [this](const test::SeenRequest& request) { return mood_.answer(request); }}};
  std::shared_ptr<HandClock> clock_ = std::make_shared<HandClock>();
  std::shared_ptr<registry::Client> client_ = std::make_shared<registry::Client>(
      unwrap(registry::make_curl_transport({})), nullptr,
      registry::ClientOptions{.plain_http = true, .retry = {.attempts = 1}}, null_diagnostics());
  std::size_t seen_ = 0;
  std::optional<Resolver> resolver_;
};

TEST_F(ResolverTest, WhatIsKnownIsNotAskedFor) {
  const Document list = publish("latest", "a");
  push_done();
  const KnownImage image = unwrap(resolver().image(name()));
  EXPECT_EQ(image.image->root().digest, list.digest());
  EXPECT_FALSE(image.stale);
  // The list, and of each image manifest and config.
  EXPECT_THAT(asked(), SizeIs(5));
  const NodeChoice power = unwrap(resolver().resolve(name(), make_node(linux_ppc64le)));
  EXPECT_EQ(power.image, image.image);
  EXPECT_EQ(*power.choice.entry, 1U);
  EXPECT_EQ(power.image->pull_name(power.choice),
            registry_.address() + "/action@" + list.index()->manifests[1].digest.str());
  EXPECT_GT(power.choice.pull_size, 0U);
  EXPECT_FALSE(
      unwrap(resolver().resolve(name(), make_node({"linux", "s390x", "", "", {}}))).choice);
  const auto both = unwrap(resolver().resolve(
      name(), std::vector{make_node(linux_amd64), make_node(linux_ppc64le, "cri-o")}));
  EXPECT_EQ(*both.choices[0].entry, 0U);
  EXPECT_EQ(*both.choices[1].entry, 1U);
  EXPECT_THAT(asked(), IsEmpty());
  const ResolverStatistics counted = resolver().statistics();
  EXPECT_EQ(counted.hits, 3U);
  EXPECT_EQ(counted.refreshes, 1U);
  EXPECT_EQ(counted.images, 1U);
}

TEST_F(ResolverTest, ATagIsAskedForAgainAfterItsTime) {
  publish("latest", "a");
  push_done();
  const auto before = unwrap(resolver().image(name())).image;
  asked();
  clock_->pass(29s);
  EXPECT_EQ(unwrap(resolver().image(name())).image->tree(), before->tree());
  EXPECT_THAT(asked(), IsEmpty());
  clock_->pass(2s);
  const KnownImage same = unwrap(resolver().image(name()));
  EXPECT_EQ(same.image->tree(), before->tree());
  EXPECT_FALSE(same.stale);
  EXPECT_THAT(asked(), ElementsAre("HEAD /v2/action/manifests/latest"));
  // Only one of the images differs: that, the list, and the HEAD.
  const auto to = store();
  const Document moved = put_list(
      *to, {put_image(*to, linux_amd64, "a"), put_image(*to, linux_ppc64le, "b")}, "latest");
  push_done();
  clock_->pass(31s);
  EXPECT_EQ(unwrap(resolver().image(name())).image->root().digest, moved.digest());
  EXPECT_THAT(asked(), SizeIs(4));
}

TEST_F(ResolverTest, ADigestIsNeverAskedForAgain) {
  const Document list = publish("latest", "a");
  push_done();
  const std::string by_digest = name("action@" + list.digest().str());
  unwrap(resolver().image(by_digest));
  EXPECT_THAT(asked(), SizeIs(5));
  clock_->pass(1000h);
  unwrap(resolver().image(by_digest));
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(ResolverTest, WhatIsExpiredIsAskedFor) {
  publish("latest", "a");
  unwrap(resolver().image(name()));
  const Document moved = publish("latest", "b");
  push_done();
  resolver().expire(name());
  resolver().expire(name("unknown:1"));
  EXPECT_EQ(unwrap(resolver().image(name())).image->root().digest, moved.digest());
}

TEST_F(ResolverTest, HoweverManyAskItIsOneRequest) {
  publish("latest", "a");
  push_done();
  const auto ask_together = [this](const std::function<bool()>& ask) {
    mood_.holds = true;
    std::atomic<int> good = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&] { good += ask() ? 1 : 0; });
    }
    std::this_thread::sleep_for(50ms);
    mood_.release();
    threads.clear();
    return good.load();
  };
  const node::Node node = make_node(linux_amd64);
  Resolver& asked_one = resolver();
  EXPECT_EQ(ask_together([&] {
              const auto answer = asked_one.resolve(name(), node);
              return answer && answer->choice;
            }),
            16);
  EXPECT_THAT(asked(), SizeIs(5));
  EXPECT_EQ(asked_one.statistics().refreshes, 1U);
  // Failures are shared, too.
  mood_.status = 503;
  EXPECT_EQ(ask_together([&] { return asked_one.image(name("action:other")).has_value(); }), 0);
  EXPECT_THAT(asked(), SizeIs(1));
}

TEST_F(ResolverTest, ARegistryThatIsAwayStopsNothing) {
  publish("latest", "a");
  const auto known = unwrap(resolver().image(name())).image;
  for (const int status : {503, 500, 429}) {
    mood_.status = status;
    clock_->pass(40s);
    push_done();
    resolver().expire(name());
    const NodeChoice stale = unwrap(resolver().resolve(name(), make_node(linux_amd64)));
    EXPECT_TRUE(stale.choice);
    ASSERT_TRUE(stale.stale);
    EXPECT_GE(*stale.stale, 40s);
    EXPECT_EQ(stale.image->tree(), known->tree());
    while (resolver().statistics().failures < resolver().statistics().refreshes - 1) {
      std::this_thread::sleep_for(1ms);
    }
    // A HEAD says nothing of what is wrong.
    EXPECT_THAT(asked(),
                ElementsAre("HEAD /v2/action/manifests/latest", "GET /v2/action/manifests/latest"));
    // It is left alone for a while.
    EXPECT_TRUE(unwrap(resolver().image(name())).stale);
    clock_->pass(4s);
    EXPECT_TRUE(unwrap(resolver().image(name())).stale);
    EXPECT_THAT(asked(), IsEmpty());
  }
  mood_.status = 0;
  mood_.holds = true;
  clock_->pass(6s);
  // Nobody waits for a registry that was away; it is asked beside.
  EXPECT_TRUE(unwrap(resolver().image(name())).stale);
  mood_.release();
  while (unwrap(resolver().image(name())).stale) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_THAT(asked(), ElementsAre("HEAD /v2/action/manifests/latest"));
}

TEST_F(ResolverTest, WhatIsTooOldIsNoAnswer) {
  options.max_stale = 10min;
  publish("latest", "a");
  unwrap(resolver().image(name()));
  mood_.status = 503;
  clock_->pass(9min);
  EXPECT_TRUE(unwrap(resolver().image(name())).stale);
  clock_->pass(2min);
  EXPECT_THAT(resolver().image(name()), fails_with(ErrorCode::unavailable));
}

TEST_F(ResolverTest, ASlowRegistryIsNotWaitedForByWhoHasSomething) {
  options.patience = 20ms;
  publish("latest", "a");
  unwrap(resolver().image(name()));
  clock_->pass(31s);
  mood_.holds = true;
  const KnownImage late = unwrap(resolver().image(name()));
  EXPECT_EQ(late.stale, std::optional(std::chrono::milliseconds(31s)));
  mood_.release();
}

TEST_F(ResolverTest, WhatItRefusesIsAnAnswer) {
  publish("latest", "a");
  push_done();
  EXPECT_THAT(resolver().image(name("action:none")), fails_with(ErrorCode::not_found));
  EXPECT_THAT(asked(), SizeIs(1));
  EXPECT_THAT(resolver().image(name("action:none")), fails_with(ErrorCode::not_found));
  EXPECT_THAT(asked(), IsEmpty());
  clock_->pass(11s);
  EXPECT_THAT(resolver().image(name("action:none")), fails_with(ErrorCode::not_found));
  EXPECT_THAT(asked(), SizeIs(1));
  // A tag that is gone, and one that may not be read any more, are not answered from memory.
  unwrap(resolver().image(name()));
  for (const auto& [status, code] :
       {std::pair(404, ErrorCode::not_found), std::pair(401, ErrorCode::unauthorized),
        std::pair(403, ErrorCode::unauthorized)}) {
    mood_.status = status;
    clock_->pass(31s);
    EXPECT_THAT(resolver().image(name()), fails_with(code));
    mood_.status = 0;
    clock_->pass(31s);
    unwrap(resolver().image(name()));
  }
  EXPECT_THAT(resolver().image("oci:/tmp"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(resolver().image("bare"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(resolver().image("UPPER:case:"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(resolver().image(std::string(100'000, 'x')), fails_with(ErrorCode::invalid_argument));
}

TEST_F(ResolverTest, WhoeverStopsLeavesTheOthersTheirAnswer) {
  publish("latest", "a");
  mood_.holds = true;
  Resolver& asked_one = resolver();
  std::stop_source source;
  std::optional<Result<KnownImage>> stopped;
  std::optional<Result<KnownImage>> other;
  std::jthread first([&] { stopped = asked_one.image(name(), source.get_token()); });
  std::jthread second([&] { other = asked_one.image(name()); });
  source.request_stop();
  first.join();
  EXPECT_THAT(*stopped, fails_with(ErrorCode::cancelled));
  mood_.release();
  second.join();
  EXPECT_TRUE(*other);
}

TEST_F(ResolverTest, ManyAreAskedForAtOnce) {
  publish("latest", "a");
  publish("v2", "b");
  const auto answers = resolver().images({name(), name("action:none"), name("action:v2"), name()});
  ASSERT_THAT(answers, SizeIs(4));
  EXPECT_TRUE(answers[0]);
  EXPECT_THAT(answers[1], fails_with(ErrorCode::not_found));
  EXPECT_TRUE(answers[2]);
  EXPECT_EQ(answers[3]->image, answers[0]->image);
}

TEST_F(ResolverTest, VariantsAreChosenAndAskedForAgain) {
  publish("latest", "a", "gpu,none");
  const Document gpu = publish_gpu("latest-gpu");
  push_done();
  const NodeChoice with = unwrap(resolver().resolve(name(), make_gpu_node(1)));
  EXPECT_EQ(with.choice.variant, std::optional<std::size_t>(0));
  EXPECT_EQ(with.image->variants()[0].tag, "latest-gpu");
  EXPECT_EQ(with.choice.image->digest, gpu.index()->manifests[0].digest);
  EXPECT_THAT(with.image->warnings(), ElementsAre("variant none: there is no latest-none"));
  ASSERT_NE(with.choice.requirements, nullptr);
  EXPECT_EQ(with.choice.requirements->gpu->count, 1U);
  EXPECT_FALSE(unwrap(resolver().resolve(name(), make_gpu_node(0))).choice.variant);
  // What a node does not say is no reason to give it a variant.
  EXPECT_FALSE(unwrap(resolver().resolve(name(), make_node(linux_amd64))).choice.variant);
  asked();
  clock_->pass(31s);
  unwrap(resolver().image(name()));
  EXPECT_THAT(asked(), ::testing::UnorderedElementsAre("HEAD /v2/action/manifests/latest",
                                                       "HEAD /v2/action/manifests/latest-gpu",
                                                       "GET /v2/action/manifests/latest-none"));
  // It comes later.
  publish_gpu("latest-none");
  clock_->pass(31s);
  EXPECT_THAT(unwrap(resolver().image(name())).image->warnings(), IsEmpty());
}

TEST_F(ResolverTest, PlainListsHaveNoVariants) {
  options.variants = false;
  publish("latest", "a", "gpu");
  push_done();
  const KnownImage image = unwrap(resolver().image(name()));
  EXPECT_THAT(image.image->variants(), IsEmpty());
  EXPECT_THAT(image.image->warnings(), IsEmpty());
  EXPECT_THAT(asked(), SizeIs(5));
}

TEST_F(ResolverTest, MemoryIsBounded) {
  options.max_bytes = 256 << 10;
  const auto to = store();
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) {
    const std::string tag = fmt::format("v{}", i);
    put_list(*to, {put_image(*to, linux_amd64, tag), put_image(*to, linux_ppc64le, tag)}, tag);
    unwrap(resolver().image(name("action:" + tag)));
    ASSERT_LE(resolver().statistics().bytes, options.max_bytes);
    resolver().image(name(fmt::format("action:none-{}", i))).has_value();
    ASSERT_LE(resolver().statistics().bytes, options.max_bytes);
  }
  EXPECT_GT(resolver().statistics().images, 5U);
  EXPECT_LT(resolver().statistics().images, 200U);
  // The most recently used are still there.
  push_done();
  unwrap(resolver().image(name("action:v99")));
  EXPECT_THAT(asked(), IsEmpty());
  unwrap(resolver().image(name("action:v0")));
  EXPECT_THAT(asked(), ::testing::Not(IsEmpty()));
}

TEST_F(ResolverTest, AMissingImageMayComeLater) {
  const auto to = store();
  const Descriptor image = put_image(*to, linux_amd64, "a");
  const Document list = put_list(*to, {image, put_image(*to, linux_ppc64le, "a")}, "latest");
  const std::string bytes = unwrap(to->get_manifest(image.digest)).bytes();
  registry_.lose(image.digest.str());
  const std::string by_digest = name("action@" + list.digest().str());
  const NodeChoice lost = unwrap(resolver().resolve(by_digest, make_node(linux_amd64)));
  EXPECT_EQ(lost.choice.outcome, Choice::Outcome::broken);
  EXPECT_TRUE(unwrap(resolver().resolve(by_digest, make_node(linux_ppc64le))).choice);
  unwrap(
      to->put_manifest(unwrap(Document::from_bytes(bytes, image.media_type, "x")), std::nullopt));
  clock_->pass(31s);
  EXPECT_TRUE(unwrap(resolver().resolve(by_digest, make_node(linux_amd64))).choice);
}

TEST(Resolvers, WhatAnOpenerThrowsIsAnError) {
  Resolver resolver([](const std::string&) -> Result<registry::OpenedImage> {
    throw std::runtime_error("no luck");
  });
  EXPECT_THAT(resolver.image("a:b"), fails_with(ErrorCode::internal, HasSubstr("no luck")));
}

TEST(Resolvers, EveryAskerGetsAnAnswerWhileTagsMove) {
  const std::shared_ptr<registry::ImageStore> memory = registry::make_memory_store("memory");
  std::vector<Document> lists;
  for (const char* salt : {"a", "b"}) {
    lists.push_back(put_list(
        *memory, {put_image(*memory, linux_amd64, salt), put_image(*memory, linux_ppc64le, salt)},
        "latest"));
  }
  Resolver resolver(
      [&memory](const std::string& reference) -> Result<registry::OpenedImage> {
        return registry::OpenedImage{registry::with_manifests(*memory, {}), reference};
      },
      {.tag_lifetime = 0ms, .max_bytes = 64 << 10});
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const node::Node node = make_node(linux_ppc64le);
        for (int round = 0; round < 200; ++round) {
          const auto answer = resolver.resolve("latest", node);
          wrong += answer && answer->choice && answer->choice.entry == 1U ? 0 : 1;
          resolver.resolve(fmt::format("none-{}", round), node).has_value();
        }
      });
    }
    for (int round = 0; round < 200; ++round) {
      unwrap(memory->put_manifest(lists[static_cast<std::size_t>(round) % 2], "latest"));
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace fnimage::resolve

// Publishing as a controller does it: names, tags of platforms, and that what is stopped at any
// moment ends as cancelled and leaves no tag that stands for something incomplete.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include <fnimage/build/publish.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/memory_registry.hpp>

#include "build_fixture.hpp"

namespace fnimage::build {
namespace {

using manifest::Reference;
using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::size_t model_size = 3'000'000;

std::string noise(std::size_t size) {
  std::mt19937_64 engine(1);
  std::string text(size, '\0');
  std::ranges::generate(text, [&] { return static_cast<char>(engine()); });
  return text;
}

/// What a controller sets up for one job that it may want to stop.
class StoppableJob {
 public:
  explicit StoppableJob(Diagnostics& diagnostics = null_diagnostics())
      : diagnostics_(diagnostics),
        transport_(unwrap(registry::make_curl_transport({.stop = stop_.get_token()}))),
        pool_(2, stop_.get_token()),
        client_(transport_, registry::fixed_credentials("registry.example", {}),
                {.plain_http = true, .retry = {.attempts = 1}}, diagnostics) {}

  void stop() { stop_.request_stop(); }
  registry::Client& client() { return client_; }
  [[nodiscard]] Environment environment(const test::TempDir& directory) {
    return {.transport = transport_,
            .client = client_,
            .pool = pool_,
            .diagnostics = diagnostics_,
            .cache_directory = directory / "cache",
            .local_store = directory / "store"};
  }

 private:
  std::stop_source stop_;
  Diagnostics& diagnostics_;
  std::shared_ptr<registry::Transport> transport_;
  WorkerPool pool_;
  registry::Client client_;
};

/// Calls somebody when a task has come so far.
class Watcher final : public Diagnostics {
 public:
  explicit Watcher(std::function<void(std::uint64_t)> on_progress)
      : on_progress_(std::move(on_progress)) {}
  void report(Severity /*severity*/, std::string_view /*message*/) noexcept override {}
  std::unique_ptr<ProgressTask> begin(std::string_view /*label*/,
                                      std::uint64_t /*total*/) noexcept override {
    return std::make_unique<Task>(*this);
  }

 private:
  class Task final : public ProgressTask {
   public:
    explicit Task(Watcher& watcher) : watcher_(watcher) {}
    void update(std::uint64_t done) noexcept override { watcher_.on_progress_(done); }
    void finish(std::string_view /*outcome*/) noexcept override {}

   private:
    Watcher& watcher_;
  };
  std::function<void(std::uint64_t)> on_progress_;
};

class Publishing : public ::testing::Test {
 protected:
  static BuildSpec spec_with_model(const test::TempDir& directory) {
    BuildSpec spec = scratch_spec(directory);
    directory.write("model.bin", noise(model_size));
    return spec;
  }
  static Reference reference(const MemoryRegistry& registry, const std::string& name) {
    return unwrap(Reference::parse(registry.address() + "/" + name));
  }
  /// Into store_.
  BuildResult build_model() {
    StoppableJob job;
    return unwrap(build::build(spec_with_model(project_), {}, *store_, {"demo:latest"},
                               job.environment(directory_)));
  }
  /// What a registry has under a tag can be read to its last byte.
  static Result<registry::TransferResult> read_whole(const MemoryRegistry& registry,
                                                     const std::string& name) {
    StoppableJob job;
    FNIMAGE_TRY(const auto from, job.client().repository(reference(registry, name)));
    const auto copy = registry::make_memory_store("copy");
    return registry::transfer(*from, reference(registry, name).tag_or_latest(), *copy, {},
                              null_diagnostics());
  }

  test::TempDir project_;
  test::TempDir directory_;
  std::unique_ptr<registry::ImageStore> store_ = registry::make_memory_store("test");
};

TEST_F(Publishing, OneImageUnderSeveralNames) {
  const BuildResult built = build_model();
  MemoryRegistry registry;
  StoppableJob job;
  const std::vector<Published> published =
      unwrap(publish(*store_, built.list.digest,
                     {reference(registry, "a/demo:1"), reference(registry, "b/demo:2")}, {},
                     job.client(), null_diagnostics()));
  ASSERT_THAT(published, SizeIs(2));
  EXPECT_EQ(published[1].reference, reference(registry, "b/demo:2"));
  for (const char* repository : {"a/demo", "b/demo"}) {
    const std::string tag = repository == std::string("a/demo") ? "1" : "2";
    EXPECT_EQ(registry.tag(repository, tag), built.list.digest.str());
    EXPECT_EQ(registry.tag(repository, tag + "-ppc64le"), built.platforms[1].manifest.digest.str());
  }
}

TEST_F(Publishing, WithoutTagsOfPlatforms) {
  const BuildResult built = build_model();
  MemoryRegistry registry;
  StoppableJob job;
  unwrap(publish(*store_, built.list.digest, {reference(registry, "demo:1")},
                 {.tag_platforms = false}, job.client(), null_diagnostics()));
  EXPECT_EQ(registry.tag("demo", "1"), built.list.digest.str());
  EXPECT_EQ(registry.tag("demo", "1-ppc64le"), "");
}

TEST_F(Publishing, OnlyWhereTheTagIsExpected) {
  const BuildResult built = build_model();
  MemoryRegistry registry;
  StoppableJob job;
  const std::vector<Reference> names{reference(registry, "demo:1")};
  const PublishOptions first{.expected = {.absent = true}};
  EXPECT_THAT(publish(*store_, built.list.digest, names, first, job.client(), null_diagnostics()),
              is_ok());
  EXPECT_THAT(publish(*store_, built.list.digest, names, first, job.client(), null_diagnostics()),
              fails_with(ErrorCode::already_exists));
}

TEST_F(Publishing, BuildingAndPublishingAtOnce) {
  MemoryRegistry registry;
  StoppableJob job;
  std::string tag_when_built = "not called";
  const BuiltAndPublished done = unwrap(build_and_publish(
      spec_with_model(project_), {}, *store_, {"demo:latest"}, {reference(registry, "demo:1")}, {},
      job.environment(directory_), [&](const BuildResult& built) -> Result<void> {
        EXPECT_THAT(built.platforms, SizeIs(2));
        tag_when_built = registry.tag("demo", "1");
        return {};
      }));
  EXPECT_EQ(tag_when_built, "");
  ASSERT_THAT(done.published, SizeIs(1));
  EXPECT_EQ(registry.tag("demo", "1"), done.built.list.digest.str());
  EXPECT_THAT(read_whole(registry, "demo:1"), is_ok());
}

TEST_F(Publishing, ARegistryThatIsNotThereEndsABuildBeforeItsWork) {
  StoppableJob job;
  std::atomic<int> layers = 0;
  const auto outcome = build_and_publish(
      spec_with_model(project_),
      {.on_new_layer = [&](const manifest::Descriptor&, const ContentPtr&) { ++layers; }}, *store_,
      {"demo:latest"}, {unwrap(Reference::parse("127.0.0.1:9/demo:1"))}, {},
      job.environment(directory_));
  EXPECT_THAT(outcome, fails_with(ErrorCode::unavailable));
  EXPECT_EQ(layers, 0);
  EXPECT_THAT(unwrap(store_->tags()), IsEmpty());
}

TEST_F(Publishing, ErrorsOfTheCallerEndIt) {
  MemoryRegistry registry;
  StoppableJob job;
  const auto run = [&](const std::function<Result<void>(const BuildResult&)>& on_built) {
    return build_and_publish(spec_with_model(project_), {}, *store_, {"demo:latest"},
                             {reference(registry, "demo:1")}, {}, job.environment(directory_),
                             on_built);
  };
  EXPECT_THAT(run([](const BuildResult&) { return fail(ErrorCode::no_space, "full"); }),
              fails_with(ErrorCode::no_space, "full"));
  EXPECT_THAT(run([](const BuildResult&) -> Result<void> { throw std::bad_alloc(); }),
              fails_with(ErrorCode::internal, "out of memory"));
  EXPECT_THAT(run([](const BuildResult&) -> Result<void> { throw std::out_of_range("x"); }),
              fails_with(ErrorCode::internal, HasSubstr("unexpected exception: x")));
  EXPECT_EQ(registry.tag("demo", "1"), "");
}

TEST_F(Publishing, StoppedInTheMiddleOfABlob) {
  const BuildResult built = build_model();
  MemoryRegistry registry;
  StoppableJob job;
  registry.on_cut([&] { job.stop(); });
  registry.cut_next({model_size / 2});
  EXPECT_THAT(publish(*store_, built.list.digest, {reference(registry, "demo:1")}, {}, job.client(),
                      null_diagnostics()),
              fails_with(ErrorCode::cancelled));
  EXPECT_EQ(registry.tag("demo", "1"), "");
  EXPECT_EQ(registry.tag("demo", "1-ppc64le"), "");
  EXPECT_LT(registry.received(), model_size);
  EXPECT_EQ(registry.open_uploads(), 0U);
}

// A registry that stops its client when it gets the n-th request, for every n that there is.
TEST_F(Publishing, StoppedAtAnyRequestATagIsWholeOrAbsent) {
  const BuildResult built = build_model();
  bool is_over = false;
  std::size_t cancelled = 0;
  for (int n = 0; !is_over; ++n) {
    StoppableJob* target = nullptr;
    std::atomic<int> seen = 0;
    const auto watch = [&](const test::SeenRequest&) -> std::optional<test::Reply> {
      if (seen++ == n && target != nullptr) {
        target->stop();
      }
      return std::nullopt;
    };
    MemoryRegistry registry({.instead = watch});
    StoppableJob job;
    target = &job;
    const auto outcome = publish(*store_, built.list.digest, {reference(registry, "demo:1")}, {},
                                 job.client(), null_diagnostics());
    is_over = seen <= n;
    if (!outcome) {
      EXPECT_EQ(outcome.error().code(), ErrorCode::cancelled) << outcome.error().describe();
      ++cancelled;
    }
    for (const char* tag : {"1", "1-amd64", "1-ppc64le"}) {
      if (!registry.tag("demo", tag).empty()) {
        EXPECT_THAT(read_whole(registry, std::string("demo:") + tag), is_ok()) << tag << ' ' << n;
      }
    }
    target = nullptr;
  }
  EXPECT_GT(cancelled, 5U);
}

TEST_F(Publishing, ABuildIsStoppedInTheMiddleOfAFile) {
  StoppableJob* target = nullptr;
  Watcher watcher([&](std::uint64_t done) {
    if (done > 0 && target != nullptr) {
      target->stop();
    }
  });
  StoppableJob job(watcher);
  target = &job;
  std::atomic<int> layers = 0;
  BuildSpec spec = spec_with_model(project_);
  project_.write("model.bin", noise(4 * model_size));
  MemoryRegistry registry;
  const auto outcome = build_and_publish(
      spec, {.on_new_layer = [&](const manifest::Descriptor&, const ContentPtr&) { ++layers; }},
      *store_, {"demo:latest"}, {reference(registry, "demo:1")}, {}, job.environment(directory_));
  EXPECT_THAT(outcome, fails_with(ErrorCode::cancelled));
  EXPECT_EQ(layers, 0) << "the model comes first, and not to its end";
  EXPECT_THAT(unwrap(store_->tags()), IsEmpty());
  EXPECT_EQ(registry.tag("demo", "1"), "");
  // Nothing of it is in the way of the next.
  StoppableJob next;
  EXPECT_THAT(build::build(spec, {}, *store_, {"demo:latest"}, next.environment(directory_)),
              is_ok());
  EXPECT_THAT(unwrap(store_->tags()), ElementsAre("demo:latest"));
}

TEST_F(Publishing, ABuildThatWasStoppedBeforeReadsNothing) {
  StoppableJob job;
  job.stop();
  BuildSpec spec;  // of nothing that is there
  spec.name = "demo";
  spec.platforms = {platform("linux/amd64")};
  spec.main = "missing.py";
  spec.directory = project_.path();
  EXPECT_THAT(build::build(spec, {}, *store_, {"demo:latest"}, job.environment(directory_)),
              fails_with(ErrorCode::cancelled, "stopped on request"));
}

TEST(Destination, IsATagOfARegistry) {
  EXPECT_EQ(unwrap(parse_destination("registry.example/a/b:1")).tag_or_latest(), "1");
  EXPECT_THAT(parse_destination("demo:1"), fails_with(ErrorCode::invalid_argument));
  const std::string digest = "@sha256:" + std::string(64, 'a');
  EXPECT_THAT(parse_destination("registry.example/a/b" + digest),
              fails_with(ErrorCode::invalid_argument, HasSubstr("digest")));
}

}  // namespace
}  // namespace fnimage::build

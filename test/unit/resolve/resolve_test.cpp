// What nodes take of lists in memory, what they download for it, and by which tag it goes.
#include <limits>

#include <fmt/format.h>

#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/resolve/resolve.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::resolve {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Platform;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t shared_size = 1000;

/// A store with images of one layer of their own and one that all share.
class ListWorld {
 public:
  ListWorld() { shared_.size = shared_size; }

  /// The entry of an image; its own layer has that size.
  Descriptor image(const Platform& platform, std::uint64_t size, std::string_view salt = "") {
    manifest::ImageConfig config;
    config.platform = platform;
    config.created = salt;
    config.diff_ids = {Digest::of("shared"), Digest::of("own")};
    const std::string bytes = manifest::emit(config);
    manifest::ImageManifest image{
        .config = {.media_type = std::string(manifest::media_type::oci_config),
                   .digest = Digest::of(bytes),
                   .size = bytes.size()},
        .layers = {shared_,
                   {.media_type = std::string(manifest::media_type::oci_layer_gzip),
                    .digest = Digest::of(fmt::format("layer {} {}", platform.str(), size)),
                    .size = size}}};
    unwrap(store->put_blob(image.config, *memory_content(bytes), {}));
    config_sizes[platform.str()] = bytes.size();
    const Document document = Document::of(image);
    unwrap(store->put_manifest(document, std::nullopt));
    Descriptor entry = document.descriptor();
    entry.platform = platform;
    return entry;
  }

  Document list(std::vector<Descriptor> entries, const std::string& tag) {
    Document document = Document::of(manifest::Index{.manifests = std::move(entries)});
    unwrap(store->put_manifest(document, tag));
    return document;
  }

  void tag(const Descriptor& entry, const std::string& name) {
    unwrap(store->put_manifest(unwrap(store->get_manifest(entry.digest)), name));
  }

  Result<std::vector<Answer>> ask(const Document& document, const std::vector<node::Node>& nodes,
                                  const Options& options = {}) {
    return resolve(*store, document, nodes, options, pool_);
  }

  Answer ask_one(const Document& document, const node::Node& node, const Options& options = {}) {
    return unwrap(ask(document, {node}, options)).at(0);
  }

  std::unique_ptr<registry::ImageStore> store = registry::make_memory_store("test");
  std::map<std::string, std::uint64_t> config_sizes;

 private:
  Descriptor shared_{.media_type = std::string(manifest::media_type::oci_layer_gzip),
                     .digest = Digest::of("shared layer")};
  WorkerPool pool_{4};
};

const Platform amd64{"linux", "amd64", "", "", {}};
const Platform ppc64le{"linux", "ppc64le", "", "", {}};

node::Node node_of(const Platform& platform, std::string_view runtime = "containerd:2.1",
                   std::string name = "worker") {
  return {.name = std::move(name),
          .machine = {.platform = platform},
          .runtime = unwrap(manifest::parse_runtime(runtime))};
}

TEST(Resolve, EachNodeTakesItsOwn) {
  ListWorld world;
  const Descriptor x86 = world.image(amd64, 10);
  const Descriptor power = world.image(ppc64le, 20);
  const Document list = world.list({x86, power}, "latest");
  const std::vector<Answer> answers = unwrap(
      world.ask(list, {node_of(ppc64le, "cri-o", "p"), node_of(amd64), node_of(ppc64le, "cri-o")}));
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_EQ(answers[0].node, "p");
  EXPECT_EQ(answers[0].taken->digest, power.digest);
  EXPECT_EQ(answers[0].pull_size, shared_size + 20 + world.config_sizes["linux/ppc64le"]);
  EXPECT_EQ(answers[1].taken->digest, x86.digest);
  EXPECT_EQ(answers[1].pull_size, shared_size + 10 + world.config_sizes["linux/amd64"]);
  ASSERT_THAT(answers[1].choice->verdicts, SizeIs(2));
  EXPECT_TRUE(answers[1].choice->verdicts[0].is_taken);
  EXPECT_NE(answers[1].choice->verdicts[1].reason, "");
  // Nodes that are alike share what was found out.
  EXPECT_EQ(answers[2].choice, answers[0].choice);
  for (const Answer& answer : answers) {
    EXPECT_EQ(answer.reason, "");
    EXPECT_THAT(answer.warnings, IsEmpty());
  }
}

TEST(Resolve, NothingForANodeIsAnAnswerWithTheReason) {
  ListWorld world;
  Descriptor debian_name = world.image(ppc64le, 20);
  debian_name.platform->architecture = "ppc64el";
  Descriptor statement = world.image(amd64, 1);
  statement.platform = Platform{"unknown", "unknown", "", "", {}};
  const Document list = world.list({world.image(amd64, 10), debian_name, statement}, "latest");
  const Answer answer = world.ask_one(list, node_of(ppc64le));
  EXPECT_FALSE(answer.taken);
  EXPECT_EQ(answer.pull_size, 0U);
  EXPECT_THAT(answer.reason, HasSubstr("nothing for linux/ppc64le"));
  EXPECT_THAT(answer.reason, HasSubstr("linux/ppc64el: "));
  EXPECT_THAT(answer.reason, ::testing::Not(HasSubstr("unknown/unknown")));
  const Answer empty = world.ask_one(world.list({statement}, "empty"), node_of(ppc64le));
  EXPECT_EQ(empty.reason, "the list has no image for linux/ppc64le");
}

TEST(Resolve, RuntimesDiffer) {
  ListWorld world;
  Descriptor v1 = world.image(amd64, 10);
  v1.platform->variant = "v1";
  const Document list = world.list({v1}, "latest");
  EXPECT_TRUE(world.ask_one(list, node_of(amd64, "containerd:1.7")).taken);
  EXPECT_FALSE(world.ask_one(list, node_of(amd64, "cri-o")).taken);
}

TEST(Resolve, WhatIsPulledTooCounts) {
  ListWorld world;
  const Descriptor first = world.image(amd64, 10);
  const Descriptor second = world.image(amd64, 500, "2026-01-01T00:00:00Z");
  const Document list = world.list({first, second}, "latest");
  const Answer newer = world.ask_one(list, node_of(amd64, "containerd:2.1"));
  const Answer older = world.ask_one(list, node_of(amd64, "containerd:2.0"));
  EXPECT_EQ(newer.taken->digest, first.digest);
  EXPECT_EQ(older.taken->digest, first.digest);
  EXPECT_GE(newer.pull_size, older.pull_size + 500);
  EXPECT_LT(older.pull_size, shared_size + 500);
}

TEST(Resolve, WhatNodesHaveIsNotPulledAgain) {
  ListWorld world;
  const Document before = world.list({world.image(amd64, 10), world.image(ppc64le, 20)}, "v1");
  const Document after = world.list({world.image(amd64, 11), world.image(ppc64le, 20)}, "v2");
  const Options options{.held = {{.store = world.store.get(), .selector = std::string("v1")}}};
  // The same config, a layer that is the same, and one that is not.
  EXPECT_EQ(world.ask_one(after, node_of(amd64), options).pull_size, 11U);
  EXPECT_EQ(world.ask_one(after, node_of(ppc64le), options).pull_size, 0U);
  // Of the list only what this node takes is there: nothing for another architecture.
  const Document foreign = world.list({world.image(amd64, 10)}, "v3");
  const Document other = world.list({world.image(ppc64le, 20)}, "v4");
  const Options of_other{.held = {{.store = world.store.get(), .selector = other.digest()}}};
  EXPECT_EQ(world.ask_one(foreign, node_of(amd64), of_other).pull_size,
            shared_size + 10 + world.config_sizes["linux/amd64"]);
  const Options missing{.held = {{.store = world.store.get(), .selector = std::string("v9")}}};
  EXPECT_THAT(world.ask(after, {node_of(amd64)}, missing), fails_with(ErrorCode::not_found));
}

TEST(Resolve, TagsOfThePlatformsAreFoundWhenTheyStandThere) {
  ListWorld world;
  const Descriptor x86 = world.image(amd64, 10);
  const Descriptor power = world.image(ppc64le, 20);
  const Document list = world.list({x86, power}, "latest");
  const Options options{.tag = "latest"};
  EXPECT_EQ(world.ask_one(list, node_of(ppc64le), options).tag, "");
  world.tag(power, "latest-ppc64le");
  world.tag(power, "latest-amd64");  // stands for another image
  const std::vector<Answer> answers =
      unwrap(world.ask(list, {node_of(ppc64le), node_of(amd64)}, options));
  EXPECT_EQ(answers[0].tag, "latest-ppc64le");
  EXPECT_EQ(answers[1].tag, "");
  EXPECT_EQ(world.ask_one(list, node_of(ppc64le)).tag, "");
}

TEST(Resolve, ASingleImageIsPulledUnchecked) {
  ListWorld world;
  const Descriptor power = world.image(ppc64le, 20);
  const Document image = unwrap(world.store->get_manifest(power.digest));
  const Answer right = world.ask_one(image, node_of(ppc64le), {.tag = "latest"});
  EXPECT_EQ(right.taken->digest, power.digest);
  EXPECT_EQ(right.choice, nullptr);
  EXPECT_EQ(right.tag, "latest");
  EXPECT_THAT(right.warnings, ElementsAre(HasSubstr("no list")));
  const Answer wrong = world.ask_one(image, node_of(amd64));
  EXPECT_TRUE(wrong.taken);
  EXPECT_THAT(wrong.warnings,
              ElementsAre(HasSubstr("no list"),
                          HasSubstr("its config says linux/ppc64le, and the node is linux/amd64")));
}

TEST(Resolve, ConfigsAreHeldAgainstTheNode) {
  ListWorld world;
  Descriptor lies = world.image(ppc64le, 20);
  lies.platform = amd64;
  const Answer warned = world.ask_one(world.list({lies}, "lies"), node_of(amd64));
  EXPECT_TRUE(warned.taken);
  EXPECT_THAT(warned.warnings, ElementsAre("its config says linux/ppc64le"));
  Descriptor silent = world.image(ppc64le, 20);
  silent.platform.reset();
  const Document list = world.list({silent}, "silent");
  const Answer refused = world.ask_one(list, node_of(amd64, "containerd:1.7"));
  EXPECT_FALSE(refused.taken);
  EXPECT_THAT(refused.reason, HasSubstr("names no platform, and its config says linux/ppc64le"));
  EXPECT_TRUE(world.ask_one(list, node_of(ppc64le, "containerd:1.7")).taken);
  // A processor of amd64 runs 386.
  Descriptor old = world.image({"linux", "386", "", "", {}}, 5);
  old.platform = amd64;
  EXPECT_THAT(world.ask_one(world.list({old}, "old"), node_of(amd64)).warnings, IsEmpty());
}

TEST(Resolve, AMissingImageIsAnAnswer) {
  ListWorld world;
  Descriptor gone = world.image(amd64, 10);
  gone.digest = Digest::of("gone");
  const Document list = world.list({gone, world.image(ppc64le, 20)}, "half");
  const std::vector<Answer> answers = unwrap(world.ask(list, {node_of(amd64), node_of(ppc64le)}));
  EXPECT_FALSE(answers[0].taken);
  EXPECT_THAT(answers[0].reason, HasSubstr("is missing"));
  EXPECT_TRUE(answers[1].taken);
}

TEST(Resolve, ListsWithinListsAreFollowed) {
  ListWorld world;
  const Descriptor power = world.image(ppc64le, 20);
  Descriptor inner = world.list({world.image(amd64, 10), power}, "inner").descriptor();
  inner.platform = ppc64le;
  const Answer answer = world.ask_one(world.list({inner}, "outer"), node_of(ppc64le));
  EXPECT_EQ(answer.taken->digest, power.digest);
  EXPECT_THAT(answer.warnings, ElementsAre(HasSubstr("is a list itself")));
  EXPECT_THAT(answer.choice->verdicts, SizeIs(1));
  Descriptor deep = inner;
  for (int i = 0; i < 20; ++i) {
    deep = world.list({deep}, fmt::format("deep-{}", i)).descriptor();
    deep.platform = ppc64le;
  }
  const Answer lost = world.ask_one(world.list({deep}, "deep"), node_of(ppc64le));
  EXPECT_FALSE(lost.taken);
  EXPECT_THAT(lost.reason, HasSubstr("too deep"));
}

TEST(Resolve, WhatIsNoImageIsRefused) {
  ListWorld world;
  const Document other = unwrap(Document::from_bytes(
      R"({"mediaType": "application/vnd.example+json"})", "application/vnd.example+json", "x"));
  EXPECT_THAT(world.ask(other, {node_of(amd64)}),
              fails_with(ErrorCode::invalid_input, HasSubstr("is no image")));
}

TEST(Resolve, TooManyNodesAndEntriesAreRefused) {
  ListWorld world;
  const std::vector<Descriptor> entries(5000, world.image(amd64, 10));
  const Document list = world.list(entries, "latest");
  const std::vector<node::Node> nodes(1000, node_of(amd64));
  EXPECT_THAT(world.ask(list, nodes), fails_with(ErrorCode::invalid_input, HasSubstr("too many")));
}

TEST(Resolve, HostileSizesDoNotOverflow) {
  ListWorld world;
  constexpr std::uint64_t huge = std::uint64_t{1} << 62;
  std::vector<Descriptor> entries;
  for (std::uint64_t i = 0; i < 5; ++i) {
    entries.push_back(world.image(amd64, huge + i));
  }
  const Answer answer =
      world.ask_one(world.list(entries, "latest"), node_of(amd64, "containerd:2.1"));
  EXPECT_EQ(answer.pull_size, std::numeric_limits<std::uint64_t>::max());
}

TEST(Runtimes, TakeThePlaceOfTheNodesOwn) {
  const std::vector<node::Node> nodes{node_of(amd64, "containerd:1.7", "a"),
                                      node_of(ppc64le, "cri-o", "b")};
  EXPECT_THAT(with_runtimes(nodes, {}), SizeIs(2));
  const std::vector<node::Node> all = with_runtimes(
      nodes,
      {unwrap(manifest::parse_runtime("docker:27")), unwrap(manifest::parse_runtime("podman"))});
  ASSERT_THAT(all, SizeIs(4));
  EXPECT_EQ(all[1].name, "a");
  EXPECT_EQ(all[1].runtime.kind, manifest::RuntimeKind::crio);
  EXPECT_EQ(all[2].runtime.kind, manifest::RuntimeKind::docker);
}

}  // namespace
}  // namespace fnimage::resolve

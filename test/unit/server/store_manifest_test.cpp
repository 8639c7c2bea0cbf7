// Manifests and tags: what is put comes back, conditions, what index.json says, who else may change
// it.
#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

namespace fs = std::filesystem;
using manifest::Digest;
using registry::OciLayout;
using registry::Selector;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Condition always{};

class StoreManifestTest : public StoreTest {
 protected:
  std::optional<Digest> digest_of(Repository& in, const std::string& tag) {
    const auto found = unwrap(in.manifest(tag));
    return found ? std::optional(found->descriptor.digest) : std::nullopt;
  }
  [[nodiscard]] manifest::Index index(const std::string& name = "team/action") const {
    return unwrap(manifest::Index::parse(unwrap(read_file(path() / name / "index.json", 1 << 20))));
  }
  /// As fnimage's other commands, from outside of the server.
  std::unique_ptr<OciLayout> outside(const std::string& name = "team/action") const {
    return unwrap(OciLayout::open(path() / name, OciLayout::Mode::existing));
  }
};

TEST_F(StoreManifestTest, ComesBackByTagAndByDigest) {
  const auto put = image("a", {"v1", "latest"});
  EXPECT_EQ(unwrap(repository()->put_manifest(put, always)), Outcome::done);
  for (const Selector& selector : {Selector("v1"), Selector("latest"), Selector(put.digest)}) {
    const auto found = unwrap(repository()->manifest(selector));
    ASSERT_TRUE(found);
    EXPECT_EQ(*found->bytes, put.bytes);
    EXPECT_EQ(found->descriptor.digest, put.digest);
    EXPECT_EQ(found->descriptor.media_type, put.media_type);
    EXPECT_EQ(found->descriptor.size, put.bytes.size());
  }
  EXPECT_THAT(*unwrap(repository()->tags()), ElementsAre("latest", "v1"));
  EXPECT_EQ(unwrap(repository()->manifest("v2")), std::nullopt);
  EXPECT_TRUE(repository()->blob_size(put.digest));
}

TEST_F(StoreManifestTest, SurvivesARestart) {
  const auto put = image("a", {"v1"});
  unwrap(repository()->put_manifest(put, always));
  restart();
  const auto found = unwrap(store().find("team/action"));
  ASSERT_TRUE(found);
  EXPECT_EQ(*unwrap(found->manifest("v1"))->bytes, put.bytes);
}

TEST_F(StoreManifestTest, Sha512StaysSha512) {
  auto put = image("a", {"v1"});
  put.digest = sha512_of(put.bytes);
  unwrap(repository()->put_manifest(put, always));
  restart();
  EXPECT_EQ(digest_of(*repository(), "v1"), put.digest);
  EXPECT_EQ(*unwrap(repository()->manifest(put.digest))->bytes, put.bytes);
  EXPECT_EQ(unwrap(repository()->manifest(Digest::of(put.bytes))), std::nullopt);
  EXPECT_EQ(index().manifests.at(0).digest, put.digest);
}

TEST_F(StoreManifestTest, BlobIsNoManifest) {
  put_blob("team/action", image_text("a"));
  EXPECT_TRUE(repository()->blob_size(Digest::of(image_text("a"))));
  EXPECT_EQ(unwrap(repository()->manifest(Digest::of(image_text("a")))), std::nullopt);
}

TEST_F(StoreManifestTest, IndexHasAnEntryForEachTagAndForEachManifestWithout) {
  const auto a = image("a", {"v1", "v2"});
  const auto b = image("b");
  unwrap(repository()->put_manifest(a, always));
  unwrap(repository()->put_manifest(b, always));
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& entry : index().manifests) {
      found.push_back(registry::layout_tag_of(entry) + (entry.digest == a.digest ? "=a" : "=b"));
    }
    std::ranges::sort(found);
    return found;
  };
  EXPECT_THAT(names(), ElementsAre("=b", "v1=a", "v2=a"));
  auto moved = b;
  moved.tags = {"v1"};
  unwrap(repository()->put_manifest(moved, always));
  EXPECT_THAT(names(), ElementsAre("v1=b", "v2=a"));
  moved.tags = {"v2"};
  unwrap(repository()->put_manifest(moved, always));
  EXPECT_THAT(names(), ElementsAre("=a", "v1=b", "v2=b"));
  EXPECT_EQ(unwrap(repository()->remove_tag("v1", always)), Outcome::done);
  EXPECT_THAT(names(), ElementsAre("=a", "v2=b"));
  EXPECT_EQ(unwrap(repository()->remove_tag("v2", always)), Outcome::done);
  EXPECT_THAT(names(), ElementsAre("=a", "=b"));
  EXPECT_TRUE(unwrap(repository()->manifest(a.digest)));
  EXPECT_EQ(unwrap(repository()->remove_tag("v2", always)), Outcome::absent);
}

TEST_F(StoreManifestTest, RemovedManifestIsGoneWithItsTags) {
  const auto a = image("a", {"v1", "v2"});
  unwrap(repository()->put_manifest(a, always));
  unwrap(repository()->put_manifest(image("b", {"v3"}), always));
  EXPECT_EQ(unwrap(repository()->remove_manifest(a.digest, always)), Outcome::done);
  EXPECT_EQ(unwrap(repository()->manifest(a.digest)), std::nullopt);
  EXPECT_FALSE(repository()->blob_size(a.digest));
  EXPECT_THAT(*unwrap(repository()->tags()), ElementsAre("v3"));
  EXPECT_EQ(unwrap(repository()->remove_manifest(a.digest, always)), Outcome::absent);
  unwrap(repository()->put_manifest(a, always));
  EXPECT_EQ(*unwrap(repository()->manifest("v1"))->bytes, a.bytes);
}

TEST_F(StoreManifestTest, MediaTypeIsThatOfThePut) {
  auto put = image("a", {"v1"});
  put.media_type = "application/vnd.example.thing+json";
  unwrap(repository()->put_manifest(put, always));
  restart();
  EXPECT_EQ(unwrap(repository()->manifest("v1"))->descriptor.media_type, put.media_type);
  EXPECT_EQ(unwrap(repository()->manifest(put.digest))->descriptor.media_type, put.media_type);
}

TEST_F(StoreManifestTest, MediaTypeThatNobodyCouldReadIsRefused) {
  unwrap(repository()->put_manifest(image("b", {"v0"}), always));
  auto put = image("a", {"v1"});
  for (const char* type : {"", "json", "a/b c", "a/\"b\"", "a/b/c", "\n/x"}) {
    put.media_type = type;
    EXPECT_THAT(repository()->put_manifest(put, always), fails_with(ErrorCode::invalid_input))
        << type;
  }
  EXPECT_THAT(*unwrap(repository()->tags()), ElementsAre("v0"));
}

TEST_F(StoreManifestTest, WhatCouldNotBeAskedForIsRefused) {
  EXPECT_THAT(repository()->put_manifest(image("a", {"v1", "not a tag"}), always),
              fails_with(ErrorCode::invalid_argument));
  const auto large = image("a", {"v1"}, std::string(manifest::max_document_bytes, ' '));
  EXPECT_THAT(repository()->put_manifest(large, always), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(*unwrap(repository()->tags()), IsEmpty());
}

TEST_F(StoreManifestTest, RemovedRepositoryIsNotMadeAgainByRemovals) {
  const auto in = repository();
  const auto put = image("a", {"v1"});
  unwrap(in->put_manifest(put, always));
  fs::remove_all(path() / "team");
  EXPECT_EQ(unwrap(in->remove_tag("v1", always)), Outcome::absent);
  EXPECT_EQ(unwrap(in->remove_manifest(put.digest, always)), Outcome::absent);
  EXPECT_EQ(unwrap(in->remove_blob(put.digest)), Outcome::absent);
  EXPECT_THAT(in->manifest("v1"), fails_with(ErrorCode::not_found));
  EXPECT_FALSE(fs::exists(path() / "team"));
}

TEST_F(StoreManifestTest, ConditionTable) {
  const Digest a = Digest::of("a");
  const Digest b = Digest::of("b");
  using List = std::vector<Digest>;
  const struct {
    Condition condition;
    bool absent, is_a;
  } rows[] = {
      {{}, true, true},
      {{.match = List{}}, false, true},
      {{.match = List{a}}, false, true},
      {{.match = List{b}}, false, false},
      {{.match = List{b, a}}, false, true},
      {{.none_match = List{}}, true, false},
      {{.none_match = List{a}}, true, false},
      {{.none_match = List{b}}, true, true},
      {{.none_match = List{b, a}}, true, false},
      {{.match = List{a}, .none_match = List{b}}, false, true},
      {{.match = List{a}, .none_match = List{a}}, false, false},
      {{.match = List{}, .none_match = List{}}, false, false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(row.condition.holds(std::nullopt), row.absent) << &row - rows;
    EXPECT_EQ(row.condition.holds(a), row.is_a) << &row - rows;
  }
}

TEST_F(StoreManifestTest, ConditionsHoldForEveryChange) {
  const auto a = image("a", {"v1"});
  const auto b = image("b", {"v1"});
  const Condition is_absent{.none_match = std::vector<Digest>{}};
  const Condition is_a{.match = std::vector{a.digest}};
  const Condition is_b{.match = std::vector{b.digest}};
  EXPECT_EQ(unwrap(repository()->put_manifest(a, is_a)), Outcome::refused);
  EXPECT_FALSE(repository()->blob_size(a.digest));
  EXPECT_EQ(unwrap(repository()->put_manifest(a, is_absent)), Outcome::done);
  EXPECT_EQ(unwrap(repository()->put_manifest(b, is_absent)), Outcome::refused);
  EXPECT_EQ(unwrap(repository()->put_manifest(b, is_a)), Outcome::done);
  EXPECT_EQ(unwrap(repository()->remove_tag("v1", is_a)), Outcome::refused);
  EXPECT_EQ(unwrap(repository()->remove_tag("none", is_a)), Outcome::absent);
  EXPECT_EQ(unwrap(repository()->remove_manifest(b.digest, is_a)), Outcome::refused);
  EXPECT_EQ(digest_of(*repository(), "v1"), b.digest);
  EXPECT_EQ(unwrap(repository()->remove_tag("v1", is_b)), Outcome::done);
  EXPECT_EQ(unwrap(repository()->remove_manifest(b.digest, is_b)), Outcome::done);
  // Without a tag the digest is what a condition is about.
  auto untagged = b;
  untagged.tags.clear();
  EXPECT_EQ(unwrap(repository()->put_manifest(untagged, is_b)), Outcome::refused);
  EXPECT_EQ(unwrap(repository()->put_manifest(untagged, is_absent)), Outcome::done);
  EXPECT_EQ(unwrap(repository()->put_manifest(untagged, is_absent)), Outcome::refused);
}

TEST_F(StoreManifestTest, NoneOfManyThreadsLosesItsTurn) {
  // Each moves the tag on from where it stands; the chain has as many links as there were turns.
  constexpr int threads = 16;
  constexpr int turns = 5;
  const auto start = image("0", {"v1"});
  unwrap(repository()->put_manifest(start, always));
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int turn = 0; turn < turns;) {
        const Digest standing = *digest_of(*repository(), "v1");
        const auto next =
            image(std::to_string(t) + "." + std::to_string(turn), {"v1"}, subject(standing));
        const auto outcome =
            unwrap(repository()->put_manifest(next, {.match = std::vector{standing}}));
        turn += outcome == Outcome::done ? 1 : 0;
      }
    });
  }
  std::ranges::for_each(running, [](std::thread& thread) { thread.join(); });
  int links = 0;
  for (Digest at = *digest_of(*repository(), "v1"); at != start.digest; ++links) {
    const std::string bytes = *unwrap(repository()->manifest(at))->bytes;
    const std::string mark =
        R"("subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")";
    at = unwrap(
        Digest::parse(bytes.substr(bytes.find(mark) + mark.size(), start.digest.str().size())));
  }
  EXPECT_EQ(links, threads * turns);
}

TEST_F(StoreManifestTest, ManyThreadsPutAndRemoveWithoutHarm) {
  constexpr int threads = 8;
  constexpr int turns = 20;
  const auto in = repository();
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int turn = 0; turn < turns; ++turn) {
        // All put and remove the same manifest, and each has tags of its own.
        const auto shared = image("shared", {"shared"});
        unwrap(in->put_manifest(shared, always));
        unwrap(in->remove_manifest(shared.digest, always));
        const auto own = image(std::to_string(t), {"t" + std::to_string(t)});
        unwrap(in->put_manifest(own, always));
        EXPECT_EQ(digest_of(*in, own.tags.front()), own.digest);
        EXPECT_EQ(unwrap(in->remove_tag(own.tags.front(), always)), Outcome::done);
        EXPECT_EQ(digest_of(*in, own.tags.front()), std::nullopt);
      }
      unwrap(in->put_manifest(image("shared", {"shared"}), always));
    });
  }
  std::ranges::for_each(running, [](std::thread& thread) { thread.join(); });
  // What is named is there.
  for (const auto& entry : index().manifests) {
    EXPECT_TRUE(repository()->blob_size(entry.digest)) << entry.digest.str();
  }
}

TEST_F(StoreManifestTest, OtherProcessesChangeTheLayoutMeanwhile) {
  const auto in = repository();
  unwrap(in->put_manifest(image("a", {"v1"}), always));
  const auto list = manifest::Document::of(manifest::Index{});
  unwrap(outside()->put_manifest(list, "other"));
  EXPECT_EQ(digest_of(*in, "other"), list.digest());
  EXPECT_THAT(*unwrap(in->tags()), ElementsAre("other", "v1"));
  unwrap(outside()->remove_tag("v1"));
  EXPECT_EQ(digest_of(*in, "v1"), std::nullopt);
  unwrap(in->put_manifest(image("b", {"v2"}), always));
  EXPECT_THAT(unwrap(outside()->tags()), ElementsAre("other", "v2"));
}

TEST_F(StoreManifestTest, NeitherSideLosesWhatTheOtherWrites) {
  const auto in = repository();
  constexpr int turns = 40;
  std::thread other([&] {
    const auto layout = outside();
    const auto list = manifest::Document::of(manifest::Index{});
    for (int turn = 0; turn < turns; ++turn) {
      unwrap(layout->put_manifest(list, "other" + std::to_string(turn)));
    }
  });
  for (int turn = 0; turn < turns; ++turn) {
    unwrap(in->put_manifest(image("a", {"own" + std::to_string(turn)}), always));
  }
  other.join();
  EXPECT_EQ(unwrap(in->tags())->size(), 2U * turns);
  EXPECT_EQ(unwrap(outside()->tags()).size(), 2U * turns);
}

TEST_F(StoreManifestTest, IndexWrittenInPlaceIsSeen) {
  const auto in = repository();
  unwrap(in->put_manifest(image("a", {"v1"}), always));
  unwrap(in->put_manifest(image("b", {"v2"}), always));
  auto edited = index();
  for (int turn = 0; turn < 20; ++turn) {
    // Of the same length, and in the same tick of the clock.
    std::swap(edited.manifests[0].digest, edited.manifests[1].digest);
    std::swap(edited.manifests[0].size, edited.manifests[1].size);
    std::ofstream(path() / "team/action/index.json", std::ios::binary) << emit(edited);
    for (const auto& entry : edited.manifests) {
      EXPECT_EQ(digest_of(*in, registry::layout_tag_of(entry)), entry.digest) << turn;
    }
  }
}

TEST_F(StoreManifestTest, IndexReplacedWhileItIsReadIsTheOldOne) {
  const auto in = repository();
  const auto put = image("a");
  unwrap(in->put_manifest(put, always));
  manifest::Index many;
  for (int i = 0; i < 5'000; ++i) {
    manifest::Descriptor entry{
        .media_type = put.media_type, .digest = put.digest, .size = put.bytes.size()};
    entry.annotations.emplace(manifest::annotation::ref_name, "t" + std::to_string(i));
    many.manifests.push_back(std::move(entry));
  }
  const std::array<fs::path, 2> files{scratch() / "one", scratch() / "other"};
  for (const fs::path& file : files) {
    unwrap(write_file_atomically(file, emit(many), false));
  }
  // Names are all that changes, so that it is much faster than reading.
  const auto replace_with = [&](const fs::path& file) {
    fs::create_hard_link(file, scratch() / "new");
    fs::rename(scratch() / "new", path() / "team/action/index.json");
  };
  replace_with(files[0]);
  std::jthread writer([&](const std::stop_token& stop) {
    for (std::size_t turn = 1; !stop.stop_requested(); ++turn) {
      replace_with(files[turn % files.size()]);
    }
  });
  for (int turn = 0; turn < 10; ++turn) {
    EXPECT_EQ(unwrap(in->tags())->size(), 5'000U) << turn;
  }
}

TEST_F(StoreManifestTest, DamagedIndexIsAnErrorUntilItIsWhole) {
  const auto in = repository();
  unwrap(in->put_manifest(image("a", {"v1"}), always));
  const std::string text = unwrap(read_file(path() / "team/action/index.json", 1 << 20));
  std::ofstream(path() / "team/action/index.json") << text.substr(0, text.size() / 2);
  EXPECT_THAT(in->manifest("v1"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(in->put_manifest(image("b", {"v2"}), always), fails_with(ErrorCode::invalid_input));
  std::ofstream(path() / "team/action/index.json") << text;
  EXPECT_TRUE(unwrap(in->manifest("v1")));
}

TEST_F(StoreManifestTest, ChildrenOfAListFromElsewhereAreManifests) {
  // Other tools give only the list an entry.
  repository();
  const std::string child = image_text("child");
  const auto layout = outside();
  unwrap(layout->put_manifest(
      unwrap(manifest::Document::from_bytes(child, manifest::media_type::oci_manifest, "child")),
      std::nullopt));
  manifest::Index inner;
  inner.manifests.push_back({.media_type = std::string(manifest::media_type::oci_manifest),
                             .digest = Digest::of(child),
                             .size = child.size()});
  const auto inner_document = manifest::Document::of(inner);
  manifest::Index outer;
  outer.manifests.push_back(inner_document.descriptor());
  unwrap(layout->put_manifest(inner_document, std::nullopt));
  EXPECT_EQ(unwrap(repository()->manifest(Digest::of(child))), std::nullopt);
  unwrap(layout->put_manifest(manifest::Document::of(outer), "list"));
  const auto found = unwrap(repository()->manifest(Digest::of(child)));
  ASSERT_TRUE(found);
  EXPECT_EQ(*found->bytes, child);
  EXPECT_EQ(found->descriptor.media_type, manifest::media_type::oci_manifest);
  EXPECT_EQ(unwrap(repository()->remove_manifest(Digest::of(child), always)), Outcome::done);
  EXPECT_EQ(unwrap(repository()->manifest(Digest::of(child))), std::nullopt);
}

TEST_F(StoreManifestTest, DamagedManifestIsNotServedAndThePutHealsIt) {
  const auto put = image("a", {"v1"});
  unwrap(repository()->put_manifest(put, always));
  const fs::path file = path() / "team/action/blobs/sha256" / std::string(put.digest.hex());
  std::ofstream(file) << std::string(put.bytes.size(), 'x');
  restart();
  EXPECT_EQ(unwrap(repository()->manifest("v1")), std::nullopt);
  unwrap(repository()->put_manifest(put, always));
  EXPECT_EQ(*unwrap(repository()->manifest("v1"))->bytes, put.bytes);
  EXPECT_EQ(unwrap(read_file(file, 1 << 20)), put.bytes);
}

TEST_F(StoreManifestTest, ReclaimOfAnotherProcessLeavesAloneWhatIsBeingPushed) {
  put_blob("team/action", "a layer that nothing names yet");
  EXPECT_TRUE(unwrap(outside()->reclaim()).busy);
  EXPECT_TRUE(repository()->blob_size(Digest::of("a layer that nothing names yet")));
}

TEST_F(StoreManifestTest, FullRepositoryRefusesMoreAndStaysWhole) {
  limits_.index.max_entries = 10;
  const auto in = repository();
  Result<Outcome> put = Outcome::done;
  int count = 0;
  for (; put && count < 100; ++count) {
    put = in->put_manifest(image(std::to_string(count), {"v" + std::to_string(count)}), always);
  }
  EXPECT_THAT(put, fails_with(ErrorCode::no_space, HasSubstr("full")));
  EXPECT_GT(count, 5);
  EXPECT_EQ(unwrap(in->tags())->size(), static_cast<std::size_t>(count) - 1);
  EXPECT_EQ(unwrap(in->remove_manifest(image("0").digest, always)), Outcome::done);
  EXPECT_EQ(unwrap(in->remove_manifest(image("1").digest, always)), Outcome::done);
  EXPECT_THAT(in->put_manifest(image("more", {"more"}), always), is_ok());
}

TEST_F(StoreManifestTest, TenThousandTags) {
  manifest::Index many;
  const auto put = image("a");
  for (int i = 0; i < 10'000; ++i) {
    manifest::Descriptor entry{
        .media_type = put.media_type, .digest = put.digest, .size = put.bytes.size()};
    entry.annotations.emplace(manifest::annotation::ref_name, "t" + std::to_string(i));
    many.manifests.push_back(std::move(entry));
  }
  const auto in = repository();
  unwrap(in->put_manifest(put, always));
  std::ofstream(path() / "team/action/index.json") << emit(many);
  EXPECT_EQ(unwrap(in->tags())->size(), 10'000U);
  EXPECT_TRUE(std::ranges::is_sorted(*unwrap(in->tags())));
  unwrap(in->put_manifest(image("b", {"one-more"}), always));
  EXPECT_EQ(unwrap(in->tags())->size(), 10'001U);
  EXPECT_EQ(unwrap(outside()->tags()), *unwrap(in->tags()));
  EXPECT_EQ(digest_of(*in, "t7"), put.digest);
  unwrap(in->remove_manifest(put.digest, always));
  EXPECT_THAT(*unwrap(in->tags()), ElementsAre("one-more"));
}

TEST_F(StoreManifestTest, NamesThatAreNoTagsAreKeptAndNotListed) {
  const auto in = repository();
  const auto list = manifest::Document::of(manifest::Index{});
  unwrap(outside()->put_manifest(list, "serverless:30501/team/action:latest"));
  EXPECT_THAT(*unwrap(in->tags()), IsEmpty());
  EXPECT_EQ(unwrap(in->manifest(list.digest()))->descriptor.media_type, list.media_type());
  unwrap(in->put_manifest(image("b", {"v1"}), always));
  EXPECT_THAT(unwrap(outside()->tags()), ElementsAre("serverless:30501/team/action:latest", "v1"));
}

}  // namespace
}  // namespace fnimage::server

// Moving and removing single tags, referrers and their limits, and what an image consists of.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/tagging.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A registry that deletes manifests by digest (and their tags with them), but no tags.
class DigestDeletingStore final : public ImageStore {
 public:
  int deletions_allowed = 1000;  ///< further ones are refused

  [[nodiscard]] std::string describe() const override { return "digests only"; }
  Result<std::optional<Descriptor>> resolve(const Selector& s) override {
    return is_gone(s) ? Result<std::optional<Descriptor>>() : inner_->resolve(s);
  }
  Result<Document> get_manifest(const Selector& s) override {
    return is_gone(s) ? Result<Document>(fail(ErrorCode::not_found, "gone"))
                      : inner_->get_manifest(s);
  }
  Result<void> put_manifest(const Document& document,
                            const std::optional<std::string>& tag) override {
    gone_.erase(document.digest());
    return inner_->put_manifest(document, tag);
  }
  Result<bool> has_blob(const Descriptor& blob) override { return inner_->has_blob(blob); }
  Result<ContentPtr> blob(const Descriptor& blob) override { return inner_->blob(blob); }
  Result<BlobOutcome> put_blob(const Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override {
    return inner_->put_blob(blob, content, options);
  }
  Result<std::vector<std::string>> tags() override {
    FNIMAGE_TRY(const auto all, inner_->tags());
    std::vector<std::string> left;
    for (const std::string& tag : all) {
      if (!is_gone(tag)) {
        left.push_back(tag);
      }
    }
    return left;
  }
  Result<void> remove_tag(const std::string& /*tag*/) override {
    return fail(ErrorCode::unsupported, "no tag is removed here");
  }
  Result<void> remove_manifest(const Digest& digest) override {
    if (deletions_allowed-- <= 0) {
      return fail(ErrorCode::unsupported, "nothing is deleted here");
    }
    gone_.insert(digest);
    return {};
  }
  Result<std::vector<Descriptor>> referrers(const Digest& d) override {
    return inner_->referrers(d);
  }

 private:
  [[nodiscard]] bool is_gone(const Selector& s) {
    const auto found = unwrap(inner_->resolve(s));
    return found && gone_.contains(found->digest);
  }
  std::unique_ptr<ImageStore> inner_ = make_memory_store("registry");
  std::set<Digest> gone_;
};

TEST(Tagging, TellsWhereTheTagsStoodBefore) {
  const auto store = make_memory_store("a");
  const auto list = test::put_list(*store, "v1");
  const auto image = test::put_image(*store, "linux/amd64");
  unwrap(store->put_manifest(unwrap(store->get_manifest(image.digest)), "stable"));
  const Retagged done = unwrap(retag(*store, "v1", {"stable", "new"}));
  ASSERT_EQ(done.tags.size(), 2U);
  EXPECT_EQ(done.tags[0].previous, image.digest);
  EXPECT_EQ(done.tags[1].previous, std::nullopt);
  EXPECT_EQ(unwrap(store->get_manifest(Selector("stable"))).bytes(), list.bytes());
  EXPECT_EQ(unwrap(tags_of(*store, list.digest())),
            (std::vector<std::string>{"new", "stable", "v1"}));
  EXPECT_THAT(retag(*store, "absent", {"x"}), fails_with(ErrorCode::not_found));
}

TEST(Tagging, OneTagGoesAndTheOthersOfItsDigestStay) {
  DigestDeletingStore store;
  const auto list = test::put_list(store, "v1");
  unwrap(store.put_manifest(list, "v2"));
  EXPECT_EQ(unwrap(remove_single_tag(store, "v1")), list.digest());
  EXPECT_THAT(unwrap(store.tags()), ElementsAre("v2"));
  EXPECT_EQ(unwrap(store.get_manifest(Selector("v2"))).digest(), list.digest());
  EXPECT_THAT(remove_single_tag(store, "v1"), fails_with(ErrorCode::not_found));
}

TEST(Tagging, AFailedRemovalLeavesTheTagWhereItStood) {
  for (const int allowed : {0, 1}) {  // none at all, or the trial only
    DigestDeletingStore store;
    store.deletions_allowed = allowed;
    const auto list = test::put_list(store, "v1");
    EXPECT_THAT(remove_single_tag(store, "v1"), fails_with(ErrorCode::unsupported));
    EXPECT_EQ(unwrap(store.get_manifest(Selector("v1"))).bytes(), list.bytes());
    EXPECT_THAT(unwrap(store.tags()), ElementsAre("v1"));
  }
}

/// Says what refers to what, without any content.
class ReferringStore final : public ImageStore {
 public:
  std::function<std::vector<Descriptor>(const Digest&)> refer;

  [[nodiscard]] std::string describe() const override { return "referring"; }
  Result<std::optional<Descriptor>> resolve(const Selector& /*s*/) override { return none(); }
  Result<Document> get_manifest(const Selector& /*s*/) override { return none(); }
  Result<void> put_manifest(const Document& /*d*/,
                            const std::optional<std::string>& /*t*/) override {
    return none();
  }
  Result<bool> has_blob(const Descriptor& /*b*/) override { return none(); }
  Result<ContentPtr> blob(const Descriptor& /*b*/) override { return none(); }
  Result<BlobOutcome> put_blob(const Descriptor& /*b*/, const Content& /*c*/,
                               const PutBlobOptions& /*o*/) override {
    return none();
  }
  Result<std::vector<std::string>> tags() override { return none(); }
  Result<void> remove_tag(const std::string& /*t*/) override { return none(); }
  Result<std::vector<Descriptor>> referrers(const Digest& d) override { return refer(d); }

 private:
  static tl::unexpected<Error> none() { return fail(ErrorCode::unsupported, "not in this test"); }
};

Descriptor referrer(std::string_view name) {
  return {.media_type = std::string(manifest::media_type::oci_manifest),
          .digest = Digest::of(name),
          .size = 2};
}

TEST(Referrers, CirclesEndAndEndlessChainsAndCrowdsAreRefused) {
  ReferringStore store;
  const Digest root = Digest::of("root");
  store.refer = [&](const Digest& d) {
    return std::vector{d == root ? referrer("other") : referrer("root")};
  };
  EXPECT_EQ(unwrap(find_referrers(store, {root})).size(), 2U);

  store.refer = [](const Digest& d) { return std::vector{referrer(d.str())}; };
  EXPECT_THAT(find_referrers(store, {root}), fails_with(ErrorCode::invalid_input));

  store.refer = [](const Digest& d) {
    std::vector<Descriptor> many;
    for (int i = 0; i < 200; ++i) {
      many.push_back(referrer(d.str() + std::to_string(i)));
    }
    return many;
  };
  EXPECT_THAT(find_referrers(store, {root}), fails_with(ErrorCode::invalid_input));

  store.refer = [](const Digest& /*d*/) { return std::vector<Descriptor>(); };
  EXPECT_THAT(unwrap(find_referrers(store, {root})), IsEmpty());
}

TEST(ImageParts, EachPartOnceAndMissingImagesAsWanted) {
  const auto store = make_memory_store("a");
  const auto list = test::put_list(*store, "v1");
  ImageParts parts;
  unwrap(parts.add(*store, "v1"));
  unwrap(parts.add(*store, list.digest()));
  EXPECT_EQ(parts.documents().size(), 3U);
  EXPECT_EQ(parts.blobs().size(), 5U);
  EXPECT_TRUE(parts.has(Digest::of("shared layer")));

  manifest::Index index = unwrap(list.index());
  index.manifests[0].digest = Digest::of("nobody has this");
  unwrap(store->put_manifest(Document::of(index), "incomplete"));
  ImageParts strict;
  EXPECT_THAT(strict.add(*store, "incomplete"), fails_with(ErrorCode::not_found));
  ImageParts lenient;
  unwrap(lenient.add(*store, "incomplete", MissingChild::is_skipped));
  EXPECT_EQ(lenient.documents().size(), 2U);
}

TEST(ImageParts, DeepNestingIsRefused) {
  const auto store = make_memory_store("a");
  Descriptor inner = test::put_image(*store, "linux/amd64");
  for (int depth = 0; depth < 12; ++depth) {
    manifest::Index index;
    index.manifests = {inner};
    const auto document = Document::of(index);
    unwrap(store->put_manifest(document, "deep"));
    inner = document.descriptor();
  }
  ImageParts parts;
  EXPECT_THAT(parts.add(*store, "deep"), fails_with(ErrorCode::invalid_input));
}

}  // namespace
}  // namespace fnimage::registry

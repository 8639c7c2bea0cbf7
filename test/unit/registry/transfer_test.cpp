// transfer(): order, sparing, completeness, and what is left when something fails.
#include <algorithm>
#include <mutex>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// A store that acts as a registry's repository, notes what is put, and fails at the n-th put.
class RecordingStore final : public ImageStore {
 public:
  static constexpr int never = -1;
  explicit RecordingStore(int fail_at = never) : fail_at_(fail_at) {}

  [[nodiscard]] std::string describe() const override { return "recording"; }
  [[nodiscard]] std::optional<RepositoryName> repository() const override {
    return RepositoryName{"registry.example", "target"};
  }
  Result<std::optional<Descriptor>> resolve(const Selector& s) override {
    return inner_->resolve(s);
  }
  Result<Document> get_manifest(const Selector& s) override { return inner_->get_manifest(s); }
  Result<void> put_manifest(const Document& document,
                            const std::optional<std::string>& tag) override {
    FNIMAGE_CHECK(note(tag ? "tag " + *tag : (document.is_index() ? "list" : "image")));
    FNIMAGE_CHECK(require_content(document));
    return inner_->put_manifest(document, tag);
  }
  Result<bool> has_blob(const Descriptor& blob) override { return inner_->has_blob(blob); }
  Result<ContentPtr> blob(const Descriptor& blob) override { return inner_->blob(blob); }
  Result<BlobOutcome> put_blob(const Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override {
    FNIMAGE_CHECK(note("blob"));
    return inner_->put_blob(blob, content, options);
  }
  Result<std::vector<std::string>> tags() override { return inner_->tags(); }
  Result<void> remove_tag(const std::string& tag) override { return inner_->remove_tag(tag); }
  Result<std::vector<Descriptor>> referrers(const Digest& d) override {
    return inner_->referrers(d);
  }

  std::vector<std::string> puts;

 private:
  Result<void> note(std::string what) {
    const std::lock_guard lock(mutex_);
    if (fail_at_ == static_cast<int>(puts.size())) {
      puts.emplace_back("failure");
      return fail(ErrorCode::unavailable, "the connection was reset");
    }
    puts.push_back(std::move(what));
    return {};
  }
  /// As a registry does: what a manifest names must be there first.
  Result<void> require_content(const Document& document) {
    std::vector<Descriptor> needed;
    if (document.is_index()) {
      for (const auto& child : unwrap(document.index()).manifests) {
        if (!unwrap(inner_->resolve(child.digest))) {
          return fail(ErrorCode::protocol, "MANIFEST_BLOB_UNKNOWN");
        }
      }
    } else {
      const auto image = unwrap(document.image());
      needed = image.layers;
      needed.push_back(image.config);
    }
    for (const auto& blob : needed) {
      if (!unwrap(inner_->has_blob(blob))) {
        return fail(ErrorCode::protocol, "MANIFEST_BLOB_UNKNOWN");
      }
    }
    return {};
  }

  int fail_at_;
  std::mutex mutex_;
  std::unique_ptr<ImageStore> inner_ = make_memory_store("inner");
};

class TransferTest : public ::testing::Test {
 protected:
  Result<TransferResult> send(ImageStore& to, TransferOptions options = {.tags = {"latest"}}) {
    return transfer(*from_, Selector("v1"), to, options, null_diagnostics());
  }
  void expect_platform_tags(ImageStore& to, const std::string& tag) const {
    for (const auto& child : unwrap(list_.index()).manifests) {
      const auto tagged = unwrap(to.resolve(tag + "-" + child.platform->tag_suffix()));
      ASSERT_TRUE(tagged.has_value()) << tag;
      EXPECT_EQ(tagged->digest, child.digest);
    }
  }
  std::unique_ptr<ImageStore> from_ = make_memory_store("from");
  Document list_ = test::put_list(*from_, "v1");
};

TEST_F(TransferTest, BlobsThenImagesThenListThenTags) {
  RecordingStore to;
  const auto result = unwrap(send(to, {.tags = {"a", "b"}, .tag_platforms = true}));
  EXPECT_EQ(result.root.digest, list_.digest());
  EXPECT_EQ(result.blobs_uploaded, 5U) << "two configs, two layers, and the shared layer once";
  ASSERT_EQ(to.puts.size(), 11U);
  // Images go under their tags when every blob is there, and the list, with its own, at last.
  EXPECT_THAT(std::vector<std::string>(to.puts.begin(), to.puts.begin() + 5), Each("blob"));
  EXPECT_THAT(std::vector<std::string>(to.puts.begin() + 5, to.puts.begin() + 9),
              UnorderedElementsAre("tag a-amd64", "tag b-amd64", "tag a-ppc64le", "tag b-ppc64le"));
  EXPECT_THAT(std::vector<std::string>(to.puts.begin() + 9, to.puts.end()),
              ElementsAre("tag a", "tag b"));
  EXPECT_EQ(unwrap(to.get_manifest(Selector("a"))).bytes(), list_.bytes());
  expect_platform_tags(to, "a");
  expect_platform_tags(to, "b");
}

TEST_F(TransferTest, ImagesWithoutTagsGoAsSoonAsTheirOwnBlobsAreThere) {
  RecordingStore to;
  unwrap(send(to));
  ASSERT_EQ(to.puts.size(), 8U);
  const std::vector<std::string> content(to.puts.begin(), to.puts.begin() + 7);
  EXPECT_EQ(std::ranges::count(content, "blob"), 5);
  EXPECT_EQ(std::ranges::count(content, "image"), 2);
  EXPECT_EQ(to.puts[7], "tag latest");
}

TEST_F(TransferTest, FailureAtAnyBlobMovesNoPlatformTag) {
  const TransferOptions options{.tags = {"latest"}, .tag_platforms = true};
  for (int at = 0; at < 5; ++at) {
    RecordingStore to(at);
    EXPECT_THAT(send(to, options), fails_with(ErrorCode::unavailable, HasSubstr("reset"))) << at;
    EXPECT_THAT(unwrap(to.tags()), IsEmpty()) << at;
  }
}

TEST_F(TransferTest, ListThatIsRefusedLeavesItsOwnTagsWhereTheyStood) {
  const TransferOptions options{.tags = {"latest", "v2"}, .tag_platforms = true};
  RecordingStore to(5 + 4);  // the blobs, the platforms' tags
  EXPECT_THAT(send(to, options), fails_with(ErrorCode::unavailable,
                                            AllOf(HasSubstr("reset"), HasSubstr("latest, v2"))));
  expect_platform_tags(to, "latest");
  EXPECT_EQ(unwrap(to.resolve("latest")), std::nullopt);
  EXPECT_EQ(unwrap(to.resolve("v2")), std::nullopt);
}

TEST_F(TransferTest, ImagesThatAreThereAlreadyAreTaggedBeforeTheList) {
  const TransferOptions options{.tags = {"latest"}, .tag_platforms = true};
  RecordingStore to;
  test::put_image(to, "linux/amd64");  // the other one is new
  to.puts.clear();
  unwrap(send(to, options));
  ASSERT_EQ(to.puts.size(), 5U + 3U) << "each blob is looked after";
  EXPECT_THAT(std::vector<std::string>(to.puts.begin(), to.puts.begin() + 5), Each("blob"));
  EXPECT_THAT(std::vector<std::string>(to.puts.begin() + 5, to.puts.begin() + 7),
              UnorderedElementsAre("tag latest-amd64", "tag latest-ppc64le"));
  EXPECT_EQ(to.puts.back(), "tag latest");
  expect_platform_tags(to, "latest");

  RecordingStore all;
  test::put_list(all, "other");
  all.puts.clear();
  unwrap(send(all, options));
  ASSERT_FALSE(all.puts.empty());
  EXPECT_EQ(all.puts.back(), "tag latest");
  expect_platform_tags(all, "latest");
}

TEST_F(TransferTest, ImageThatIsThereIsNotTaggedWhileAnotherLacksABlob) {
  RecordingStore there;
  test::put_image(there, "linux/amd64");
  const auto before = static_cast<int>(there.puts.size());
  for (int at = 0; at < 5; ++at) {
    RecordingStore to(before + at);
    test::put_image(to, "linux/amd64");
    EXPECT_THAT(send(to, {.tags = {"latest"}, .tag_platforms = true}),
                fails_with(ErrorCode::unavailable, HasSubstr("reset")));
    EXPECT_THAT(unwrap(to.tags()), IsEmpty()) << at;
  }
}

TEST_F(TransferTest, TargetsOfOneRepositoryGetAllTheirTags) {
  // Two lists that share an image, and that image by itself.
  manifest::Index smaller;
  smaller.manifests = {unwrap(list_.index()).manifests[0]};
  const Document second = Document::of(smaller);
  unwrap(from_->put_manifest(second, "v2"));
  const Digest image = smaller.manifests[0].digest;
  RecordingStore to;
  const std::vector<Destination> destinations{
      {.selector = Selector("v1"), .store = &to, .tags = {"one"}, .tag_platforms = true},
      {.selector = Selector("v2"), .store = &to, .tags = {"two"}, .tag_platforms = true},
      {.selector = Selector("v1"), .store = &to, .tags = {"three"}, .tag_platforms = true},
      {.selector = image, .store = &to, .tags = {"alone"}}};
  unwrap(transfer_all(*from_, destinations, 8, null_diagnostics()));
  EXPECT_THAT(unwrap(to.tags()),
              UnorderedElementsAre("one", "one-amd64", "one-ppc64le", "two", "two-amd64", "three",
                                   "three-amd64", "three-ppc64le", "alone"));
  expect_platform_tags(to, "one");
  expect_platform_tags(to, "three");
  for (const char* tag : {"two-amd64", "alone"}) {
    EXPECT_EQ(unwrap(to.resolve(tag))->digest, image) << tag;
  }
  EXPECT_EQ(unwrap(to.resolve("two"))->digest, second.digest());
  EXPECT_EQ(std::ranges::count(to.puts, "blob"), 5);
  const auto position = [&to](const std::string& put) {
    return std::ranges::find(to.puts, put) - to.puts.begin();
  };
  // A list is not put while an image that it names is put under another tag.
  EXPECT_LT(position("tag one"), position("tag two-amd64"));
  EXPECT_LT(position("tag two"), position("tag three-amd64"));
  EXPECT_LT(position("tag three-amd64"), position("tag three"));
  EXPECT_LT(position("tag two-amd64"), position("tag two"));
}

TEST_F(TransferTest, FailureAtAnyPutMovesNoTag) {
  RecordingStore whole;
  unwrap(send(whole));
  const int tag_position = static_cast<int>(whole.puts.size()) - 1;
  for (int at = 0; at <= tag_position; ++at) {
    RecordingStore to(at);
    EXPECT_THAT(send(to), fails_with(ErrorCode::unavailable, HasSubstr("reset"))) << at;
    EXPECT_THAT(unwrap(to.tags()), IsEmpty()) << at;
  }
}

TEST_F(TransferTest, SecondRunSendsNothing) {
  RecordingStore to;
  unwrap(send(to));
  to.puts.clear();
  const auto again = unwrap(send(to));
  EXPECT_EQ(again.blobs_uploaded, 0U);
  EXPECT_THAT(to.puts, IsEmpty());
}

TEST_F(TransferTest, ListOfImagesThatAreThereAlreadyNeedsOnlyItself) {
  RecordingStore to;
  test::put_list(to, "other");
  to.puts.clear();
  const auto lists_only = make_memory_store("lists");
  unwrap(lists_only->put_manifest(list_, "v1"));
  unwrap(transfer(*lists_only, Selector("v1"), to, {.tags = {"latest"}}, null_diagnostics()));
  EXPECT_THAT(to.puts, ElementsAre("tag latest"));
}

TEST_F(TransferTest, MissingImageIsNamedWithItsPlatform) {
  const auto lists_only = make_memory_store("lists");
  unwrap(lists_only->put_manifest(list_, "v1"));
  RecordingStore to;
  EXPECT_THAT(transfer(*lists_only, Selector("v1"), to, {.tags = {"latest"}}, null_diagnostics()),
              fails_with(ErrorCode::not_found, HasSubstr("linux/amd64")));
  EXPECT_THAT(to.puts, IsEmpty());
}

TEST_F(TransferTest, ThroughALayoutAndBackKeepsEveryByte) {
  const auto directory = unwrap(TemporaryDirectory::create("fnimage-transfer"));
  const auto layout = unwrap(OciLayout::open(directory.path() / "l", OciLayout::Mode::create));
  unwrap(send(*layout));
  const auto back = make_memory_store("back");
  unwrap(transfer(*layout, Selector("latest"), *back, {.tags = {"v1"}}, null_diagnostics()));
  EXPECT_EQ(unwrap(back->get_manifest(Selector("v1"))).bytes(), list_.bytes());
  for (const auto& child : unwrap(list_.index()).manifests) {
    EXPECT_EQ(unwrap(back->get_manifest(child.digest)).bytes(),
              unwrap(from_->get_manifest(child.digest)).bytes());
  }
}

TEST_F(TransferTest, SingleImage) {
  const auto image = test::put_image(*from_, "linux/arm64");
  RecordingStore to;
  unwrap(transfer(*from_, image.digest, to, {.tags = {"one"}, .tag_platforms = true},
                  null_diagnostics()));
  EXPECT_THAT(unwrap(to.tags()), ElementsAre("one"));
}

TEST_F(TransferTest, BadTagIsRefusedBeforeAnythingIsSent) {
  RecordingStore to;
  EXPECT_THAT(send(to, {.tags = {"not a tag"}}), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(to.puts, IsEmpty());
}

TEST_F(TransferTest, SizeThatTheListGetsWrongIsRefused) {
  auto index = unwrap(list_.index());
  index.manifests[0].size += 1;
  unwrap(from_->put_manifest(Document::of(index), "v1"));
  RecordingStore to;
  EXPECT_THAT(send(to), fails_with(ErrorCode::verification));
}

TEST_F(TransferTest, ListsNestedTooDeepAreRefused) {
  Document inner = list_;
  for (int depth = 0; depth < 12; ++depth) {
    manifest::Index outer;
    outer.manifests.push_back(inner.descriptor());
    inner = Document::of(outer);
    unwrap(from_->put_manifest(inner, "v1"));
  }
  RecordingStore to;
  EXPECT_THAT(send(to), fails_with(ErrorCode::invalid_input, HasSubstr("nested")));
}

/// A list of images whose manifests have about so many bytes each; nobody has their content.
Document put_wide_list(ImageStore& store, std::size_t count, std::size_t bytes) {
  manifest::Index index;
  for (std::size_t i = 0; i < count; ++i) {
    manifest::ImageManifest image{.config = test::put_bytes(store, "{}", "application/json"),
                                  .layers = {}};
    image.annotations.emplace(std::to_string(i), std::string(bytes, 'x'));
    const Document document = Document::of(image);
    unwrap(store.put_manifest(document, std::nullopt));
    index.manifests.push_back(document.descriptor());
  }
  Document list = Document::of(index);
  unwrap(store.put_manifest(list, "wide"));
  return list;
}

TEST_F(TransferTest, MoreManifestsThanMemoryShouldHoldAreRefusedBeforeTheyAreRead) {
  constexpr std::size_t each = 4'000'000;
  put_wide_list(*from_, max_documents_bytes / each + 1, each);
  RecordingStore to;
  EXPECT_THAT(transfer(*from_, Selector("wide"), to, {.tags = {"t"}}, null_diagnostics()),
              fails_with(ErrorCode::invalid_input, HasSubstr("64 MiB")));
  EXPECT_THAT(to.puts, IsEmpty());
  ImageParts parts;
  EXPECT_THAT(parts.add(*from_, Selector("wide")),
              fails_with(ErrorCode::invalid_input, HasSubstr("64 MiB")));
  EXPECT_LE(parts.bytes(), max_documents_bytes + 2);
}

TEST_F(TransferTest, ManifestsThatTogetherFitAreTaken) {
  put_wide_list(*from_, 300, 50'000);
  RecordingStore to;
  unwrap(transfer(*from_, Selector("wide"), to, {.tags = {"t"}}, null_diagnostics()));
  ImageParts parts;
  unwrap(parts.add(*from_, Selector("wide")));
  EXPECT_EQ(parts.documents().size(), 301U);
}

TEST_F(TransferTest, ChildThatIsLargerThanAnyManifestIsNotAskedFor) {
  auto index = unwrap(list_.index());
  index.manifests[0].digest = Digest::of("nowhere");
  index.manifests[0].size = UINT64_MAX / 2;
  unwrap(from_->put_manifest(Document::of(index), "v1"));
  RecordingStore to;
  EXPECT_THAT(send(to), fails_with(ErrorCode::invalid_input, HasSubstr("manifest of")));
}

TEST_F(TransferTest, ListsOfListsThatMultiplyAreRefused) {
  // Three levels of lists, of which every one names all below.
  std::vector<Descriptor> below{list_.descriptor()};
  Document top = list_;
  for (int level = 0; level < 3; ++level) {
    std::vector<Descriptor> lists;
    for (int i = 0; i < 16; ++i) {
      manifest::Index index{.manifests = below};
      index.annotations.emplace(std::to_string(level * 100 + i), std::string(1'500'000, 'x'));
      top = Document::of(index);
      unwrap(from_->put_manifest(top, std::nullopt));
      lists.push_back(top.descriptor());
    }
    below = std::move(lists);
  }
  unwrap(from_->put_manifest(Document::of(manifest::Index{.manifests = below}), "v1"));
  RecordingStore to;
  EXPECT_THAT(send(to), fails_with(ErrorCode::invalid_input, HasSubstr("64 MiB")));
}

TEST_F(TransferTest, DamagedBlobAtTheSourceIsNotPublished) {
  const auto image =
      unwrap(unwrap(from_->get_manifest(unwrap(list_.index()).manifests[0].digest)).image());
  auto wrong = image;
  wrong.layers[0].size += 1;
  unwrap(from_->put_manifest(Document::of(wrong), "v1"));
  RecordingStore to;
  EXPECT_THAT(send(to), fails_with(ErrorCode::verification, HasSubstr("layer sha256:")));
  EXPECT_THAT(unwrap(to.tags()), IsEmpty());
}

}  // namespace
}  // namespace fnimage::registry

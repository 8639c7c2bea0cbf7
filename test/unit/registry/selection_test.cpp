// Choosing platforms and changing the form of lists: nested ones, attestations, conversion.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Index;
using manifest::Platform;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Selecting : public ::testing::Test {
 protected:
  static Platform platform(const char* text) { return unwrap(Platform::parse(text)); }

  /// A list of these entries under a tag; its entry in a list around it.
  Descriptor put(const std::vector<Descriptor>& entries, const std::string& tag) {
    Index index;
    index.manifests = entries;
    const Document list = Document::of(index);
    unwrap(store_->put_manifest(list, tag));
    return list.descriptor();
  }
  /// What says something about an image, as BuildKit puts it into lists.
  Descriptor put_attestation(const Descriptor& image) {
    const manifest::ImageManifest about{
        .config = test::put_bytes(*store_, "{}", manifest::media_type::oci_config),
        .layers = {test::put_bytes(*store_, "about " + image.digest.str(),
                                   "application/vnd.in-toto+json")}};
    const Document document = Document::of(about);
    unwrap(store_->put_manifest(document, std::nullopt));
    Descriptor entry = document.descriptor();
    entry.platform.emplace();
    entry.platform->os = "unknown";
    entry.platform->architecture = "unknown";
    entry.annotations["vnd.docker.reference.digest"] = image.digest.str();
    return entry;
  }
  Result<ShapedImage> shape(const std::string& tag, const ImageShape& wanted) {
    return shape_in(*store_, tag, wanted, null_diagnostics());
  }
  /// The entries of the list that a shape has.
  std::vector<Descriptor> entries(const ShapedImage& shaped) {
    const auto view = with_manifests(*store_, shaped.made);
    return unwrap(unwrap(view->get_manifest(shaped.root)).index()).manifests;
  }

  std::unique_ptr<ImageStore> store_ = make_memory_store("memory");
  Descriptor amd64_ = test::put_image(*store_, "linux/amd64");
  Descriptor power_ = test::put_image(*store_, "linux/ppc64le");
};

TEST_F(Selecting, FindsAPlatformInListsWithinTheList) {
  put({put({put({power_}, "inner")}, "middle"), amd64_}, "outer");
  EXPECT_EQ(unwrap(find_platform(*store_, "outer", platform("linux/ppc64le"))).digest,
            power_.digest);
  EXPECT_EQ(unwrap(shape("outer", {.platforms = {platform("linux/ppc64le")}})).root, power_.digest);
  EXPECT_THAT(entries(unwrap(shape(
                  "outer", {.platforms = {platform("linux/ppc64le"), platform("linux/amd64")}}))),
              ElementsAre(amd64_, power_));
  EXPECT_THAT(find_platform(*store_, "outer", platform("linux/s390x")),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/amd64, linux/ppc64le")));
}

TEST_F(Selecting, DoesNotReadListsWithinWhenThePlatformIsOutside) {
  Descriptor absent = put({power_}, "inner");
  absent.digest = manifest::Digest::of("nobody has this");
  put({absent, amd64_}, "outer");
  EXPECT_EQ(unwrap(find_platform(*store_, "outer", platform("linux/amd64"))).digest, amd64_.digest);
}

TEST_F(Selecting, RefusesListsNestedTooDeep) {
  Descriptor inner = put({power_}, "level");
  for (int level = 0; level < 10; ++level) {
    inner = put({inner}, "level");
  }
  EXPECT_THAT(find_platform(*store_, "level", platform("linux/ppc64le")),
              fails_with(ErrorCode::invalid_input));
}

TEST_F(Selecting, KeepsTheAttestationsOfWhatIsKept) {
  const Descriptor about_amd64 = put_attestation(amd64_);
  const Descriptor about_power = put_attestation(power_);
  put({amd64_, power_, about_amd64, about_power}, "attested");
  EXPECT_THAT(entries(unwrap(shape("attested",
                                   {.platforms = {platform("linux/ppc64le")}, .keep_list = true}))),
              ElementsAre(power_, about_power));
}

TEST_F(Selecting, ConvertsTheWholeTreeAndBackToTheSameImages) {
  put({amd64_, power_, put_attestation(power_)}, "list");
  const ShapedImage docker = unwrap(shape("list", {.format = manifest::Format::docker}));
  const auto view = with_manifests(*store_, docker.made);
  const Document list = unwrap(view->get_manifest(docker.root));
  EXPECT_EQ(list.media_type(), manifest::media_type::docker_list);
  const auto converted = unwrap(list.index()).manifests;
  ASSERT_EQ(converted.size(), 2U) << "the attestation is about a digest that is gone";
  EXPECT_EQ(converted[1].platform, power_.platform);
  const auto image = unwrap(unwrap(view->get_manifest(converted[1].digest)).image());
  EXPECT_EQ(image.layers[0].media_type, manifest::media_type::docker_layer_gzip);
  const ShapedImage back =
      unwrap(shape_in(*view, docker.root, {.format = manifest::Format::oci}, null_diagnostics()));
  EXPECT_TRUE(back.made.contains(power_.digest)) << "the same bytes as before";
  EXPECT_TRUE(unwrap(shape("list", {.format = manifest::Format::oci})).made.empty());
}

TEST_F(Selecting, AnnotatesListAndEntries) {
  put({amd64_, power_}, "list");
  const ShapedImage shaped =
      unwrap(shape("list", {.annotations = {{"a", "1"}}, .entry_annotations = {{"b", "2"}}}));
  const Index index = unwrap(shaped.made.at(shaped.root).index());
  EXPECT_EQ(index.annotations.at("a"), "1");
  EXPECT_EQ(index.manifests[1].annotations.at("b"), "2");
  EXPECT_EQ(index.manifests[1].digest, power_.digest);
  EXPECT_THAT(shape("list", {.format = manifest::Format::docker, .annotations = {{"a", "1"}}}),
              fails_with(ErrorCode::unsupported));
  const Document image = unwrap(store_->get_manifest(amd64_.digest));
  EXPECT_THAT(shape_in(*store_, image.digest(), {.annotations = {{"a", "1"}}}, null_diagnostics()),
              fails_with(ErrorCode::invalid_argument, HasSubstr("single image")));
}

}  // namespace
}  // namespace fnimage::registry

// Documents that are kept with their image, in every kind of store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/sbom/attach.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::sbom {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Attaching : public ::testing::TestWithParam<bool> {
 protected:
  Attaching() {
    if (GetParam()) {
      store_ = registry::make_memory_store("memory");
    } else {
      store_ = unwrap(
          registry::OciLayout::open(directory_ / "layout", registry::OciLayout::Mode::create));
    }
    put_test_image(*store_,
                   {.layers = {{{"etc/os-release", std::string(os_release)},
                                {"var/lib/dpkg/status", small_status()}}}},
                   "image");
    contents_ = unwrap(contents_of(*store_, "image")).front();
  }

  const manifest::Digest& image() const { return contents_->image.digest; }

  test::TempDir directory_;
  std::unique_ptr<registry::ImageStore> store_;
  std::optional<Contents> contents_;
};

TEST_P(Attaching, IsAnArtifactThatRefersToTheImage) {
  const Attached attached = unwrap(attach(*store_, *contents_, Format::spdx));
  EXPECT_FALSE(attached.existed);
  const auto artifact = unwrap(unwrap(store_->get_manifest(attached.manifest.digest)).image());
  EXPECT_EQ(artifact.artifact_type, "application/spdx+json");
  ASSERT_TRUE(artifact.subject);
  EXPECT_EQ(artifact.subject->digest, image());
  EXPECT_EQ(artifact.subject->size, contents_->image.size);
  EXPECT_EQ(artifact.subject->platform, std::nullopt);
  EXPECT_EQ(artifact.config.media_type, manifest::media_type::oci_empty);
  ASSERT_THAT(artifact.layers, SizeIs(1));
  EXPECT_EQ(artifact.layers[0].media_type, "application/spdx+json");
  EXPECT_EQ(artifact.annotations.at(std::string(manifest::annotation::created)),
            "2023-06-10T12:00:00Z");
  const auto referrers = unwrap(store_->referrers(image()));
  ASSERT_THAT(referrers, SizeIs(1));
  EXPECT_EQ(referrers[0].digest, attached.manifest.digest);
  EXPECT_EQ(referrers[0].artifact_type, "application/spdx+json");
}

TEST_P(Attaching, TwiceChangesNothing) {
  const Attached first = unwrap(attach(*store_, *contents_, Format::cyclonedx));
  const auto tags = unwrap(store_->tags());
  const Attached again = unwrap(attach(*store_, *contents_, Format::cyclonedx));
  EXPECT_TRUE(again.existed);
  EXPECT_EQ(again.manifest.digest, first.manifest.digest);
  EXPECT_THAT(unwrap(store_->referrers(image())), SizeIs(1));
  EXPECT_EQ(unwrap(store_->tags()), tags);
}

TEST_P(Attaching, ReadsWhatIsThere) {
  EXPECT_THAT(read_attached(*store_, image(), std::nullopt),
              fails_with(ErrorCode::not_found, HasSubstr("no bill of materials is attached")));
  unwrap(attach(*store_, *contents_, Format::cyclonedx));
  EXPECT_EQ(unwrap(read_attached(*store_, image(), std::nullopt)),
            to_document(*contents_, Format::cyclonedx));
  const Attached spdx = unwrap(attach(*store_, *contents_, Format::spdx));
  EXPECT_THAT(read_attached(*store_, image(), std::nullopt),
              fails_with(ErrorCode::invalid_argument,
                         AllOf(HasSubstr("2 bills"), HasSubstr(spdx.manifest.digest.str()))));
  EXPECT_EQ(unwrap(read_attached(*store_, image(), Format::spdx)),
            to_document(*contents_, Format::spdx));
  const auto artifact = unwrap(store_->get_manifest(spdx.manifest.digest));
  EXPECT_EQ(unwrap(read_document_of(*store_, artifact)), to_document(*contents_, Format::spdx));
  EXPECT_EQ(unwrap(read_document_of(*store_, unwrap(store_->get_manifest(image())))), std::nullopt);
}

TEST_P(Attaching, DescribesAllThatRefersToAnImage) {
  EXPECT_THAT(unwrap(companions_of(*store_, image())), IsEmpty());
  const auto put = [&](std::string text, std::string_view type) {
    manifest::Descriptor blob{.media_type = std::string(type),
                              .digest = manifest::Digest::of(std::string_view(text)),
                              .size = text.size()};
    unwrap(store_->put_blob(blob, *memory_content(std::move(text)), {}));
    manifest::ImageManifest artifact{.config = blob, .layers = {blob}};
    artifact.artifact_type = "application/of.others";
    artifact.subject = contents_->image;
    artifact.subject->platform = std::nullopt;
    unwrap(registry::put_referrer(*store_, manifest::Document::of(artifact)));
  };
  put("a signature", "application/signature");
  put("no JSON", "application/spdx+json");
  unwrap(attach(*store_, *contents_, Format::cyclonedx));
  const auto found = unwrap(companions_of(*store_, image()));
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].format, Format::spdx) << "by the document's type";
  EXPECT_THAT(found[0].problem, HasSubstr("bill of materials"));
  EXPECT_EQ(found[0].packages, std::nullopt);
  EXPECT_EQ(found[1].format, Format::cyclonedx);
  EXPECT_EQ(found[1].packages, 3U);
  EXPECT_EQ(found[1].problem, "");
  EXPECT_EQ(found[2].format, std::nullopt);
  EXPECT_EQ(found[2].manifest.artifact_type, "application/of.others");
}

INSTANTIATE_TEST_SUITE_P(Stores, Attaching, ::testing::Bool(), [](const auto& store) {
  return store.param ? std::string("Memory") : std::string("Layout");
});

}  // namespace
}  // namespace fnimage::sbom

// Replacing a named layer: what changes, what stays, and that nothing moves when it fails.
#include <algorithm>

#include <nlohmann/json.hpp>

#include <fnimage/build/replace_layer.hpp>

#include "build_fixture.hpp"

namespace fnimage::build {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

class ReplaceLayer : public ::testing::Test {
 protected:
  void SetUp() override { project_.write("new.bin", "better weights"); }

  Result<ReplaceResult> replace(LayerReplacement replacement,
                                const std::string& tag = "demo:latest",
                                bool tag_platforms = false) {
    if (replacement.from.is_relative()) {
      replacement.from = project_.path() / replacement.from;
    }
    return world_.with_environment([&](const Environment& environment) {
      return replace_layer(*world_.store, std::string("demo:latest"), replacement,
                           {.tags = {tag}, .tag_platforms = tag_platforms}, environment);
    });
  }

  manifest::ImageManifest image(const manifest::Digest& digest) {
    return unwrap(unwrap(world_.store->get_manifest(digest)).image());
  }
  manifest::ImageConfig config(const manifest::Digest& digest) {
    return unwrap(registry::read_config(*world_.store, image(digest).config));
  }
  manifest::Digest stands(const std::string& tag) {
    return unwrap(world_.store->get_manifest(tag)).digest();
  }

  test::TempDir project_;
  World world_;
  BuildResult built_ = unwrap(world_.build(scratch_spec(project_)));
};

TEST_F(ReplaceLayer, ChangesThatLayerOnEveryPlatformAndNothingElse) {
  const ReplaceResult result = unwrap(replace({.name = "model", .from = "new.bin"}));
  EXPECT_EQ(result.before.digest, built_.list.digest);
  EXPECT_NE(result.root.digest, built_.list.digest);
  EXPECT_EQ(stands("demo:latest"), result.root.digest);
  ASSERT_EQ(result.images.size(), 2U);
  EXPECT_EQ(result.images[0].layer, result.images[1].layer) << "one blob for all platforms";
  for (std::size_t i = 0; i < 2; ++i) {
    const ReplacedImage& replaced = result.images[i];
    EXPECT_EQ(replaced.before, built_.platforms[i].manifest.digest);
    manifest::ImageManifest expected = image(replaced.before);
    manifest::ImageManifest found = image(replaced.after.digest);
    const auto layer =
        std::ranges::find(found.layers, replaced.layer.digest, &manifest::Descriptor::digest);
    ASSERT_NE(layer, found.layers.end());
    const auto at = static_cast<std::size_t>(layer - found.layers.begin());
    manifest::ImageConfig before = config(replaced.before);
    const manifest::ImageConfig after = config(replaced.after.digest);
    EXPECT_EQ(before.history.at(at).created_by, "fnimage: model");
    EXPECT_EQ(before.history.at(at).comment, "at /action/model.bin");
    before.diff_ids.at(at) = after.diff_ids.at(at);
    EXPECT_EQ(after, before);
    expected.config = found.config;
    expected.layers.at(at) = found.layers.at(at);
    EXPECT_EQ(found, expected);
  }
}

TEST_F(ReplaceLayer, KeepsWhatIsRequired) {
  BuildSpec spec = scratch_spec(project_);
  spec.requirements.common.cpu_millis = 4000;
  spec.variants = {"gpu"};
  unwrap(world_.build(spec));
  const ReplaceResult result = unwrap(replace({.name = "model", .from = "new.bin"}));
  const manifest::Index list =
      unwrap(unwrap(world_.store->get_manifest(result.root.digest)).index());
  EXPECT_EQ(list.annotations.at("io.fnimage.variants"), "gpu");
  ASSERT_EQ(list.manifests.size(), 2U);
  for (const manifest::Descriptor& entry : list.manifests) {
    EXPECT_EQ(entry.annotations.at("io.fnimage.requires"), R"({"cpu":"4"})");
    EXPECT_EQ(image(entry.digest).annotations.at("io.fnimage.requires"), R"({"cpu":"4"})");
  }
}

TEST_F(ReplaceLayer, IsWhatABuildWouldHaveMade) {
  const ReplaceResult result = unwrap(replace({.name = "model", .from = "new.bin"}));
  const BuildSpec spec = scratch_spec(project_);
  project_.write("model.bin", "better weights");
  EXPECT_EQ(result.root, unwrap(world_.build(spec, {}, {"other"})).list);
}

TEST_F(ReplaceLayer, EqualContentChangesNothing) {
  const ReplaceResult result = unwrap(replace({.name = "model", .from = "model.bin"}));
  EXPECT_EQ(result.root, result.before);
  EXPECT_EQ(stands("demo:latest"), built_.list.digest);
}

TEST_F(ReplaceLayer, OtherTagsLeaveTheOldOne) {
  const ReplaceResult result =
      unwrap(replace({.name = "model", .from = "new.bin"}, "demo:next", true));
  EXPECT_EQ(stands("demo:latest"), built_.list.digest);
  EXPECT_EQ(stands("demo:next"), result.root.digest);
  EXPECT_EQ(stands("demo:next-ppc64le"), result.images[1].after.digest);
}

TEST_F(ReplaceLayer, TimeAndPathCanBeGiven) {
  const ReplaceResult result = unwrap(replace({.name = "model",
                                               .from = "new.bin",
                                               .to = "/models/new.bin",
                                               .compression = layer::Compression::zstd,
                                               .source_date_epoch = 1'700'000'000}));
  const manifest::ImageConfig after = config(result.images[0].after.digest);
  EXPECT_EQ(after.created, "2023-11-14T22:13:20Z");
  const auto entry =
      std::ranges::find(after.history, "fnimage: model", &manifest::HistoryEntry::created_by);
  ASSERT_NE(entry, after.history.end());
  EXPECT_EQ(entry->created, after.created);
  EXPECT_EQ(entry->comment, "at /models/new.bin");
  EXPECT_EQ(result.images[0].layer.media_type, manifest::media_type::oci_layer_zstd);
  // And again, from there.
  project_.write("again.bin", "best weights");
  EXPECT_THAT(replace({.name = "model", .from = "again.bin"}), is_ok());
}

TEST_F(ReplaceLayer, RefusesWhatItCannotDo) {
  const auto unknown = replace({.name = "modell", .from = "new.bin"});
  EXPECT_THAT(unknown, fails_with(ErrorCode::not_found, HasSubstr("no layer 'modell'")));
  EXPECT_THAT(unknown.error().hint(), HasSubstr("model"));
  EXPECT_THAT(replace({.name = "model", .from = "missing"}), fails_with(ErrorCode::not_found));
  EXPECT_THAT(replace({.name = "source", .from = "new.bin"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("does not say where")));
  EXPECT_THAT(replace({.name = "model", .from = "new.bin", .to = "/bin/x"}),
              fails_with(ErrorCode::unsupported));
  EXPECT_EQ(stands("demo:latest"), built_.list.digest);
}

TEST_F(ReplaceLayer, KeepsWhatOthersHaveWritten) {
  // A list with a field and an entry of somebody else's.
  const manifest::Document list = unwrap(world_.store->get_manifest(built_.list.digest));
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(list.bytes());
  json["org.example"] = "kept";
  nlohmann::ordered_json statement = json["manifests"][0];
  statement["digest"] = manifest::Digest::of("statement").str();
  statement["platform"] = {{"architecture", "unknown"}, {"os", "unknown"}};
  statement["annotations"] = {{"vnd.docker.reference.digest", json["manifests"][1]["digest"]}};
  json["manifests"].push_back(statement);
  const auto changed =
      unwrap(manifest::Document::from_bytes(json.dump(), list.media_type(), "list"));
  EXPECT_THAT(world_.store->put_manifest(changed, "demo:latest"), is_ok());
  const ReplaceResult result = unwrap(replace({.name = "model", .from = "new.bin"}));
  const auto after =
      nlohmann::json::parse(unwrap(world_.store->get_manifest(result.root.digest)).bytes());
  EXPECT_EQ(after["org.example"], "kept");
  EXPECT_EQ(after["manifests"].size(), 2U) << "what was said of the old image is not said of this";
  EXPECT_EQ(after["annotations"], nlohmann::json::parse(list.bytes())["annotations"]);
}

}  // namespace
}  // namespace fnimage::build

// What garbage is, and what is none.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "gc_fixture.hpp"

namespace fnimage::server {
namespace {

namespace fs = std::filesystem;
using manifest::Digest;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string in_action = "team/action";

/// A process id that is nobody's any more.
pid_t pid_of_the_dead() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::_exit(0);
  }
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  return pid;
}

TEST_F(GcTest, RemovesWhatNothingNames) {
  put_image("kept", {"v1"});
  put_blob(in_action, "garbage");
  put_blob("other", "more garbage");
  const auto gone = put_image("deleted", {"v2"});
  unwrap(repository()->remove_manifest(gone, {}));
  const auto report = collect_old();
  EXPECT_EQ(report.counts, (GarbageCounts{.blobs = 3, .bytes = 7 + 12 + 7}));
  EXPECT_EQ(report.repositories, 2U);
  EXPECT_EQ(report.skipped, 0U);
  EXPECT_FALSE(has("garbage"));
  EXPECT_FALSE(has("deleted"));
  EXPECT_FALSE(has(Digest::of("more garbage"), "other"));
  EXPECT_TRUE(has("kept"));
  EXPECT_TRUE(unwrap(repository()->manifest(std::string("v1"))));
  EXPECT_EQ(collect_old().counts, GarbageCounts{});
}

TEST_F(GcTest, KeepsAllThatAListReaches) {
  const auto image_in_list = image("inner");
  put_blob(in_action, image_in_list.bytes);  // known by the list only
  put_blob(in_action, "inner");
  const auto inner = list({{image_in_list.digest, manifest_type}});
  put_blob(in_action, inner.bytes);
  const auto docker = document(image_text("docker"), manifest::media_type::docker_manifest);
  put_blob(in_action, docker.bytes);
  put_blob(in_action, "docker");
  put_blob(in_action, "some file");
  put(list({{inner.digest, index_type},
            {docker.digest, manifest::media_type::docker_manifest},
            {Digest::of("some file"), "text/plain"},
            {Digest::of("of another registry"), manifest_type}},
           {"deep"}));
  EXPECT_EQ(collect_old(untagged_).counts, GarbageCounts{});
  EXPECT_TRUE(has("inner"));
  EXPECT_TRUE(has("docker"));
  unwrap(repository()->remove_manifest(
      unwrap(repository()->manifest(std::string("deep")))->descriptor.digest, {}));
  EXPECT_EQ(collect_old().counts.blobs, 6U);
}

TEST_F(GcTest, KeepsWhatDocumentsOfAnyKindName) {
  for (const auto* blob : {"config", "layer", "in blobs", "elsewhere", "annotated", "as text"}) {
    put_blob(in_action, blob);
  }
  const auto member = [](std::string_view name, const std::string& value) {
    return "\"" + std::string(name) + "\":{\"digest\":\"" + Digest::of(value).str() + "\"}";
  };
  put(document("{" + member("config", "config") + ",\"blobs\":[{" + member("a", "in blobs") +
                   "}],\"x\":{\"y\":[{" + member("z", "elsewhere") +
                   "}]},\"annotations\":{\"base\":\"" + Digest::of("annotated").str() + "\"}}",
               "application/vnd.oci.artifact.manifest.v1+json", {"artifact"}));
  put(document("not JSON: <" + Digest::of("as text").str() + ">", "text/html", {"page"}));
  put(document(R"({"layers":[{"digest":")" + Digest::of("layer").str() + "\"}]}", manifest_type,
               {"image"}));
  EXPECT_EQ(collect_old().counts.blobs, 1U);
  EXPECT_FALSE(has("annotated"));
}

TEST_F(GcTest, KeepsSha512) {
  const auto put_sha512 = [this](std::string_view bytes) {
    const auto upload = unwrap(store().begin_upload(in_action, "me", "sha512"));
    const auto writing = unwrap(upload->begin());
    unwrap(writing->write(as_bytes(bytes)));
    unwrap(writing->finish(sha512_of(bytes)));
  };
  put_sha512("needed");
  put_sha512("garbage");
  NewManifest image =
      document(R"({"schemaVersion":2,"config":{"digest":")" + sha512_of("needed").str() + "\"}}",
               manifest_type, {"v1"});
  image.digest = sha512_of(image.bytes);
  put(image);
  EXPECT_EQ(collect_old().counts.blobs, 1U);
  EXPECT_TRUE(has(sha512_of("needed")));
  EXPECT_TRUE(has(image.digest));
  EXPECT_FALSE(has(sha512_of("garbage")));
}

TEST_F(GcTest, ManifestsWithoutATagAreNoGarbageUnlessAskedFor) {
  const auto digest = put_image("untagged");
  put_image("referrer", {}, subject(digest));
  put_image("of what is not here", {}, subject(Digest::of("not here")));
  EXPECT_EQ(collect_old().counts, GarbageCounts{});
  const auto report = collect_old(untagged_);
  EXPECT_EQ(report.counts.manifests, 3U);
  EXPECT_EQ(report.counts.blobs, 3U);
  EXPECT_FALSE(unwrap(repository()->manifest(digest)));
  EXPECT_FALSE(has(digest));
  EXPECT_FALSE(has("referrer"));
  EXPECT_THAT(unwrap(repository()->referrers(digest)), IsEmpty());
}

TEST_F(GcTest, UntaggedKeepsReferrersOfWhatATagReaches) {
  const auto child = put_image("child");
  put(list({{child, manifest_type}}, {"v1"}));
  const auto sbom = put_image("sbom", {}, subject(child));
  const auto signature = put_image("signature", {}, subject(sbom));
  put_image("of a layer", {}, subject(Digest::of("child")));
  // A referrer that is known by a list only, which nothing else keeps.
  const auto listed = image("listed", {}, subject(signature));
  put_blob(in_action, listed.bytes);
  put_blob(in_action, "listed");
  put(list({{listed.digest, manifest_type}}));
  // And one that says nothing of its subject, but is listed under the subject's tag.
  const auto plain = put_image("plain");
  put(list({{plain, manifest_type}}, {registry::referrers_tag(child)}));
  put_image("alone");
  const auto report = collect_old(untagged_);
  EXPECT_EQ(report.counts.manifests, 1U);
  for (const auto* kept : {"child", "sbom", "signature", "of a layer", "listed", "plain"}) {
    EXPECT_TRUE(has(kept)) << kept;
  }
  EXPECT_THAT(unwrap(repository()->referrers(signature)), ::testing::SizeIs(1));
  EXPECT_THAT(unwrap(repository()->referrers(child)), ::testing::SizeIs(2));
}

TEST_F(GcTest, UntaggedKeepsWhatIsYoungWithItsParts) {
  const auto child = put_image("child");
  const auto young = put(list({{child, manifest_type}}));
  put_image("old");
  make_old();
  fs::last_write_time(file(young), fs::file_time_type::clock::now());
  EXPECT_EQ(collect(untagged_).counts.manifests, 1U);
  EXPECT_TRUE(unwrap(repository()->manifest(child)));
  EXPECT_TRUE(has("child"));
}

TEST_F(GcTest, NamesOfOtherToolsAreTags) {
  const auto layout =
      unwrap(registry::OciLayout::open(path() / in_action, registry::OciLayout::Mode::create));
  const auto bytes = image_text("named");
  unwrap(
      layout->put_manifest(unwrap(manifest::Document::from_bytes(bytes, manifest_type, "an image")),
                           "serverless:30501/team/action:latest"));
  EXPECT_EQ(collect_old(untagged_).counts, GarbageCounts{});
  EXPECT_TRUE(has(bytes));
}

TEST_F(GcTest, WhatIsYoungStays) {
  put_blob(in_action, "young");
  put_blob(in_action, "old");
  make_old(file(Digest::of("old")));
  EXPECT_EQ(collect().counts.blobs, 1U);
  EXPECT_TRUE(has("young"));
  make_old();
  EXPECT_EQ(collect({.grace = std::chrono::hours(3)}).counts.blobs, 0U);
  EXPECT_EQ(collect({.grace = std::chrono::hours(1)}).counts.blobs, 1U);
}

TEST_F(GcTest, WhoWasToldOfABlobMayRelyOnIt) {
  const std::vector<std::string> blobs{"asked", "read", "mounted", "mounted here", "put again"};
  for (const std::string& blob : blobs) {
    put_blob(in_action, blob);
  }
  put_blob("other", "mounted here");
  const auto untagged = put_image("manifest");
  make_old();
  const auto in = repository();
  EXPECT_TRUE(in->blob_size(Digest::of("asked")));
  EXPECT_TRUE(unwrap(in->blob(Digest::of("read"))));
  EXPECT_TRUE(unwrap(repository("other")->mount(Digest::of("mounted"), *in)));
  EXPECT_TRUE(unwrap(in->mount(Digest::of("mounted here"), *repository("other"))));
  EXPECT_TRUE(unwrap(in->manifest(untagged)));
  put_blob(in_action, "put again");
  EXPECT_EQ(collect(untagged_).counts, GarbageCounts{});
}

TEST_F(GcTest, AnUploadIsYoungWhenItEnds) {
  const auto upload = unwrap(store().begin_upload(in_action, "me"));
  const auto writing = unwrap(upload->begin());
  unwrap(writing->write(as_bytes("slow")));
  make_old(path() / ".fnimage.uploads" / upload->id() / "data");
  unwrap(writing->finish(Digest::of("slow")));
  EXPECT_EQ(collect().counts, GarbageCounts{});
  EXPECT_TRUE(has("slow"));
}

TEST_F(GcTest, AStoreThatChangesNothingMakesNothingYoung) {
  limits_.refresh_age = std::chrono::milliseconds::max();
  put_blob(in_action, "asked");
  make_old();
  EXPECT_TRUE(repository()->blob_size(Digest::of("asked")));
  EXPECT_EQ(collect().counts.blobs, 1U);
}

TEST_F(GcTest, LayoutsThatArePushedIntoMayRelyOnWhatIsThere) {
  put_blob(in_action, "asked");
  put_blob(in_action, "put again");
  const auto text = image_text("manifest");
  put_blob(in_action, text);
  make_old();
  const auto layout =
      unwrap(registry::OciLayout::open(path() / in_action, registry::OciLayout::Mode::create));
  const auto descriptor = [](std::string_view bytes) {
    return manifest::Descriptor{
        .media_type = "text/plain", .digest = Digest::of(bytes), .size = bytes.size()};
  };
  EXPECT_TRUE(unwrap(layout->has_blob(descriptor("asked"))));
  unwrap(layout->put_blob(descriptor("put again"), *memory_content("put again"), {}));
  unwrap(layout->put_manifest(
      unwrap(manifest::Document::from_bytes(text, manifest_type, "an image")), std::nullopt));
  EXPECT_EQ(collect().counts, GarbageCounts{});
}

TEST_F(GcTest, FilesOfSeveralRepositoriesFreeNothing) {
  put_blob(in_action, "shared");
  put(document(R"({"config":{"digest":")" + Digest::of("shared").str() + "\"}}", manifest_type,
               {"v1"}),
      "other");
  EXPECT_TRUE(unwrap(repository("other")->mount(Digest::of("shared"), *repository())));
  EXPECT_EQ(collect_old().counts, (GarbageCounts{.blobs = 1, .bytes = 0}));
  EXPECT_FALSE(has("shared"));
  EXPECT_TRUE(has(Digest::of("shared"), "other"));
}

TEST_F(GcTest, ADamagedIndexIsLeftAlone) {
  put_blob(in_action, "garbage");
  put_blob("other", "garbage");
  const std::string text = unwrap(read_file(layout() / "index.json", 1 << 20));
  std::ofstream(layout() / "index.json") << text.substr(0, text.size() / 2);
  const auto report = collect_old(untagged_);
  EXPECT_EQ(report.skipped, 1U);
  EXPECT_EQ(report.counts.blobs, 1U);
  EXPECT_THAT(problems_, ElementsAre(HasSubstr("team/action: ")));
  EXPECT_TRUE(has("garbage"));
}

TEST_F(GcTest, ADamagedManifestIsLeftAlone) {
  put_blob(in_action, "garbage");
  const auto child = put_image("child");
  const auto tagged = put(list({{child, manifest_type}}, {"v1"}));
  for (const auto& one : {tagged, child}) {
    const std::string good = unwrap(read_file(file(one), 1 << 20));
    for (const auto& bad :
         {std::string("damaged"), std::string(5 << 20, ' '), std::string(good.size(), ' ')}) {
      write_blob(one, bad);
      const auto report = collect_old(untagged_);
      EXPECT_EQ(report.skipped, 1U);
      EXPECT_EQ(report.counts, GarbageCounts{});
      EXPECT_THAT(problems_, ElementsAre(HasSubstr(one.str())));
    }
    write_blob(one, good);
  }
  fs::remove(file(tagged));  // that has an entry
  EXPECT_EQ(collect_old().skipped, 1U);
  EXPECT_TRUE(has("garbage"));
}

TEST_F(GcTest, ADryRunChangesNothing) {
  put_image("kept", {"v1"});
  const auto untagged = put_image("untagged");
  put_blob(in_action, "garbage");
  make_old();
  const std::string left = ".tmp-" + std::to_string(pid_of_the_dead()) + "-0123456789abcdef";
  std::ofstream(layout() / left) << "left";
  make_old(layout() / left);
  const auto dry = collect({.removes_untagged = true, .is_dry_run = true});
  EXPECT_EQ(dry.counts.manifests, 1U);
  EXPECT_EQ(dry.counts.blobs, 2U);
  EXPECT_EQ(dry.counts.leftovers, 1U);
  std::vector<std::string> names;
  for (const GarbageItem& item : items_) {
    names.push_back(item.name);
  }
  EXPECT_THAT(names,
              ::testing::UnorderedElementsAre(left, untagged.str(), Digest::of("untagged").str(),
                                              Digest::of("garbage").str()));
  EXPECT_TRUE(has(untagged) && has("garbage") && fs::exists(layout() / left));
  EXPECT_EQ(collect(untagged_).counts, dry.counts);
}

TEST_F(GcTest, LeftoversGo) {
  put_image("kept", {"v1"});
  const std::string dead = ".tmp-" + std::to_string(pid_of_the_dead()) + "-0123456789abcdef";
  const std::string mine = ".tmp-" + std::to_string(::getpid()) + "-0123456789abcdef";
  for (const auto& place : {layout(), layout() / "blobs/sha256"}) {
    std::ofstream(place / dead) << "left";
    std::ofstream(place / mine) << "in use";
    make_old(place / dead);
    make_old(place / mine);
  }
  std::ofstream(layout() / (dead + "-young")) << "left";
  EXPECT_EQ(collect().counts, (GarbageCounts{.leftovers = 2, .bytes = 8}));
  EXPECT_FALSE(fs::exists(layout() / dead));
  EXPECT_TRUE(fs::exists(layout() / mine));
}

TEST_F(GcTest, UploadsThatAreOverGo) {
  const auto open = unwrap(store().begin_upload(in_action, "me"));
  const auto over = unwrap(store().begin_upload(in_action, "me"));
  const fs::path directory = path() / ".fnimage.uploads";
  for (const auto* part : {"data", "session", ""}) {
    make_old(directory / over->id() / part, std::chrono::hours(26));
    make_old(directory / open->id() / part, std::chrono::hours(23));
  }
  EXPECT_EQ(collect().counts.leftovers, 1U);
  EXPECT_FALSE(fs::exists(directory / over->id()));
  EXPECT_TRUE(fs::exists(directory / open->id() / "data"));
  EXPECT_THAT(over->begin(), fails_with(ErrorCode::not_found));
}

TEST_F(GcTest, LinksLeadNowhere) {
  put_image("kept", {"v1"});
  const fs::path outside = scratch() / "outside";
  fs::create_directories(outside / "blobs/sha256");
  const fs::path precious = outside / "blobs/sha256" / std::string(Digest::of("x").hex());
  std::ofstream(precious) << "precious";
  make_old(precious);
  fs::create_directory_symlink(outside / "blobs/sha256", layout() / "blobs/sha512");
  fs::create_directory_symlink(outside, path() / "linked");
  EXPECT_EQ(collect_old().counts, GarbageCounts{});
  fs::rename(layout() / "blobs", layout() / "elsewhere");
  fs::create_directory_symlink(outside / "blobs", layout() / "blobs");
  (void)collect();
  EXPECT_TRUE(fs::exists(precious));
}

TEST_F(GcTest, StopsWhenAskedTo) {
  put_blob(in_action, "garbage");
  make_old();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(collect({.stop = stop.get_token()}).repositories, 0U);
  EXPECT_TRUE(has("garbage"));
}

TEST_F(GcTest, NoSuchDirectory) {
  EXPECT_THAT(collect_garbage(scratch() / "none", {}), fails_with(ErrorCode::not_found));
}

TEST_F(GcTest, APutNeedsAllThatItNames) {
  const auto needs = [](NewManifest put, const NewManifest& child, std::string_view blob) {
    put.blobs.push_back({.media_type = "x", .digest = Digest::of(blob), .size = blob.size()});
    put.children.push_back(
        {.media_type = child.media_type, .digest = child.digest, .size = child.bytes.size()});
    return put;
  };
  const auto child = image("child");
  const auto in = repository();
  auto top = needs(list({{child.digest, manifest_type}}, {"v1"}), child, "blob");
  EXPECT_EQ(unwrap(in->put_manifest(top, {})), Outcome::incomplete);
  put_blob(in_action, "blob");
  EXPECT_EQ(unwrap(in->put_manifest(top, {})), Outcome::incomplete);
  put_blob(in_action, child.bytes);  // the file is there, and is no manifest
  EXPECT_EQ(unwrap(in->put_manifest(top, {})), Outcome::incomplete);
  put(child);
  EXPECT_EQ(unwrap(in->put_manifest(top, {})), Outcome::done);
  ++top.blobs.front().size;
  EXPECT_EQ(unwrap(in->put_manifest(top, {})), Outcome::incomplete);
  unwrap(in->remove_manifest(child.digest, {}));
  --top.blobs.front().size;
  EXPECT_EQ(unwrap(in->put_manifest(top, {})), Outcome::incomplete);
  EXPECT_EQ(unwrap(in->put_manifest(top, {.none_match = std::vector<Digest>{}})), Outcome::refused);
}

}  // namespace
}  // namespace fnimage::server

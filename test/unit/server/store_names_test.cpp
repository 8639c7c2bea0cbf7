// Names of repositories, and where they are on disk.
#include <fstream>

#include <gmock/gmock.h>

#include <fnimage/base/stream.hpp>

#include "store/names.hpp"
#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

namespace fs = std::filesystem;
using manifest::Digest;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Condition no_condition{};

TEST(StoreNames, FollowTheGrammar) {
  for (const std::string name :
       {"a", "0", "team/action", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b/c/d", "blobs",
        "index.json", "oci-layout", "a/blobs/b", "1.2.3"}) {
    EXPECT_TRUE(is_valid_repository(name)) << name;
  }
  for (const std::string name :
       {"",    "/",   "a/",  "/a",  "a//b",   "A",    "a..b",   "a___b", "-a",
        "a-",  ".a",  "a.",  "_a",  "a_",     "a/.b", "a/../b", "..",    ".",
        "a b", "a:b", "a@b", "a\n", "blobs_", "a\\b", "a.-b",   "a_.b",  "ä"}) {
    EXPECT_FALSE(is_valid_repository(name)) << name;
  }
  EXPECT_FALSE(is_valid_repository(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_valid_repository(std::string(255, 'a')));
  EXPECT_FALSE(is_valid_repository(std::string(256, 'a')));
}

TEST(StoreNames, NeverAreFilesOfALayout) {
  const std::pair<const char*, const char*> rows[] = {
      {"team/action", "team/action"},
      {"blobs", "blobs_"},
      {"a/blobs/b", "a/blobs_/b"},
      {"index.json", "index.json_"},
      {"oci-layout/blobs", "oci-layout_/blobs_"},
      {"blobs.d", "blobs.d"},
  };
  for (const auto& [name, relative] : rows) {
    EXPECT_EQ(path_of_repository(name), relative);
  }
  EXPECT_EQ(part_of_directory("blobs_"), "blobs");
  EXPECT_EQ(part_of_directory("action"), "action");
  for (const char* directory :
       {"blobs", "index.json", "a_", ".fnimage.uploads", "A", "", "_", ".."}) {
    EXPECT_EQ(part_of_directory(directory), std::nullopt) << directory;
  }
}

class StoreDirectoryTest : public StoreTest {};

TEST_F(StoreDirectoryTest, RepositoriesLieInEachOther) {
  const std::vector<std::string> names{
      "a",     "a/blobs", "a/blobs/b",   "a/index.json",       "a/oci-layout",
      "blobs", "team",    "team/action", std::string(255, 'x')};
  for (const std::string& name : names) {
    unwrap(repository(name)->put_manifest(image(name, {"v1"}), no_condition));
  }
  restart();
  EXPECT_EQ(unwrap(store().repositories()), names);
  for (const std::string& name : names) {
    const auto found = unwrap(store().find(name));
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(*unwrap(found->manifest("v1"))->bytes, image(name).bytes) << name;
  }
  EXPECT_TRUE(fs::exists(path() / "a/blobs_/b/index.json"));
}

TEST_F(StoreDirectoryTest, FindMakesNothing) {
  store();
  EXPECT_EQ(unwrap(store().find("team/action")), nullptr);
  EXPECT_FALSE(fs::exists(path() / "team"));
  EXPECT_THAT(store().find("../escape"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(store().create("../escape"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(store().begin_upload("../escape", ""), fails_with(ErrorCode::invalid_argument));
  unwrap(store().begin_upload("team/action", ""));
  EXPECT_FALSE(fs::exists(path() / "team")) << "an upload that is given up leaves no repository";
  EXPECT_THAT(unwrap(store().repositories()), IsEmpty());
}

TEST_F(StoreDirectoryTest, FindsWhatOthersMadeAndForgetsWhatTheyRemoved) {
  store();
  fs::create_directories(path() / "made/elsewhere/blobs/sha256");
  std::ofstream(path() / "made/elsewhere/oci-layout") << R"({"imageLayoutVersion":"1.0.0"})";
  EXPECT_EQ(unwrap(store().find("made/elsewhere")), nullptr) << "it is not complete";
  std::ofstream(path() / "made/elsewhere/index.json") << R"({"schemaVersion":2,"manifests":[]})";
  EXPECT_THAT(unwrap(store().repositories()), ElementsAre("made/elsewhere"));
  const auto found = unwrap(store().find("made/elsewhere"));
  ASSERT_TRUE(found);
  EXPECT_THAT(*unwrap(found->tags()), IsEmpty());
  EXPECT_THAT(found->put_manifest(image("a", {"v1"}), no_condition), is_ok());
  fs::remove_all(path() / "made");
  EXPECT_EQ(unwrap(store().find("made/elsewhere")), nullptr);
  EXPECT_THAT(unwrap(store().repositories()), IsEmpty());
  unwrap(repository("made/elsewhere")->put_manifest(image("b", {"v2"}), no_condition));
  EXPECT_THAT(*unwrap(repository("made/elsewhere")->tags()), ElementsAre("v2"));
}

TEST_F(StoreDirectoryTest, OtherThingsInTheDirectoryAreNoRepositories) {
  repository("real");
  fs::create_directories(path() / "real/blobs/nested");
  std::ofstream(path() / "notes.txt") << "hello";
  fs::create_directories(path() / "UpperCase");
  for (const char* directory : {"UpperCase", "real/blobs/nested"}) {
    std::ofstream(path() / directory / "oci-layout") << R"({"imageLayoutVersion":"1.0.0"})";
    std::ofstream(path() / directory / "index.json") << R"({"schemaVersion":2,"manifests":[]})";
  }
  EXPECT_THAT(unwrap(store().repositories()), ElementsAre("real"));
}

TEST_F(StoreDirectoryTest, SecondServerIsRefused) {
  store();
  EXPECT_THAT(Store::open(path()), fails_with(ErrorCode::already_exists));
  EXPECT_FALSE(Store::open(path()).error().hint().empty());
}

TEST_F(StoreDirectoryTest, LinksLeadNowhere) {
  const fs::path elsewhere = scratch() / "elsewhere";
  fs::create_directories(elsewhere / "blobs/sha256");
  std::ofstream(elsewhere / "oci-layout") << R"({"imageLayoutVersion":"1.0.0"})";
  std::ofstream(elsewhere / "index.json") << R"({"schemaVersion":2,"manifests":[]})";
  store();
  fs::create_directory_symlink(elsewhere, path() / "link");
  fs::create_directory_symlink(scratch(), path() / "up");
  EXPECT_EQ(unwrap(store().find("link")), nullptr);
  EXPECT_EQ(unwrap(store().find("up/elsewhere")), nullptr);
  EXPECT_THAT(unwrap(store().repositories()), IsEmpty());
  EXPECT_THAT(store().create("link"), fails_with(ErrorCode::already_exists));
  EXPECT_THAT(store().create("up/elsewhere/new"), fails_with(ErrorCode::already_exists));
  // Also one that comes later.
  const auto in = repository("team/action");
  unwrap(in->put_manifest(image("a", {"v1"}), no_condition));
  fs::rename(path() / "team", scratch() / "team");
  fs::create_directory_symlink(scratch() / "team", path() / "team");
  EXPECT_THAT(in->put_manifest(image("b", {"v1"}), no_condition),
              fails_with(ErrorCode::already_exists));
  EXPECT_TRUE(fs::is_empty(elsewhere / "blobs/sha256"));
}

TEST_F(StoreDirectoryTest, LinksInALayoutLeadNowhere) {
  const fs::path elsewhere = scratch() / "elsewhere";
  fs::create_directories(elsewhere);
  repository("team/action")->put_manifest(image("a", {"v1"}), no_condition);
  const fs::path layout = path() / "team/action";
  fs::rename(layout / "blobs/sha256", scratch() / "sha256");
  fs::create_directory_symlink(elsewhere, layout / "blobs/sha256");
  EXPECT_THAT(repository("team/action")->put_manifest(image("b", {"v1"}), no_condition),
              fails_with(ErrorCode::already_exists));
  EXPECT_TRUE(fs::is_empty(elsewhere));
  fs::remove(layout / "blobs/sha256");
  fs::rename(scratch() / "sha256", layout / "blobs/sha256");
  // A blob that is a link is none; the name is the blob's all the same.
  const auto put = image("c", {"v2"});
  std::ofstream(elsewhere / "target") << "other";
  const fs::path blob = layout / "blobs/sha256" / std::string(put.digest.hex());
  fs::create_symlink(elsewhere / "target", blob);
  EXPECT_FALSE(repository("team/action")->blob_size(put.digest));
  EXPECT_EQ(unwrap(repository("team/action")->blob(put.digest)), std::nullopt);
  unwrap(repository("team/action")->put_manifest(put, no_condition));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(blob)));
  EXPECT_EQ(unwrap(read_file(elsewhere / "target", 100)), "other");
}

TEST_F(StoreDirectoryTest, FileInTheWayIsAnError) {
  store();
  std::ofstream(path() / "team") << "a file";
  EXPECT_THAT(store().create("team/action"), fails_with(ErrorCode::already_exists));
  EXPECT_EQ(unwrap(store().find("team")), nullptr);
  EXPECT_EQ(unwrap(store().find("team/action")), nullptr);
}

TEST_F(StoreDirectoryTest, MoreRepositoriesThanAreKeptInMemory) {
  limits_.repositories = 4;
  const auto held = repository("held");
  for (int i = 0; i < 30; ++i) {
    unwrap(repository("r" + std::to_string(i))->put_manifest(image(std::to_string(i), {"v"}), {}));
  }
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(*unwrap(repository("r" + std::to_string(i))->manifest("v"))->bytes,
              image(std::to_string(i)).bytes);
  }
  EXPECT_EQ(repository("held"), held) << "one name is one object as long as somebody holds it";
  EXPECT_EQ(unwrap(store().repositories()).size(), 31U);
}

}  // namespace
}  // namespace fnimage::server

// Uploads: whose they are, what of them survives what, and how they become blobs.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fnimage/base/stream.hpp>

#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

namespace fs = std::filesystem;
using manifest::Digest;
using test::fails_with;
using test::is_ok;
using test::unwrap;

const std::string upload_repository = "team/action";

class StoreUploadTest : public StoreTest {
 protected:
  std::shared_ptr<Upload> begin(std::string_view algorithm = "sha256") {
    return unwrap(store().begin_upload(upload_repository, "me", algorithm));
  }
  std::shared_ptr<Upload> find(const std::string& id) {
    return unwrap(store().find_upload(id, upload_repository, "me"));
  }
  void write(Upload& upload, std::string_view bytes) {
    unwrap(unwrap(upload.begin())->write(as_bytes(bytes)));
  }
  Result<void> finish(Upload& upload, const Digest& digest) {
    return unwrap(upload.begin())->finish(digest);
  }
  std::string blob(const Digest& digest, const std::string& in = upload_repository) {
    const auto file = unwrap(repository(in)->blob(digest));
    if (!file) {
      return "(none)";
    }
    std::string bytes((*file)->size(), '\0');
    EXPECT_EQ(unwrap((*file)->read(0, std::as_writable_bytes(std::span(bytes)))), bytes.size());
    return bytes;
  }
  [[nodiscard]] fs::path uploads() const { return path() / ".fnimage.uploads"; }
  [[nodiscard]] fs::path blob_path(const Digest& digest,
                                   const std::string& in = upload_repository) const {
    return path() / in / "blobs" / digest.algorithm() / digest.hex();
  }
};

TEST_F(StoreUploadTest, BecomesABlob) {
  const auto upload = begin();
  EXPECT_EQ(upload->id().size(), 32U);
  EXPECT_EQ(upload->size(), 0U);
  write(*upload, "some ");
  EXPECT_EQ(upload->size(), 5U);
  write(*upload, "bytes");
  unwrap(finish(*upload, Digest::of("some bytes")));
  EXPECT_EQ(blob(Digest::of("some bytes")), "some bytes");
  EXPECT_EQ(find(upload->id()), nullptr);
  EXPECT_THAT(upload->begin(), fails_with(ErrorCode::not_found));
  EXPECT_TRUE(fs::is_empty(uploads()));
  EXPECT_FALSE(repository()->blob_size(Digest::of("other bytes")));
}

TEST_F(StoreUploadTest, EmptyBlob) {
  unwrap(finish(*begin(), Digest::of("")));
  EXPECT_EQ(blob(Digest::of("")), "");
}

TEST_F(StoreUploadTest, EitherAlgorithmWhateverWasThoughtOf) {
  for (const char* algorithm : {"sha256", "sha512"}) {
    for (const bool is_sha512 : {false, true}) {
      const auto upload = begin(algorithm);
      const std::string bytes = std::string("for ") + algorithm + (is_sha512 ? "2" : "1");
      write(*upload, bytes);
      const Digest digest = is_sha512 ? sha512_of(bytes) : Digest::of(bytes);
      unwrap(finish(*upload, digest));
      EXPECT_EQ(blob(digest), bytes);
    }
  }
  EXPECT_THAT(store().begin_upload(upload_repository, "", "md5"),
              fails_with(ErrorCode::invalid_argument));
}

TEST_F(StoreUploadTest, WrongDigestLeavesTheUploadAsItIs) {
  const auto upload = begin();
  write(*upload, "some ");
  EXPECT_THAT(finish(*upload, Digest::of("wrong")), fails_with(ErrorCode::verification));
  EXPECT_THAT(finish(*upload, sha512_of("wrong")), fails_with(ErrorCode::verification));
  EXPECT_EQ(upload->size(), 5U);
  EXPECT_EQ(unwrap(store().find(upload_repository)), nullptr) << "nothing has come of it";
  write(*upload, "bytes");
  unwrap(finish(*upload, Digest::of("some bytes")));
  EXPECT_EQ(blob(Digest::of("some bytes")), "some bytes");
}

TEST_F(StoreUploadTest, GoesOnAfterARestart) {
  for (const bool is_sha512 : {false, true}) {
    std::string id;
    {
      const auto upload = begin(is_sha512 ? "sha512" : "sha256");
      write(*upload, "before ");
      id = upload->id();
    }
    restart();
    const auto upload = find(id);
    ASSERT_TRUE(upload);
    EXPECT_EQ(upload->size(), 7U);
    write(*upload, "and after");
    const std::string whole = "before and after";
    EXPECT_THAT(finish(*upload, Digest::of("wrong")), fails_with(ErrorCode::verification));
    const Digest digest = is_sha512 ? sha512_of(whole) : Digest::of(whole);
    unwrap(finish(*upload, digest));
    EXPECT_EQ(blob(digest), whole);
  }
}

TEST_F(StoreUploadTest, BelongsToItsRepositoryAndOwner) {
  const std::string id = begin()->id();
  EXPECT_TRUE(find(id));
  EXPECT_EQ(unwrap(store().find_upload(id, "team/other", "me")), nullptr);
  EXPECT_EQ(unwrap(store().find_upload(id, upload_repository, "you")), nullptr);
  EXPECT_EQ(unwrap(store().find_upload(id, upload_repository, "")), nullptr);
  EXPECT_FALSE(unwrap(store().remove_upload(id, upload_repository, "you")));
  const std::string free = unwrap(store().begin_upload(upload_repository, ""))->id();
  EXPECT_TRUE(unwrap(store().find_upload(free, upload_repository, "you")));
  for (const std::string& bad : std::vector<std::string>{
           "", "..", "../../etc", "0123", "/", std::string(32, 'g'), std::string(32, 'A')}) {
    EXPECT_EQ(unwrap(store().find_upload(bad, upload_repository, "me")), nullptr) << bad;
    EXPECT_FALSE(unwrap(store().remove_upload(bad, upload_repository, "me"))) << bad;
  }
  restart();
  EXPECT_EQ(unwrap(store().find_upload(id, upload_repository, "you")), nullptr);
  EXPECT_TRUE(find(id));
}

TEST_F(StoreUploadTest, OwnersAreAnyBytes) {
  const std::string owner("a\nb\0\xff", 5);
  const std::string id = unwrap(store().begin_upload(upload_repository, owner))->id();
  restart();
  EXPECT_TRUE(unwrap(store().find_upload(id, upload_repository, owner)));
  EXPECT_EQ(unwrap(store().find_upload(id, upload_repository, "a")), nullptr);
}

TEST_F(StoreUploadTest, OneWritesAtATime) {
  const auto upload = begin();
  auto first = unwrap(upload->begin());
  EXPECT_THAT(upload->begin(), fails_with(ErrorCode::already_exists));
  unwrap(first->write(as_bytes("x")));
  first.reset();
  EXPECT_THAT(upload->begin(), is_ok());
}

TEST_F(StoreUploadTest, RemovedUploadIsGone) {
  const auto upload = begin();
  write(*upload, "x");
  EXPECT_TRUE(unwrap(store().remove_upload(upload->id(), upload_repository, "me")));
  EXPECT_FALSE(unwrap(store().remove_upload(upload->id(), upload_repository, "me")));
  EXPECT_TRUE(fs::is_empty(uploads()));
  EXPECT_THAT(upload->begin(), fails_with(ErrorCode::not_found));
}

TEST_F(StoreUploadTest, RemovedWhileARequestWrites) {
  const auto upload = begin();
  const auto writing = unwrap(upload->begin());
  unwrap(writing->write(as_bytes("x")));
  EXPECT_TRUE(unwrap(store().remove_upload(upload->id(), upload_repository, "me")));
  EXPECT_THAT(writing->write(as_bytes("y")), fails_with(ErrorCode::not_found));
  EXPECT_THAT(writing->finish(Digest::of("x")), fails_with(ErrorCode::not_found));
  EXPECT_FALSE(repository()->blob_size(Digest::of("x")));
}

TEST_F(StoreUploadTest, ExpiresAfterTheLastByte) {
  limits_.upload_lifetime = std::chrono::seconds(0);
  const auto busy = begin();
  const auto writing = unwrap(busy->begin());
  const std::string idle = begin()->id();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  store().expire_uploads();
  EXPECT_EQ(find(idle), nullptr);
  EXPECT_TRUE(find(busy->id())) << "a request is writing to it";
  limits_.upload_lifetime = std::chrono::hours(1);
  const std::string old = begin()->id();
  restart();
  const std::string young = begin()->id();
  store().expire_uploads();
  EXPECT_TRUE(find(old));
  // As left behind by a server that was down for long.
  fs::last_write_time(uploads() / old / "data",
                      fs::file_time_type::clock::now() - std::chrono::hours(2));
  restart();
  store().expire_uploads();
  EXPECT_EQ(find(old), nullptr);
  EXPECT_FALSE(fs::exists(uploads() / old));
  EXPECT_TRUE(find(young));
}

TEST_F(StoreUploadTest, OnlySoManyAreOpen) {
  limits_.uploads = 3;
  std::vector<std::shared_ptr<Upload>> open{begin(), begin(), begin()};
  EXPECT_THAT(store().begin_upload(upload_repository, "me"), fails_with(ErrorCode::rate_limited));
  unwrap(finish(*open.back(), Digest::of("")));
  EXPECT_THAT(store().begin_upload(upload_repository, "me"), is_ok());
  EXPECT_THAT(store().begin_upload(upload_repository, "me"), fails_with(ErrorCode::rate_limited));
  EXPECT_TRUE(unwrap(store().remove_upload(open.front()->id(), upload_repository, "me")));
  EXPECT_THAT(store().begin_upload(upload_repository, "me"), is_ok());
}

TEST_F(StoreUploadTest, WhatIsNotCompleteAtTheStartIsDropped) {
  store();
  const fs::path empty = uploads() / std::string(32, 'a');
  fs::create_directories(empty);
  const fs::path no_data = uploads() / std::string(32, 'b');
  fs::create_directories(no_data);
  std::ofstream(no_data / "session") << "fnimage upload 1\nteam/action\nsha256\nme";
  const fs::path torn = uploads() / std::string(32, 'c');
  fs::create_directories(torn);
  std::ofstream(torn / "session") << "fnimage upl";
  std::ofstream(torn / "data") << "x";
  const fs::path evil = uploads() / std::string(32, 'd');
  fs::create_directories(evil);
  std::ofstream(evil / "session") << "fnimage upload 1\n../../escape\nsha256\nme";
  std::ofstream(evil / "data") << "x";
  fs::create_directories(uploads() / "not-ours");
  restart();
  EXPECT_EQ(std::distance(fs::directory_iterator(uploads()), {}), 1);
  EXPECT_TRUE(fs::exists(uploads() / "not-ours"));
}

TEST_F(StoreUploadTest, ReplacesAFileOfAnotherSize) {
  put_blob(upload_repository, "whole bytes");
  const Digest digest = Digest::of("whole bytes");
  std::ofstream(blob_path(digest)) << "torn";
  put_blob(upload_repository, "whole bytes");
  EXPECT_EQ(blob(digest), "whole bytes");
}

TEST_F(StoreUploadTest, MountIsASecondNameOfOneFile) {
  put_blob("from", "layer");
  const Digest digest = Digest::of("layer");
  EXPECT_TRUE(unwrap(repository("to")->mount(digest, *repository("from"))));
  EXPECT_EQ(blob(digest, "to"), "layer");
  EXPECT_TRUE(fs::equivalent(blob_path(digest, "from"), blob_path(digest, "to")));
  EXPECT_TRUE(unwrap(repository("to")->mount(digest, *repository("from")))) << "again";
  EXPECT_TRUE(unwrap(repository("to")->mount(digest, *repository("to"))));
  EXPECT_FALSE(unwrap(repository("to")->mount(Digest::of("absent"), *repository("from"))));
  EXPECT_EQ(unwrap(repository("from")->remove_blob(digest)), Outcome::done);
  EXPECT_EQ(unwrap(repository("from")->remove_blob(digest)), Outcome::absent);
  EXPECT_EQ(blob(digest, "to"), "layer");
}

TEST_F(StoreUploadTest, MountReplacesWhatIsTorn) {
  put_blob("from", "layer");
  put_blob("to", "layer");
  const Digest digest = Digest::of("layer");
  std::ofstream(blob_path(digest, "to")) << "lay";
  EXPECT_TRUE(unwrap(repository("to")->mount(digest, *repository("from"))));
  EXPECT_EQ(blob(digest, "to"), "layer");
}

TEST_F(StoreUploadTest, ManifestIsNotRemovedAsABlob) {
  const auto put = image("a", {"v1"});
  unwrap(repository()->put_manifest(put, {}));
  EXPECT_EQ(unwrap(repository()->remove_blob(put.digest)), Outcome::refused);
  EXPECT_TRUE(unwrap(repository()->manifest("v1")));
}

TEST_F(StoreUploadTest, FileThatMayNotGrowIsNoSpace) {
  const auto upload = begin();
  const auto in = repository();
  write(*upload, "0123456789");
  // Instead of a full disk: the limit on the size of files, at which write() comes short, too.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 15, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto written = unwrap(upload->begin())->write(as_bytes("abcdefghij"));
  const auto size = upload->size();
  const auto put = in->put_manifest(image("a", {"v1"}), {});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(written, fails_with(ErrorCode::no_space));
  EXPECT_THAT(put, fails_with(ErrorCode::no_space));
  EXPECT_EQ(size, 15U) << "what is in the file counts";
  EXPECT_EQ(fs::file_size(uploads() / upload->id() / "data"), 15U);
  write(*upload, "fghij");
  unwrap(finish(*upload, Digest::of("0123456789abcdefghij")));
  EXPECT_EQ(blob(Digest::of("0123456789abcdefghij")), "0123456789abcdefghij");
  EXPECT_THAT(repository()->put_manifest(image("a", {"v1"}), {}), is_ok());
}

/// A small file system that is gone with the object; is_there() is false where none may be mounted.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path at) : at_(std::move(at)) {
    fs::create_directories(at_);
    is_there_ = ::mount("none", at_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (is_there_) {
      ::umount2(at_.c_str(), MNT_DETACH);
    }
  }
  [[nodiscard]] bool is_there() const noexcept { return is_there_; }

 private:
  fs::path at_;
  bool is_there_ = false;
};

TEST_F(StoreUploadTest, FullDisk) {
  const SmallDisk disk(path());
  if (!disk.is_there()) {
    GTEST_SKIP() << "no small file system can be mounted here: " << std::strerror(errno);
  }
  unwrap(repository()->put_manifest(image("first", {"v1"}), {}));
  const auto upload = begin();
  const auto writing = unwrap(upload->begin());
  const std::string block(64 * 1024, 'x');
  Result<void> written{};
  for (int i = 0; i < 100 && written; ++i) {
    written = writing->write(as_bytes(block));
  }
  EXPECT_THAT(written, fails_with(ErrorCode::no_space));
  EXPECT_EQ(upload->size(), fs::file_size(uploads() / upload->id() / "data"));
  EXPECT_THAT(repository()->put_manifest(image("second", {"v1"}), {}),
              fails_with(ErrorCode::no_space));
  EXPECT_THAT(store().create("other"), fails_with(ErrorCode::no_space));
  EXPECT_THAT(store().begin_upload(upload_repository, "me"),
              testing::AnyOf(is_ok(), fails_with(ErrorCode::no_space)));
  EXPECT_EQ(*unwrap(repository()->manifest("v1"))->bytes, image("first").bytes);
  EXPECT_EQ(unwrap(repository()->tags())->size(), 1U);
  EXPECT_TRUE(unwrap(store().remove_upload(upload->id(), upload_repository, "me")));
  EXPECT_THAT(repository()->put_manifest(image("second", {"v1"}), {}), is_ok());
  EXPECT_THAT(store().create("other"), is_ok());
}

TEST_F(StoreUploadTest, FileSystemsDiffer) {
  repository("other");
  const SmallDisk disk(path() / "other");
  if (!disk.is_there()) {
    GTEST_SKIP() << "no small file system can be mounted here: " << std::strerror(errno);
  }
  put_blob("other", "copied from the uploads");
  EXPECT_EQ(blob(Digest::of("copied from the uploads"), "other"), "copied from the uploads");
  EXPECT_TRUE(fs::is_empty(uploads()));
  put_blob("from", "layer");
  EXPECT_TRUE(unwrap(repository("other")->mount(Digest::of("layer"), *repository("from"))));
  EXPECT_EQ(blob(Digest::of("layer"), "other"), "layer");
}

TEST_F(StoreUploadTest, ManyAtOnceFromManyThreads) {
  store();
  std::vector<std::thread> running;
  for (int t = 0; t < 8; ++t) {
    running.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        // Half of them are the same blob.
        const std::string bytes = t % 2 == 0 ? "same" : std::to_string(t * 100 + i);
        put_blob("r" + std::to_string(t % 3), bytes);
        EXPECT_EQ(blob(Digest::of(bytes), "r" + std::to_string(t % 3)), bytes);
      }
    });
  }
  std::ranges::for_each(running, [](std::thread& thread) { thread.join(); });
  EXPECT_TRUE(fs::is_empty(uploads()));
}

}  // namespace
}  // namespace fnimage::server

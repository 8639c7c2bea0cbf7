// The upload journal: an upload that one client left is finished by the next, and files that are
// old, torn, locked or in the way do no harm.
#include "upload_journal.hpp"

#include <filesystem>

#include <sys/stat.h>

#include <fnimage/registry/client.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::TempDir;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UploadJournalTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path directory() const { return temp_ / "state/uploads"; }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory()), fs::directory_iterator()));
  }
  [[nodiscard]] UploadJournal::Key key(const std::string& repository = "a") const {
    return {"registry.example", repository, blob_of("x").digest, 1000};
  }
  TempDir temp_;
};

TEST_F(UploadJournalTest, RemembersUntilRemoved) {
  UploadJournal journal(directory());
  {
    auto entry = unwrap(journal.claim(key()));
    ASSERT_TRUE(entry);
    EXPECT_FALSE(entry->known());
    ASSERT_THAT(entry->save({"https://registry.example/up/1?_state=x", 77}), is_ok());
    EXPECT_FALSE(unwrap(journal.claim(key()))) << "somebody has it";
    EXPECT_TRUE(unwrap(journal.claim(key("other"))));
  }
  struct stat found {};
  ASSERT_EQ(::stat(directory().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0700U);
  ASSERT_EQ(entries(), 1U);
  ASSERT_EQ(::stat(fs::directory_iterator(directory())->path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
  {
    UploadJournal next(directory());
    auto entry = unwrap(next.claim(key()));
    ASSERT_TRUE(entry && entry->known());
    EXPECT_EQ(entry->known()->offset, 77U);
    EXPECT_EQ(entry->known()->location, "https://registry.example/up/1?_state=x");
    entry->remove();
  }
  EXPECT_EQ(entries(), 0U);
}

TEST_F(UploadJournalTest, DamagedEntriesAreNone) {
  UploadJournal journal(directory());
  ASSERT_THAT(unwrap(journal.claim(key()))->save({"http://r/up", 5}), is_ok());
  const fs::path file = fs::directory_iterator(directory())->path();
  const std::string good = temp_.read(fs::relative(file, temp_.path()).string());
  for (std::size_t length = 0; length < good.size(); ++length) {
    fs::resize_file(file, length);
    EXPECT_FALSE(unwrap(journal.claim(key()))->known()) << length;
    temp_.write(fs::relative(file, temp_.path()).string(), good);
  }
  UploadJournal::Key other = key();
  other.size = 999;
  EXPECT_FALSE(unwrap(journal.claim(other))->known());
}

TEST_F(UploadJournalTest, OldAndTooManyEntriesGo) {
  for (std::size_t i = 0; i < UploadJournal::max_entries + 20; ++i) {
    temp_.write("state/uploads/" + std::to_string(i) + ".upload", "{}");
  }
  const fs::path old = temp_.write("state/uploads/old.upload", "{}");
  fs::last_write_time(old, fs::file_time_type::clock::now() -
                               std::chrono::hours(24 * (UploadJournal::max_days + 1)));
  const fs::path foreign = temp_.write("state/uploads/notes.txt", "mine");
  UploadJournal journal(directory());
  ASSERT_TRUE(unwrap(journal.claim(key())));
  EXPECT_EQ(entries(), UploadJournal::max_entries + 1) << "and one that is not ours";
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(foreign));
}

TEST_F(UploadJournalTest, NextClientFinishesWhatTheLastOneLeft) {
  MemoryRegistry registry;
  const std::string bytes = random_bytes(5'000'000);
  const auto put = [&](int attempts) {
    TestClient client(
        {.plain_http = true, .retry = {.attempts = attempts}, .upload_journal = directory()});
    const auto store = client.repository(registry.address() + "/a");
    return store->put_blob(blob_of(bytes), *memory_content(bytes), {});
  };
  registry.cut_next({2'000'000});
  EXPECT_THAT(put(1), fails_with(ErrorCode::unavailable));
  EXPECT_EQ(registry.open_uploads(), 1U) << "kept for the next run";
  EXPECT_EQ(unwrap(put(1)), BlobOutcome::uploaded);
  EXPECT_TRUE(registry.blob(blob_of(bytes).digest.str()) == bytes);
  EXPECT_EQ(registry.received(), bytes.size());
  EXPECT_EQ(registry.count("POST"), 1U);
  EXPECT_EQ(entries(), 0U);
}

TEST_F(UploadJournalTest, SessionThatIsGoneMeansANewOne) {
  MemoryRegistry registry({.forgets = true});
  const std::string bytes = random_bytes(2'000'000);
  TestClient client({.plain_http = true, .retry = {.attempts = 1}, .upload_journal = directory()});
  const auto store = client.repository(registry.address() + "/a");
  registry.cut_next({1'000'000});
  EXPECT_FALSE(store->put_blob(blob_of(bytes), *memory_content(bytes), {}));
  EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *memory_content(bytes), {})),
            BlobOutcome::uploaded);
  EXPECT_EQ(registry.count("POST"), 2U);
  EXPECT_THAT(client.messages(), ::testing::Contains(HasSubstr("has forgotten the upload")));
}

TEST_F(UploadJournalTest, SessionThatIsOfNoUseIsEnded) {
  MemoryRegistry registry({.range = [](std::size_t) { return std::string("5-9"); }});
  const std::string bytes = random_bytes(2'000'000);
  TestClient client({.plain_http = true, .retry = {.attempts = 1}, .upload_journal = directory()});
  const auto store = client.repository(registry.address() + "/a");
  registry.cut_next({1'000'000});
  EXPECT_FALSE(store->put_blob(blob_of(bytes), *memory_content(bytes), {}));
  EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *memory_content(bytes), {})),
            BlobOutcome::uploaded);
  EXPECT_EQ(registry.open_uploads(), 0U);
}

TEST_F(UploadJournalTest, WhatHasGotThereOtherwiseLeavesNothingBehind) {
  MemoryRegistry registry;
  const std::string bytes = random_bytes(2'000'000);
  TestClient interrupted(
      {.plain_http = true, .retry = {.attempts = 1}, .upload_journal = directory()});
  const auto store = interrupted.repository(registry.address() + "/a");
  registry.cut_next({1'000'000});
  EXPECT_FALSE(store->put_blob(blob_of(bytes), *memory_content(bytes), {}));
  EXPECT_EQ(registry.open_uploads(), 1U);
  TestClient other({.plain_http = true});
  unwrap(other.repository(registry.address() + "/a")
             ->put_blob(blob_of(bytes), *memory_content(bytes), {}));
  EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *memory_content(bytes), {})),
            BlobOutcome::existed);
  EXPECT_EQ(registry.open_uploads(), 0U);
  EXPECT_EQ(entries(), 0U);
}

TEST_F(UploadJournalTest, JournalThatCannotBeKeptIsOnlyAWarning) {
  temp_.write("state", "a file where a directory should be");
  MemoryRegistry registry;
  const std::string bytes = random_bytes(2'000'000);
  TestClient client({.plain_http = true, .upload_journal = directory()});
  const auto store = client.repository(registry.address() + "/a");
  EXPECT_EQ(unwrap(store->put_blob(blob_of(bytes), *memory_content(bytes), {})),
            BlobOutcome::uploaded);
  EXPECT_THAT(client.messages(), ::testing::Contains(HasSubstr("cannot be resumed")));
}

}  // namespace
}  // namespace fnimage::registry

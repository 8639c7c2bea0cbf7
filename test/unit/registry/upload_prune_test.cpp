// Entries that go out of the upload journal because of their age: what they name is ended at the
// registry that the run has to do with, and nowhere else (C18).
#include <filesystem>
#include <optional>

#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"
#include "upload_journal.hpp"

namespace fnimage::registry {
namespace {

namespace fs = std::filesystem;
using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::ElementsAre;

class UploadPruning : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path directory() const { return temp_ / "uploads"; }

  [[nodiscard]] Result<BlobOutcome> put(const std::string& registry, std::size_t size,
                                        int attempts = 1) const {
    TestClient client(
        {.plain_http = true, .retry = {.attempts = attempts}, .upload_journal = directory()},
        fixed_credentials(registry, {.username = "ann", .password = "secret"}));
    const std::string bytes = random_bytes(size);
    return client.repository(registry + "/a")->put_blob(blob_of(bytes), *memory_content(bytes), {});
  }
  /// As a run leaves it that was interrupted.
  void leave(MemoryRegistry& registry, std::size_t size) const {
    registry.cut_next({1'000'000});
    EXPECT_FALSE(put(registry.address(), size));
  }
  void note(const std::string& registry, const std::string& location, const std::string& bytes) {
    UploadJournal journal(directory());
    auto entry = unwrap(journal.claim({registry, "a", blob_of(bytes).digest, bytes.size()}));
    ASSERT_TRUE(entry);
    ASSERT_THAT(entry->save({location, 1}), is_ok());
  }
  void age(int days) const {
    for (const auto& entry : fs::directory_iterator(directory())) {
      fs::last_write_time(entry.path(),
                          fs::file_time_type::clock::now() - std::chrono::hours(24 * days));
    }
  }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory()), fs::directory_iterator()));
  }

  static constexpr int old = UploadJournal::max_days + 1;
  test::TempDir temp_;
};

TEST_F(UploadPruning, OldSessionsAreEnded) {
  MemoryRegistry registry;
  leave(registry, 2'000'000);
  ASSERT_THAT(put(registry.address(), 1'500'000), is_ok());
  EXPECT_EQ(registry.open_uploads(), 1U) << "it may still be gone on with";
  age(old);
  ASSERT_THAT(put(registry.address(), 1'600'000), is_ok());
  EXPECT_EQ(registry.open_uploads(), 0U);
  EXPECT_EQ(entries(), 0U);
}

TEST_F(UploadPruning, AFewInEachRun) {
  MemoryRegistry registry;
  const std::size_t count = UploadJournal::max_abandoned + 2;
  for (std::size_t i = 0; i < count; ++i) {
    leave(registry, 2'000'000 + i);
  }
  age(old);
  ASSERT_THAT(put(registry.address(), 1'500'000), is_ok());
  EXPECT_EQ(registry.open_uploads(), 2U);
  EXPECT_EQ(entries(), 2U);
  ASSERT_THAT(put(registry.address(), 1'600'000), is_ok());
  EXPECT_EQ(registry.open_uploads(), 0U);
  EXPECT_EQ(entries(), 0U);
}

TEST_F(UploadPruning, OtherRegistriesAreLeftAlone) {
  MemoryRegistry registry;
  MemoryRegistry other;
  leave(other, 2'000'000);
  const std::size_t asked = other.server().lines().size();
  age(old);
  ASSERT_THAT(put(registry.address(), 1'500'000), is_ok());
  EXPECT_EQ(entries(), 1U) << "a run that has to do with that registry may end it";
  age(2 * old);
  ASSERT_THAT(put(registry.address(), 1'600'000), is_ok());
  EXPECT_EQ(entries(), 0U);
  EXPECT_EQ(other.server().lines().size(), asked);
}

TEST_F(UploadPruning, AnotherOriginGetsNoCredentials) {
  MemoryRegistry registry({.instead = [](const SeenRequest& request) -> std::optional<Reply> {
    if (request.header("Authorization")) {
      return std::nullopt;
    }
    return Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  }});
  // One that answers, one that refuses and asks for credentials, one that does not go on.
  test::ScriptedServer elsewhere([](const SeenRequest& request) -> Reply {
    if (request.target == "/up/2") {
      return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    }
    return {.status = 204,
            .fault = request.target == "/up/3" ? Reply::Fault::stall_head : Reply::Fault::none};
  });
  for (const std::string id : {"1", "2", "3"}) {
    note(registry.address(), elsewhere.url("/up/" + id), "bytes " + id);
  }
  note(registry.address(), "not a location", "bytes");
  age(old);
  ASSERT_THAT(put(registry.address(), 1'500'000), is_ok());
  EXPECT_EQ(entries(), 0U);
  std::vector<std::string> lines = elsewhere.lines();
  std::sort(lines.begin(), lines.end());
  EXPECT_THAT(lines, ElementsAre("DELETE /up/1", "DELETE /up/2", "DELETE /up/3"));
  for (const SeenRequest& request : elsewhere.requests()) {
    EXPECT_EQ(request.header("Authorization"), std::nullopt);
  }
}

TEST_F(UploadPruning, NothingIsEndedWhenTheRegistryDoesNotTakeTheBlob) {
  MemoryRegistry registry;
  leave(registry, 2'000'000);
  age(old);
  leave(registry, 3'000'000);
  EXPECT_EQ(registry.count("DELETE"), 0U);
}

}  // namespace
}  // namespace fnimage::registry

// Uploads that were begun, noted on disk so that the next process goes on with them: which blob of
// which repository, where its session is and how much the registry has acknowledged. One file per
// blob, locked by whoever uploads it. Holds no credentials; since some registries sign the
// Location, the directory has mode 0700 and the files 0600. Thread-safety: UploadJournal may be
// used from several threads; an Entry belongs to one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::registry {

class UploadJournal {
 public:
  static constexpr std::size_t max_entries = 256;
  static constexpr std::uint64_t max_entry_bytes = std::uint64_t{32} * 1024;
  /// Of larger blobs an entry outlives a crash of the machine: sending them again costs more.
  static constexpr std::uint64_t synced_size = std::uint64_t{16} << 20;
  static constexpr int max_days = 7;               ///< registries forget sessions sooner
  static constexpr std::size_t max_abandoned = 4;  ///< in one run; the others wait for the next

  struct Key {
    std::string registry;
    std::string repository;
    manifest::Digest digest;
    std::uint64_t size = 0;
  };
  struct State {
    std::string location;
    std::uint64_t offset = 0;  ///< bytes that the registry has acknowledged
  };

  /// An upload that was too old to be gone on with.
  struct Abandoned {
    std::string repository;
    std::string location;
  };

  /// The right to one entry; no other process or thread has it meanwhile.
  class Entry {
   public:
    Entry(Entry&& other) noexcept;
    Entry& operator=(Entry&& other) = delete;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();

    /// What an earlier run left; nullopt for nothing, or nothing usable.
    [[nodiscard]] const std::optional<State>& known() const noexcept { return known_; }
    Result<void> save(const State& state);
    /// Forgets the upload. Failures are of no interest: an old entry does no harm.
    void remove() noexcept;

   private:
    friend class UploadJournal;
    Entry(std::filesystem::path path, int fd, Key key)
        : path_(std::move(path)), fd_(fd), key_(std::move(key)) {}
    void load();

    std::filesystem::path path_;
    int fd_;
    Key key_;
    std::optional<State> known_;
    bool kept_ = false;  ///< the file holds something worth keeping
  };

  /// @param directory empty = no journal is kept. Nothing is done before the first claim().
  explicit UploadJournal(std::filesystem::path directory) : directory_(std::move(directory)) {}

  [[nodiscard]] bool enabled() const noexcept { return !directory_.empty(); }
  /// nullopt when somebody else uploads this blob now, or there is no journal. Errors are those of
  /// the file system.
  Result<std::optional<Entry>> claim(const Key& key);
  /// As claim(), but nullopt also when no earlier run has left anything.
  Result<std::optional<Entry>> claim_known(const Key& key);
  /// Uploads to the registry of the first claim() which that has dropped from the journal, each
  /// given once: their sessions may still be there and are to be ended (C18). Those to other
  /// registries are kept twice as long, until one talks to that registry, and are dropped then.
  std::vector<Abandoned> take_abandoned();

 private:
  Result<void> prepare(const std::string& registry);
  [[nodiscard]] std::filesystem::path path_of(const Key& key) const;

  std::filesystem::path directory_;
  std::mutex mutex_;
  bool prepared_ = false;  // guarded by mutex_, as the next
  std::vector<Abandoned> abandoned_;
};

}  // namespace fnimage::registry

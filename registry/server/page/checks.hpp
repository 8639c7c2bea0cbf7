// Checks of images that people have asked for on the page: one after the other on a thread of their
// own, a bounded number of them waiting, the results kept in memory. Thread-safety: all methods
// from several threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include <fnimage/server/page.hpp>

#include "page/lru.hpp"

namespace fnimage::server {

/// How a check has ended.
struct CheckOutcome {
  CheckSummary summary{};
  std::string error{};  ///< why there is no summary
  std::string hint{};
};

class Checks {
 public:
  using Check = std::function<Result<CheckSummary>(const CheckTask& task)>;

  /// @param store the directory of all repositories.
  Checks(Check check, std::filesystem::path store);
  Checks(const Checks&) = delete;
  Checks& operator=(const Checks&) = delete;
  /// Waits for a check that is going on, which is asked to end.
  ~Checks() = default;

  /// Whether images can be checked at all.
  [[nodiscard]] bool is_offered() const { return check_ != nullptr; }
  enum class Begun : std::uint8_t { yes, busy };
  /// Checks an image, again if it was checked before. Busy: too many wait.
  Begun begin(const std::string& repository, const manifest::Digest& digest);
  /// Whether it is being checked, or waits for that.
  [[nodiscard]] bool is_going_on(const std::string& repository, const manifest::Digest& digest);
  /// Null = not checked, or long ago.
  std::shared_ptr<const CheckOutcome> outcome(const std::string& repository,
                                              const manifest::Digest& digest);
  /// The check that goes on is asked to end, and none begins any more.
  void stop() { worker_.request_stop(); }

 private:
  struct Task {
    std::string key;
    std::filesystem::path layout;
    manifest::Digest digest;
  };
  void work(const std::stop_token& stop);
  [[nodiscard]] std::shared_ptr<const CheckOutcome> run(const Task& task,
                                                        const std::stop_token& stop) const;

  static constexpr std::size_t most_kept = 256;
  const Check check_;
  const std::filesystem::path store_;
  Lru<CheckOutcome> outcomes_{most_kept};
  std::mutex mutex_;
  std::condition_variable_any wakes_;
  std::deque<Task> waiting_{};    // guarded by mutex_
  std::set<std::string> open_{};  // keys of those that wait or go on; guarded by mutex_
  std::jthread worker_;           // ends before what it uses
};

}  // namespace fnimage::server

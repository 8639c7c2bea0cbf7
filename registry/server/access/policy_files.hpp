// The policy in force, which follows its files. Thread-safety: from several threads.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/server/access.hpp>

#include "access/policy.hpp"
#include "access/watched_file.hpp"

namespace fnimage::server {

class PolicyFiles {
 public:
  /// Reads all files. @param pause how long a change of them may go unnoticed. Errors: those of the
  /// file system, invalid_input with file and line.
  static Result<std::unique_ptr<PolicyFiles>> open(
      const AccessOptions& options, std::chrono::milliseconds pause = std::chrono::seconds(1));

  /// What the files say now. Does not wait but for the file system.
  std::shared_ptr<const Policy> current();

 private:
  struct Watched {
    WatchedFile file;
    std::string reported{};  ///< the last failure, which is told once
  };
  PolicyFiles(const AccessOptions& options, std::chrono::milliseconds pause);

  /// Reads a file again if it has changed. @param read makes something of the text and leaves it in
  /// a policy.
  using Read = std::function<Result<void>(const std::string& text, const std::string& file)>;
  static Result<void> look(std::optional<Watched>& watched, const Read& read);
  /// All files: what changed of `policy`; failures go to `failed`.
  using Failed = std::function<Result<void>(Watched& watched, const Error& error)>;
  Result<void> look_at_all(Policy& policy, const Failed& failed);
  Result<void> complain(Watched& watched, const Error& error) const;

  std::chrono::milliseconds pause_;
  std::function<void(const std::string&)> warn_;
  std::mutex looking_;  // held while files are read: the next uses what there is
  std::optional<Watched> htpasswd_{};
  std::optional<Watched> rules_{};
  std::optional<Watched> tokens_{};
  std::chrono::steady_clock::time_point looked_{};
  std::mutex mutex_;
  std::shared_ptr<const Policy> policy_{};
};

}  // namespace fnimage::server

// Verifying passwords, which is slow on purpose: what was right a moment ago is remembered, and
// guessing takes neither all of the processors nor all of the threads. Thread-safety: from several
// threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "access/htpasswd.hpp"
#include "access/secrets.hpp"

namespace fnimage::server {

struct PasswordLimits {
  std::size_t running = 2;  ///< verified at once
  /// Verified or waited for, by threads that do nothing else meanwhile; HttpLimits::workers is what
  /// there is of them.
  std::size_t inside = 6;
  std::size_t inside_of_peer = 3;  ///< of these, asked for by one address
  std::size_t remembered = 1000;
  std::chrono::seconds remembered_for{300};  ///< after the last use
};

class PasswordCheck {
 public:
  enum class Verdict : std::uint8_t { right, wrong, busy };

  explicit PasswordCheck(const PasswordLimits& limits = {});

  /// Waits for as long as verifying takes, the same for a user that does not exist. Busy = too many
  /// are being verified; ask again. @param peer the client's address.
  Verdict check(const Htpasswd& users, std::string_view user, const std::string& password,
                const std::string& peer);

 private:
  /// One password of one user that is being verified, for all who ask for it now.
  struct Flight {
    std::optional<bool> is_right{};
  };
  using Clock = std::chrono::steady_clock;

  /// Of the entry, too: what was remembered of another entry is never found.
  [[nodiscard]] Mac key_of(std::string_view user, const std::string& entry,
                           std::string_view password) const;
  bool is_remembered(const Mac& key);  ///< mutex_ is held
  void remember(const Mac& key);       ///< mutex_ is held
  bool verify(const Mac& key, const std::string& entry, const std::string& password,
              std::unique_lock<std::mutex>& lock);

  PasswordLimits limits_;
  std::string secret_;  // of this process: what is remembered is of no use elsewhere
  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<Mac, Clock::time_point> remembered_{};  // until when
  std::map<Mac, std::shared_ptr<Flight>> flights_{};
  std::map<std::string, std::size_t> peers_{};  // how many are inside
  std::size_t inside_ = 0;
  std::size_t running_ = 0;
};

}  // namespace fnimage::server

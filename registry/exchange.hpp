// The bounded meeting point of one HTTP transfer: the transfer thread moves bytes between libcurl
// and this buffer, the thread that called Transport::perform() moves them between this buffer and
// its Content and Writer. So slow disks and bodies that come from another transfer never hold up
// the transfer thread. Thread-safety: one thread on each side.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace fnimage::registry {

class Exchange {
 public:
  static constexpr std::size_t chunk_bytes = std::size_t{256} * 1024;
  static constexpr std::size_t max_chunks = 4;                               ///< of request body
  static constexpr std::size_t max_received = std::size_t{1} * 1024 * 1024;  ///< of answer body

  /// What the calling thread has to do next.
  struct Step {
    std::string received{};  ///< to be written to the sink
    std::uint64_t sent = 0;  ///< bytes of body that libcurl has taken
    bool wants_body = false;
    bool resume = false;  ///< the transfer thread waits for what `received` made room for
    bool finished = false;
  };

  // --- transfer thread ---
  /// False: full; the transfer pauses until it is resumed.
  bool deliver(std::string_view bytes);
  /// Copies body bytes; 0 = end of body, nullopt = none there yet: the transfer pauses until it is
  /// resumed.
  std::optional<std::size_t> collect(char* target, std::size_t capacity);
  /// So much of the body has gone, not through here.
  void moved(std::uint64_t sent);
  void finish();

  // --- calling thread ---
  /// Waits until there is something to do.
  Step next();
  /// Gives body bytes (empty = end of body). True: resume the transfer.
  bool supply(std::string chunk);
  /// From now on next() only waits for the end.
  void abandon();

 private:
  /// Of a body that goes past: worth waking the calling thread for.
  [[nodiscard]] bool news() const { return !has_body_ && sent_ >= told_ + max_received; }
  [[nodiscard]] bool wants_body() const {
    return !body_ended_ && chunks_.size() < max_chunks && has_body_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string received_;
  std::deque<std::string> chunks_;
  std::size_t front_offset_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t told_ = 0;  ///< of sent_, to the calling thread
  bool has_body_ = false;
  bool body_ended_ = false;
  bool receive_paused_ = false;
  bool send_paused_ = false;
  bool abandoned_ = false;
  bool finished_ = false;
};

}  // namespace fnimage::registry

// The thread that owns the curl multi handle. Others hand it transfers and wake it; it never blocks
// on anything but the network. It keeps the budget of connections per host for all images and
// threads together, lets small requests go before large bodies, and shares out the rate limit.
// Thread-safety: submit(), resume(), cancel() and stop() may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <curl/curl.h>

#include "curl_transfer.hpp"

namespace fnimage::registry {

struct CurlMultiDeleter {
  void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};
using CurlMulti = std::unique_ptr<CURLM, CurlMultiDeleter>;
using TransferPtr = std::shared_ptr<CurlTransfer>;

class CurlLoop {
 public:
  /// Takes the limits of these options: of all hosts, and of single ones.
  static Result<std::unique_ptr<CurlLoop>> start(const TransportOptions& options);
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;
  /// Transfers under way end as cancelled.
  ~CurlLoop();

  void submit(TransferPtr transfer) { send(Command::Kind::submit, std::move(transfer)); }
  void resume(TransferPtr transfer) { send(Command::Kind::resume, std::move(transfer)); }
  void cancel(TransferPtr transfer) { send(Command::Kind::cancel, std::move(transfer)); }
  /// Ends everything under way and to come as cancelled, but for what outlives_stop(), and what has
  /// begun and has a grace() when that is over.
  void stop() { send(Command::Kind::stop, nullptr); }

 private:
  struct Command {
    enum class Kind : std::uint8_t { submit, resume, cancel, stop };
    Kind kind;
    TransferPtr transfer;
  };
  /// One host's share. Large bodies leave one connection to small requests, which so never wait for
  /// them. But one upload and one download can always go on: an upload's body may come from a
  /// download of the same host, and that one may have to begin again.
  struct Host {
    std::size_t limit = 2;
    std::uint64_t rate = 0;  ///< bytes per second of its transfers, in each direction; 0 = no limit
    std::size_t active = 0;
    std::size_t large = 0;
    std::size_t downloads = 0;
    std::deque<TransferPtr> waiting_small;
    std::deque<TransferPtr> waiting_large;
  };

  CurlLoop(CurlMulti multi, const TransportOptions& options);

  void send(Command::Kind kind, TransferPtr transfer);
  void run(const std::stop_token& stop);
  void take_commands();
  void handle(Command& command);
  void enqueue(TransferPtr transfer);
  void drop(const TransferPtr& transfer);
  void drop_all();
  void drop_late();
  Host& host_of(const CurlTransfer& transfer);
  [[nodiscard]] static bool may_begin(const Host& host, const CurlTransfer& transfer);
  void begin_waiting(Host& host);
  void share_rate();
  void begin(Host& host, TransferPtr transfer);
  void collect_finished();
  void send_files();
  void end(CurlTransfer& transfer, CURLcode code);
  void end_all(CURLcode code);

  CurlSockets sockets_;  // the transfer thread's own; outlives the connections of multi_
  CurlMulti multi_;
  TransportOptions options_;
  bool limits_rates_;
  std::mutex mutex_;
  std::vector<Command> commands_;  // guarded by mutex_
  // The transfer thread's own:
  std::map<std::string, Host> hosts_;
  std::map<const CurlTransfer*, TransferPtr> active_;
  std::vector<curl_waitfd> file_sockets_;
  bool stopped_ = false;
  std::chrono::steady_clock::time_point stopped_at_{};
  std::jthread thread_;
};

}  // namespace fnimage::registry

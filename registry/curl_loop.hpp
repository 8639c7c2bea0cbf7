// The thread that owns the curl multi handle. Others hand it transfers and wake it; it never blocks
// on anything but the network. It keeps the budget of connections per host for all images and
// threads together. Thread-safety: submit(), resume() and cancel() may be called from any thread.
#pragma once

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
using TransferPtr = std::shared_ptr<Transfer>;

class CurlLoop {
 public:
  static Result<std::unique_ptr<CurlLoop>> start(std::size_t connections_per_host);
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;
  /// Transfers under way end as cancelled.
  ~CurlLoop();

  void submit(TransferPtr transfer) { send(Command::Kind::submit, std::move(transfer)); }
  void resume(TransferPtr transfer) { send(Command::Kind::resume, std::move(transfer)); }
  void cancel(TransferPtr transfer) { send(Command::Kind::cancel, std::move(transfer)); }

 private:
  struct Command {
    enum class Kind : std::uint8_t { submit, resume, cancel };
    Kind kind;
    TransferPtr transfer;
  };
  /// One host's share. Downloads may not take the last connection: an upload whose body comes from
  /// a download of the same host must always be able to proceed.
  struct Host {
    std::size_t active = 0;
    std::size_t downloads = 0;
    std::deque<TransferPtr> waiting;
  };

  CurlLoop(CurlMulti multi, std::size_t connections_per_host)
      : multi_(std::move(multi)), limit_(connections_per_host) {}

  void send(Command::Kind kind, TransferPtr transfer);
  void run(const std::stop_token& stop);
  void take_commands();
  void handle(Command& command);
  void begin_waiting(Host& host);
  void begin(Host& host, TransferPtr transfer);
  void collect_finished();
  void end(Transfer& transfer, CURLcode code);
  void end_all(CURLcode code);

  CurlMulti multi_;
  std::size_t limit_;
  std::mutex mutex_;
  std::vector<Command> commands_;  // guarded by mutex_
  // The transfer thread's own:
  std::map<std::string, Host> hosts_;
  std::map<const Transfer*, TransferPtr> active_;
  std::jthread thread_;
};

}  // namespace fnimage::registry

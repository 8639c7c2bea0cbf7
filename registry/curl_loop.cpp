// See curl_loop.hpp.
#include "curl_loop.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

#include <pthread.h>

namespace fnimage::registry {

Result<std::unique_ptr<CurlLoop>> CurlLoop::start(std::size_t connections_per_host,
                                                  std::uint64_t rate_limit) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  CurlMulti multi(global == CURLE_OK ? curl_multi_init() : nullptr);
  if (!multi) {
    return fail(ErrorCode::internal, "libcurl cannot be initialised");
  }
  std::unique_ptr<CurlLoop> loop(
      new CurlLoop(std::move(multi), std::max<std::size_t>(connections_per_host, 2), rate_limit));
  loop->thread_ = std::jthread([raw = loop.get()](const std::stop_token& stop) { raw->run(stop); });
  return loop;
}

CurlLoop::~CurlLoop() {
  thread_.request_stop();
  curl_multi_wakeup(multi_.get());
  thread_.join();
}

void CurlLoop::send(Command::Kind kind, TransferPtr transfer) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({kind, std::move(transfer)});
  }
  curl_multi_wakeup(multi_.get());
}

void CurlLoop::run(const std::stop_token& stop) {
  constexpr int idle_milliseconds = 1000;
  // sendfile() to a peer that has gone raises it; libcurl sees to itself.
  sigset_t broken_pipe;
  ::sigemptyset(&broken_pipe);
  ::sigaddset(&broken_pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  while (!stop.stop_requested()) {
    take_commands();
    int running = 0;
    const CURLMcode code = curl_multi_perform(multi_.get(), &running);
    if (code != CURLM_OK) {
      end_all(CURLE_FAILED_INIT);
    }
    collect_finished();
    send_files();
    curl_multi_poll(multi_.get(), file_sockets_.data(), static_cast<unsigned>(file_sockets_.size()),
                    idle_milliseconds, nullptr);
  }
  take_commands();
  end_all(CURLE_ABORTED_BY_CALLBACK);
}

void CurlLoop::take_commands() {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) {
    handle(command);
  }
}

void CurlLoop::handle(Command& command) {
  switch (command.kind) {
    case Command::Kind::submit:
      enqueue(std::move(command.transfer));
      break;
    case Command::Kind::resume:
      if (active_.contains(command.transfer.get())) {
        curl_easy_pause(command.transfer->handle(), CURLPAUSE_CONT);
      }
      break;
    case Command::Kind::cancel:
      drop(command.transfer);
      break;
    case Command::Kind::stop:
      stopped_ = true;
      drop_all();
      break;
  }
}

void CurlLoop::enqueue(TransferPtr transfer) {
  if (stopped_ && !transfer->outlives_stop()) {
    transfer->complete(CURLE_ABORTED_BY_CALLBACK);
    return;
  }
  Host& host = hosts_[transfer->host()];
  (transfer->is_large() ? host.waiting_large : host.waiting_small).push_back(std::move(transfer));
  begin_waiting(host);
}

void CurlLoop::drop(const TransferPtr& transfer) {
  if (active_.contains(transfer.get())) {
    end(*transfer, CURLE_ABORTED_BY_CALLBACK);
    return;
  }
  Host& host = hosts_[transfer->host()];
  if (std::erase(host.waiting_small, transfer) + std::erase(host.waiting_large, transfer) > 0) {
    transfer->complete(CURLE_ABORTED_BY_CALLBACK);
  }
}

void CurlLoop::drop_all() {
  std::vector<TransferPtr> doomed;
  for (auto& [name, host] : hosts_) {
    doomed.insert(doomed.end(), host.waiting_small.begin(), host.waiting_small.end());
    doomed.insert(doomed.end(), host.waiting_large.begin(), host.waiting_large.end());
  }
  for (const auto& [key, transfer] : active_) {
    doomed.push_back(transfer);
  }
  for (const TransferPtr& transfer : doomed) {
    if (!transfer->outlives_stop()) {
      drop(transfer);
    }
  }
}

bool CurlLoop::may_begin(const Host& host, const CurlTransfer& transfer) const {
  if (host.active >= limit_) {
    return false;
  }
  const std::size_t same_way =
      transfer.is_download() ? host.downloads : host.large - host.downloads;
  return !transfer.is_large() || host.large < large_limit_ || same_way == 0;
}

void CurlLoop::begin_waiting(Host& host) {
  for (auto* queue : {&host.waiting_small, &host.waiting_large}) {
    for (auto next = queue->begin(); next != queue->end() && host.active < limit_;) {
      if (!may_begin(host, **next)) {
        ++next;  // others may go first: see Host
        continue;
      }
      TransferPtr transfer = std::move(*next);
      next = queue->erase(next);
      begin(host, std::move(transfer));
    }
  }
}

void CurlLoop::share_rate() {
  if (rate_limit_ == 0) {
    return;
  }
  std::uint64_t uploads = 0;
  std::uint64_t downloads = 0;
  for (const auto& [key, transfer] : active_) {
    (transfer->is_download() ? downloads : uploads) += transfer->is_large() ? 1U : 0U;
  }
  const auto share = [this](std::uint64_t count) {
    return static_cast<curl_off_t>(
        std::max<std::uint64_t>(1, rate_limit_ / std::max<std::uint64_t>(count, 1)));
  };
  for (const auto& [key, transfer] : active_) {
    curl_easy_setopt(transfer->handle(), CURLOPT_MAX_SEND_SPEED_LARGE, share(uploads));
    curl_easy_setopt(transfer->handle(), CURLOPT_MAX_RECV_SPEED_LARGE, share(downloads));
  }
}

void CurlLoop::begin(Host& host, TransferPtr transfer) {
  if (!transfer->attach(sockets_) ||
      curl_multi_add_handle(multi_.get(), transfer->handle()) != CURLM_OK) {
    transfer->complete(CURLE_FAILED_INIT);
    return;
  }
  ++host.active;
  host.large += transfer->is_large() ? 1U : 0U;
  host.downloads += transfer->is_download() ? 1U : 0U;
  const CurlTransfer* key = transfer.get();
  active_.emplace(key, std::move(transfer));
  share_rate();
}

void CurlLoop::collect_finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) {
      continue;
    }
    void* owner = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    end(*static_cast<CurlTransfer*>(owner), message->data.result);
  }
}

void CurlLoop::send_files() {
  file_sockets_.clear();
  std::vector<std::pair<CurlTransfer*, CURLcode>> broken;
  for (const auto& [key, transfer] : active_) {
    const CURLcode code = transfer->send_file();
    const curl_socket_t socket = transfer->file_socket();
    if (code != CURLE_OK) {
      broken.emplace_back(transfer.get(), code);
    } else if (socket != CURL_SOCKET_BAD) {
      file_sockets_.push_back({.fd = socket, .events = CURL_WAIT_POLLOUT, .revents = 0});
    }
  }
  for (const auto& [transfer, code] : broken) {
    end(*transfer, code);
  }
}

void CurlLoop::end(CurlTransfer& transfer, CURLcode code) {
  curl_multi_remove_handle(multi_.get(), transfer.handle());
  Host& host = hosts_[transfer.host()];
  --host.active;
  host.large -= transfer.is_large() ? 1U : 0U;
  host.downloads -= transfer.is_download() ? 1U : 0U;
  const auto node = active_.extract(&transfer);  // keeps it alive until the end of this function
  transfer.complete(code);
  share_rate();
  begin_waiting(host);
}

void CurlLoop::end_all(CURLcode code) {
  for (auto& [name, host] : hosts_) {
    for (auto* queue : {&host.waiting_small, &host.waiting_large}) {
      for (const TransferPtr& transfer : std::exchange(*queue, {})) {
        transfer->complete(code);
      }
    }
  }
  while (!active_.empty()) {
    end(*active_.begin()->second, code);
  }
}

}  // namespace fnimage::registry

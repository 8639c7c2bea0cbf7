// See curl_loop.hpp.
#include "curl_loop.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

#include <pthread.h>

#include <fnimage/base/caught.hpp>

namespace fnimage::registry {

namespace {

/// Bytes per second for each of so many transfers; 0 = no limit.
std::uint64_t share_of(std::uint64_t rate, std::uint64_t transfers) {
  return rate == 0 ? 0 : std::max<std::uint64_t>(1, rate / std::max<std::uint64_t>(transfers, 1));
}

/// The smaller of two limits, where 0 is none.
curl_off_t tighter(std::uint64_t a, std::uint64_t b) {
  return static_cast<curl_off_t>(a == 0 || b == 0 ? std::max(a, b) : std::min(a, b));
}

}  // namespace

CurlLoop::CurlLoop(CurlMulti multi, const TransportOptions& options)
    : multi_(std::move(multi)),
      options_(options),
      limits_rates_(options.rate_limit > 0 ||
                    std::any_of(options.hosts.begin(), options.hosts.end(), [](const auto& entry) {
                      return entry.second.rate_limit.value_or(0) > 0;
                    })) {}

Result<std::unique_ptr<CurlLoop>> CurlLoop::start(const TransportOptions& options) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  CurlMulti multi(global == CURLE_OK ? curl_multi_init() : nullptr);
  if (!multi) {
    return fail(ErrorCode::internal, "libcurl cannot be initialised");
  }
  std::unique_ptr<CurlLoop> loop(new CurlLoop(std::move(multi), options));
  FNIMAGE_CHECK(caught([&]() -> Result<void> {  // a limit of threads
    loop->thread_ =
        std::jthread([raw = loop.get()](const std::stop_token& stop) { raw->run(stop); });
    return {};
  }));
  return loop;
}

CurlLoop::~CurlLoop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    curl_multi_wakeup(multi_.get());
    thread_.join();
  }
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
  constexpr int stopping_milliseconds = 50;
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
    drop_late();
    send_files();
    curl_multi_poll(multi_.get(), file_sockets_.data(), static_cast<unsigned>(file_sockets_.size()),
                    stopped_ ? stopping_milliseconds : idle_milliseconds, nullptr);
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
      stopped_at_ = std::chrono::steady_clock::now();
      drop_all();
      break;
  }
}

void CurlLoop::enqueue(TransferPtr transfer) {
  if (stopped_ && !transfer->outlives_stop()) {
    transfer->complete(CURLE_ABORTED_BY_CALLBACK);
    return;
  }
  Host& host = host_of(*transfer);
  (transfer->is_large() ? host.waiting_large : host.waiting_small).push_back(std::move(transfer));
  begin_waiting(host);
}

void CurlLoop::drop(const TransferPtr& transfer) {
  if (active_.contains(transfer.get())) {
    end(*transfer, CURLE_ABORTED_BY_CALLBACK);
    return;
  }
  Host& host = host_of(*transfer);
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
  for (const TransferPtr& transfer : doomed) {
    if (!transfer->outlives_stop()) {
      drop(transfer);
    }
  }
  drop_late();
}

/// Those under way whose grace is over.
void CurlLoop::drop_late() {
  if (!stopped_) {
    return;
  }
  const auto since = std::chrono::steady_clock::now() - stopped_at_;
  std::vector<TransferPtr> doomed;
  for (const auto& [key, transfer] : active_) {
    if (!transfer->outlives_stop() && transfer->grace() <= since) {
      doomed.push_back(transfer);
    }
  }
  for (const TransferPtr& transfer : doomed) {
    drop(transfer);
  }
}

CurlLoop::Host& CurlLoop::host_of(const CurlTransfer& transfer) {
  const auto [entry, is_new] = hosts_.try_emplace(transfer.host());
  Host& host = entry->second;
  if (is_new) {
    const EffectiveLimits limits = limits_of(options_, entry->first);
    host.limit = limits.connections;
    host.rate = limits.rate;
  }
  return host;
}

bool CurlLoop::may_begin(const Host& host, const CurlTransfer& transfer) {
  if (host.active >= host.limit) {
    return false;
  }
  const std::size_t same_way =
      transfer.is_download() ? host.downloads : host.large - host.downloads;
  return !transfer.is_large() || host.large < host.limit - 1 || same_way == 0;
}

void CurlLoop::begin_waiting(Host& host) {
  for (auto* queue : {&host.waiting_small, &host.waiting_large}) {
    for (auto next = queue->begin(); next != queue->end() && host.active < host.limit;) {
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
  if (!limits_rates_) {
    return;
  }
  std::uint64_t uploads = 0;
  std::uint64_t downloads = 0;
  for (const auto& [name, host] : hosts_) {
    uploads += host.large - host.downloads;
    downloads += host.downloads;
  }
  for (const auto& [key, transfer] : active_) {
    const Host& host = host_of(*transfer);
    curl_easy_setopt(transfer->handle(), CURLOPT_MAX_SEND_SPEED_LARGE,
                     tighter(share_of(options_.rate_limit, uploads),
                             share_of(host.rate, host.large - host.downloads)));
    curl_easy_setopt(
        transfer->handle(), CURLOPT_MAX_RECV_SPEED_LARGE,
        tighter(share_of(options_.rate_limit, downloads), share_of(host.rate, host.downloads)));
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
  Host& host = host_of(transfer);
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

// See curl_loop.hpp.
#include "curl_loop.hpp"

#include <algorithm>
#include <utility>

namespace fnimage::registry {

Result<std::unique_ptr<CurlLoop>> CurlLoop::start(std::size_t connections_per_host) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  CurlMulti multi(global == CURLE_OK ? curl_multi_init() : nullptr);
  if (!multi) {
    return fail(ErrorCode::internal, "libcurl cannot be initialised");
  }
  std::unique_ptr<CurlLoop> loop(
      new CurlLoop(std::move(multi), std::max<std::size_t>(connections_per_host, 2)));
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
  while (!stop.stop_requested()) {
    take_commands();
    int running = 0;
    const CURLMcode code = curl_multi_perform(multi_.get(), &running);
    if (code != CURLM_OK) {
      end_all(CURLE_FAILED_INIT);
    }
    collect_finished();
    curl_multi_poll(multi_.get(), nullptr, 0, idle_milliseconds, nullptr);
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
  Transfer& transfer = *command.transfer;
  const bool active = active_.contains(&transfer);
  Host& host = hosts_[transfer.host()];
  switch (command.kind) {
    case Command::Kind::submit:
      host.waiting.push_back(std::move(command.transfer));
      begin_waiting(host);
      break;
    case Command::Kind::resume:
      if (active) {
        curl_easy_pause(transfer.handle(), CURLPAUSE_CONT);
      }
      break;
    case Command::Kind::cancel:
      if (active) {
        end(transfer, CURLE_ABORTED_BY_CALLBACK);
      } else if (std::erase(host.waiting, command.transfer) > 0) {
        transfer.complete(CURLE_ABORTED_BY_CALLBACK);
      }
      break;
  }
}

void CurlLoop::begin_waiting(Host& host) {
  for (auto next = host.waiting.begin(); next != host.waiting.end() && host.active < limit_;) {
    if ((*next)->is_download() && host.downloads + 1 >= limit_) {
      ++next;  // others may go first: see Host
      continue;
    }
    TransferPtr transfer = std::move(*next);
    next = host.waiting.erase(next);
    begin(host, std::move(transfer));
  }
}

void CurlLoop::begin(Host& host, TransferPtr transfer) {
  if (curl_multi_add_handle(multi_.get(), transfer->handle()) != CURLM_OK) {
    transfer->complete(CURLE_FAILED_INIT);
    return;
  }
  ++host.active;
  host.downloads += transfer->is_download() ? 1U : 0U;
  const Transfer* key = transfer.get();
  active_.emplace(key, std::move(transfer));
}

void CurlLoop::collect_finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) {
      continue;
    }
    void* owner = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    end(*static_cast<Transfer*>(owner), message->data.result);
  }
}

void CurlLoop::end(Transfer& transfer, CURLcode code) {
  curl_multi_remove_handle(multi_.get(), transfer.handle());
  Host& host = hosts_[transfer.host()];
  --host.active;
  host.downloads -= transfer.is_download() ? 1U : 0U;
  const auto node = active_.extract(&transfer);  // keeps it alive until the end of this function
  transfer.complete(code);
  begin_waiting(host);
}

void CurlLoop::end_all(CURLcode code) {
  for (auto& [name, host] : hosts_) {
    for (const TransferPtr& transfer : std::exchange(host.waiting, {})) {
      transfer->complete(code);
    }
  }
  while (!active_.empty()) {
    end(*active_.begin()->second, code);
  }
}

}  // namespace fnimage::registry

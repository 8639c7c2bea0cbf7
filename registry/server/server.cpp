#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include <fnimage/server/server.hpp>

#include "access/gate.hpp"
#include "api/access_log.hpp"
#include "api/api.hpp"
#include "http/http_server.hpp"
#include "store/store.hpp"

namespace fnimage::server {

namespace {

/// How often it is looked whether uploads are over, and the certificate another one.
constexpr std::chrono::seconds housekeeping_pause{30};
/// A server that is often restarted collects garbage, too.
constexpr std::chrono::minutes longest_before_first_collection{1};

}  // namespace

struct Server::Impl {
  Impl(std::unique_ptr<Store> opened, std::unique_ptr<Gate> entrance, const ServerOptions& options)
      : directory(options.directory),
        gc(options.gc),
        store(std::move(opened)),
        gate(std::move(entrance)),
        api(*store,
            {.can_delete = options.can_delete,
             .is_read_only = options.is_read_only,
             .takes_sparse = options.takes_sparse},
            gate.get()) {
    if (options.access_log) {
      log.emplace(api, options.access_log);
    }
  }

  void keep_house(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (!wakes.wait_for(lock, stop, housekeeping_pause, [&] { return stop.stop_requested(); })) {
      store->expire_uploads();
      if (gate) {
        gate->refresh();
      }
      // What is wrong with a new certificate shows in clients; the old one goes on serving them.
      (void)http->reload_certificate();
    }
  }

  /// On a thread of its own: it may take minutes, and a certificate does not wait so long.
  void collect(const std::stop_token& stop) {
    gc->options.stop = stop;
    gc->options.is_gentle = true;
    std::chrono::milliseconds pause =
        std::min<std::chrono::milliseconds>(gc->every, longest_before_first_collection);
    std::unique_lock lock(mutex);
    while (!wakes.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); })) {
      lock.unlock();
      const auto report = collect_garbage(directory, gc->options);
      if (gc->collected && !stop.stop_requested()) {
        gc->collected(report);
      }
      pause = gc->every;
      lock.lock();
    }
  }

  std::filesystem::path directory;
  std::optional<GcSchedule> gc;
  std::unique_ptr<Store> store;
  std::unique_ptr<Gate> gate;  // null = everybody may do everything
  Api api;
  std::optional<AccessLog> log;
  std::unique_ptr<HttpServer> http;
  std::mutex mutex;
  std::condition_variable_any wakes;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  if (options.gc && options.is_read_only) {
    return fail(ErrorCode::invalid_argument,
                "garbage is not collected by a server that changes nothing",
                "leave one out: read-only, or the collection");
  }
  std::unique_ptr<Gate> gate;
  if (options.access) {
    FNIMAGE_TRY(gate, Gate::open(*options.access));
  }
  StoreLimits limits;
  if (options.is_read_only) {
    limits.refresh_age = std::chrono::milliseconds::max();  // nothing is written
  }
  FNIMAGE_TRY(auto store, Store::open(options.directory, limits));
  auto impl = std::make_unique<Impl>(std::move(store), std::move(gate), options);
  std::optional<TlsFiles> tls;
  if (options.certificate) {
    tls = TlsFiles{.certificate = options.certificate->chain, .key = options.certificate->key};
  }
  Handler& handler = impl->log ? static_cast<Handler&>(*impl->log) : impl->api;
  FNIMAGE_TRY(impl->http, HttpServer::listen(options.address, options.port, handler, tls));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const noexcept {
  return impl_->http->port();
}

void Server::run() {
  const std::jthread housekeeper([this](const std::stop_token& stop) { impl_->keep_house(stop); });
  std::jthread collector;
  if (impl_->gc) {
    collector = std::jthread([this](const std::stop_token& stop) { impl_->collect(stop); });
  }
  impl_->http->run();
}

void Server::stop() {
  impl_->http->stop();
}

}  // namespace fnimage::server

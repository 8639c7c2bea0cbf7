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
#include "upstream/pull_through.hpp"

namespace fnimage::server {

namespace {

/// How often it is looked whether uploads are over, and the certificate another one.
constexpr std::chrono::seconds housekeeping_pause{30};

}  // namespace

struct Server::Impl {
  Impl(std::unique_ptr<Store> opened, std::unique_ptr<Gate> entrance,
       std::unique_ptr<PullThrough> upstreams, const ServerOptions& options)
      : store(std::move(opened)),
        gate(std::move(entrance)),
        pull_through(std::move(upstreams)),
        api(*store,
            {.can_delete = options.can_delete,
             .is_read_only = options.is_read_only,
             .takes_sparse = options.takes_sparse},
            gate.get(), pull_through.get()) {
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

  std::unique_ptr<Store> store;
  std::unique_ptr<Gate> gate;                 // null = everybody may do everything
  std::unique_ptr<PullThrough> pull_through;  // null = there are no upstreams
  Api api;
  std::optional<AccessLog> log;
  std::unique_ptr<HttpServer> http;
  std::mutex mutex;
  std::condition_variable_any wakes;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  std::unique_ptr<Gate> gate;
  if (options.access) {
    FNIMAGE_TRY(gate, Gate::open(*options.access));
  }
  FNIMAGE_TRY(auto store, Store::open(options.directory));
  std::unique_ptr<PullThrough> pull_through;
  if (options.upstream) {
    FNIMAGE_TRY(pull_through, PullThrough::open(*options.upstream, *store));
  }
  auto impl =
      std::make_unique<Impl>(std::move(store), std::move(gate), std::move(pull_through), options);
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
  impl_->http->run();
  if (impl_->pull_through) {
    impl_->pull_through->stop();  // those who waited for it have gone
  }
}

void Server::stop() {
  impl_->http->stop();
}

}  // namespace fnimage::server

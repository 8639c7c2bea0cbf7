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
#include "ops/operations.hpp"
#include "ops/overview.hpp"
#include "store/store.hpp"

namespace fnimage::server {

namespace {

/// Of the address for metrics: one client now and then.
HttpLimits metrics_limits() {
  return {.connections = 32, .loops = 1, .workers = 2, .waiting = 32};
}

/// How often it is looked whether uploads are over, and the certificate another one.
constexpr std::chrono::seconds housekeeping_pause{30};

}  // namespace

struct Server::Impl {
  Impl(std::unique_ptr<Store> opened, std::unique_ptr<Gate> entrance, const ServerOptions& options)
      : store(std::move(opened)),
        gate(std::move(entrance)),
        api(*store,
            {.can_delete = options.can_delete,
             .is_read_only = options.is_read_only,
             .takes_sparse = options.takes_sparse},
            gate.get()),
        overview(*store) {
    if (options.access_log) {
      log.emplace(api, options.access_log);
    }
    const bool is_apart = options.operations.metrics_address.has_value();
    operations.emplace(overview, log ? static_cast<Handler*>(&*log) : &api,
                       Operations::Options{.has_metrics = !is_apart, .gate = gate.get()});
  }

  /// Opens the address for metrics, if there is to be one.
  Result<void> listen_for_metrics(const std::optional<ListenAddress>& address) {
    if (address) {
      metrics.emplace(overview, nullptr, Operations::Options{});
      FNIMAGE_TRY(metrics_http,
                  HttpServer::listen(address->host, address->port, *metrics, {}, metrics_limits()));
    }
    return {};
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
  std::unique_ptr<Gate> gate;  // null = everybody may do everything
  Api api;
  std::optional<AccessLog> log;
  Overview overview;
  std::optional<Operations> operations;  // what the server asks
  std::optional<Operations> metrics;
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<HttpServer> metrics_http;  // null = there is no address for metrics
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
  auto impl = std::make_unique<Impl>(std::move(store), std::move(gate), options);
  std::optional<TlsFiles> tls;
  if (options.certificate) {
    tls = TlsFiles{.certificate = options.certificate->chain, .key = options.certificate->key};
  }
  FNIMAGE_TRY(impl->http,
              HttpServer::listen(options.address, options.port, *impl->operations, tls));
  impl->overview.observe(*impl->http);
  FNIMAGE_CHECK(impl->listen_for_metrics(options.operations.metrics_address));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const noexcept {
  return impl_->http->port();
}

std::uint16_t Server::metrics_port() const noexcept {
  return impl_->metrics_http ? impl_->metrics_http->port() : 0;
}

void Server::run() {
  const std::jthread housekeeper([this](const std::stop_token& stop) { impl_->keep_house(stop); });
  std::jthread metrics;
  if (impl_->metrics_http) {
    metrics = std::jthread([this] { impl_->metrics_http->run(); });
  }
  impl_->http->run();
  if (impl_->metrics_http) {  // last, so that the end can be watched
    impl_->metrics_http->stop();
  }
}

void Server::stop() {
  impl_->overview.stop();
  impl_->http->stop();
}

}  // namespace fnimage::server

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
#include "page/page.hpp"
#include "store/store.hpp"

namespace fnimage::server {

namespace {

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
            gate.get()) {
    if (options.page.is_shown) {
      page.emplace(api, *store, gate.get(), options.page, options.directory,
                   options.access ? options.access->external_url : std::string());
    }
    if (options.access_log) {
      log.emplace(page ? static_cast<Handler&>(*page) : api, options.access_log);
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
  std::unique_ptr<Gate> gate;  // null = everybody may do everything
  Api api;
  std::optional<Pages> page;
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
  auto impl = std::make_unique<Impl>(std::move(store), std::move(gate), options);
  std::optional<TlsFiles> tls;
  if (options.certificate) {
    tls = TlsFiles{.certificate = options.certificate->chain, .key = options.certificate->key};
  }
  Handler& handler = impl->log    ? static_cast<Handler&>(*impl->log)
                     : impl->page ? static_cast<Handler&>(*impl->page)
                                  : impl->api;
  FNIMAGE_TRY(impl->http, HttpServer::listen(options.address, options.port, handler, tls));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const noexcept {
  return impl_->http->port();
}

void Server::run() {
  const std::jthread housekeeper([this](const std::stop_token& stop) { impl_->keep_house(stop); });
  impl_->http->run();
}

void Server::stop() {
  if (impl_->page) {
    impl_->page->stop();
  }
  impl_->http->stop();
}

}  // namespace fnimage::server

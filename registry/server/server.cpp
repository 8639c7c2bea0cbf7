#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include <fnimage/server/server.hpp>

#include "access/gate.hpp"
#include "api/access_log.hpp"
#include "api/api.hpp"
#include "http/http_server.hpp"
#include "ops/operations.hpp"
#include "ops/overview.hpp"
#include "page/page.hpp"
#include "store/store.hpp"
#include "upstream/pull_through.hpp"

namespace fnimage::server {

namespace {

/// Of the address for metrics: one client now and then.
HttpLimits metrics_limits() {
  return {.connections = 32,
          .drain_time = std::chrono::seconds(1),
          .loops = 1,
          .workers = 2,
          .waiting = 32};
}

/// Each connection is a file for the system, and may read or write another one. Half of what the
/// process may have open is left for the store.
std::size_t affordable_connections(std::size_t wanted) {
  constexpr std::size_t fewest = 16;
  constexpr std::size_t others = 32;
  constexpr std::size_t share = 4;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) {
    return wanted;
  }
  const std::size_t most = files.rlim_cur / share;
  return std::min(wanted, std::max(fewest, most - std::min(most, others)));
}

HttpLimits registry_limits(const ServerOptions& options) {
  HttpLimits limits{.drain_time = options.operations.stop_timeout};
  limits.connections = affordable_connections(limits.connections);
  return limits;
}

/// Which of the addresses cannot be had.
Error at_option(const Error& error, std::string_view option) {
  return Error(error.code(), error.message())
      .with_hint(fmt::format("{}: {}", option, error.hint()));
}

/// Whether what is to be written may be.
Result<void> check_writes(const ServerOptions& options) {
  if (options.is_read_only && options.gc) {
    return fail(ErrorCode::invalid_argument,
                "garbage is not collected by a server that changes nothing",
                "leave one out: read-only, or the collection");
  }
  if (options.is_read_only && options.upstream) {
    return fail(ErrorCode::invalid_argument,
                "a server that changes nothing cannot keep what upstreams have",
                "leave one out: read-only, or the upstreams");
  }
  return {};
}

/// How often it is looked whether uploads are over, and the certificate another one.
constexpr std::chrono::seconds housekeeping_pause{30};
/// A server that is often restarted collects garbage, too.
constexpr std::chrono::minutes longest_before_first_collection{1};

}  // namespace

struct Server::Impl {
  Impl(std::unique_ptr<Store> opened, std::unique_ptr<Gate> entrance,
       std::unique_ptr<PullThrough> upstreams, const ServerOptions& options)
      : directory(options.directory),
        gc(options.gc),
        store(std::move(opened)),
        gate(std::move(entrance)),
        pull_through(std::move(upstreams)),
        api(*store,
            {.can_delete = options.can_delete,
             .is_read_only = options.is_read_only,
             .takes_sparse = options.takes_sparse},
            gate.get(), pull_through.get()),
        overview(*store) {
    Handler* first = &api;
    if (options.page.is_shown) {
      first = &page.emplace(api, *store, gate.get(), options.page, options.directory,
                            options.access ? options.access->external_url : std::string());
    }
    if (options.access_log) {
      first = &log.emplace(*first, options.access_log, options.operations.access_log_format);
    }
    const bool is_apart = options.operations.metrics_address.has_value();
    operations.emplace(overview, first,
                       Operations::Options{.has_metrics = !is_apart, .gate = gate.get()});
  }

  /// Opens the address for metrics, if there is to be one.
  Result<void> listen_for_metrics(const std::optional<ListenAddress>& address) {
    if (address) {
      metrics.emplace(overview, nullptr, Operations::Options{});
      auto listening =
          HttpServer::listen(address->host, address->port, *metrics, {}, metrics_limits());
      if (!listening) {
        return fail(at_option(listening.error(), "--metrics-addr"));
      }
      metrics_http = std::move(*listening);
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
  std::unique_ptr<Gate> gate;                 // null = everybody may do everything
  std::unique_ptr<PullThrough> pull_through;  // null = there are no upstreams
  Api api;
  std::optional<Pages> page;
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
  FNIMAGE_CHECK(check_writes(options));
  std::unique_ptr<Gate> gate;
  if (options.access) {
    FNIMAGE_TRY(gate, Gate::open(*options.access));
  }
  const StoreMode mode = options.is_read_only ? StoreMode::read_only : StoreMode::read_write;
  FNIMAGE_TRY(auto store, Store::open(options.directory, {}, mode));
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
  auto listening = HttpServer::listen(options.address, options.port, *impl->operations, tls,
                                      registry_limits(options));
  if (!listening) {
    const bool is_address = !tls || listening.error().code() == ErrorCode::unavailable;
    return fail(is_address ? at_option(listening.error(), "--addr") : listening.error());
  }
  impl->http = std::move(*listening);
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
  std::jthread collector;
  if (impl_->gc) {
    collector = std::jthread([this](const std::stop_token& stop) { impl_->collect(stop); });
  }
  impl_->http->run();
  if (impl_->pull_through) {
    impl_->pull_through->stop();  // those who waited for it have gone
  }
  if (impl_->metrics_http) {  // last, so that the end can be watched
    impl_->metrics_http->stop();
  }
}

void Server::stop() {
  impl_->overview.stop();
  if (impl_->page) {
    impl_->page->stop();
  }
  impl_->http->stop();
}

}  // namespace fnimage::server

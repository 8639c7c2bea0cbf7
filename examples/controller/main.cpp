// fnimage-controller: decides where the pods of functions run, as an admission webhook of
// Kubernetes. See README.md.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/build/environment.hpp>
#include <fnimage/registry/host_config.hpp>
#include <fnimage/resolve/resolver.hpp>

#include "certificate.hpp"
#include "inventory.hpp"
#include "options.hpp"
#include "server.hpp"

namespace {

using fnimage::Result;

constexpr std::chrono::seconds look_again{1};

/// Blocks the signals that end the program, for all threads that begin afterwards.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

Result<std::shared_ptr<fnimage::registry::Client>> client_of(const controller::Options& options,
                                                             std::stop_token stop) {
  fnimage::build::EnvironmentOptions wanted;
  wanted.client.plain_http = options.plain_http;
  wanted.client.tls.ca_file = options.ca_file;
  wanted.client.retry.attempts = 2;  // whoever asks has seconds
  wanted.stop = std::move(stop);
  // Nothing is built and nothing stored: the user's directories, which a container may lack, are
  // not needed.
  wanted.cache_directory = std::filesystem::temp_directory_path();
  wanted.local_store = options.store.empty() ? wanted.cache_directory : options.store;
  FNIMAGE_TRY(wanted.client.hosts,
              fnimage::registry::read_host_config(fnimage::registry::host_config_file()));
  FNIMAGE_TRY(auto made, fnimage::build::OwnedEnvironment::open(std::move(wanted),
                                                                fnimage::null_diagnostics()));
  const std::shared_ptr<fnimage::build::OwnedEnvironment> environment = std::move(made);
  return std::shared_ptr<fnimage::registry::Client>(environment, &environment->client());
}

void watch(const std::stop_token& stop, controller::Inventory& inventory,
           controller::Certificate& certificate, controller::Server& server) {
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(look_again);
    inventory.refresh();
    const auto renewed = certificate.refresh();
    server.report(renewed ? std::string() : renewed.error().describe());
  }
}

Result<void> run(const controller::Options& options) {
  sigset_t signals = block_signals();
  FNIMAGE_TRY(const auto certificate,
              controller::Certificate::open(options.certificate, options.key));
  std::stop_source network;
  FNIMAGE_TRY(auto client, client_of(options, network.get_token()));
  fnimage::resolve::Resolver resolver(fnimage::resolve::open_with(std::move(client), options.store),
                                      {.tag_lifetime = options.tag_lifetime});
  controller::Inventory inventory(options.nodes, options.functions);
  controller::Server server(options, *certificate, inventory, resolver);
  FNIMAGE_TRY(const int port, server.bind());
  const std::jthread watcher(
      [&](const std::stop_token& stop) { watch(stop, inventory, *certificate, server); });
  std::jthread answering([&] { server.run(); });
  std::cout << fmt::format("listening on https://{}:{}", options.host, port) << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  server.stop();
  answering.join();        // whoever has asked is answered
  network.request_stop();  // a registry that says nothing would hold up the end for a minute
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = controller::parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (options && options->help) {
    std::cout << controller::usage();
    return 0;
  }
  const Result<void> done =
      options ? run(*options) : Result<void>(tl::make_unexpected(options.error()));
  if (!done) {
    std::cerr << "fnimage-controller: " << done.error().describe() << '\n';
    return 1;
  }
  return 0;
}

#include "serve_upstream.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <CLI/CLI.hpp>

#include "console.hpp"
#include "credentials.hpp"
#include "options.hpp"

namespace fnimage::cli {

namespace {

constexpr const char* upstream_group = "Other registries that are shown below a prefix";

/// A client waits for the answer, and can ask again itself.
registry::RetryOptions impatient() {
  return {.attempts = 2,
          .first_delay = std::chrono::milliseconds(200),
          .max_delay = std::chrono::seconds(1),
          .max_wait = std::chrono::seconds(3)};
}

Result<registry::ClientOptions> upstream_client(const RegistryOptions& settings,
                                                const std::vector<std::string>& insecure) {
  FNIMAGE_TRY(registry::ClientOptions options, client_options(settings));
  for (const std::string& host : insecure) {
    options.hosts[host].insecure = true;
  }
  for (auto& [name, host] : options.hosts) {
    host.mirrors.clear();  // this server may well be one
  }
  options.retry = impatient();
  return options;
}

}  // namespace

void add_upstream_options(CLI::App& command, UpstreamArguments& arguments) {
  const std::map<std::string, std::uint64_t> units{{"s", 1}, {"m", 60}, {"h", 3600}};
  command
      .add_option(
          "--upstream", arguments.upstreams,
          "PREFIX=HOST[:PORT][/PATH]: the repository PREFIX/NAME here is PATH/NAME there, "
          "got and kept when it is pulled; also for mirrors of containerd, which name HOST. "
          "Can be repeated")
      ->type_name("UPSTREAM")
      ->group(upstream_group)
      ->allow_extra_args(false);
  command
      .add_option("--upstream-insecure", arguments.insecure,
                  "HOST[:PORT] may be reached without TLS, or with a certificate of an unknown CA. "
                  "Can be repeated")
      ->type_name("HOST")
      ->group(upstream_group)
      ->allow_extra_args(false);
  command
      .add_option("--upstream-authfile", arguments.authfile,
                  "Credentials are here, not in docker's config.json and its like")
      ->type_name("FILE")
      ->group(upstream_group);
  command
      .add_option("--upstream-fresh", arguments.fresh,
                  "How long what a tag stands for counts without asking again: 30s, 5m, 0")
      ->transform(CLI::AsNumberWithUnit(units))
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{31'536'000}))
      ->default_str("1m")
      ->type_name("TIME")
      ->group(upstream_group);
}

Result<std::optional<server::UpstreamOptions>> upstream_options(const UpstreamArguments& arguments,
                                                                Console& console) {
  if (arguments.upstreams.empty()) {
    return std::nullopt;
  }
  server::UpstreamOptions options;
  RegistryOptions settings;
  settings.authfile = arguments.authfile;
  std::set<std::string> registries;
  for (const std::string& text : arguments.upstreams) {
    FNIMAGE_TRY(server::Upstream upstream, server::parse_upstream(text));
    registries.insert(upstream.registry);
    options.upstreams.push_back(std::move(upstream));
  }
  settings.registries.assign(registries.begin(), registries.end());
  FNIMAGE_TRY(options.client, upstream_client(settings, arguments.insecure));
  options.credentials =
      [settings,
       hosts = options.client.hosts]() -> Result<std::shared_ptr<const registry::CredentialStore>> {
    FNIMAGE_TRY(auto found, command_credentials(settings, hosts));
    return std::shared_ptr<const registry::CredentialStore>(std::move(found));
  };
  options.fresh = std::chrono::seconds(arguments.fresh);
  options.warn = [&console](const std::string& message) {
    console.report(Severity::warning, message);
  };
  return options;
}

}  // namespace fnimage::cli

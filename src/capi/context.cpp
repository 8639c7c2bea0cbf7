// Contexts of fnimage.h: options to what every job works with.
#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include <fnimage/registry/credentials.hpp>
#include <fnimage/registry/host_config.hpp>

#include "events.hpp"
#include "handles.hpp"
#include "options.hpp"

namespace fnimage::capi {

namespace {

using Hosts = std::map<std::string, registry::HostOptions>;

// The limits of the command's options of the same names.
constexpr std::uint64_t least_connections = 2;
constexpr std::uint64_t most_connections = 64;
constexpr std::uint64_t most_threads = 1024;
constexpr std::uint64_t least_rate = std::uint64_t{16} << 10;
constexpr std::uint64_t most_rate = std::uint64_t{1} << 40;
constexpr std::uint64_t most_requests_per_second = 10'000;
constexpr std::uint64_t most_retries = 1000;
constexpr std::uint64_t most_retry_seconds = std::uint64_t{24} * 3600;

/// What is asked for all registries goes before what a file says of one.
Result<void> read_protocol(Options& json, registry::ClientOptions& client) {
  FNIMAGE_TRY(const auto plain_http, json.flag("plainHttp"));
  FNIMAGE_TRY(const auto insecure, json.flag("insecure"));
  FNIMAGE_TRY(const auto tls_verify, json.flag("tlsVerify"));
  client.plain_http = plain_http.value_or(false);
  client.insecure = insecure.value_or(false);
  client.tls.verify = tls_verify.value_or(true);
  for (auto& [name, host] : client.hosts) {
    host.plain_http = plain_http ? plain_http : host.plain_http;
    host.insecure = insecure ? insecure : host.insecure;
    host.tls_verify = tls_verify ? tls_verify : host.tls_verify;
  }
  return {};
}

Result<void> read_certificates(Options& json, registry::ClientOptions& client) {
  FNIMAGE_CHECK(json.read("caFile", client.tls.ca_file));
  FNIMAGE_CHECK(json.read("caDirectory", client.ca_dir));
  FNIMAGE_CHECK(json.read("certFile", client.tls.cert_file));
  FNIMAGE_CHECK(json.read("keyFile", client.tls.key_file));
  if (client.tls.cert_file.empty() != client.tls.key_file.empty()) {
    return json.refuse("certFile", "a certificate needs its key, and a key its certificate");
  }
  return {};
}

Result<void> read_traffic(Options& json, build::EnvironmentOptions& options) {
  FNIMAGE_TRY(const auto connections,
              json.number("connections", least_connections, most_connections));
  FNIMAGE_TRY(const auto rate, json.number("limitRate", least_rate, most_rate));
  FNIMAGE_TRY(const auto requests, json.number("requestsPerSecond", 1, most_requests_per_second));
  FNIMAGE_TRY(const auto retries, json.number("retries", 0, most_retries));
  FNIMAGE_TRY(const auto seconds, json.number("retryForSeconds", 1, most_retry_seconds));
  FNIMAGE_TRY(const auto threads, json.number("threads", 0, most_threads));
  options.connections = connections.value_or(options.connections);
  options.rate_limit = rate.value_or(0);
  options.threads = threads.value_or(0);
  options.client.requests_per_second = static_cast<unsigned>(requests.value_or(0));
  if (retries) {
    options.client.retry.attempts = static_cast<int>(*retries) + 1;
  }
  options.client.retry.retry_for = std::chrono::seconds(seconds.value_or(0));
  return {};
}

Result<std::unique_ptr<registry::CredentialStore>> fixed_of(Options& json) {
  registry::Credentials given{.source = "the options of the context"};
  FNIMAGE_TRY(const auto registry, json.text("registry"));
  FNIMAGE_CHECK(json.read("username", given.username));
  FNIMAGE_CHECK(json.read("password", given.password));
  FNIMAGE_CHECK(json.read("identityToken", given.identity_token));
  FNIMAGE_CHECK(json.read("registryToken", given.registry_token));
  FNIMAGE_CHECK(json.require_all_known());
  if (!registry || registry->empty()) {
    return json.refuse("registry", "missing: credentials are for one registry");
  }
  return registry::fixed_credentials(*registry, std::move(given));
}

Result<std::shared_ptr<const registry::CredentialStore>> read_credentials(Options& json,
                                                                          const Hosts& hosts,
                                                                          bool user_files) {
  std::vector<std::unique_ptr<registry::CredentialStore>> stores;
  FNIMAGE_TRY(auto given, json.objects("credentials"));
  if (given) {
    for (Options& one : *given) {
      FNIMAGE_TRY(stores.emplace_back(), fixed_of(one));
    }
  }
  FNIMAGE_TRY(const auto file, json.text("authFile"));
  if (file) {
    FNIMAGE_TRY(stores.emplace_back(), registry::docker_config_credentials(*file));
  }
  stores.push_back(registry::host_credentials(hosts));
  if (!file && user_files) {
    FNIMAGE_TRY(stores.emplace_back(), registry::default_credentials());
  }
  return std::shared_ptr<const registry::CredentialStore>(
      registry::chained_credentials(std::move(stores)));
}

Result<build::EnvironmentOptions> environment_options(Options& json) {
  build::EnvironmentOptions options;
  bool user_files = true;
  FNIMAGE_CHECK(json.read("userConfiguration", user_files));
  std::filesystem::path hosts = user_files ? registry::host_config_file() : "";
  FNIMAGE_CHECK(json.read("registries", hosts));
  if (!hosts.empty()) {
    FNIMAGE_TRY(options.client.hosts, registry::read_host_config(hosts));
  }
  if (user_files) {
    options.client.certificate_directories = registry::certificate_directories();
  }
  FNIMAGE_CHECK(json.read("cacheDirectory", options.cache_directory));
  FNIMAGE_CHECK(json.read("localStore", options.local_store));
  FNIMAGE_CHECK(json.read("uploadJournal", options.client.upload_journal));
  FNIMAGE_CHECK(read_protocol(json, options.client));
  FNIMAGE_CHECK(read_certificates(json, options.client));
  FNIMAGE_CHECK(read_traffic(json, options));
  FNIMAGE_TRY(options.credentials, read_credentials(json, options.client.hosts, user_files));
  FNIMAGE_CHECK(json.require_all_known());
  return options;
}

}  // namespace

}  // namespace fnimage::capi

int fnimage_context_create(const char* options_json, fnimage_event_callback callback,
                           void* user_data, fnimage_context** context, fnimage_error** error) {
  using namespace fnimage;
  return capi::handle_at_border(context, error, [&]() -> Result<std::unique_ptr<fnimage_context>> {
    FNIMAGE_TRY(capi::Options json, capi::Options::parse(options_json, "options of the context"));
    auto state = std::make_shared<capi::ContextState>();
    FNIMAGE_TRY(state->options, capi::environment_options(json));
    if (callback != nullptr) {
      state->events = capi::callback_diagnostics(callback, user_data);
    }
    auto made = std::make_unique<fnimage_context>();
    made->state = std::move(state);
    return made;
  });
}

void fnimage_context_free(fnimage_context* context) {
  delete context;
}

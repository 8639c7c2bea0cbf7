// See environment.hpp.
#include <utility>

#include <fnimage/base/caught.hpp>
#include <fnimage/build/environment.hpp>
#include <fnimage/registry/host_config.hpp>
#include <fnimage/registry/oci_layout.hpp>

namespace fnimage::build {

OwnedEnvironment::OwnedEnvironment(EnvironmentOptions options,
                                   std::shared_ptr<registry::Transport> transport,
                                   Diagnostics& diagnostics)
    : pool_(options.threads, std::move(options.stop)),
      client_(transport, std::move(options.credentials), std::move(options.client), diagnostics),
      environment_{.transport = std::move(transport),
                   .client = client_,
                   .pool = pool_,
                   .diagnostics = diagnostics,
                   .cache_directory = std::move(options.cache_directory),
                   .local_store = std::move(options.local_store)} {}

Result<std::unique_ptr<OwnedEnvironment>> OwnedEnvironment::open(EnvironmentOptions options,
                                                                 Diagnostics& diagnostics) {
  return caught([&]() -> Result<std::unique_ptr<OwnedEnvironment>> {
    if (!options.credentials) {
      FNIMAGE_TRY(options.credentials, registry::default_credentials());
    }
    if (options.cache_directory.empty()) {
      FNIMAGE_TRY(options.cache_directory, default_cache_directory());
    }
    if (options.local_store.empty()) {
      FNIMAGE_TRY(options.local_store, registry::local_store_directory());
    }
    FNIMAGE_TRY(std::shared_ptr<registry::Transport> transport,
                registry::make_curl_transport({.connections_per_host = options.connections,
                                               .rate_limit = options.rate_limit,
                                               .hosts = registry::host_limits(options.client.hosts),
                                               .stop = options.stop}));
    return std::unique_ptr<OwnedEnvironment>(
        new OwnedEnvironment(std::move(options), std::move(transport), diagnostics));
  });
}

}  // namespace fnimage::build

#include "session.hpp"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include <fnimage/archive/open.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/credentials.hpp>
#include <fnimage/registry/host_config.hpp>

#include "credentials.hpp"

namespace fnimage::cli {

namespace {

/// Where uploads are noted; empty when there is no place for it.
std::filesystem::path upload_journal_directory() {
  for (const auto& [variable, below] : {std::pair{"XDG_STATE_HOME", "fnimage/uploads"},
                                        std::pair{"HOME", ".local/state/fnimage/uploads"}}) {
    const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing sets it
    if (value != nullptr && *value == '/') {
      return std::filesystem::path(value) / below;
    }
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<registry::Transport>> Session::transport() {
  if (!transport_) {
    FNIMAGE_TRY(registry::ClientOptions options, client_options(settings_.registry));
    if (settings_.registry.connections_given) {
      for (auto& [name, host] : options.hosts) {
        host.connections.reset();
      }
    }
    FNIMAGE_TRY(auto made, registry::make_curl_transport(
                               {.connections_per_host = settings_.registry.connections,
                                .rate_limit = settings_.registry.limit_rate,
                                .hosts = registry::host_limits(options.hosts),
                                .stop = settings_.stop}));
    transport_ = std::move(made);
  }
  return transport_;
}

Result<void> Session::start_dry_run() {
  FNIMAGE_TRY(auto below, transport());
  dry_run_ = std::make_shared<registry::DryRunTransport>(std::move(below));
  transport_ = dry_run_;
  console_.hide_progress();  // none of it would be true
  return {};
}

Result<registry::Client*> Session::client() {
  if (!client_) {
    FNIMAGE_TRY(registry::ClientOptions options, client_options(settings_.registry));
    if (!dry_run_) {  // which would find noted uploads to be done, and forget them
      options.upload_journal = upload_journal_directory();
    }
    FNIMAGE_TRY(auto shared_transport, transport());
    FNIMAGE_TRY(auto credentials, command_credentials(settings_.registry, options.hosts));
    client_ = std::make_unique<registry::Client>(
        std::move(shared_transport), std::move(credentials), std::move(options), console_);
  }
  return client_.get();
}

Result<NamedImage> Session::open_image(const std::string& reference, bool in_local_store) {
  using Kind = registry::Location::Kind;
  FNIMAGE_TRY(registry::Location location, registry::parse_location(reference));
  if (in_local_store && location.kind == Kind::registry) {
    location.kind = Kind::local;
  }
  FNIMAGE_TRY(registry::Client * registries, client());
  FNIMAGE_TRY(const std::filesystem::path local, local_directory());
  FNIMAGE_TRY(registry::OpenedImage opened, archive::open_image(location, *registries, local));
  return NamedImage{.location = std::move(location), .opened = std::move(opened)};
}

Result<std::shared_ptr<registry::ImageStore>> Session::open_for_writing(NamedImage& named) {
  using Kind = registry::Location::Kind;
  if (named.location.kind == Kind::registry) {
    std::shared_ptr<registry::ImageStore> store = std::move(named.opened.store);
    return store;
  }
  if (named.location.kind == Kind::local || named.location.kind == Kind::layout) {
    std::filesystem::path directory = named.location.directory;
    if (named.location.kind == Kind::local) {
      FNIMAGE_TRY(directory, local_directory());
    }
    FNIMAGE_TRY(auto layout,
                registry::OciLayout::open(directory, registry::OciLayout::Mode::existing));
    return std::shared_ptr<registry::ImageStore>(std::move(layout));
  }
  return fail(ErrorCode::unsupported,
              fmt::format("{} cannot be changed", printable(named.location.str())),
              "copy it into a layout or registry, change it there, and copy it back "
              "(--referrers takes along what is attached)");
}

Result<std::filesystem::path> Session::local_directory() {
  return registry::local_store_directory();
}

Result<std::unique_ptr<registry::OciLayout>> Session::local_store(registry::OciLayout::Mode mode) {
  FNIMAGE_TRY(const std::filesystem::path directory, local_directory());
  return registry::OciLayout::open(directory, mode);
}

}  // namespace fnimage::cli

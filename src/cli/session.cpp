#include "session.hpp"

#include <utility>

#include <fnimage/registry/credentials.hpp>

namespace fnimage::cli {

Result<std::shared_ptr<registry::Transport>> Session::transport() {
  if (!transport_) {
    FNIMAGE_TRY(auto made, registry::make_curl_transport({}));
    transport_ = std::move(made);
  }
  return transport_;
}

Result<registry::Client*> Session::client() {
  if (!client_) {
    FNIMAGE_TRY(registry::ClientOptions options, client_options(settings_.registry));
    FNIMAGE_TRY(auto shared_transport, transport());
    FNIMAGE_TRY(auto credentials, registry::default_credentials());
    client_ = std::make_unique<registry::Client>(
        std::move(shared_transport), std::move(credentials), std::move(options), console_);
  }
  return client_.get();
}

Result<std::filesystem::path> Session::local_directory() {
  return registry::local_store_directory();
}

Result<std::unique_ptr<registry::OciLayout>> Session::local_store(registry::OciLayout::Mode mode) {
  FNIMAGE_TRY(const std::filesystem::path directory, local_directory());
  return registry::OciLayout::open(directory, mode);
}

}  // namespace fnimage::cli

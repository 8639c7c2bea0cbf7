// The Client: one Session per registry, shared by all its repositories.
#include <map>
#include <mutex>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/host_config.hpp>

#include "repository_store.hpp"
#include "session.hpp"

namespace fnimage::registry {

struct Client::Impl {
  Result<std::shared_ptr<Session>> session(const std::string& registry) {
    const std::lock_guard lock(mutex);
    std::shared_ptr<Session>& known = sessions[registry];
    if (!known) {
      FNIMAGE_TRY(const ClientOptions own, options_for(options, registry, diagnostics));
      known = std::make_shared<Session>(registry, transport, credentials, own, diagnostics);
    }
    return known;
  }

  std::shared_ptr<Transport> transport;
  std::shared_ptr<const CredentialStore> credentials;
  ClientOptions options;
  Diagnostics& diagnostics;
  std::mutex mutex{};
  std::map<std::string, std::shared_ptr<Session>> sessions{};  // guarded by mutex
};

Client::Client(std::shared_ptr<Transport> transport,
               std::shared_ptr<const CredentialStore> credentials, ClientOptions options,
               Diagnostics& diagnostics)
    : impl_(new Impl{std::move(transport), std::move(credentials), std::move(options),
                     diagnostics}) {}

Client::~Client() = default;

Result<void> Client::ping(const std::string& registry) {
  if (registry.empty() || registry.find_first_of("/@?# ") != std::string::npos) {
    return fail(ErrorCode::invalid_argument, "not a registry: " + printable(registry),
                "write host or host:port");
  }
  FNIMAGE_TRY(const auto session, impl_->session(registry));
  auto result = session->ping();
  if (!result) {
    return fail(std::move(result).error().while_doing("reach the registry " + registry));
  }
  return {};
}

Result<std::unique_ptr<ImageStore>> Client::repository(const manifest::Reference& reference) {
  if (reference.registry().empty()) {
    return fail(ErrorCode::invalid_argument, reference.str() + " names no registry",
                "write it as host:port/" + reference.repository());
  }
  FNIMAGE_TRY(auto session, impl_->session(reference.registry()));
  return make_repository_store(std::move(session), reference.repository());
}

}  // namespace fnimage::registry

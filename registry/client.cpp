// The Client: one Session per registry, shared by all its repositories.
#include <algorithm>
#include <map>
#include <mutex>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/host_config.hpp>

#include "credential_file.hpp"
#include "listing.hpp"
#include "mirrors.hpp"
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

  /// The mirrors of a repository; null when its registry has none.
  Result<std::shared_ptr<Mirrors>> mirrors_of(const std::string& registry,
                                              const std::string& repository) {
    const auto host = options.hosts.find(registry);
    if (host == options.hosts.end() || host->second.mirrors.empty()) {
      return nullptr;
    }
    std::vector<Mirrors::Place> places;
    for (const std::string& mirror : host->second.mirrors) {
      const std::size_t slash = mirror.find('/');
      const std::string prefix =
          slash == std::string::npos ? std::string() : mirror.substr(slash + 1) + "/";
      FNIMAGE_TRY(auto known, mirror_host(mirror.substr(0, slash)));
      places.push_back({std::move(known), prefix + repository});
    }
    return std::make_shared<Mirrors>(places);
  }

  Result<std::shared_ptr<MirrorHost>> mirror_host(const std::string& registry) {
    const std::lock_guard lock(mutex);
    std::shared_ptr<MirrorHost>& known = mirrors[registry];
    if (!known) {
      constexpr int attempts = 2;  // there is somebody else to ask
      FNIMAGE_TRY(ClientOptions own, options_for(options, registry, diagnostics));
      own.retry.attempts = std::min(own.retry.attempts, attempts);
      known = std::make_shared<MirrorHost>(
          std::make_shared<Session>(registry, transport, credentials, own, diagnostics));
    }
    return known;
  }

  std::shared_ptr<Transport> transport;
  std::shared_ptr<const CredentialStore> credentials;
  ClientOptions options;
  Diagnostics& diagnostics;
  std::mutex mutex{};
  std::map<std::string, std::shared_ptr<Session>> sessions{};    // guarded by mutex
  std::map<std::string, std::shared_ptr<MirrorHost>> mirrors{};  // guarded by mutex
};

Client::Client(std::shared_ptr<Transport> transport,
               std::shared_ptr<const CredentialStore> credentials, ClientOptions options,
               Diagnostics& diagnostics)
    : impl_(new Impl{std::move(transport), std::move(credentials), std::move(options),
                     diagnostics}) {}

Client::~Client() = default;

namespace {

Result<void> check_registry(const std::string& registry) {
  if (registry.empty() || registry.find_first_of("/@?# ") != std::string::npos) {
    return fail(ErrorCode::invalid_argument, "not a registry: " + printable(registry),
                "write host or host:port");
  }
  return {};
}

}  // namespace

Result<void> Client::ping(const std::string& registry) {
  FNIMAGE_CHECK(check_registry(registry));
  FNIMAGE_TRY(const auto session, impl_->session(registry));
  auto result = session->ping();
  if (!result) {
    return fail(std::move(result).error().while_doing("reach the registry " + registry));
  }
  return {};
}

Result<std::vector<std::string>> Client::repositories(const std::string& registry) {
  FNIMAGE_CHECK(check_registry(registry));
  FNIMAGE_TRY(const auto session, impl_->session(registry));
  return list_repositories(*session);
}

Result<std::unique_ptr<ImageStore>> Client::repository(const manifest::Reference& reference) {
  if (reference.registry().empty()) {
    return fail(ErrorCode::invalid_argument, reference.str() + " names no registry",
                "write it as host:port/" + reference.repository());
  }
  FNIMAGE_TRY(auto session, impl_->session(reference.registry()));
  const std::string repository = full_repository(reference.registry(), reference.repository());
  FNIMAGE_TRY(auto mirrors, impl_->mirrors_of(reference.registry(), repository));
  return make_repository_store(std::move(session), repository, std::move(mirrors));
}

}  // namespace fnimage::registry

// Docker's config.json as a source of credentials. A9: the key must be the registry's host:port; of
// the historical URL keys
// ("https://host/v1/") only those of exactly this host are taken.
#include <cstdlib>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/credentials.hpp>

namespace fnimage::registry {

namespace {

constexpr std::uint64_t max_config_bytes = std::uint64_t{1} << 20;

struct ConfigFile {
  std::string path;
  std::map<std::string, Credentials, std::less<>> exact{};
  std::map<std::string, Credentials, std::less<>> legacy{};  ///< of URL keys
  std::map<std::string, std::string, std::less<>> helpers{};
  std::string store{};
};

bool is_empty(const Credentials& credentials) {
  return credentials.username.empty() && credentials.password.empty() &&
         credentials.identity_token.empty();
}

/// The host of a historical key; empty when it is not one.
std::string legacy_host(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) {
      key.remove_prefix(scheme.size());
    }
  }
  const std::size_t slash = key.find('/');
  const std::string_view path = slash == std::string_view::npos ? "" : key.substr(slash);
  const bool known = path.empty() || path == "/" || path == "/v1" || path == "/v1/" ||
                     path == "/v2" || path == "/v2/";
  return known ? std::string(key.substr(0, slash)) : std::string();
}

Result<Credentials> parse_entry(const nlohmann::json& value, const std::string& path) {
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, path));
  Credentials credentials;
  FNIMAGE_TRY(credentials.username, object.string_or("username", ""));
  FNIMAGE_TRY(credentials.password, object.string_or("password", ""));
  FNIMAGE_TRY(credentials.identity_token, object.string_or("identitytoken", ""));
  FNIMAGE_TRY(const std::string encoded, object.string_or("auth", ""));
  if (encoded.empty()) {
    return credentials;
  }
  auto decoded = from_base64(encoded);
  const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return fail(ErrorCode::invalid_input,
                object.path_of("auth") + ": not base64 of \"user:password\"",
                "log in to the registry again with `docker login`");
  }
  credentials.username = decoded->substr(0, colon);
  credentials.password = decoded->substr(colon + 1);
  while (!credentials.password.empty() && credentials.password.back() == '\0') {
    credentials.password.pop_back();  // old clients padded with zeros
  }
  return credentials;
}

Result<void> parse_auths(const nlohmann::json& auths, ConfigFile& config) {
  if (!auths.is_object()) {
    return fail(ErrorCode::invalid_input, config.path + ": /auths: not an object");
  }
  for (const auto& [key, value] : auths.items()) {
    FNIMAGE_TRY(Credentials credentials,
                parse_entry(value, config.path + ": /auths/" + printable(key)));
    const bool is_url = key.find('/') != std::string::npos;
    const std::string host = is_url ? legacy_host(key) : key;
    if (!host.empty()) {
      (is_url ? config.legacy : config.exact).emplace(host, std::move(credentials));
    }
  }
  return {};
}

Result<ConfigFile> parse_config(std::string_view text, const std::string& path) {
  ConfigFile config{.path = path};
  FNIMAGE_TRY(const nlohmann::json json, parse_json(text, path));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, path));
  FNIMAGE_TRY(config.store, object.string_or("credsStore", ""));
  if (const nlohmann::json* auths = object.find("auths")) {
    FNIMAGE_CHECK(parse_auths(*auths, config));
  }
  if (const nlohmann::json* helpers = object.find("credHelpers");
      helpers != nullptr && helpers->is_object()) {
    for (const auto& [key, value] : helpers->items()) {
      if (value.is_string()) {
        config.helpers.emplace(key, value.get<std::string>());
      }
    }
  }
  return config;
}

class DockerConfig final : public CredentialStore {
 public:
  explicit DockerConfig(ConfigFile config) : config_(std::move(config)) {}

  [[nodiscard]] Result<std::optional<Credentials>> find(std::string_view registry) const override {
    const Credentials* entry = nullptr;
    for (const auto* entries : {&config_.exact, &config_.legacy}) {
      const auto found = entries->find(registry);
      if (found == entries->end()) {
        continue;
      }
      entry = &found->second;
      if (!is_empty(*entry)) {
        return *entry;
      }
    }
    // An entry without content is docker's note that the helper has the credentials.
    const auto helper = config_.helpers.find(registry);
    if (helper != config_.helpers.end() || (entry != nullptr && !config_.store.empty())) {
      const std::string& name = helper != config_.helpers.end() ? helper->second : config_.store;
      return fail(ErrorCode::unsupported,
                  "the credentials of " + printable(registry) +
                      " are with the helper docker-credential-" + printable(name) +
                      ", which cannot be asked",
                  "put them into " + config_.path + " itself (an \"auth\" entry)");
    }
    return std::nullopt;
  }

 private:
  ConfigFile config_;
};

class FixedCredentials final : public CredentialStore {
 public:
  FixedCredentials(std::string registry, Credentials credentials)
      : registry_(std::move(registry)), credentials_(std::move(credentials)) {}

  [[nodiscard]] Result<std::optional<Credentials>> find(std::string_view registry) const override {
    return registry == registry_ ? std::optional(credentials_) : std::nullopt;
  }

 private:
  std::string registry_;
  Credentials credentials_;
};

}  // namespace

Result<std::unique_ptr<CredentialStore>> docker_config_credentials(
    const std::filesystem::path& file) {
  ConfigFile config{.path = file.string()};
  auto text = read_file(file, max_config_bytes);
  if (text) {
    FNIMAGE_TRY(config, parse_config(*text, file.string()));
  } else if (text.error().code() != ErrorCode::not_found) {
    return fail(std::move(text).error().while_doing("read the registry credentials"));
  }
  return std::make_unique<DockerConfig>(std::move(config));
}

Result<std::unique_ptr<CredentialStore>> default_credentials() {
  // Nothing in fnimage changes the environment. NOLINTBEGIN(concurrency-mt-unsafe)
  const char* directory = std::getenv("DOCKER_CONFIG");
  const char* home = std::getenv("HOME");
  // NOLINTEND(concurrency-mt-unsafe)
  if (directory != nullptr && *directory != '\0') {
    return docker_config_credentials(std::filesystem::path(directory) / "config.json");
  }
  if (home != nullptr && *home != '\0') {
    return docker_config_credentials(std::filesystem::path(home) / ".docker" / "config.json");
  }
  return std::make_unique<DockerConfig>(ConfigFile{});
}

std::unique_ptr<CredentialStore> fixed_credentials(std::string registry, Credentials credentials) {
  return std::make_unique<FixedCredentials>(std::move(registry), std::move(credentials));
}

}  // namespace fnimage::registry

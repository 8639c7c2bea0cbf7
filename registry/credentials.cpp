// Credential stores: files with their helpers, fixed ones, and several in turn.
#include <cstdlib>
#include <utility>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/credentials.hpp>

#include "credential_file.hpp"
#include "helper.hpp"

namespace fnimage::registry {

namespace {

namespace fs = std::filesystem;

bool is_empty(const Credentials& credentials) {
  return credentials.username.empty() && credentials.password.empty() &&
         credentials.identity_token.empty() && credentials.registry_token.empty();
}

/// "host/a/b", "host/a", "host": from the most specific key to the least.
std::vector<std::string> keys_of(std::string_view registry, std::string_view repository) {
  std::vector<std::string> keys;
  std::string key(registry);
  if (!repository.empty()) {
    key += "/" + std::string(repository);
  }
  for (; key.size() > registry.size(); key.resize(key.rfind('/'))) {
    keys.push_back(key);
  }
  keys.emplace_back(registry);
  return keys;
}

class FileCredentials final : public CredentialStore {
 public:
  explicit FileCredentials(CredentialFile file) : file_(std::move(file)) {}

  [[nodiscard]] Result<std::optional<Credentials>> find(
      std::string_view registry, std::string_view repository) const override {
    bool noted = false;  // an entry without content says that the helper has them
    for (const std::string& key : keys_of(registry, repository)) {
      if (const auto helper = file_.helpers.find(key); helper != file_.helpers.end()) {
        return ask(helper->second, key);
      }
      if (const auto entry = file_.exact.find(key); entry != file_.exact.end()) {
        if (!is_empty(entry->second)) {
          return entry->second;
        }
        noted = true;
      }
    }
    for (const std::string& name : names_of(registry)) {
      for (const auto* entries : {&file_.exact, &file_.legacy}) {
        const auto entry = entries->find(name);
        if (entry != entries->end() && !is_empty(entry->second)) {
          return entry->second;
        }
        noted = noted || entry != entries->end();
      }
    }
    if (const auto helper = file_.helpers.find(helper_key(registry));
        helper != file_.helpers.end()) {
      return ask(helper->second, std::string(registry));
    }
    if (file_.store.empty()) {
      return std::nullopt;
    }
    auto found = ask(file_.store, std::string(registry));
    // A machine's general helper may be gone or broken; that matters to those who keep something
    // there.
    if (!found && !noted) {
      return std::nullopt;
    }
    return found;
  }

 private:
  [[nodiscard]] Result<std::optional<Credentials>> ask(const std::string& helper,
                                                       const std::string& key) const {
    auto found = helper_get(helper, helper_key(key));
    if (found && !*found && helper_key(key) != key) {
      found = helper_get(helper, key);
    }
    if (!found) {
      return fail(std::move(found).error().while_doing("read the credentials of " + printable(key) +
                                                       ", which " + file_.path.string() +
                                                       " leaves to a helper"));
    }
    if (*found) {
      (*found)->source = "docker-credential-" + helper;
    }
    return found;
  }

  CredentialFile file_;
};

class FixedCredentials final : public CredentialStore {
 public:
  FixedCredentials(std::string registry, Credentials credentials)
      : registry_(std::move(registry)), credentials_(std::move(credentials)) {}

  [[nodiscard]] Result<std::optional<Credentials>> find(
      std::string_view registry, std::string_view /*repository*/) const override {
    return registry == registry_ ? std::optional(credentials_) : std::nullopt;
  }

 private:
  std::string registry_;
  Credentials credentials_;
};

class ChainedCredentials final : public CredentialStore {
 public:
  explicit ChainedCredentials(std::vector<std::unique_ptr<CredentialStore>> stores)
      : stores_(std::move(stores)) {}

  [[nodiscard]] Result<std::optional<Credentials>> find(
      std::string_view registry, std::string_view repository) const override {
    for (const auto& store : stores_) {
      FNIMAGE_TRY(std::optional<Credentials> found, store->find(registry, repository));
      if (found) {
        return found;
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<std::unique_ptr<CredentialStore>> stores_;
};

/// Nothing in fnimage changes the environment.
std::optional<fs::path> path_variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr && *value != '\0' ? std::optional<fs::path>(value) : std::nullopt;
}

std::optional<fs::path> below_home(std::string_view name) {
  const auto home = path_variable("HOME");
  return home ? std::optional(*home / name) : std::nullopt;
}

std::optional<fs::path> docker_config_file() {
  if (const auto directory = path_variable("DOCKER_CONFIG")) {
    return *directory / "config.json";
  }
  return below_home(".docker/config.json");
}

}  // namespace

Result<std::optional<Credentials>> CredentialStore::find(std::string_view registry) const {
  return find(registry, "");
}

std::vector<fs::path> credential_files() {
  if (const auto file = path_variable("REGISTRY_AUTH_FILE")) {
    return {*file};
  }
  std::vector<fs::path> files;
  const auto add = [&files](const std::optional<fs::path>& file) {
    if (file) {
      files.push_back(*file);
    }
  };
  add(docker_config_file());
  if (const auto runtime = path_variable("XDG_RUNTIME_DIR")) {
    add(*runtime / "containers" / "auth.json");
  }
  const auto config = path_variable("XDG_CONFIG_HOME");
  add(config ? std::optional(*config / "containers" / "auth.json")
             : below_home(".config/containers/auth.json"));
  return files;
}

Result<std::unique_ptr<CredentialStore>> docker_config_credentials(const fs::path& file) {
  FNIMAGE_TRY(CredentialFile content, read_credential_file(file));
  return std::make_unique<FileCredentials>(std::move(content));
}

Result<std::unique_ptr<CredentialStore>> default_credentials() {
  std::vector<std::unique_ptr<CredentialStore>> stores;
  constexpr const char* in_text = "DOCKER_AUTH_CONFIG";
  if (const char* text = std::getenv(in_text)) {  // NOLINT(concurrency-mt-unsafe)
    FNIMAGE_TRY(CredentialFile content, parse_credential_file(text, in_text));
    stores.push_back(std::make_unique<FileCredentials>(std::move(content)));
  }
  for (const fs::path& file : credential_files()) {
    FNIMAGE_TRY(auto store, docker_config_credentials(file));
    stores.push_back(std::move(store));
  }
  return chained_credentials(std::move(stores));
}

std::unique_ptr<CredentialStore> fixed_credentials(std::string registry, Credentials credentials) {
  return std::make_unique<FixedCredentials>(std::move(registry), std::move(credentials));
}

std::unique_ptr<CredentialStore> chained_credentials(
    std::vector<std::unique_ptr<CredentialStore>> stores) {
  return std::make_unique<ChainedCredentials>(std::move(stores));
}

}  // namespace fnimage::registry

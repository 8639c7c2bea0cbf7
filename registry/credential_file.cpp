// See credential_file.hpp.
#include "credential_file.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/file_lock.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

#include "helper.hpp"

namespace fnimage::registry {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_config_bytes = std::uint64_t{1} << 20;

Result<Credentials> parse_entry(const nlohmann::json& value, const std::string& path) {
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, path));
  Credentials credentials;
  FNIMAGE_TRY(credentials.username, object.string_or("username", ""));
  FNIMAGE_TRY(credentials.password, object.string_or("password", ""));
  FNIMAGE_TRY(credentials.identity_token, object.string_or("identitytoken", ""));
  FNIMAGE_TRY(credentials.registry_token, object.string_or("registrytoken", ""));
  FNIMAGE_TRY(const std::string encoded, object.string_or("auth", ""));
  if (encoded.empty()) {
    return credentials;
  }
  auto decoded = from_base64(encoded);
  const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return fail(ErrorCode::invalid_input,
                object.path_of("auth") + ": not base64 of \"user:password\"",
                "log in to the registry again: fnimage login");
  }
  credentials.username = decoded->substr(0, colon);
  credentials.password = decoded->substr(colon + 1);
  while (!credentials.password.empty() && credentials.password.back() == '\0') {
    credentials.password.pop_back();  // old clients padded with zeros
  }
  return credentials;
}

Result<void> parse_auths(const nlohmann::json& auths, CredentialFile& config) {
  if (!auths.is_object()) {
    return fail(ErrorCode::invalid_input, config.path.string() + ": /auths: not an object");
  }
  for (const auto& [key, value] : auths.items()) {
    FNIMAGE_TRY(Credentials credentials,
                parse_entry(value, config.path.string() + ": /auths/" + printable(key)));
    credentials.source = config.path.string();
    const std::string host = key.find('/') == std::string::npos ? std::string() : legacy_host(key);
    if (!host.empty()) {
      config.legacy.emplace(host, std::move(credentials));
    } else if (key.find("://") == std::string::npos) {
      config.exact.emplace(key, std::move(credentials));
    }
  }
  return {};
}

Result<CredentialFile> parse_config(std::string_view text, const fs::path& file) {
  const std::string path = file.string();
  CredentialFile config{.path = file};
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

/// Text of the file; empty when there is none.
Result<std::string> read_text(const fs::path& path) {
  auto text = read_file(path, max_config_bytes);
  if (!text && text.error().code() == ErrorCode::not_found) {
    return std::string();
  }
  if (!text) {
    return fail(std::move(text).error().while_doing("read the registry credentials"));
  }
  return text;
}

/// Changes the JSON of a file in one crash-safe step, all that is not changed kept.
template <typename Change>
Result<void> edit(const fs::path& file, Change change) {
  std::error_code error;
  const fs::path real = fs::exists(file, error) ? fs::canonical(file, error) : file;
  const fs::path path = error ? file : real;  // through links: they may lead to a mounted secret
  if (path.has_parent_path()) {
    FNIMAGE_CHECK(make_directories(path.parent_path()));
  }
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(path.string() + ".lock"));
  FNIMAGE_TRY(const std::string text, read_text(path));
  FNIMAGE_TRY(nlohmann::json json, parse_json(text.empty() ? "{}" : text, path.string()));
  if (!json.is_object()) {
    return fail(ErrorCode::invalid_input, path.string() + ": not a JSON object");
  }
  change(json);
  FNIMAGE_TRY(AtomicFile target,
              AtomicFile::create(path.has_parent_path() ? path.parent_path() : fs::path(".")));
  fs::permissions(target.temporary_path(), fs::perms::owner_read | fs::perms::owner_write, error);
  if (error) {
    return fail(error_from_errno(error.value(), "protect " + path.string()));
  }
  constexpr int indent = 2;
  FNIMAGE_CHECK(target.write(
      as_bytes(json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n")));
  return target.commit(path);
}

constexpr std::string_view docker_name = "docker.io";
constexpr std::string_view docker_key = "https://index.docker.io/v1/";  // since before there was v2

constexpr std::string_view docker_host = "index.docker.io";  // of docker_key

/// Whether a key of `auths` is this registry's.
bool is_key_of(const std::string& key, std::string_view registry) {
  const std::string host = legacy_host(key);
  const auto names = names_of(registry);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return key == name || host == name; });
}

/// The helper that keeps this registry's credentials; empty = the file itself.
std::string helper_of(const CredentialFile& file, std::string_view registry) {
  for (const auto& [key, helper] : file.helpers) {
    if (is_key_of(key, registry)) {
      return helper;
    }
  }
  return file.store;
}

bool has_entry(const CredentialFile& file, std::string_view registry) {
  const auto names = names_of(registry);
  return std::any_of(names.begin(), names.end(), [&file](const std::string& name) {
    return file.exact.contains(name) || file.legacy.contains(name);
  });
}

}  // namespace

std::vector<std::string> names_of(std::string_view registry) {
  std::vector<std::string> names{std::string(registry)};
  if (registry == docker_name) {
    names.emplace_back(docker_host);
  }
  return names;
}

std::string network_name(std::string_view registry) {
  return std::string(registry == docker_name ? "registry-1.docker.io" : registry);
}

std::string full_repository(std::string_view registry, std::string_view repository) {
  const bool official = registry == docker_name && repository.find('/') == std::string_view::npos;
  return (official ? "library/" : "") + std::string(repository);
}

std::string helper_key(std::string_view registry) {
  return std::string(registry == docker_name ? docker_key : registry);
}

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

Result<CredentialFile> read_credential_file(const fs::path& path) {
  FNIMAGE_TRY(const std::string text, read_text(path));
  return parse_credential_file(text, path);
}

Result<CredentialFile> parse_credential_file(std::string_view text, const fs::path& path) {
  return trim(text).empty() ? CredentialFile{.path = path} : parse_config(text, path);
}

Result<std::string> save_credentials(const fs::path& file, const std::string& registry,
                                     const Credentials& credentials) {
  FNIMAGE_TRY(const CredentialFile known, read_credential_file(file));
  const std::string helper = helper_of(known, registry);
  nlohmann::json entry = nlohmann::json::object();  // empty: the note that the helper has them
  const std::string key = helper_key(registry);
  if (!helper.empty() && !credentials.registry_token.empty()) {
    return fail(ErrorCode::unsupported,
                "docker-credential-" + helper + " cannot keep a registry token",
                "use another file: --authfile FILE");
  }
  if (!helper.empty()) {
    FNIMAGE_CHECK(helper_store(helper, key, credentials));
  } else if (!credentials.registry_token.empty()) {
    entry["registrytoken"] = credentials.registry_token;
  } else if (!credentials.identity_token.empty()) {
    entry["auth"] = to_base64(as_bytes(credentials.username + ":"));
    entry["identitytoken"] = credentials.identity_token;
  } else {
    entry["auth"] = to_base64(as_bytes(credentials.username + ":" + credentials.password));
  }
  FNIMAGE_CHECK(edit(file, [&](nlohmann::json& json) {
    nlohmann::json& auths = json["auths"];
    if (!auths.is_object()) {
      auths = nlohmann::json::object();
    }
    auths[key] = std::move(entry);
  }));
  return helper.empty() ? file.string() : "docker-credential-" + helper;
}

Result<bool> remove_credentials(const fs::path& file, const std::string& registry) {
  FNIMAGE_TRY(const CredentialFile known, read_credential_file(file));
  bool removed = false;
  if (const std::string helper = helper_of(known, registry); !helper.empty()) {
    FNIMAGE_TRY(removed, helper_erase(helper, helper_key(registry)));
    if (helper_key(registry) != registry) {
      FNIMAGE_TRY(const bool also, helper_erase(helper, registry));
      removed = removed || also;
    }
  }
  if (has_entry(known, registry)) {
    removed = true;
    FNIMAGE_CHECK(edit(file, [&](nlohmann::json& json) {
      nlohmann::json kept = nlohmann::json::object();
      for (auto& [key, value] : json["auths"].items()) {
        if (!is_key_of(key, registry)) {
          kept[key] = std::move(value);
        }
      }
      json["auths"] = std::move(kept);
    }));
  }
  return removed;
}

Result<std::vector<std::string>> remove_all_credentials(const fs::path& file) {
  FNIMAGE_TRY(const CredentialFile known, read_credential_file(file));
  std::vector<std::string> removed;
  if (!known.store.empty()) {
    FNIMAGE_TRY(removed, helper_list(known.store));
    for (const std::string& server : removed) {
      FNIMAGE_CHECK(helper_erase(known.store, server));
    }
  }
  for (const auto& [registry, helper] : known.helpers) {
    FNIMAGE_TRY(const bool had, helper_erase(helper, registry));
    if (had) {
      removed.push_back(registry);
    }
  }
  for (const auto* entries : {&known.exact, &known.legacy}) {
    for (const auto& [registry, credentials] : *entries) {
      removed.push_back(registry);
    }
  }
  if (!known.exact.empty() || !known.legacy.empty()) {
    FNIMAGE_CHECK(
        edit(file, [](nlohmann::json& json) { json["auths"] = nlohmann::json::object(); }));
  }
  std::sort(removed.begin(), removed.end());
  removed.erase(std::unique(removed.begin(), removed.end()), removed.end());
  return removed;
}

}  // namespace fnimage::registry

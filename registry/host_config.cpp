// See host_config.hpp.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/host_config.hpp>

#include "credential_file.hpp"
#include "helper.hpp"
#include "url.hpp"

namespace fnimage::registry {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 20;

Result<void> only_known_members(const nlohmann::json& object, const std::string& path,
                                std::span<const std::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      const auto near = nearest(key, known);
      return fail(ErrorCode::invalid_input, path + ": unknown member \"" + printable(key) + "\"",
                  near ? "did you mean \"" + *near + "\"?" : "");
    }
  }
  return {};
}

Result<std::optional<bool>> flag(const JsonObject& object, std::string_view key) {
  const nlohmann::json* value = object.find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_boolean()) {
    return fail(ErrorCode::invalid_input, object.path_of(key) + ": neither true nor false");
  }
  return value->get<bool>();
}

Result<fs::path> path_member(const JsonObject& object, std::string_view key, const fs::path& base) {
  FNIMAGE_TRY(const std::string text, object.string_or(key, ""));
  return text.empty() ? fs::path() : base / text;
}

Result<std::vector<std::string>> strings(const JsonObject& object, std::string_view key) {
  std::vector<std::string> result;
  const nlohmann::json* value = object.find(key);
  if (value == nullptr) {
    return result;
  }
  for (const nlohmann::json& element : *value) {
    if (!value->is_array() || !element.is_string()) {
      return fail(ErrorCode::invalid_input, object.path_of(key) + ": not a list of strings");
    }
    result.push_back(element.get<std::string>());
  }
  return result;
}

/// A number, or a text like "500k" or "10M" (powers of 1024); absent = nullopt.
Result<std::optional<std::uint64_t>> amount(const JsonObject& object, std::string_view key,
                                            std::uint64_t least, std::uint64_t most) {
  const nlohmann::json* value = object.find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  bool good = value->is_number_unsigned();
  if (good) {
    number = value->get<std::uint64_t>();
  } else if (value->is_string()) {
    const std::string text = to_lower(value->get<std::string>());
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit =
        std::string_view(text).substr(static_cast<std::size_t>(end - text.data()));
    constexpr std::array<std::string_view, 4> units{"", "k", "m", "g"};
    const auto* const found = std::find(units.begin(), units.end(), unit);
    constexpr std::ptrdiff_t bits = 10;
    const auto shift = (found - units.begin()) * bits;
    good = problem == std::errc() && found != units.end() && number <= most >> shift;
    number = good ? number << shift : 0;
  }
  if (!good || number < least || number > most) {
    return fail(ErrorCode::invalid_input, object.path_of(key) + ": not a number from " +
                                              std::to_string(least) + " to " +
                                              std::to_string(most));
  }
  return number;
}

Result<void> parse_limits(const JsonObject& object, HostOptions& host) {
  constexpr std::uint64_t least_connections = 2;
  constexpr std::uint64_t most_connections = 64;
  constexpr std::uint64_t least_bytes = std::uint64_t{16} << 10;
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40;
  FNIMAGE_TRY(const auto connections,
              amount(object, "connections", least_connections, most_connections));
  if (connections) {
    host.connections = static_cast<std::size_t>(*connections);
  }
  FNIMAGE_TRY(host.limit_rate, amount(object, "limit_rate", least_bytes, most_bytes));
  FNIMAGE_TRY(host.chunk_size, amount(object, "chunk_size", least_bytes, most_bytes));
  return {};
}

Result<std::vector<std::string>> parse_mirrors(const JsonObject& object) {
  FNIMAGE_TRY(std::vector<std::string> mirrors, strings(object, "mirrors"));
  for (const std::string& mirror : mirrors) {
    if (mirror.find_first_of("?#@ ") != std::string::npos || mirror.starts_with('/') ||
        mirror.ends_with('/') || mirror.find("//") != std::string::npos ||
        !Url::parse("https://" + mirror + "/")) {
      return fail(ErrorCode::invalid_input,
                  object.path_of("mirrors") + ": not a registry: " + printable(mirror),
                  "write host, host:port or host:port/prefix; how it is reached says its own entry "
                  "in hosts");
    }
  }
  return mirrors;
}

Result<CredentialSource> parse_credentials(const JsonObject& host, const fs::path& base) {
  constexpr std::array<std::string_view, 4> known{"username", "password_file", "authfile",
                                                  "helper"};
  CredentialSource source;
  const nlohmann::json* json = host.find("credentials");
  if (json == nullptr) {
    return source;
  }
  const std::string path = host.path_of("credentials");
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(*json, path));
  for (const std::string_view secret : {"password", "identity_token", "registry_token", "auth"}) {
    if (object.find(secret) != nullptr) {
      return fail(ErrorCode::invalid_input,
                  object.path_of(secret) + ": secrets do not belong into this file",
                  "keep it in a file of its own and name that: \"password_file\"; or use fnimage "
                  "login");
    }
  }
  FNIMAGE_CHECK(only_known_members(*json, path, known));
  FNIMAGE_TRY(source.username, object.string_or("username", ""));
  FNIMAGE_TRY(source.password_file, path_member(object, "password_file", base));
  FNIMAGE_TRY(source.authfile, path_member(object, "authfile", base));
  FNIMAGE_TRY(source.helper, object.string_or("helper", ""));
  const int forms = (source.password_file.empty() ? 0 : 1) + (source.authfile.empty() ? 0 : 1) +
                    (source.helper.empty() ? 0 : 1);
  if (forms != 1 || source.username.empty() != source.password_file.empty()) {
    return fail(ErrorCode::invalid_input,
                path + ": one of username with password_file, authfile and helper is needed");
  }
  return source;
}

Result<HostOptions> parse_host(const nlohmann::json& json, const std::string& path,
                               const fs::path& base) {
  constexpr std::array<std::string_view, 13> known{
      "plain_http", "insecure",   "tls_verify",  "ca_file", "ca_dir",
      "cert_file",  "key_file",   "auth_realms", "mirrors", "connections",
      "limit_rate", "chunk_size", "credentials"};
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, path));
  FNIMAGE_CHECK(only_known_members(json, path, known));
  HostOptions host;
  FNIMAGE_TRY(host.plain_http, flag(object, "plain_http"));
  FNIMAGE_TRY(host.insecure, flag(object, "insecure"));
  FNIMAGE_TRY(host.tls_verify, flag(object, "tls_verify"));
  FNIMAGE_TRY(host.ca_file, path_member(object, "ca_file", base));
  FNIMAGE_TRY(host.ca_dir, path_member(object, "ca_dir", base));
  FNIMAGE_TRY(host.cert_file, path_member(object, "cert_file", base));
  FNIMAGE_TRY(host.key_file, path_member(object, "key_file", base));
  FNIMAGE_TRY(host.auth_realms, strings(object, "auth_realms"));
  FNIMAGE_TRY(host.mirrors, parse_mirrors(object));
  FNIMAGE_CHECK(parse_limits(object, host));
  FNIMAGE_TRY(host.credentials, parse_credentials(object, base));
  if (host.cert_file.empty() != host.key_file.empty()) {
    return fail(ErrorCode::invalid_input, path + ": cert_file and key_file belong together");
  }
  return host;
}

/// Files of a directory with one of these endings, sorted.
Result<std::vector<fs::path>> files_in(const fs::path& directory,
                                       std::span<const std::string_view> endings) {
  std::error_code error;
  std::vector<fs::path> files;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string ending = entry->path().extension().string();
    if (std::find(endings.begin(), endings.end(), ending) != endings.end()) {
      files.push_back(entry->path());
    }
  }
  if (error) {
    return fail(error_from_errno(error.value(), "read " + directory.string()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<void> add_ca_dir(const fs::path& directory, TlsOptions& tls) {
  constexpr std::array<std::string_view, 2> endings{".crt", ".pem"};
  FNIMAGE_TRY(const auto files, files_in(directory, endings));
  for (const fs::path& file : files) {
    FNIMAGE_TRY(const std::string pem, read_file(file, max_file_bytes));
    tls.ca_pem += pem + "\n";
  }
  return {};
}

/// What container tools keep for one registry; all of it is optional.
void add_shared_certificates(const fs::path& directory, TlsOptions& tls, Diagnostics& diagnostics) {
  constexpr std::array<std::string_view, 2> endings{".crt", ".cert"};
  const auto files = files_in(directory, endings);
  if (!files) {
    if (files.error().code() != ErrorCode::not_found) {
      diagnostics.report(Severity::debug, files.error().describe());
    }
    return;
  }
  for (const fs::path& file : *files) {
    auto content = read_file(file, max_file_bytes);
    if (!content) {
      diagnostics.report(Severity::debug, content.error().describe());
    } else if (file.extension() == ".crt") {
      tls.ca_pem += *content + "\n";
    } else if (tls.cert_file.empty()) {
      fs::path key = file;
      key.replace_extension(".key");
      if (const auto readable = read_file(key, max_file_bytes); readable) {
        tls.cert_file = file;
        tls.key_file = key;
      } else {
        diagnostics.report(Severity::debug, readable.error().describe());
      }
    }
  }
}

std::string variable_or(const char* name, const std::string& fallback) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): never changed
  return value != nullptr && *value != '\0' ? std::string(value) : fallback;
}

/// $XDG_CONFIG_HOME or ~/.config; may be empty.
fs::path config_home() {
  const std::string home = variable_or("HOME", "");
  return variable_or("XDG_CONFIG_HOME", home.empty() ? "" : home + "/.config");
}

void merge(const HostOptions& host, ClientOptions& options, fs::path& ca_dir) {
  // A protocol that the caller chose is not changed by the file.
  if (!options.plain_http && !options.insecure) {
    options.plain_http = host.plain_http.value_or(false);
    options.insecure = host.insecure.value_or(false);
  }
  options.tls.verify = options.tls.verify && host.tls_verify.value_or(true);
  if (options.tls.ca_file.empty()) {
    options.tls.ca_file = host.ca_file;
  }
  if (options.tls.cert_file.empty()) {
    options.tls.cert_file = host.cert_file;
    options.tls.key_file = host.key_file;
  }
  if (ca_dir.empty()) {
    ca_dir = host.ca_dir;
  }
  if (options.chunk_size == 0) {
    options.chunk_size = host.chunk_size.value_or(0);
  }
  options.auth_realms.insert(options.auth_realms.end(), host.auth_realms.begin(),
                             host.auth_realms.end());
}

/// HostOptions::credentials of all hosts.
class HostCredentials final : public CredentialStore {
 public:
  explicit HostCredentials(std::map<std::string, HostOptions> hosts) : hosts_(std::move(hosts)) {}

  [[nodiscard]] Result<std::optional<Credentials>> find(
      std::string_view registry, std::string_view repository) const override {
    const auto host = hosts_.find(std::string(registry));
    if (host == hosts_.end() || host->second.credentials == CredentialSource{}) {
      return std::nullopt;
    }
    auto found = look(host->second.credentials, registry, repository);
    if (!found) {
      return fail(
          std::move(found).error().while_doing("read the credentials of " + printable(registry)));
    }
    return found;
  }

 private:
  static Result<std::optional<Credentials>> look(const CredentialSource& source,
                                                 std::string_view registry,
                                                 std::string_view repository) {
    if (!source.password_file.empty()) {
      return from_password_file(source);
    }
    if (!source.helper.empty()) {
      FNIMAGE_TRY(auto found, helper_get(source.helper, helper_key(registry)));
      if (found) {
        found->source = "docker-credential-" + source.helper;
      }
      return found;
    }
    if (std::error_code error; !fs::exists(source.authfile, error)) {
      return fail(ErrorCode::not_found, source.authfile.string() + " does not exist");
    }
    FNIMAGE_TRY(const auto file, docker_config_credentials(source.authfile));
    return file->find(registry, repository);
  }

  static Result<std::optional<Credentials>> from_password_file(const CredentialSource& source) {
    constexpr std::uint64_t max_password = std::uint64_t{64} << 10;
    FNIMAGE_TRY(std::string password, read_file(source.password_file, max_password));
    password.resize(password.find_last_not_of("\r\n") + 1);
    if (password.empty()) {
      return fail(ErrorCode::invalid_input, source.password_file.string() + ": no password in it");
    }
    return Credentials{.username = source.username,
                       .password = std::move(password),
                       .source = source.password_file.string()};
  }

  std::map<std::string, HostOptions> hosts_;
};

}  // namespace

std::unique_ptr<CredentialStore> host_credentials(std::map<std::string, HostOptions> hosts) {
  return std::make_unique<HostCredentials>(std::move(hosts));
}

std::map<std::string, HostLimits, std::less<>> host_limits(
    const std::map<std::string, HostOptions>& hosts) {
  std::map<std::string, HostLimits, std::less<>> limits;
  for (const auto& [name, host] : hosts) {
    if (host.connections || host.limit_rate) {
      limits.emplace(to_lower(network_name(name)),
                     HostLimits{.connections = host.connections, .rate_limit = host.limit_rate});
    }
  }
  return limits;
}

Result<std::map<std::string, HostOptions>> read_host_config(const fs::path& file) {
  constexpr std::array<std::string_view, 1> known{"hosts"};
  std::map<std::string, HostOptions> hosts;
  auto text = read_file(file, max_file_bytes);
  if (!text) {
    if (text.error().code() == ErrorCode::not_found) {
      return hosts;
    }
    return fail(std::move(text).error());
  }
  FNIMAGE_TRY(const nlohmann::json json, parse_json(*text, file.string()));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, file.string()));
  FNIMAGE_CHECK(only_known_members(json, file.string(), known));
  const nlohmann::json* members = object.find("hosts");
  if (members == nullptr) {
    return hosts;
  }
  FNIMAGE_TRY(const JsonObject checked, JsonObject::of(*members, object.path_of("hosts")));
  for (const auto& [name, value] : members->items()) {
    FNIMAGE_TRY(HostOptions host, parse_host(value, checked.path_of(name), file.parent_path()));
    hosts.emplace(name, std::move(host));
  }
  return hosts;
}

fs::path host_config_file() {
  const fs::path home = config_home();
  return home.empty() ? fs::path() : home / "fnimage" / "registries.json";
}

std::vector<fs::path> certificate_directories() {
  std::vector<fs::path> directories{"/etc/docker/certs.d", "/etc/containers/certs.d"};
  if (const fs::path home = config_home(); !home.empty()) {
    directories.push_back(home / "containers" / "certs.d");
  }
  return directories;
}

Result<ClientOptions> options_for(const ClientOptions& options, const std::string& registry,
                                  Diagnostics& diagnostics) {
  ClientOptions result = options;
  fs::path ca_dir = options.ca_dir;
  if (const auto host = options.hosts.find(registry); host != options.hosts.end()) {
    merge(host->second, result, ca_dir);
  }
  if (!ca_dir.empty()) {
    FNIMAGE_CHECK(add_ca_dir(ca_dir, result.tls));
  }
  if (registry.find('/') == std::string::npos && !registry.starts_with('.')) {
    for (const fs::path& directory : options.certificate_directories) {
      add_shared_certificates(directory / registry, result.tls, diagnostics);
    }
  }
  return result;
}

}  // namespace fnimage::registry

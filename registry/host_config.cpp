// See host_config.hpp.
#include <algorithm>
#include <array>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/host_config.hpp>

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

Result<HostOptions> parse_host(const nlohmann::json& json, const std::string& path,
                               const fs::path& base) {
  constexpr std::array<std::string_view, 8> known{"plain_http", "insecure",   "tls_verify",
                                                  "ca_file",    "ca_dir",     "cert_file",
                                                  "key_file",   "auth_realms"};
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
  options.auth_realms.insert(options.auth_realms.end(), host.auth_realms.begin(),
                             host.auth_realms.end());
}

}  // namespace

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

#include "options.hpp"

#include <chrono>
#include <limits>
#include <map>

#include <CLI/CLI.hpp>

#include <fnimage/registry/host_config.hpp>

namespace fnimage::cli {

namespace {

constexpr const char* registry_group = "Registry";

void add_retry_options(CLI::App& command, RegistryOptions& options, const char* group) {
  command
      .add_option("--retries", options.retries,
                  "How often what fails for the moment is tried again (4); 0 = never")
      ->check(CLI::Range(0, 1000))
      ->type_name("N")
      ->group(group);
  const std::map<std::string, std::uint64_t> units{{"s", 1}, {"m", 60}, {"h", 3600}};
  command
      .add_option("--retry-for", options.retry_for,
                  "Go on trying for that long after the first failure, however often: 90s, 10m")
      ->transform(CLI::AsNumberWithUnit(units))
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{24} * 3600))
      ->type_name("TIME")
      ->group(group);
}

void add_traffic_options(CLI::App& command, RegistryOptions& options, const char* group) {
  command.add_option("--connections", options.connections, "Connections to one registry (8)")
      ->check(CLI::Range(2, 64))
      ->each([&options](const std::string&) { options.connections_given = true; })
      ->type_name("N")
      ->group(group);
  command
      .add_option("--limit-rate", options.limit_rate,
                  "Bytes per second, up and down, of the whole run: 500k, 10M")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{16} << 10, std::uint64_t{1} << 40))
      ->type_name("RATE")
      ->group(group);
  command
      .add_option("--requests-per-second", options.requests_per_second,
                  "Ask one registry no more often than that")
      ->check(CLI::Range(1, 10'000))
      ->type_name("N")
      ->group(group);
  add_retry_options(command, options, group);
}

/// How often a request is tried: with a time and no number, the time alone decides.
registry::RetryOptions retry_options(const RegistryOptions& options) {
  registry::RetryOptions result;
  result.retry_for = std::chrono::seconds(options.retry_for);
  if (options.retries >= 0) {
    result.attempts = options.retries + 1;
  } else if (options.retry_for > 0) {
    result.attempts = std::numeric_limits<int>::max();
  }
  return result;
}

/// A flag that can also be said to be false: --insecure=false.
void add_switch(CLI::App& command, const std::string& name, std::optional<bool>& value,
                const std::string& description) {
  command
      .add_flag_function(
          name, [&value](std::int64_t count) { value = count > 0; }, description)
      ->group(registry_group);
}

/// @param prefix "--", "--src-" or "--dest-"
void add_protocol_options(CLI::App& command, const std::string& prefix, ProtocolFlags& flags) {
  add_switch(command, prefix + "plain-http", flags.plain_http, "Use http, not https");
  add_switch(command, prefix + "insecure", flags.insecure,
             "Accept any certificate, and http when the registry has no TLS");
  add_switch(command, prefix + "tls-verify", flags.tls_verify,
             "Verify certificates (default); " + prefix + "tls-verify=false accepts any");
}

void add_side(CLI::App& command, const std::string& prefix, const char* argument,
              SideOptions& side) {
  add_protocol_options(command, prefix, side.protocol);
  command
      .add_option(prefix + "creds", side.creds,
                  std::string("As --creds, for the registry of ") + argument)
      ->type_name("USER[:PASSWORD]")
      ->group(registry_group);
}

}  // namespace

void add_side_options(CLI::App& command, RegistryOptions& options) {
  add_side(command, "--src-", "SRC", options.source);
  add_side(command, "--dest-", "DST", options.destination);
}

void add_common_options(CLI::App& command, CommonOptions& options) {
  command.add_flag("--json", options.json, "Print results, and errors too, as JSON");
  command.add_flag("-q,--quiet", options.quiet, "No progress, and only what matters of the result");
  command.add_flag("--debug", options.debug, "Say more about what is done");
  command.add_option("--progress", options.progress, "auto, tty (bars), plain (lines) or none")
      ->check(CLI::IsMember({"auto", "tty", "plain", "none"}))
      ->type_name("MODE");
}

namespace {

void add_credential_options(CLI::App& command, RegistryOptions& options) {
  constexpr const char* group = registry_group;
  command
      .add_option("--creds", options.creds,
                  "For the registry of this command; without PASSWORD it is asked for. Other "
                  "users of the machine can see it: better FNIMAGE_USERNAME and FNIMAGE_PASSWORD")
      ->type_name("USER[:PASSWORD]")
      ->group(group);
  command.add_option("--username", options.username, "The same without the password")
      ->type_name("USER")
      ->group(group);
  command
      .add_flag("--password-stdin", options.password_stdin, "Read the password from standard input")
      ->group(group);
  command
      .add_flag("--identity-token-stdin", options.identity_token_stdin,
                "Read an OAuth2 refresh token from standard input, instead of user and password")
      ->group(group);
  command
      .add_flag("--registry-token-stdin", options.registry_token_stdin,
                "Read a bearer token for the registry from standard input, which is sent as it is")
      ->group(group);
  command
      .add_option(
          "--auth-realm", options.auth_realms,
          "A token server that may get the registry's credentials although it is of another "
          "domain; or a server that the registry may lead to although its address is less public")
      ->type_name("HOST[:PORT]")
      ->group(group);
  add_authfile_option(command, options);
}

}  // namespace

void add_registry_options(CLI::App& command, RegistryOptions& options) {
  constexpr const char* group = registry_group;
  add_protocol_options(command, "--", options.protocol);
  command.add_option("--ca-file", options.ca_file, "Certificates to trust as well (PEM)")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group(group);
  command.add_option("--ca-dir", options.ca_dir, "All *.crt and *.pem files there as well")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIR")
      ->group(group);
  command.add_option("--cert-file", options.cert_file, "Client certificate (PEM)")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group(group);
  command.add_option("--key-file", options.key_file, "Key of the client certificate (PEM)")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group(group);
  add_traffic_options(command, options, group);
  add_credential_options(command, options);
}

void add_authfile_option(CLI::App& command, RegistryOptions& options) {
  command
      .add_option("--authfile", options.authfile,
                  "Credentials are here, not in docker's config.json and its like")
      ->type_name("FILE")
      ->group(registry_group);
}

namespace {

/// What a flag asks for goes before the file, and so does what it rules out.
void apply(const ProtocolFlags& flags, registry::HostOptions& host) {
  if (flags.plain_http) {
    host.plain_http = flags.plain_http;
  }
  if (flags.insecure) {
    host.insecure = flags.insecure;
    host.plain_http = *flags.insecure ? flags.plain_http : host.plain_http;
  }
  if (flags.tls_verify) {
    host.tls_verify = flags.tls_verify;
    host.insecure = *flags.tls_verify ? flags.insecure : host.insecure;
  }
}

void apply(const RegistryOptions& options, registry::HostOptions& host) {
  apply(options.protocol, host);
  if (!options.cert_file.empty()) {
    host.cert_file = options.cert_file;
    host.key_file = options.key_file;
  }
  host.auth_realms.insert(host.auth_realms.end(), options.auth_realms.begin(),
                          options.auth_realms.end());
}

void apply_to_all(const RegistryOptions& options, registry::ClientOptions& result) {
  for (auto& [name, host] : result.hosts) {
    apply(options, host);
  }
  result.plain_http = options.protocol.plain_http.value_or(false);
  result.insecure = options.protocol.insecure.value_or(false);
  result.tls.verify = options.protocol.tls_verify.value_or(true);
  result.tls.cert_file = options.cert_file;
  result.tls.key_file = options.key_file;
  result.auth_realms = options.auth_realms;
}

}  // namespace

ProgressMode progress_mode(const CommonOptions& options) noexcept {
  if (options.quiet || options.progress == "none") {
    return ProgressMode::none;
  }
  if (options.progress == "tty") {
    return ProgressMode::tty;
  }
  return options.progress == "plain" ? ProgressMode::plain : ProgressMode::automatic;
}

Result<registry::ClientOptions> client_options(const RegistryOptions& options) {
  if (options.cert_file.empty() != options.key_file.empty()) {
    return fail(ErrorCode::invalid_argument, "--cert-file and --key-file belong together",
                "give both");
  }
  registry::ClientOptions result;
  result.retry = retry_options(options);
  result.requests_per_second = options.requests_per_second;
  FNIMAGE_TRY(result.hosts, registry::read_host_config(registry::host_config_file()));
  result.certificate_directories = registry::certificate_directories();
  result.ca_dir = options.ca_dir;
  result.tls.ca_file = options.ca_file;
  if (options.registries.empty()) {
    apply_to_all(options, result);
  }
  for (const std::string& registry : options.registries) {
    apply(options, result.hosts[registry]);
  }
  for (const SideOptions* side : {&options.source, &options.destination}) {
    if (!side->registry.empty()) {
      apply(side->protocol, result.hosts[side->registry]);
    }
  }
  return result;
}

}  // namespace fnimage::cli

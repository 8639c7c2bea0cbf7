#include "options.hpp"

#include <CLI/CLI.hpp>

namespace fnimage::cli {

void add_common_options(CLI::App& command, CommonOptions& options) {
  command.add_flag("--json", options.json, "Print results, and errors too, as JSON");
  command.add_flag("-q,--quiet", options.quiet, "No progress, and only what matters of the result");
  command.add_flag("--debug", options.debug, "Say more about what is done");
  command.add_option("--progress", options.progress, "auto, tty (bars), plain (lines) or none")
      ->check(CLI::IsMember({"auto", "tty", "plain", "none"}))
      ->type_name("MODE");
}

void add_registry_options(CLI::App& command, RegistryOptions& options) {
  constexpr const char* group = "Registry";
  command.add_flag("--plain-http", options.plain_http, "Use http, not https")->group(group);
  command
      .add_flag("--insecure", options.insecure,
                "Accept any certificate, and http when the registry has no TLS")
      ->group(group);
  command
      .add_flag("--tls-verify", options.tls_verify,
                "Verify certificates (default); --tls-verify=false accepts any")
      ->group(group);
  command.add_option("--ca-file", options.ca_file, "Certificates to trust as well (PEM)")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group(group);
  command.add_option("--cert-file", options.cert_file, "Client certificate (PEM)")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group(group);
  command.add_option("--key-file", options.key_file, "Key of the client certificate (PEM)")
      ->check(CLI::ExistingFile)
      ->type_name("FILE")
      ->group(group);
}

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
  result.plain_http = options.plain_http;
  result.insecure = options.insecure;
  result.tls.verify = options.tls_verify;
  result.tls.ca_file = options.ca_file;
  result.tls.cert_file = options.cert_file;
  result.tls.key_file = options.key_file;
  return result;
}

}  // namespace fnimage::cli

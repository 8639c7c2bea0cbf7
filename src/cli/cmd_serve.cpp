// fnimage serve: a directory as an OCI registry.
#include "cmd_serve.hpp"

#include <charconv>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/server/server.hpp>

#include "command.hpp"
#include "serve_check.hpp"
#include "serve_gc.hpp"
#include "serve_log.hpp"
#include "serve_process.hpp"
#include "serve_upstream.hpp"

namespace fnimage::cli {

namespace {

struct ServeArguments {
  std::string store;
  std::string address = "127.0.0.1:30501";
  std::string certificate;
  std::string key;
  bool is_read_only = false;
  bool keeps_content = false;
  bool takes_sparse = false;
  bool logs_access = false;
  bool has_no_page = false;
  std::string htpasswd;
  std::string access;
  std::string tokens;
  std::string token_key;
  std::string external_url;
  bool anonymous_pull = false;
  std::string metrics_address;
  unsigned stop_timeout = 10;  ///< seconds
  server::LogFormat log_format = server::LogFormat::common;
  GcArguments gc;
  UpstreamArguments upstream;
};

/// "HOST:PORT", "[::1]:PORT", ":PORT".
Result<server::ListenAddress> read_address(const std::string& text) {
  server::ListenAddress address;
  const std::size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string port = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no address with a port", printable(text)),
                "write HOST:PORT, e.g. 127.0.0.1:30501, or :30501 for all addresses");
  }
  address.host = host.empty() ? "::" : host == "localhost" ? "127.0.0.1" : host;
  return address;
}

/// A line to standard error for each request.
std::function<void(const std::string&)> access_log_writer() {
  return [writer = std::make_shared<LineWriter>(STDERR_FILENO)](const std::string& line) {
    writer->write(line);
  };
}

/// Who may do what; nullopt when no option says anything of that.
std::optional<server::AccessOptions> access_options(const ServeArguments& arguments,
                                                    Console& console) {
  const auto file = [](const std::string& path) {
    return path.empty() ? std::nullopt : std::optional<std::filesystem::path>(path);
  };
  server::AccessOptions options{.htpasswd = file(arguments.htpasswd),
                                .rules = file(arguments.access),
                                .tokens = file(arguments.tokens),
                                .anonymous_pull = arguments.anonymous_pull,
                                .token_key = file(arguments.token_key),
                                .external_url = arguments.external_url};
  if (!options.htpasswd && !options.rules && !options.tokens && !options.anonymous_pull &&
      !options.token_key && options.external_url.empty()) {
    return std::nullopt;
  }
  options.warn = [&console](const std::string& message) {
    console.report(Severity::warning, message);
  };
  return options;
}

/// Who is asked for a password should know when others can read it.
void warn_of_open_passwords(const server::ServerOptions& options, Console& console) {
  const bool is_local = options.address.starts_with("127.") || options.address == "::1";
  if (options.access && !options.certificate && !is_local &&
      !options.access->external_url.starts_with("https://")) {
    console.report(Severity::warning,
                   "passwords and tokens can be read on the network: give --tls-cert and "
                   "--tls-key; or --external-url https://HOST when a proxy does TLS");
  }
}

Result<server::ServerOptions> server_options(const ServeArguments& arguments, Console& console) {
  if (arguments.store.empty()) {
    return fail(ErrorCode::invalid_argument, "no directory is named", "name it: --store DIR");
  }
  server::ServerOptions options{.directory = arguments.store};
  FNIMAGE_TRY(const server::ListenAddress address, read_address(arguments.address));
  options.address = address.host;
  options.port = address.port;
  options.operations.stop_timeout = std::chrono::seconds(arguments.stop_timeout);
  options.operations.access_log_format = arguments.log_format;
  if (!arguments.metrics_address.empty()) {
    FNIMAGE_TRY(options.operations.metrics_address, read_address(arguments.metrics_address));
  }
  if (arguments.certificate.empty() != arguments.key.empty()) {
    return fail(ErrorCode::invalid_argument,
                "a certificate needs its key, and a key its certificate",
                "name both: --tls-cert FILE --tls-key FILE");
  }
  if (!arguments.certificate.empty()) {
    options.certificate = server::Certificate{arguments.certificate, arguments.key};
  }
  options.is_read_only = arguments.is_read_only;
  options.can_delete = !arguments.keeps_content;
  options.takes_sparse = arguments.takes_sparse;
  options.page = {.is_shown = !arguments.has_no_page, .check = image_checker()};
  if (arguments.logs_access) {
    options.access_log = access_log_writer();
  }
  FNIMAGE_TRY(options.gc, gc_schedule(arguments.gc, console));
  options.access = access_options(arguments, console);
  FNIMAGE_TRY(options.upstream, upstream_options(arguments.upstream, console));
  warn_of_open_passwords(options, console);
  return options;
}

std::string url_of(bool is_secure, const std::string& host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", is_secure ? "https" : "http", is_v6 ? "[" : "", host,
                     is_v6 ? "]" : "", port);
}

/// Whoever started the server may wait for this line.
std::string ready_line(const ServeArguments& arguments, const server::ServerOptions& options,
                       const server::Server& server, bool is_json) {
  const std::string url = url_of(options.certificate.has_value(), options.address, server.port());
  const auto& metrics = options.operations.metrics_address;
  const std::string metrics_url =
      metrics ? url_of(false, metrics->host, server.metrics_port()) + "/metrics" : std::string();
  if (!is_json) {
    const std::string more = metrics ? ", metrics at " + metrics_url : std::string();
    return fmt::format("serving {} at {}{}\n", printable(arguments.store), url, more);
  }
  nlohmann::ordered_json line{{"url", url}, {"store", arguments.store}};
  if (metrics) {
    line["metrics"] = metrics_url;
  }
  return to_json_text(line) + "\n";
}

Result<void> run_serve(const ServeArguments& arguments, Session& session) {
  raise_file_limit();
  FNIMAGE_TRY(server::ServerOptions options, server_options(arguments, session.console()));
  FNIMAGE_TRY(auto server, server::Server::open(options));
  const std::stop_token at_once = session.take_signals();
  const StopLimit limit(session.stop_token(), at_once, options.operations.stop_timeout);
  {
    const std::stop_callback on_signal(session.stop_token(), [&] {
      tell_service_manager("STOPPING=1");
      server->stop();
    });
    session.console().print(ready_line(arguments, options, *server, session.common().json));
    FNIMAGE_CHECK(session.console().close());
    tell_service_manager("READY=1");
    server->run();
  }
  server.reset();  // within the limit, too
  return {};
}

void add_access_options(CLI::App& command, ServeArguments& arguments) {
  constexpr const char* group = "Who may do what (without these options: everybody, everything)";
  command
      .add_option("--htpasswd", arguments.htpasswd,
                  "Users and their passwords, as htpasswd -B writes them")
      ->group(group)
      ->type_name("FILE");
  command
      .add_option("--access", arguments.access,
                  "What users may do, in lines USER PATTERN RIGHTS: ann team/* pull,push,delete. "
                  "USER * = all users, anonymous = without a password. Default: users may do all")
      ->group(group)
      ->type_name("FILE");
  command
      .add_flag("--anonymous-pull", arguments.anonymous_pull,
                "Everything can be pulled without a password")
      ->group(group);
  command
      .add_option("--tokens", arguments.tokens,
                  "Tokens of machines, as fnimage serve token makes them")
      ->group(group)
      ->type_name("FILE");
  command
      .add_option("--token-key", arguments.token_key,
                  "Sign with this key what clients get when they log in, so that it is good after "
                  "a restart, too; made if missing")
      ->group(group)
      ->type_name("FILE");
  command
      .add_option("--external-url", arguments.external_url,
                  "How clients reach the server through a proxy: https://registry.example")
      ->group(group)
      ->type_name("URL");
}

void add_operations_options(CLI::App& command, ServeArguments& arguments) {
  constexpr const char* group = "As a service";
  command
      .add_option(
          "--metrics-addr", arguments.metrics_address,
          "Numbers for Prometheus at http://HOST:PORT/metrics, without a password. Default: "
          "below --addr, for who may pull something")
      ->group(group)
      ->type_name("HOST:PORT");
  command
      .add_option("--stop-timeout", arguments.stop_timeout,
                  "How long requests in progress may go on after SIGTERM or SIGINT")
      ->group(group)
      ->type_name("SECONDS")
      ->check(CLI::Range(0U, 86'400U))
      ->capture_default_str();
  const std::map<std::string, server::LogFormat> formats{{"common", server::LogFormat::common},
                                                         {"json", server::LogFormat::json}};
  command
      .add_option("--access-log-format", arguments.log_format,
                  "common (as web servers write it, and milliseconds), or json")
      ->group(group)
      ->type_name("FORMAT")
      ->transform(CLI::CheckedTransformer(formats));
}

}  // namespace

void set_up_serve(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ServeArguments>();
  // The action of a subcommand, if one is chosen: CLI11 ends this command's set-up after it.
  const auto chosen = std::make_shared<Action>();
  add_commands(command, {registration.settings, *chosen},
               {{"token", "Make a token for a machine", set_up_serve_token},
                {"gc", "Remove what nothing needs any more", set_up_serve_gc}});
  command.add_option("--store", arguments->store,
                     "The directory; made if missing. Each repository is an OCI layout in it. "
                     "Required");
  command
      .add_option("--addr", arguments->address,
                  "HOST:PORT with a numeric HOST; :PORT = all addresses, port 0 = any that is free")
      ->capture_default_str();
  command.add_option("--tls-cert", arguments->certificate, "PEM file: serve HTTPS with it");
  command.add_option("--tls-key", arguments->key, "PEM file with the certificate's key");
  command.add_flag("--read-only", arguments->is_read_only, "Nothing can be pushed or deleted");
  command.add_flag("--no-delete", arguments->keeps_content, "Nothing can be deleted");
  command.add_flag("--sparse", arguments->takes_sparse,
                   "Take manifests whose layers or platforms are not here");
  command.add_flag("--access-log", arguments->logs_access,
                   "A line on standard error for each request");
  command.add_flag("--no-page", arguments->has_no_page,
                   "No page for browsers at /, which shows what may be pulled");
  add_gc_options(command, arguments->gc);
  add_access_options(command, *arguments);
  add_upstream_options(command, arguments->upstream);
  add_operations_options(command, *arguments);
  complete(
      command, registration,
      "Files about access are read again when they change.\n"
      "Ends with SIGTERM or SIGINT, after the requests that are being answered; with a second\n"
      "one, at once. GET /healthz: it lives; GET /readyz: requests may come.\n"
      "Example:\n  fnimage serve --store /srv/registry --addr :30501 --htpasswd "
      "/etc/registry/users",
      [arguments, chosen](Session& session) {
        return *chosen ? (*chosen)(session) : run_serve(*arguments, session);
      });
}

}  // namespace fnimage::cli

// fnimage serve: a directory as an OCI registry.
#include "cmd_serve.hpp"

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/server/server.hpp>

#include "command.hpp"
#include "json_text.hpp"
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
  std::string htpasswd;
  std::string access;
  std::string tokens;
  std::string token_key;
  std::string external_url;
  bool anonymous_pull = false;
  UpstreamArguments upstream;
};

/// "HOST:PORT", "[::1]:PORT", ":PORT".
Result<void> read_address(const std::string& text, server::ServerOptions& options) {
  const std::size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string port = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), options.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no address with a port", printable(text)),
                "write HOST:PORT, e.g. 127.0.0.1:30501, or :30501 for all addresses");
  }
  options.address = host.empty() ? "::" : host == "localhost" ? "127.0.0.1" : host;
  return {};
}

/// A line to standard error for each request; lines of several threads stay whole.
std::function<void(const std::string&)> access_log_writer() {
  const auto mutex = std::make_shared<std::mutex>();
  return [mutex](const std::string& line) {
    const std::lock_guard lock(*mutex);
    std::fprintf(stderr, "%s\n", line.c_str());
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
  FNIMAGE_CHECK(read_address(arguments.address, options));
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
  if (arguments.logs_access) {
    options.access_log = access_log_writer();
  }
  options.access = access_options(arguments, console);
  FNIMAGE_TRY(options.upstream, upstream_options(arguments.upstream, console));
  warn_of_open_passwords(options, console);
  return options;
}

std::string url_of(const server::ServerOptions& options, std::uint16_t port) {
  const bool is_v6 = options.address.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", options.certificate ? "https" : "http", is_v6 ? "[" : "",
                     options.address, is_v6 ? "]" : "", port);
}

Result<void> run_serve(const ServeArguments& arguments, Session& session) {
  FNIMAGE_TRY(server::ServerOptions options, server_options(arguments, session.console()));
  FNIMAGE_TRY(const auto server, server::Server::open(options));
  const std::stop_token at_once = session.take_signals();
  const std::stop_callback on_signal(session.stop_token(), [&] { server->stop(); });
  const std::string url = url_of(options, server->port());
  // Whoever started it may wait for this line.
  session.console().print(session.common().json
                              ? json_lines({{"url", url}, {"store", arguments.store}})
                              : fmt::format("serving {} at {}\n", printable(arguments.store), url));
  FNIMAGE_CHECK(session.console().close());
  server->run();
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

}  // namespace

void set_up_serve(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ServeArguments>();
  // The action of a subcommand, if one is chosen: CLI11 ends this command's set-up after it.
  const auto chosen = std::make_shared<Action>();
  add_commands(command, {registration.settings, *chosen},
               {{"token", "Make a token for a machine", set_up_serve_token}});
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
  add_access_options(command, *arguments);
  add_upstream_options(command, arguments->upstream);
  complete(command, registration,
           "Files about access are read again when they change.\n"
           "Ends with SIGTERM or SIGINT, after the requests that are being answered.\n"
           "Example:\n  fnimage serve --store /srv/registry --addr :30501 --htpasswd "
           "/etc/registry/users",
           [arguments, chosen](Session& session) {
             return *chosen ? (*chosen)(session) : run_serve(*arguments, session);
           });
}

}  // namespace fnimage::cli

#include "credentials.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/host_config.hpp>
#include <fnimage/registry/location.hpp>

#include "password.hpp"

namespace fnimage::cli {

namespace {

/// Nothing in fnimage changes the environment.
std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? std::string() : std::string(value);
}

/// The registry that a value of this option names; empty when it names none.
std::string registry_in(const CLI::Option& option, const std::string& value) {
  const std::string& name = option.get_single_name();
  if (name.starts_with("REGISTRY")) {
    return value.substr(0, value.find('/'));
  }
  if ((!option.get_positional() && name != "tag" && name != "have") || name == "DIR") {
    return {};
  }
  const auto location = registry::parse_location(value);
  return location && location->kind == registry::Location::Kind::registry
             ? location->reference->registry()
             : std::string();
}

Result<std::string> only_registry(const RegistryOptions& options, std::string_view what) {
  if (const std::string given = variable("FNIMAGE_REGISTRY"); !given.empty()) {
    return given;
  }
  if (options.registries.size() == 1) {
    return options.registries.front();
  }
  return fail(ErrorCode::invalid_argument,
              options.registries.empty()
                  ? fmt::format("{} given, but the command names no registry", what)
                  : fmt::format("{} given, but the command names several registries: {}", what,
                                printable(join(options.registries, ", "))),
              "say which one is meant with FNIMAGE_REGISTRY=HOST:PORT (for copy: --src-creds, "
              "--dest-creds), or use fnimage login");
}

std::optional<registry::Credentials> credentials_of_environment() {
  registry::Credentials found{.username = variable("FNIMAGE_USERNAME"),
                              .password = variable("FNIMAGE_PASSWORD"),
                              .identity_token = variable("FNIMAGE_IDENTITY_TOKEN"),
                              .registry_token = variable("FNIMAGE_TOKEN"),
                              .source = "the environment"};
  const bool any = !found.username.empty() || !found.password.empty() ||
                   !found.identity_token.empty() || !found.registry_token.empty();
  return any ? std::optional(std::move(found)) : std::nullopt;
}

Result<registry::Credentials> user_and_password(const std::string& creds, bool from_input) {
  const std::size_t colon = creds.find(':');
  registry::Credentials given{.username = creds.substr(0, colon), .source = "the command line"};
  if (given.username.empty()) {
    return fail(ErrorCode::invalid_argument, "a password without a user",
                "give --username USER with --password-stdin");
  }
  if (colon != std::string::npos) {
    given.password = creds.substr(colon + 1);
  } else if (from_input) {
    FNIMAGE_TRY(given.password, secret_from_input("password"));
  } else {
    FNIMAGE_TRY(given.password, ask_terminal("Password of " + printable(given.username), false));
  }
  return given;
}

/// Standard input is read once, and what is meant must be clear.
Result<void> check_given(const RegistryOptions& options) {
  const bool token = options.identity_token_stdin || options.registry_token_stdin;
  const int inputs = (options.password_stdin ? 1 : 0) + (options.identity_token_stdin ? 1 : 0) +
                     (options.registry_token_stdin ? 1 : 0);
  if (!options.creds.empty() && (!options.username.empty() || inputs > 0)) {
    return fail(ErrorCode::invalid_argument,
                "--creds cannot be used with --username or a secret from standard input",
                "give one of them");
  }
  if (inputs > 1 || (token && !options.username.empty())) {
    return fail(ErrorCode::invalid_argument, "a token stands for itself, without user and password",
                "give one of them");
  }
  return {};
}

/// Those that are for one side of the command only.
Result<void> add_side(const SideOptions& side,
                      std::vector<std::unique_ptr<registry::CredentialStore>>& stores) {
  if (side.creds.empty()) {
    return {};
  }
  if (side.registry.empty()) {
    return fail(ErrorCode::invalid_argument, "credentials are given for a side without registry",
                "--src-creds is for the registry of SRC, --dest-creds for that of DST");
  }
  FNIMAGE_TRY(registry::Credentials given, user_and_password(side.creds, false));
  stores.push_back(registry::fixed_credentials(side.registry, std::move(given)));
  return {};
}

}  // namespace

std::vector<std::string> named_registries(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& value : option->results()) {
      const std::string name = registry_in(*option, value);
      if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
  }
  return names;
}

std::string registry_of_argument(const CLI::App& command, const std::string& argument) {
  const CLI::Option* option = command.get_option_no_throw(argument);
  return option == nullptr || option->count() == 0
             ? std::string()
             : registry_in(*option, option->results().front());
}

Result<std::optional<registry::Credentials>> given_credentials(const RegistryOptions& options) {
  FNIMAGE_CHECK(check_given(options));
  registry::Credentials token{.source = "the command line"};
  if (options.identity_token_stdin) {
    FNIMAGE_TRY(token.identity_token, secret_from_input("identity token"));
    return token;
  }
  if (options.registry_token_stdin) {
    FNIMAGE_TRY(token.registry_token, secret_from_input("registry token"));
    return token;
  }
  if (!options.creds.empty()) {
    return user_and_password(options.creds, false);
  }
  if (options.username.empty() && !options.password_stdin) {
    return std::nullopt;
  }
  FNIMAGE_TRY(registry::Credentials given,
              user_and_password(options.username, options.password_stdin));
  return given;
}

Result<std::unique_ptr<registry::CredentialStore>> command_credentials(
    const RegistryOptions& options, const std::map<std::string, registry::HostOptions>& hosts) {
  std::vector<std::unique_ptr<registry::CredentialStore>> stores;
  const SideOptions& from = options.source;
  const SideOptions& to = options.destination;
  if (!from.creds.empty() && !to.creds.empty() && from.registry == to.registry) {
    return fail(ErrorCode::invalid_argument,
                "--src-creds and --dest-creds are for the same registry", "give one of them");
  }
  FNIMAGE_CHECK(add_side(from, stores));
  FNIMAGE_CHECK(add_side(to, stores));
  FNIMAGE_TRY(std::optional<registry::Credentials> given, given_credentials(options));
  const std::string_view what = given ? "credentials are" : "FNIMAGE_USERNAME or a token is";
  if (!given) {
    given = credentials_of_environment();
  }
  if (given) {
    FNIMAGE_TRY(std::string registry, only_registry(options, what));
    stores.push_back(registry::fixed_credentials(std::move(registry), std::move(*given)));
  }
  if (!options.authfile.empty()) {
    FNIMAGE_TRY(auto file, registry::docker_config_credentials(options.authfile));
    stores.push_back(std::move(file));
  }
  stores.push_back(registry::host_credentials(hosts));
  if (options.authfile.empty()) {
    FNIMAGE_TRY(auto files, registry::default_credentials());
    stores.push_back(std::move(files));
  }
  return registry::chained_credentials(std::move(stores));
}

}  // namespace fnimage::cli

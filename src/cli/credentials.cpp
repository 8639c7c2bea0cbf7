#include "credentials.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
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
  if ((!option.get_positional() && name != "tag") || name == "DIR") {
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
              "say which one is meant with FNIMAGE_REGISTRY=HOST:PORT, or use fnimage login");
}

std::optional<registry::Credentials> credentials_of_environment() {
  const std::string username = variable("FNIMAGE_USERNAME");
  const std::string password = variable("FNIMAGE_PASSWORD");
  if (username.empty() && password.empty()) {
    return std::nullopt;
  }
  return registry::Credentials{
      .username = username, .password = password, .source = "the environment"};
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

Result<std::optional<registry::Credentials>> given_credentials(const RegistryOptions& options) {
  if (!options.creds.empty() && (!options.username.empty() || options.password_stdin)) {
    return fail(ErrorCode::invalid_argument,
                "--creds cannot be used with --username or --password-stdin", "give one of them");
  }
  const std::size_t colon = options.creds.find(':');
  registry::Credentials given{.source = "the command line"};
  given.username = options.creds.empty() ? options.username : options.creds.substr(0, colon);
  if (given.username.empty()) {
    if (options.password_stdin || !options.creds.empty()) {
      return fail(ErrorCode::invalid_argument, "a password without a user",
                  "give --username USER with --password-stdin");
    }
    return std::nullopt;
  }
  if (!options.creds.empty() && colon != std::string::npos) {
    given.password = options.creds.substr(colon + 1);
  } else if (options.password_stdin) {
    FNIMAGE_TRY(given.password, password_from_input());
  } else {
    FNIMAGE_TRY(given.password, ask_terminal("Password of " + printable(given.username), false));
  }
  return given;
}

Result<std::unique_ptr<registry::CredentialStore>> command_credentials(
    const RegistryOptions& options) {
  std::vector<std::unique_ptr<registry::CredentialStore>> stores;
  FNIMAGE_TRY(std::optional<registry::Credentials> given, given_credentials(options));
  const std::string_view what = given ? "credentials are" : "FNIMAGE_USERNAME is";
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
  } else {
    FNIMAGE_TRY(auto files, registry::default_credentials());
    stores.push_back(std::move(files));
  }
  return registry::chained_credentials(std::move(stores));
}

}  // namespace fnimage::cli

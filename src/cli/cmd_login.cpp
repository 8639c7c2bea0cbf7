// fnimage login: asks, tries, keeps credentials for a registry.
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/credentials.hpp>

#include "command.hpp"
#include "credentials.hpp"
#include "json_text.hpp"
#include "password.hpp"

namespace fnimage::cli {

namespace {

/// Where to write: --authfile, $REGISTRY_AUTH_FILE, docker's config.json.
Result<std::filesystem::path> file_of(const RegistryOptions& options) {
  if (!options.authfile.empty()) {
    return options.authfile;
  }
  const auto files = registry::credential_files();
  if (files.empty()) {
    return fail(ErrorCode::invalid_argument, "no place for credentials: HOME is not set",
                "give --authfile FILE");
  }
  return files.front();
}

Result<registry::Credentials> ask(const RegistryOptions& options, const std::string& name) {
  FNIMAGE_TRY(std::optional<registry::Credentials> given, given_credentials(options));
  if (given) {
    return std::move(*given);
  }
  registry::Credentials answer;
  FNIMAGE_TRY(answer.username, ask_terminal("User at " + printable(name), true));
  FNIMAGE_TRY(answer.password, ask_terminal("Password", false));
  return answer;
}

Result<void> run_login(const std::string& name, Session& session) {
  const RegistryOptions& options = session.registry_options();
  FNIMAGE_TRY(const std::filesystem::path file, file_of(options));
  FNIMAGE_TRY(const registry::Credentials credentials, ask(options, name));
  FNIMAGE_TRY(registry::ClientOptions client_settings, client_options(options));
  FNIMAGE_TRY(auto transport, session.transport());
  registry::Client client(std::move(transport), registry::fixed_credentials(name, credentials),
                          std::move(client_settings), session.console());
  FNIMAGE_CHECK(client.ping(name));
  FNIMAGE_TRY(const std::string place, registry::save_credentials(file, name, credentials));
  const std::string user =
      credentials.username.empty() ? "with a token" : "as " + printable(credentials.username);
  if (session.common().json) {
    session.console().print(
        json_lines({{"registry", name}, {"username", credentials.username}, {"saved", place}}));
  } else if (!session.common().quiet) {
    session.console().print(
        fmt::format("logged in to {} {}; kept in {}\n", printable(name), user, printable(place)));
  }
  return {};
}

/// Where this command line would still find credentials; empty = nowhere.
Result<std::string> still_kept(const std::string& name, const RegistryOptions& options) {
  FNIMAGE_TRY(const registry::ClientOptions settings, client_options(options));
  RegistryOptions others;
  others.registries = {name};
  FNIMAGE_TRY(const auto credentials, command_credentials(others, settings.hosts));
  FNIMAGE_TRY(const auto found, credentials->find(name));
  return found ? found->source : std::string();
}

Result<void> run_logout(const std::string& name, bool all, Session& session) {
  if (all != name.empty()) {
    return fail(ErrorCode::invalid_argument,
                all ? "--all and a registry were given" : "no registry was named",
                "fnimage logout REGISTRY, or fnimage logout --all");
  }
  FNIMAGE_TRY(const std::filesystem::path file, file_of(session.registry_options()));
  std::vector<std::string> removed;
  std::string kept;
  if (all) {
    FNIMAGE_TRY(removed, registry::remove_all_credentials(file));
  } else {
    FNIMAGE_TRY(const bool had, registry::remove_credentials(file, name));
    auto elsewhere = still_kept(name, session.registry_options());
    kept = elsewhere ? std::move(*elsewhere) : std::string();
    if (!had) {
      return fail(ErrorCode::not_found,
                  fmt::format("no credentials of {} in {}", printable(name), file.string()),
                  kept.empty() ? "--authfile FILE names another file"
                               : fmt::format("those that are used come from {}; --authfile FILE "
                                             "names a file",
                                             kept));
    }
    removed.push_back(name);
  }
  if (session.common().json) {
    session.console().print(json_lines({{"removed", removed}}));
  } else if (!session.common().quiet) {
    for (const std::string& registry : removed) {
      session.console().print(fmt::format("logged out of {}\n", printable(registry)));
    }
  }
  if (!kept.empty()) {
    session.console().report(Severity::warning, fmt::format("{} still has credentials of {}",
                                                            printable(kept), printable(name)));
  }
  return {};
}

}  // namespace

void set_up_login(CLI::App& command, Registration registration) {
  const auto name = std::make_shared<std::string>();
  command.add_option("REGISTRY", *name, "host or host:port")->required();
  complete_with_registry(
      command, registration,
      "Credentials go to the helper that docker's config.json names, or into that file\n"
      "($REGISTRY_AUTH_FILE or --authfile: another one).\n"
      "Example:\n"
      "  fnimage login serverless:30501 --username ann --password-stdin < password.txt",
      [name](Session& session) { return run_login(*name, session); });
}

void set_up_logout(CLI::App& command, Registration registration) {
  const auto name = std::make_shared<std::string>();
  const auto all = std::make_shared<bool>(false);
  command.add_option("REGISTRY", *name, "host or host:port");
  command.add_flag("--all", *all, "Those of all registries");
  add_authfile_option(command, registration.settings.registry);
  complete(command, registration, "Example:\n  fnimage logout serverless:30501",
           [name, all](Session& session) { return run_logout(*name, *all, session); });
}

}  // namespace fnimage::cli

// fnimage serve token: a fixed token for a machine.
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>
#include <fnimage/server/access.hpp>

#include "cmd_serve.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct TokenArguments {
  std::string name;
  std::string file;
  std::string rights = "pull";
  std::vector<std::string> repositories;
  std::string expires;
};

/// "90d" from now, or a time.
Result<std::optional<std::int64_t>> read_expiry(const std::string& text) {
  if (text.empty()) {
    return std::nullopt;
  }
  if (!text.ends_with('d')) {
    FNIMAGE_TRY(const std::int64_t time, server::parse_time(text));
    return time;
  }
  constexpr unsigned most = 36'500;
  unsigned days = 0;
  const char* const last = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), last, days);
  if (error != std::errc() || end != last || days == 0 || days > most) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no number of days", printable(text)),
                "write 90d, or a time: 2030-01-31");
  }
  const auto time = std::chrono::system_clock::now() + std::chrono::hours(24) * days;
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Result<void> run_serve_token(const TokenArguments& arguments, Session& session) {
  server::NewToken token{
      .name = arguments.name, .rights = arguments.rights, .patterns = arguments.repositories};
  FNIMAGE_TRY(token.expires, read_expiry(arguments.expires));
  FNIMAGE_TRY(const std::string secret, server::add_token(arguments.file, token));
  if (session.common().json) {
    session.console().print(
        json_lines({{"name", token.name},
                    {"token", secret},
                    {"expires", token.expires ? nlohmann::ordered_json(rfc3339(*token.expires))
                                              : nlohmann::ordered_json(nullptr)}}));
    return {};
  }
  session.console().print(secret + "\n");
  session.console().report(Severity::info,
                           "the token is shown this once; it is the password of any user's name");
  return {};
}

}  // namespace

void set_up_serve_token(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<TokenArguments>();
  command.add_option("NAME", arguments->name, "Whose it is: letters, digits, \"._-\"")->required();
  command.add_option("--tokens", arguments->file, "Add it to this file; made if missing")
      ->required()
      ->type_name("FILE");
  command.add_option("--rights", arguments->rights, "Some of pull,push,delete")
      ->capture_default_str()
      ->type_name("RIGHTS");
  command
      .add_option("--repository", arguments->repositories,
                  "Where: 'team/*'; may be repeated. '*' stands for any characters")
      ->required()
      ->type_name("PATTERN");
  command.add_option("--expires", arguments->expires, "90d, 2030-01-31 or 2030-01-31T12:00:00Z")
      ->type_name("TIME");
  complete(command, registration,
           "The file keeps no secret; a token ends when its lines are removed.\n"
           "Example:\n"
           "  fnimage serve token ci --tokens /etc/registry/tokens --rights pull,push \\\n"
           "    --repository 'team/*'",
           [arguments](Session& session) { return run_serve_token(*arguments, session); });
}

}  // namespace fnimage::cli

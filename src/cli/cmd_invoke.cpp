// fnimage invoke: calls a running action as the platform would.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <fnimage/action/invoke.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

#include "action_options.hpp"
#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct InvokeArguments {
  ActionOptions action;
  std::string arguments;
  std::vector<std::string> parameters;
  std::vector<std::string> environment;
  bool init = false;
  bool no_init = false;
};

/// "NAME=VALUE"
Result<std::pair<std::string, std::string>> split_assignment(const std::string& text,
                                                             std::string_view option) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} {}: no NAME=VALUE", option, printable(text, 80)));
  }
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

Result<std::string> arguments_of(const InvokeArguments& arguments) {
  if (arguments.parameters.empty()) {
    return arguments.arguments.empty() ? Result<std::string>("{}")
                                       : read_arguments(arguments.arguments, "ARGUMENTS");
  }
  if (!arguments.arguments.empty()) {
    return fail(ErrorCode::invalid_argument, "ARGUMENTS and --param exclude each other",
                "put all into one of them");
  }
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const std::string& parameter : arguments.parameters) {
    FNIMAGE_TRY(const auto assignment, split_assignment(parameter, "--param"));
    const auto& [name, text] = assignment;
    if (object.contains(name)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("--param {} is given twice", printable(name, 80)));
    }
    if (const auto value = parse_json(text, name)) {
      object[name] = *value;
    } else {
      object[name] = text;
    }
  }
  return to_json_text(object);
}

Result<action::Invocation> invocation_of(const InvokeArguments& arguments) {
  action::Invocation invocation;
  FNIMAGE_TRY(invocation.arguments, arguments_of(arguments));
  if (arguments.init) {
    invocation.initialisation = action::Initialisation::required;
  } else if (arguments.no_init) {
    invocation.initialisation = action::Initialisation::none;
  }
  for (const std::string& text : arguments.environment) {
    FNIMAGE_TRY(auto variable, split_assignment(text, "--init-env"));
    invocation.environment.push_back(std::move(variable));
  }
  return invocation;
}

/// The result stays as the action spelled it.
std::string activation_json(const action::Activation& activation) {
  nlohmann::ordered_json value = {{"activation_id", activation.id},
                                  {"initialised", activation.initialised},
                                  {"init_milliseconds", activation.init_time.count()},
                                  {"milliseconds", activation.answer.took.count()},
                                  {"outcome", to_string(activation.judgement.outcome)},
                                  {"reason", activation.judgement.reason},
                                  {"http_status", activation.answer.status}};
  if (!action::json_of(activation.answer)) {
    value["result"] = nullptr;
    return json_lines(value);
  }
  std::string text = to_json_text(value);
  text.pop_back();
  return indent_json(fmt::format("{},\"result\":{}}}", text, activation.answer.body)) + '\n';
}

void warn_of_size(Session& session, std::string_view what, std::size_t size) {
  if (size > action::platform_limit) {
    session.console().report(Severity::warning,
                             fmt::format("{} of {}: the platform carries 1 MiB unless it is set up "
                                         "for more",
                                         what, human_size(size)));
  }
}

Result<void> run_invoke(const InvokeArguments& arguments, Session& session) {
  FNIMAGE_TRY(const action::Invocation invocation, invocation_of(arguments));
  FNIMAGE_TRY(const action::Client client, open_action(arguments.action, session));
  warn_of_size(session, "arguments", invocation.arguments.size());
  FNIMAGE_TRY(const action::Activation activation, action::invoke(client, invocation));
  warn_of_size(session, "a result", activation.answer.body.size());
  const bool good = activation.judgement.outcome == action::Outcome::success;
  if (session.common().json) {
    session.console().result_says_error();
    session.console().print(activation_json(activation));
  } else if (good) {
    const std::string& body = activation.answer.body;
    session.console().print_foreign(
        (::isatty(STDOUT_FILENO) == 1 ? indent_json(body) : compact_json(body)) + '\n');
  }
  return good ? Result<void>()
              : fail(action::error_of(activation.judgement,
                                      fmt::format("POST {}", client.run_path())));
}

}  // namespace

void set_up_invoke(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<InvokeArguments>();
  command.add_option("URL", arguments->action.url, "HOST:PORT or http://HOST:PORT")->required();
  command.add_option("ARGUMENTS", arguments->arguments,
                     "A JSON object or array, @FILE, or - for standard input (default: {})");
  command
      .add_option("--param", arguments->parameters,
                  "One argument, instead: JSON, or else text; may be repeated")
      ->type_name("NAME=VALUE");
  command
      .add_option("--init-env", arguments->environment,
                  "An environment variable that /init sets; may be repeated")
      ->type_name("NAME=VALUE");
  CLI::Option* init =
      command.add_flag("--init", arguments->init, "Fail if the action was initialised before");
  command.add_flag("--no-init", arguments->no_init, "Send no /init")->excludes(init);
  add_action_options(command, arguments->action, "Options");
  complete(
      command, registration,
      "Exit code 3: the function answered {\"error\": ...}; 10: it failed, or answered what the "
      "platform\nwould not take; 8: no answer.\n"
      "Example:\n  fnimage invoke 127.0.0.1:8080 '{\"name\": \"ada\"}'",
      [arguments](Session& session) { return run_invoke(*arguments, session); });
}

}  // namespace fnimage::cli

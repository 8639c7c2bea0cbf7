#include "action_options.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

#include "standard_input.hpp"

namespace fnimage::cli {

namespace {

void add_duration(CLI::App& command, const char* name, double& seconds, const char* description,
                  const char* group) {
  constexpr double least = 0.001;
  constexpr double most = 86'400;
  const std::map<std::string, double> units{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}};
  command.add_option(name, seconds, description)
      ->transform(CLI::AsNumberWithUnit(units))
      ->check(CLI::Range(least, most))
      ->type_name("TIME")
      ->group(group);
}

std::chrono::milliseconds to_milliseconds(double seconds) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(seconds));
}

}  // namespace

void add_action_options(CLI::App& command, ActionOptions& options, const char* group) {
  command
      .add_flag("--knative", options.knative,
                "It has the single endpoint POST / (__OW_RUNTIME_PLATFORM=knative)")
      ->group(group);
  add_duration(command, "--timeout", options.timeout,
               "How long each answer may take (60s), which is also the deadline it is told: 500ms, "
               "90s, 10m",
               group);
  add_duration(command, "--wait", options.wait,
               "Ask for that long until it answers, while its container starts", group);
}

Result<action::Client> open_action(const ActionOptions& options, Session& session) {
  action::Endpoint endpoint{.knative = options.knative,
                            .timeout = to_milliseconds(options.timeout)};
  FNIMAGE_TRY(endpoint.url, action::parse_url(options.url));
  FNIMAGE_TRY(auto transport, action::make_transport(endpoint.timeout, session.stop_token()));
  action::Client client(std::move(transport), std::move(endpoint));
  if (options.wait > 0) {
    FNIMAGE_CHECK(client.wait(to_milliseconds(options.wait)));
  }
  return client;
}

Result<std::string> read_arguments(const std::string& text, std::string_view what) {
  if (text == "-") {
    FNIMAGE_TRY(const std::string read, read_standard_input(action::max_answer_bytes));
    return action::parse_value(read, fmt::format("{} of standard input", what));
  }
  if (text.starts_with('@')) {
    const std::string file = text.substr(1);
    FNIMAGE_TRY(const std::string read, read_file(file, action::max_answer_bytes));
    return action::parse_value(read, fmt::format("{} of {}", what, printable(file)));
  }
  return action::parse_value(text, what);
}

}  // namespace fnimage::cli

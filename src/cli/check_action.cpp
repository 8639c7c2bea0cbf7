#include "check_action.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/action/contract.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

std::string contract_table(const std::vector<action::ContractCheck>& checks,
                           const std::string& url) {
  std::size_t width = 0;
  for (const action::ContractCheck& check : checks) {
    width = std::max(width, check.name.size());
  }
  std::string text = url + "\n";
  for (const action::ContractCheck& check : checks) {
    const std::string line =
        fmt::format("{:<{}}  {:<7}  {}", check.name, width, to_string(check.verdict), check.detail);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    if (!check.fix.empty()) {
      text += fmt::format("    fix: {}\n", check.fix);
    }
  }
  return text;
}

nlohmann::ordered_json contract_json(const std::vector<action::ContractCheck>& checks,
                                     const std::string& url, bool good) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const action::ContractCheck& check : checks) {
    list.push_back({{"name", check.name},
                    {"verdict", to_lower(to_string(check.verdict))},
                    {"detail", check.detail},
                    {"fix", check.fix}});
  }
  return {{"url", url}, {"good", good}, {"checks", std::move(list)}};
}

Result<void> judge_contract(const std::vector<action::ContractCheck>& checks,
                            const std::string& url) {
  std::vector<std::string> failed;
  for (const action::ContractCheck& check : checks) {
    if (check.verdict == action::Verdict::failed) {
      failed.push_back(check.name);
    }
  }
  return failed.empty() ? Result<void>()
                        : fail(ErrorCode::protocol, fmt::format("{} does not keep the contract: {}",
                                                                url, join(failed, ", ")));
}

Result<std::vector<action::ExpectedCall>> expected_calls(const CheckActionArguments& arguments) {
  std::vector<action::ExpectedCall> calls;
  for (const auto& [given, expected] : arguments.calls) {
    action::ExpectedCall& call = calls.emplace_back();
    FNIMAGE_TRY(call.arguments, read_arguments(given, "--call ARGUMENTS"));
    FNIMAGE_TRY(call.expected, read_arguments(expected, "--call EXPECTED"));
  }
  return calls;
}

}  // namespace

void add_check_action_options(CLI::App& command, CheckActionArguments& arguments) {
  constexpr const char* group = "Running action";
  command
      .add_option("--run", arguments.action.url,
                  "Instead of an image: a running action that nobody has called yet")
      ->type_name("HOST:PORT")
      ->group(group);
  command
      .add_option("--call", arguments.calls,
                  "Its answer to JSON arguments must have what is expected; may be repeated")
      ->type_name("ARGUMENTS EXPECTED")
      ->group(group);
  add_action_options(command, arguments.action, group);
}

Result<void> run_check_action(const CheckActionArguments& arguments, Session& session) {
  FNIMAGE_TRY(const auto calls, expected_calls(arguments));
  FNIMAGE_TRY(const action::Client client, open_action(arguments.action, session));
  const std::string& url = client.endpoint().url;
  FNIMAGE_TRY(const auto checks, action::check_contract(client, calls, session.console()));
  Result<void> verdict = judge_contract(checks, url);
  session.console().result_says_error();
  session.console().print(session.common().json
                              ? json_lines(contract_json(checks, url, verdict.has_value()))
                              : contract_table(checks, url));
  return verdict;
}

}  // namespace fnimage::cli

// fnimage doctor: what works at a registry.
#include <algorithm>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/doctor.hpp>

#include "command.hpp"
#include "credentials.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct DoctorArguments {
  std::string target;  ///< REGISTRY[/REPOSITORY]
  bool read_only = false;
};

Result<registry::Examination> examination_of(const DoctorArguments& arguments) {
  constexpr const char* scratch = "fnimage-doctor";
  const std::size_t slash = arguments.target.find('/');
  registry::Examination result{.registry = arguments.target.substr(0, slash)};
  if (!arguments.read_only) {
    result.repository = slash == std::string::npos ? scratch : arguments.target.substr(slash + 1);
  }
  const std::string checked = result.repository.empty() ? scratch : result.repository;
  const auto reference = manifest::Reference::parse(result.registry + "/" + checked);
  if (!reference || reference->registry() != result.registry ||
      reference->repository() != checked) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no registry or repository", printable(arguments.target)),
                "write host:port or host:port/repository");
  }
  return result;
}

std::string doctor_table(const registry::Diagnosis& diagnosis) {
  std::size_t width = 0;
  for (const registry::Finding& finding : diagnosis.findings) {
    width = std::max(width, finding.name.size());
  }
  std::string text;
  for (const registry::Finding& finding : diagnosis.findings) {
    text += fmt::format("{:<{}}  {:<7}  {}\n", finding.name, width, to_string(finding.verdict),
                        printable(finding.detail));
    if (!finding.advice.empty()) {
      text += fmt::format("{:<{}}  {:<7}  -> {}\n", "", width, "", printable(finding.advice));
    }
  }
  return text;
}

nlohmann::ordered_json doctor_json(const registry::Examination& examination,
                                   const registry::Diagnosis& diagnosis) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const registry::Finding& finding : diagnosis.findings) {
    findings.push_back({{"name", finding.name},
                        {"verdict", to_string(finding.verdict)},
                        {"detail", finding.detail},
                        {"advice", finding.advice}});
  }
  return {{"registry", examination.registry},
          {"repository", examination.repository},
          {"usable", !diagnosis.problem.has_value()},
          {"findings", std::move(findings)}};
}

Result<void> run_doctor(const DoctorArguments& arguments, Session& session) {
  FNIMAGE_TRY(const registry::Examination examination, examination_of(arguments));
  FNIMAGE_TRY(const registry::ClientOptions options, client_options(session.registry_options()));
  FNIMAGE_TRY(const auto transport, session.transport());
  FNIMAGE_TRY(auto store, command_credentials(session.registry_options(), options.hosts));
  const std::shared_ptr<const registry::CredentialStore> credentials = std::move(store);
  if (!examination.repository.empty()) {
    session.console().report(Severity::info,
                             fmt::format("trying in the repository {}/{}", examination.registry,
                                         examination.repository));
  }
  const registry::Diagnosis diagnosis =
      registry::examine(examination, transport, credentials, options, session.console());
  session.console().print(session.common().json ? json_lines(doctor_json(examination, diagnosis))
                                                : doctor_table(diagnosis));
  if (diagnosis.problem) {
    return fail(Error(*diagnosis.problem).while_doing("examine " + examination.registry));
  }
  return {};
}

}  // namespace

void set_up_doctor(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<DoctorArguments>();
  command
      .add_option("REGISTRY[/REPOSITORY]", arguments->target,
                  "Without a repository, fnimage-doctor is used to try things in")
      ->required();
  command.add_flag("--read-only", arguments->read_only, "Write nothing: only reach it and log in");
  complete_with_registry(command, registration,
                         "Exit code 0 means that images can be published there.\n"
                         "Example:\n  fnimage doctor --insecure serverless:30501",
                         [arguments](Session& session) { return run_doctor(*arguments, session); });
}

}  // namespace fnimage::cli

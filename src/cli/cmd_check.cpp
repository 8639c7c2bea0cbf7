// fnimage check: whether an image can start on each of its platforms, and what runs keeps the
// platform's contract.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/check/check.hpp>
#include <fnimage/check/list.hpp>

#include "check_action.hpp"
#include "command.hpp"
#include "json_text.hpp"
#include "lint_report.hpp"

namespace fnimage::cli {

namespace {

struct CheckArguments {
  std::string reference;
  std::vector<std::string> platforms;
  bool strict = false;
  bool local = false;
  CheckActionArguments action;
};

/// What was found in one image or list.
struct Checked {
  std::string name;
  std::vector<manifest::Finding> list{};  ///< of the list itself
  std::vector<check::StoredImage> images{};
};

std::string to_line(const check::Finding& finding) {
  std::string line = fmt::format("  {}: ", to_string(finding.level));
  line += finding.path.empty() ? "the image" : printable(finding.path);
  if (!finding.origin.empty()) {
    line += fmt::format(" ({})", finding.origin);
  }
  line += fmt::format(" {} [{}]\n", finding.message, finding.rule);
  return finding.fix.empty() ? line : line + fmt::format("    fix: {}\n", finding.fix);
}

std::string check_text(const Checked& checked) {
  std::string text = printable(checked.name) + "\n";
  if (!checked.list.empty()) {
    text += fmt::format("the list: {}\n{}", count_findings(checked.list),
                        cli::to_text(checked.list, "  "));
  }
  for (const check::StoredImage& image : checked.images) {
    const check::Report& report = image.report;
    text +=
        fmt::format("{:18} {:>7} files {:>6} objects   {}\n", report.platform.str(), report.files,
                    report.objects, count_findings(report.errors(), report.warnings()));
    for (const check::Finding& finding : report.findings) {
      text += to_line(finding);
    }
  }
  return text;
}

nlohmann::ordered_json finding_json(const check::Finding& finding) {
  return {{"level", to_string(finding.level)}, {"rule", finding.rule},       {"path", finding.path},
          {"origin", finding.origin},          {"message", finding.message}, {"fix", finding.fix}};
}

nlohmann::ordered_json report_json(const Checked& checked, const Result<void>& verdict) {
  nlohmann::ordered_json platforms = nlohmann::ordered_json::array();
  for (const check::StoredImage& image : checked.images) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const check::Finding& finding : image.report.findings) {
      findings.push_back(finding_json(finding));
    }
    platforms.push_back({{"platform", image.report.platform.str()},
                         {"manifest", to_json(image.descriptor)},
                         {"files", image.report.files},
                         {"objects", image.report.objects},
                         {"errors", image.report.errors()},
                         {"warnings", image.report.warnings()},
                         {"findings", std::move(findings)}});
  }
  return {{"name", checked.name},
          {"good", verdict.has_value()},
          {"list", to_json(checked.list)},
          {"platforms", std::move(platforms)}};
}

/// The exit code's error: of the class of what was found.
Result<void> judge_all(const Checked& checked, bool strict) {
  std::vector<check::Report> reports;
  std::vector<std::string> bad;
  for (const check::StoredImage& image : checked.images) {
    check::Report report = image.report;
    for (check::Finding& finding : report.findings) {
      finding.level = strict ? check::Level::error : finding.level;
    }
    if (report.errors() > 0) {
      bad.push_back(report.platform.str());
    }
    reports.push_back(std::move(report));
  }
  const Result<void> verdict = check::require_no_errors(reports);
  return verdict ? require_good(checked.list, strict, checked.name)
                 : fail(verdict.error().code(), fmt::format("not good for {}", join(bad, ", ")));
}

/// An image or a running action.
Result<void> require_one_subject(const CheckArguments& arguments) {
  const bool image = !arguments.reference.empty() || !arguments.platforms.empty() ||
                     arguments.strict || arguments.local;
  const ActionOptions& action = arguments.action.action;
  const bool running = !action.url.empty();
  if (image == running || (image && arguments.reference.empty())) {
    return fail(
        ErrorCode::invalid_argument,
        running ? "--run is for a running action, the rest for an image" : "REF is required",
        "see fnimage check --help");
  }
  if (!running && (!arguments.action.calls.empty() || action.knative || action.wait > 0)) {
    return fail(ErrorCode::invalid_argument, "--call, --knative and --wait belong to --run",
                "see fnimage check --help");
  }
  return {};
}

Result<void> run_check(const CheckArguments& arguments, Session& session) {
  FNIMAGE_CHECK(require_one_subject(arguments));
  if (!arguments.action.action.url.empty()) {
    return run_check_action(arguments.action, session);
  }
  FNIMAGE_TRY(const NamedImage image, session.open_image(arguments.reference, arguments.local));
  check::StoreOptions options;
  for (const std::string& text : arguments.platforms) {
    FNIMAGE_TRY(options.platforms.emplace_back(), manifest::Platform::parse(text));
  }
  FNIMAGE_TRY(const std::filesystem::path cache, build::default_cache_directory());
  remove_stale_temporaries(cache / "check");
  FNIMAGE_TRY(const TemporaryDirectory directory, TemporaryDirectory::create_in(cache / "check"));
  options.directory = directory.path();
  WorkerPool pool;
  Checked checked{.name = image.location.str()};
  FNIMAGE_TRY(checked.images, check::check_stored(*image.opened.store, image.opened.selector,
                                                  options, pool, session.console()));
  FNIMAGE_TRY(const manifest::Document root,
              image.opened.store->get_manifest(image.opened.selector));
  if (root.is_index()) {
    // Without the configs: what they say is among the images' own findings.
    FNIMAGE_TRY(checked.list, check::lint_list(root));
  }
  Result<void> verdict = judge_all(checked, arguments.strict);
  session.console().result_says_error();
  session.console().print(session.common().json ? json_lines(report_json(checked, verdict))
                                                : check_text(checked));
  return verdict;
}

}  // namespace

void set_up_check(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<CheckArguments>();
  add_image_argument(command, arguments->reference);
  command.get_option("REF")->required(false);
  add_check_action_options(command, arguments->action);
  command.add_option("--platform", arguments->platforms, "Only this one; may be repeated")
      ->type_name("P");
  command.add_flag("--strict", arguments->strict, "Warnings count as errors");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "Examples:\n  fnimage check --plain-http 127.0.0.1:30501/hello:latest\n"
      "  fnimage check --run 127.0.0.1:8080 --call '{\"n\": 2}' '{\"square\": 4}'",
      [arguments](Session& session) { return run_check(*arguments, session); });
}

}  // namespace fnimage::cli

// Checking a plan, see the header. A remembered verdict is a file named by the hash of everything
// that was looked at; it holds the warning that came with it, if there was one.
#include "plan_check.hpp"

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/check/check.hpp>

#include "image.hpp"

namespace fnimage::build {

namespace {

/// Goes up with every change of the rules.
constexpr std::string_view rules = "fnimage check 3\n";
constexpr std::string_view verdict_directory = "checked";
constexpr std::uint64_t max_verdict_bytes = 65536;

/// Where the verdict on a platform's files is remembered; nullopt for files without a key.
std::optional<std::filesystem::path> verdict_file(const PlatformPlan& platform,
                                                  const manifest::ImageConfig& config,
                                                  const Environment& environment) {
  std::string all = fmt::format("{}{}{}\n{}\n", rules, platform.platform.str(),
                                platform.base ? " above a base image" : "", emit(config));
  for (const PlannedLayer& layer : platform.layers) {
    const std::optional<manifest::Digest> key = layer.tree.key();
    if (!key) {
      return std::nullopt;
    }
    all += key->str() + "\n";
  }
  return environment.cache_directory / verdict_directory /
         std::string(manifest::Digest::of(std::string_view(all)).hex());
}

Result<check::Report> check_platform(const PlatformPlan& platform,
                                     const manifest::ImageConfig& config) {
  check::ImageFiles files;
  for (const PlannedLayer& layer : platform.layers) {
    files.add_layer(layer.name, layer.tree);
  }
  if (platform.base) {
    return check::check_machines(files, platform.platform);
  }
  FNIMAGE_TRY(check::Report report, check::check_image(files, config, platform.platform));
  // A base for other images starts nothing, and whoever builds one knows.
  std::erase_if(report.findings, [](const check::Finding& finding) {
    return finding.level == check::Level::warning && finding.rule == "command";
  });
  return report;
}

/// All warnings in one line, since they are about what may never be used.
std::string summary_of(const check::Report& report) {
  if (report.findings.empty()) {
    return {};
  }
  const check::Finding& first = report.findings.front();
  const std::size_t more = report.findings.size() - 1;
  return fmt::format("{}: {} {}{}; fnimage check says more", report.platform.str(),
                     first.path.empty() ? "the image" : printable(first.path), first.message,
                     more > 0 ? fmt::format(", and {} more like it", more) : "");
}

struct Verdict {
  check::Report report{};  ///< empty when it is remembered as good
  std::string warning{};
};

Result<Verdict> judge_platform(const BuildSpec& spec, const Plan& plan,
                               const PlatformPlan& platform, const Environment& environment) {
  const manifest::ImageConfig config = make_config(spec, plan, platform, {});
  const auto file = verdict_file(platform, config, environment);
  const auto known = file ? read_file(*file, max_verdict_bytes) : Result<std::string>("");
  if (known && known->starts_with(rules)) {
    return Verdict{.warning = known->substr(rules.size())};
  }
  Verdict verdict;
  FNIMAGE_TRY(verdict.report, check_platform(platform, config));
  if (verdict.report.errors() > 0) {
    return verdict;
  }
  verdict.warning = summary_of(verdict.report);
  if (file) {
    FNIMAGE_CHECK(make_directories(file->parent_path()));
    FNIMAGE_CHECK(write_file_atomically(*file, std::string(rules) + verdict.warning, false));
  }
  return verdict;
}

}  // namespace

Result<void> check_plan(const BuildSpec& spec, const Plan& plan, const Environment& environment) {
  remove_stale_temporaries(environment.cache_directory / verdict_directory);
  std::vector<Verdict> verdicts(plan.platforms.size());
  TaskGroup group(environment.pool);
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    group.run([&, i]() -> Result<void> {
      FNIMAGE_TRY(verdicts[i], judge_platform(spec, plan, plan.platforms[i], environment));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  std::vector<check::Report> reports;
  for (Verdict& verdict : verdicts) {
    if (!verdict.warning.empty()) {
      environment.diagnostics.report(Severity::warning, verdict.warning);
    }
    reports.push_back(std::move(verdict.report));
  }
  Result<void> good = check::require_no_errors(reports);
  return good ? good
              : fail(std::move(good).error().with_hint(
                    "put it right, or build with --no-check and see what fnimage check says"));
}

}  // namespace fnimage::build

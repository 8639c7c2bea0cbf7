#include "lint_report.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::cli {

namespace {

std::string count_of(std::size_t number, std::string_view word) {
  return fmt::format("{} {}{}", number, word, number == 1 ? "" : "s");
}

std::size_t errors_in(const std::vector<manifest::Finding>& findings) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [](const manifest::Finding& finding) { return finding.fatal; }));
}

std::string_view level_of(const manifest::Finding& finding) noexcept {
  return finding.fatal ? "error" : "warning";
}

}  // namespace

std::string count_findings(std::size_t errors, std::size_t warnings) {
  std::vector<std::string> parts;
  if (errors > 0) {
    parts.push_back(count_of(errors, "error"));
  }
  if (warnings > 0) {
    parts.push_back(count_of(warnings, "warning"));
  }
  return parts.empty() ? "good" : join(parts, ", ");
}

std::string count_findings(const std::vector<manifest::Finding>& findings) {
  const std::size_t errors = errors_in(findings);
  return count_findings(errors, findings.size() - errors);
}

std::string to_text(const std::vector<manifest::Finding>& findings, std::string_view indent) {
  std::string text;
  for (const manifest::Finding& finding : findings) {
    const std::string more =
        finding.also.empty() ? "" : fmt::format(" and {} more", finding.also.size());
    text += fmt::format("{}{}: {}{}: {} [{}]\n", indent, level_of(finding), printable(finding.path),
                        more, printable(finding.message), finding.rule);
    text += fmt::format("{}  fix: {}\n", indent, printable(finding.fix));
  }
  return text;
}

nlohmann::ordered_json to_json(const std::vector<manifest::Finding>& findings) {
  nlohmann::ordered_json values = nlohmann::ordered_json::array();
  for (const manifest::Finding& finding : findings) {
    values.push_back({{"level", level_of(finding)},
                      {"rule", finding.rule},
                      {"path", finding.path},
                      {"also", finding.also},
                      {"platform", finding.platform},
                      {"message", finding.message},
                      {"fix", finding.fix}});
  }
  return values;
}

Result<void> require_good(std::vector<manifest::Finding> findings, bool strict,
                          std::string_view name) {
  for (manifest::Finding& finding : findings) {
    finding.fatal = finding.fatal || strict;
  }
  const Result<void> valid = manifest::require_valid(findings, name);
  return valid ? valid
               : fail(valid.error().code(),
                      fmt::format("{}: {}", printable(name), count_findings(findings)));
}

}  // namespace fnimage::cli

// What is wrong with a list, as text for people and as JSON for programs: what lint, check and the
// commands that publish share. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/validate.hpp>

namespace fnimage::cli {

/// "2 errors, 1 warning" or "good".
std::string count_findings(std::size_t errors, std::size_t warnings);
std::string count_findings(const std::vector<manifest::Finding>& findings);

/// Two or three lines for each.
std::string to_text(const std::vector<manifest::Finding>& findings, std::string_view indent);
/// An array.
nlohmann::ordered_json to_json(const std::vector<manifest::Finding>& findings);

/// The exit code's error, in one line: the findings have been printed. @param strict warnings count
Result<void> require_good(std::vector<manifest::Finding> findings, bool strict,
                          std::string_view name);

}  // namespace fnimage::cli

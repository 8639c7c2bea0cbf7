// See serve_gc.hpp.
#include "serve_gc.hpp"

#include <charconv>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/blob_age.hpp>

namespace fnimage::cli {

namespace {

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::optional<std::chrono::seconds> unit_of(std::string_view unit) {
  if (unit == "s") {
    return std::chrono::seconds(1);
  }
  if (unit == "m") {
    return std::chrono::minutes(1);
  }
  if (unit == "h") {
    return std::chrono::hours(1);
  }
  return unit == "d" ? std::optional<std::chrono::seconds>(std::chrono::hours(24)) : std::nullopt;
}

}  // namespace

Result<std::chrono::seconds> parse_duration(const std::string& text, const std::string& option) {
  constexpr unsigned most = 100'000;  // no unit overflows
  unsigned count = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  const auto unit = unit_of(std::string_view(end, static_cast<std::size_t>(last - end)));
  if (error != std::errc() || !unit || count == 0 || count > most) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\" is no length of time", option, printable(text)),
                "write 90s, 10m, 24h or 7d");
  }
  return count * *unit;
}

Result<std::chrono::seconds> parse_grace(const std::string& text, const std::string& option) {
  FNIMAGE_TRY(const auto grace, parse_duration(text, option));
  if (grace < registry::smallest_grace) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} {} is too short for those who are pushing", option, text),
                fmt::format("write {}m or more", registry::smallest_grace.count()));
  }
  return grace;
}

void add_gc_options(CLI::App& command, GcArguments& arguments) {
  constexpr const char* group = "Garbage (also: fnimage serve gc)";
  command
      .add_option("--gc", arguments.every,
                  "Remove what nothing needs any more, so often: 24h. Default: never")
      ->group(group)
      ->type_name("EVERY");
  command
      .add_option("--gc-grace", arguments.grace,
                  "What is younger stays: it may be part of a push. Default: 1h, at least 10m")
      ->group(group)
      ->type_name("TIME");
  command
      .add_flag("--gc-untagged", arguments.removes_untagged,
                "Also manifests that no tag reaches, by a list or as a referrer either")
      ->group(group);
}

std::string garbage_text(const server::GarbageCounts& counts) {
  std::vector<std::string> parts;
  for (const auto& [count, what] :
       {std::pair(counts.manifests, "manifest"), std::pair(counts.blobs, "blob"),
        std::pair(counts.leftovers, "leftover")}) {
    if (count > 0) {
      parts.push_back(counted(count, what));
    }
  }
  return parts.empty() ? "nothing"
                       : fmt::format("{}: {}", join(parts, ", "), human_size(counts.bytes));
}

Result<std::optional<server::GcSchedule>> gc_schedule(const GcArguments& arguments,
                                                      Console& console) {
  std::optional<server::GcSchedule> schedule;
  if (arguments.every.empty()) {
    if (!arguments.grace.empty() || arguments.removes_untagged) {
      return fail(ErrorCode::invalid_argument, "how often garbage is collected is not said",
                  "add --gc 24h");
    }
    return schedule;
  }
  schedule.emplace();
  FNIMAGE_TRY(schedule->every, parse_duration(arguments.every, "--gc"));
  if (!arguments.grace.empty()) {
    FNIMAGE_TRY(schedule->options.grace, parse_grace(arguments.grace, "--gc-grace"));
  }
  schedule->options.removes_untagged = arguments.removes_untagged;
  schedule->options.done = [&console](const server::CollectedRepository& one) {
    if (!one.problem.empty()) {
      console.report(Severity::warning, fmt::format("garbage of {} is not collected: {}", one.name,
                                                    printable(one.problem)));
    }
  };
  schedule->collected = [&console](const Result<server::GcReport>& report) {
    if (!report) {
      console.report(Severity::warning, "no garbage is collected: " + report.error().describe());
    } else if (report->counts != server::GarbageCounts{}) {
      console.report(Severity::info, "collected " + garbage_text(report->counts));
    }
  };
  return schedule;
}

}  // namespace fnimage::cli

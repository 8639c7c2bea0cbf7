#include "serve_check.hpp"

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/check/check.hpp>
#include <fnimage/check/list.hpp>

#include "serve_layout.hpp"

namespace fnimage::cli {

namespace {

/// Requests come first: a check takes one processor at most.
constexpr std::size_t check_threads = 1;
/// Who pushes is not asked whether others unpack it here.
constexpr std::uint64_t most_unpacked = std::uint64_t{16} << 30U;  // bytes of a layer

server::CheckedPart part_of(const check::Report& report) {
  server::CheckedPart part{
      .name = report.platform.str(), .files = report.files, .objects = report.objects};
  for (const check::Finding& finding : report.findings) {
    part.findings.push_back({.is_error = finding.level == check::Level::error,
                             .rule = finding.rule,
                             .subject = finding.origin.empty()
                                            ? finding.path
                                            : fmt::format("{} ({})", finding.path, finding.origin),
                             .message = finding.message,
                             .fix = finding.fix});
  }
  return part;
}

server::CheckedPart part_of_list(const std::vector<manifest::Finding>& findings) {
  server::CheckedPart part{.name = "the list"};
  for (const manifest::Finding& finding : findings) {
    part.findings.push_back({.is_error = finding.fatal,
                             .rule = finding.rule,
                             .subject = finding.path,
                             .message = finding.message,
                             .fix = finding.fix});
  }
  return part;
}

Result<server::CheckSummary> check_image_of(const server::CheckTask& task) {
  FNIMAGE_TRY(const auto layout, open_layout_to_look(task.layout));
  FNIMAGE_TRY(const std::filesystem::path cache, build::default_cache_directory());
  remove_stale_temporaries(cache / "check");
  FNIMAGE_TRY(const TemporaryDirectory directory, TemporaryDirectory::create_in(cache / "check"));
  check::StoreOptions options;
  options.directory = directory.path();
  options.limits.max_bytes = most_unpacked;
  WorkerPool pool(check_threads, task.stop);
  FNIMAGE_TRY(const auto images,
              check::check_stored(*layout, task.digest, options, pool, null_diagnostics()));
  FNIMAGE_TRY(const manifest::Document root, layout->get_manifest(task.digest));
  server::CheckSummary summary;
  if (root.is_index()) {
    FNIMAGE_TRY(const auto findings, check::lint_list(root));
    if (!findings.empty()) {
      summary.parts.push_back(part_of_list(findings));
    }
  }
  for (const check::StoredImage& image : images) {
    summary.parts.push_back(part_of(image.report));
  }
  return summary;
}

}  // namespace

std::function<Result<server::CheckSummary>(const server::CheckTask&)> image_checker() {
  return check_image_of;
}

}  // namespace fnimage::cli

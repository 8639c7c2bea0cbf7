// fnimage serve gc: removes from a registry's directory what nothing needs any more.
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/server/gc.hpp>

#include "cmd_serve.hpp"
#include "json_text.hpp"
#include "serve_gc.hpp"

namespace fnimage::cli {

namespace {

using server::GarbageItem;
using Json = nlohmann::ordered_json;

struct ServeGcArguments {
  std::string store;
  std::string grace = "1h";
  bool removes_untagged = false;
  bool is_dry_run = false;
};

std::string_view kind_text(GarbageItem::Kind kind) {
  switch (kind) {
    case GarbageItem::Kind::manifest:
      return "manifest";
    case GarbageItem::Kind::blob:
      return "blob";
    case GarbageItem::Kind::temporary:
      return "temporary file";
    case GarbageItem::Kind::upload:
      return "upload";
  }
  return "thing";
}

Json counts_json(const server::GarbageCounts& counts) {
  return {{"manifests", counts.manifests},
          {"blobs", counts.blobs},
          {"leftovers", counts.leftovers},
          {"bytes", counts.bytes}};
}

/// Tells of what is found as it is found, or in one document at the end.
class GcReporter {
 public:
  GcReporter(const ServeGcArguments& arguments, Session& session)
      : arguments_(arguments), session_(session) {}

  void add(const GarbageItem& item) {
    if (session_.common().json) {
      Json entry{{"kind", kind_text(item.kind)}, {"name", item.name}, {"bytes", item.bytes}};
      if (!item.repository.empty()) {
        entry["repository"] = item.repository;
      }
      items_.push_back(std::move(entry));
      return;
    }
    session_.console().print(fmt::format(
        "would remove {} {}{} ({})\n", kind_text(item.kind), printable(item.name),
        item.repository.empty() ? "" : " of " + item.repository, human_size(item.bytes)));
  }

  void add(const server::CollectedRepository& one) {
    if (!one.problem.empty()) {
      session_.console().report(
          Severity::warning, fmt::format("{} is left alone: {}", one.name, printable(one.problem)));
    }
    if (one.problem.empty() && one.counts == server::GarbageCounts{}) {
      return;
    }
    if (session_.common().json) {
      Json entry{{"name", one.name}};
      entry.update(counts_json(one.counts));
      if (!one.problem.empty()) {
        entry["problem"] = one.problem;
      }
      repositories_.push_back(std::move(entry));
    } else if (!arguments_.is_dry_run && !session_.common().quiet && one.problem.empty()) {
      session_.console().print(fmt::format("{}: {}\n", one.name, garbage_text(one.counts)));
    }
  }

  void end(const server::GcReport& report) {
    if (session_.common().json) {
      Json document{{"dryRun", arguments_.is_dry_run}};
      document.update(counts_json(report.counts));
      document["repositories"] = std::move(repositories_);
      if (arguments_.is_dry_run) {
        document["items"] = std::move(items_);
      }
      session_.console().print(json_lines(document));
      session_.console().result_says_error();
    } else if (!session_.common().quiet) {
      session_.console().print(fmt::format("{} {} in {} repositor{}\n",
                                           arguments_.is_dry_run ? "would remove" : "removed",
                                           garbage_text(report.counts), report.repositories,
                                           report.repositories == 1 ? "y" : "ies"));
    }
  }

 private:
  const ServeGcArguments& arguments_;
  Session& session_;
  Json repositories_ = Json::array();
  Json items_ = Json::array();
};

Result<void> run_serve_gc(const ServeGcArguments& arguments, Session& session) {
  server::GcOptions options{.removes_untagged = arguments.removes_untagged,
                            .is_dry_run = arguments.is_dry_run,
                            .stop = session.stop_token()};
  FNIMAGE_TRY(options.grace, parse_grace(arguments.grace, "--grace"));
  GcReporter reporter(arguments, session);
  if (arguments.is_dry_run) {
    options.found = [&](const GarbageItem& item) { reporter.add(item); };
  }
  options.done = [&](const server::CollectedRepository& one) { reporter.add(one); };
  FNIMAGE_TRY(const auto report, server::collect_garbage(arguments.store, options));
  reporter.end(report);
  if (session.stop_token().stop_requested()) {
    return fail(ErrorCode::cancelled, "stopped: the rest is not looked at", "run it again");
  }
  if (report.skipped > 0) {
    return fail(ErrorCode::verification,
                fmt::format("{} of {} repositories could not be gone through", report.skipped,
                            report.repositories),
                "see the warnings; nothing that may be needed was removed");
  }
  return {};
}

}  // namespace

void set_up_serve_gc(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ServeGcArguments>();
  command.add_option("--store", arguments->store, "The registry's directory")
      ->required()
      ->type_name("DIR");
  command.add_flag("--dry-run", arguments->is_dry_run, "Only list what would go");
  command.add_flag("--untagged", arguments->removes_untagged,
                   "Also manifests that no tag reaches, by a list or as a referrer either");
  command
      .add_option("--grace", arguments->grace,
                  "What is younger stays: it may be part of a push. At least 10m")
      ->capture_default_str()
      ->type_name("TIME");
  complete(command, registration,
           "A server may serve the directory meanwhile, and clients may push.\n"
           "A repository with a damaged manifest is left alone, since it is not known what it "
           "needs.\n"
           "Example:\n  fnimage serve gc --store /srv/registry --untagged --dry-run",
           [arguments](Session& session) { return run_serve_gc(*arguments, session); });
}

}  // namespace fnimage::cli

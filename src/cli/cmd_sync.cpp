// fnimage sync: all repositories of a place to another.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/sync.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "shape_options.hpp"
#include "sync_places.hpp"
#include "sync_report.hpp"

namespace fnimage::cli {

namespace {

struct SyncArguments {
  std::string from;
  std::string to;
  std::string list;
  std::string strip;
  bool without_referrers = false;
  bool keeps_tags = false;
  registry::SyncOptions options;
};

struct SyncSides {
  std::vector<SyncPlace> from;
  SyncPlace to;
};

Result<SyncSides> sides_of(const SyncArguments& arguments) {
  const bool has_list = !arguments.list.empty();
  // With a list, the only argument is the destination.
  const std::string& to = has_list && arguments.to.empty() ? arguments.from : arguments.to;
  if (to.empty() || arguments.from.empty() || (has_list && !arguments.to.empty())) {
    return fail(ErrorCode::invalid_argument,
                has_list ? "--from-file stands for SRC: name DST alone" : "SRC and DST are needed",
                "e.g.: fnimage sync registry.example:5000 oci:/mnt/disk");
  }
  SyncSides sides;
  FNIMAGE_TRY(sides.to, parse_sync_destination(to));
  if (has_list) {
    FNIMAGE_TRY(sides.from, read_sync_list(arguments.list));
  } else {
    FNIMAGE_TRY(SyncPlace one, parse_sync_source(arguments.from));
    sides.from.push_back(std::move(one));
  }
  return sides;
}

Result<void> check_sides(const SyncArguments& arguments, const SyncSides& sides) {
  for (const SyncPlace& from : sides.from) {
    if (arguments.options.remove && from.image) {
      return fail(ErrorCode::invalid_argument,
                  "--delete is for whole repositories, and a single tag is named",
                  "name the repository without its tag");
    }
    if (from.registry.empty() && from.directory == sides.to.directory) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{} is source and destination", from.directory.string()));
    }
  }
  return {};
}

/// So that the options about registries are for these.
void name_registries(const SyncSides& sides, RegistryOptions& options) {
  options.registries.clear();
  const auto add = [&](const std::string& registry) {
    if (!registry.empty() &&
        std::ranges::find(options.registries, registry) == options.registries.end()) {
      options.registries.push_back(registry);
    }
  };
  for (const SyncPlace& from : sides.from) {
    add(from.registry);
  }
  options.source.registry = options.registries.size() == 1 ? options.registries.front() : "";
  add(sides.to.registry);
  options.destination.registry = sides.to.registry;
}

Result<registry::SyncResult> run_items(const SyncArguments& arguments, const SyncSides& sides,
                                       Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  SyncSources sources(*client);
  for (const SyncPlace& place : sides.from) {
    FNIMAGE_CHECK(sources.add(place, arguments.strip));
  }
  sources.leave_out(sides.to);
  const auto to = open_sync_place(sides.to, *client);
  registry::SyncOptions options = arguments.options;
  options.referrers = !arguments.without_referrers;
  options.overwrite = !arguments.keeps_tags;
  options.parallel = session.registry_options().connections;
  options.stop = session.stop_token();
  return registry::sync(sources.items(), *to, options, session.console());
}

void report_failures(const registry::SyncResult& result, Session& session) {
  for (const registry::SyncedRepository& repository : result.repositories) {
    for (const registry::SyncFailure& failure : repository.failures) {
      const std::string& hint = failure.error.hint();
      session.console().report(Severity::warning,
                               fmt::format("{}: {}{}", failure.what, failure.error.describe(),
                                           hint.empty() ? "" : fmt::format(" ({})", hint)));
    }
  }
}

Result<void> run_sync(const SyncArguments& arguments, Settings& settings, Session& session) {
  FNIMAGE_TRY(const SyncSides sides, sides_of(arguments));
  FNIMAGE_CHECK(check_sides(arguments, sides));
  name_registries(sides, settings.registry);
  auto synced = run_items(arguments, sides, session);
  if (!synced) {
    const bool cancelled = synced.error().code() == ErrorCode::cancelled;
    Error error = std::move(synced).error();
    return fail(cancelled ? std::move(error).with_hint("run it again: it goes on where it was")
                          : std::move(error));
  }
  const bool is_dry_run = arguments.options.dry_run;
  report_failures(*synced, session);
  session.console().print(session.common().json ? json_lines(sync_json(*synced, is_dry_run))
                                                : sync_text(*synced, is_dry_run));
  if (synced->totals().failures == 0) {
    return {};
  }
  session.console().result_says_error();
  return fail(sync_error(*synced));
}

void add_choice_options(CLI::App& command, SyncArguments& arguments) {
  command
      .add_option("--from-file", arguments.list,
                  "Sources in a file, one in each line: HOST:PORT/team/app:v1; instead of SRC")
      ->type_name("FILE");
  command
      .add_option("-t,--tag", arguments.options.tags,
                  "Only tags like this, '*' = anything; may be given several times")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command.add_option("--exclude", arguments.options.exclude, "No tags like this")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  command.add_flag("--no-referrers", arguments.without_referrers,
                   "No signatures, SBOMs and whatever else refers to an image");
  command.add_option(
      "--strip", arguments.strip,
      "What the names lose at their beginning: with --strip mirror/, mirror/team/app "
      "becomes team/app");
}

}  // namespace

void set_up_sync(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<SyncArguments>();
  command.add_option("SRC", arguments->from, "Where they are");
  command.add_option("DST", arguments->to, "Where they go, each under its name");
  add_choice_options(command, *arguments);
  command.add_flag("--no-overwrite", arguments->keeps_tags,
                   "Leave tags alone that stand for something else at DST");
  command.add_flag("--delete", arguments->options.remove,
                   "Remove tags at DST that the repository at SRC does not have any more");
  add_repair_flag(command, arguments->options.repair);
  command.add_option("-j,--jobs", arguments->options.jobs, "Repositories at the same time")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  command.add_flag("--dry-run", arguments->options.dry_run,
                   "Write nothing; say what would be done");
  Settings& settings = registration.settings;
  complete_with_registry(
      command, registration,
      "SRC: HOST:PORT (all that its catalog lists), HOST:PORT/team/, HOST:PORT/team/*,\n"
      "HOST:PORT/team/app, or oci:DIR for a directory of `fnimage serve`. DST: HOST:PORT,\n"
      "HOST:PORT/prefix or oci:DIR. Digests stay as they are. Run it again after an interruption,\n"
      "or when the source has changed: what is there is not sent again.\n"
      "Example:\n  fnimage sync --plain-http 127.0.0.1:30501 oci:/mnt/disk/images",
      [arguments, &settings](Session& session) { return run_sync(*arguments, settings, session); });
  add_side_options(command, registration.settings.registry);
}

}  // namespace fnimage::cli

// fnimage manifest: the group, and what its subcommands share.
#include "cmd_manifest.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "json_text.hpp"
#include "push.hpp"

namespace fnimage::cli {

using manifest::Reference;
using registry::OciLayout;

Result<OpenedList> open_list(std::string_view text, bool push, Session& session) {
  if (push) {
    FNIMAGE_TRY(Reference name, build::parse_destination(text));
    FNIMAGE_TRY(registry::Client * client, session.client());
    FNIMAGE_TRY(std::unique_ptr<registry::ImageStore> store, client->repository(name));
    registry::ImageStore* const pointer = store.get();
    return OpenedList{std::move(store), {pointer, std::move(name)}};
  }
  FNIMAGE_TRY(Reference name, Reference::parse(text));
  FNIMAGE_TRY(std::unique_ptr<registry::ImageStore> store,
              Session::local_store(OciLayout::Mode::create));
  registry::ImageStore* const pointer = store.get();
  return OpenedList{std::move(store), {pointer, std::move(name)}};
}

Result<std::unique_ptr<OciLayout>> local_store_if_any() {
  auto local = Session::local_store(OciLayout::Mode::existing);
  if (!local && local.error().code() == ErrorCode::not_found) {
    return nullptr;
  }
  return local;
}

void add_push_flags(CLI::App& command, WhereArguments& arguments) {
  command.add_flag("--push", arguments.push,
                   "Act on the list in its registry, not in the local store");
  add_no_lint_flag(command, arguments.no_lint);
  add_dry_run_flag(command, arguments.dry_run);
}

Result<void> run_or_rehearse(const WhereArguments& arguments, Session& session,
                             const std::function<Result<void>()>& work) {
  if (!arguments.dry_run) {
    return work();
  }
  if (!arguments.push) {
    return fail(ErrorCode::invalid_argument, "--dry-run is about requests to a registry",
                "give --push too");
  }
  return rehearse(session, work);
}

void add_platform_edit_options(CLI::App& command, build::PlatformEdit& edit) {
  constexpr const char* group = "Platform";
  command.add_option("--os", edit.os, "Operating system: linux")->group(group)->type_name("OS");
  command.add_option("--arch", edit.architecture, "Architecture, any word: ppc64le")
      ->group(group)
      ->type_name("ARCH");
  command.add_option("--variant", edit.variant, "Variant: v7")->group(group)->type_name("TEXT");
  command.add_option("--os-version", edit.os_version, "Version of the operating system")
      ->group(group)
      ->type_name("TEXT");
  command
      .add_option("--os-features", edit.os_features, "Features that the image needs; \"\": none")
      ->delimiter(',')
      ->group(group)
      ->type_name("TEXT,…");
}

namespace {

nlohmann::ordered_json changed_to_json(const ChangedList& list) {
  const auto& [target, published] = list;
  nlohmann::ordered_json value = to_json(published.list);
  value["reference"] = target.name.str();
  value["previous"] = published.previous ? nlohmann::ordered_json(published.previous->str())
                                         : nlohmann::ordered_json(nullptr);
  return value;
}

std::string changed_to_text(const ChangedList& list, std::string_view what, bool quiet) {
  const std::string& digest = list.published.list.digest.str();
  if (quiet) {
    return digest + "\n";
  }
  return fmt::format("{} {}{}\n", what, list.target.name.str(),
                     list.target.is_local() ? "" : "@" + digest);
}

}  // namespace

void print_changed(const std::vector<ChangedList>& lists, std::string_view what, Session& session) {
  if (session.dry_run() != nullptr) {
    return;  // nothing has happened
  }
  nlohmann::ordered_json values = nlohmann::ordered_json::array();
  for (const ChangedList& list : lists) {
    for (const manifest::Platform& platform : list.published.superseded) {
      session.console().report(Severity::warning,
                               fmt::format("another publisher has changed {} of {} since",
                                           platform.str(), list.target.name.str()));
    }
    values.push_back(changed_to_json(list));
    if (!session.common().json) {
      session.console().print(changed_to_text(list, what, session.common().quiet));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines(values.size() == 1 ? values.front() : values));
  }
}

void print_done(const std::vector<build::NewList>& wanted,
                const std::vector<registry::PublishedList>& published, std::string_view what,
                Session& session) {
  std::vector<ChangedList> changed;
  for (std::size_t i = 0; i < published.size(); ++i) {
    changed.push_back({wanted[i].target, published[i]});
  }
  if (!changed.empty()) {
    print_changed(changed, what, session);
  }
}

void set_up_manifest(CLI::App& command, Registration registration) {
  command.require_subcommand(1);
  command.footer("Example:\n  fnimage manifest create --help");
  add_commands(
      command, registration,
      {
          {"create", "Make a list of images", set_up_manifest_create},
          {"add", "Add images to a list, or replace those of their platforms", set_up_manifest_add},
          {"remove", "Take entries out of a list", set_up_manifest_remove},
          {"annotate", "Change what a list says of itself or of an entry",
           set_up_manifest_annotate},
          {"inspect", "Print a list or manifest", set_up_manifest_inspect},
          {"push", "Publish a list of the local store", set_up_manifest_push},
          {"rm", "Remove lists from the local store", set_up_manifest_rm},
      });
}

}  // namespace fnimage::cli

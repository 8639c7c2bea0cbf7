// fnimage manifest remove | annotate | rm: lists changed in place.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cmd_manifest.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct ListRemoveArguments {
  std::string list;
  std::vector<std::string> entries;
  ExpectationArguments expectation;
  WhereArguments where;
};

struct ListAnnotateArguments {
  std::string list;
  std::string entry;
  build::PlatformEdit platform;
  std::vector<std::string> annotations;
  std::vector<std::string> list_annotations;
  ExpectationArguments expectation;
  WhereArguments where;
};

struct ListRmArguments {
  std::vector<std::string> lists;
};

Result<void> run_list_remove(const ListRemoveArguments& arguments, Session& session) {
  FNIMAGE_TRY(const build::Expectation expected, parse_expectation(arguments.expectation));
  FNIMAGE_TRY(const OpenedList list, open_list(arguments.list, arguments.where.push, session));
  FNIMAGE_TRY(const auto local, local_store_if_any());
  FNIMAGE_TRY(registry::Client * client, session.client());
  std::vector<build::EntryName> entries;
  for (const std::string& text : arguments.entries) {
    FNIMAGE_TRY(build::EntryName entry, build::parse_entry_name(text, local.get(), *client));
    entries.push_back(std::move(entry));
  }
  FNIMAGE_TRY(const registry::PublishedList published,
              build::remove_from_list(list.target, entries, expected, session.console(),
                                      !arguments.where.no_lint));
  print_changed({{list.target, published}}, "Changed manifest list", session);
  return {};
}

/// "KEY=VALUE" sets an annotation, "KEY-" removes it.
Result<build::AnnotationEdit> parse_edit(std::vector<std::string> texts) {
  build::AnnotationEdit edit;
  std::erase_if(texts, [&](const std::string& text) {
    if (text.size() < 2 || !text.ends_with('-') || text.find('=') != std::string::npos) {
      return false;
    }
    edit.removed.push_back(text.substr(0, text.size() - 1));
    return true;
  });
  FNIMAGE_TRY(edit.set, parse_annotations(texts));
  return edit;
}

Result<void> run_list_annotate(const ListAnnotateArguments& arguments, Session& session) {
  FNIMAGE_CHECK(arguments.platform.check());
  FNIMAGE_TRY(const build::Expectation expected, parse_expectation(arguments.expectation));
  build::ListAnnotation annotation{.platform = arguments.platform};
  annotation.lint = !arguments.where.no_lint;
  FNIMAGE_TRY(annotation.annotations, parse_edit(arguments.annotations));
  FNIMAGE_TRY(annotation.list_annotations, parse_edit(arguments.list_annotations));
  const bool of_entry =
      annotation.platform.says_anything() || annotation.annotations.says_anything();
  if (of_entry == arguments.entry.empty() ||
      (!of_entry && !annotation.list_annotations.says_anything())) {
    return fail(ErrorCode::invalid_argument,
                of_entry ? "which entry is to be annotated?" : "nothing to annotate",
                "name the entry and --arch, --os, … or --annotation; or --index-annotation alone "
                "for the list");
  }
  FNIMAGE_TRY(const OpenedList list, open_list(arguments.list, arguments.where.push, session));
  if (of_entry) {
    FNIMAGE_TRY(const auto local, local_store_if_any());
    FNIMAGE_TRY(registry::Client * client, session.client());
    FNIMAGE_TRY(annotation.entry, build::parse_entry_name(arguments.entry, local.get(), *client));
  }
  FNIMAGE_TRY(const registry::PublishedList published,
              build::annotate_list(list.target, annotation, expected, session.console()));
  print_changed({{list.target, published}}, "Annotated manifest list", session);
  return {};
}

Result<std::string> remove_list(const std::string& text, Session& session) {
  FNIMAGE_TRY(const OpenedList list, open_list(text, false, session));
  FNIMAGE_TRY(const auto found, list.target.store->resolve(list.target.tag()));
  const std::string name = list.target.name.str();
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("no list {} in the local store", name),
                "`fnimage images` lists what is there");
  }
  if (!manifest::is_index_type(found->media_type)) {
    return fail(ErrorCode::invalid_argument, fmt::format("{} is a single image, not a list", name),
                fmt::format("remove it with `fnimage rm --local {}`", name));
  }
  FNIMAGE_CHECK(list.target.store->remove_tag(list.target.tag()));
  return name;
}

Result<void> run_list_rm(const ListRmArguments& arguments, Session& session) {
  std::vector<std::string> names;
  Result<void> result;
  for (const std::string& text : arguments.lists) {
    auto removed = remove_list(text, session);
    if (!removed) {
      result = fail(std::move(removed).error());
      break;  // what is gone is gone, and is said
    }
    names.push_back(std::move(*removed));
  }
  if (session.common().json && (result || !names.empty())) {
    session.console().print(json_lines({{"removed", names}}));
  } else if (!session.common().json && !session.common().quiet) {
    for (const std::string& name : names) {
      session.console().print(fmt::format("Removed manifest list {}\n", name));
    }
  }
  return result;
}

}  // namespace

void set_up_manifest_remove(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListRemoveArguments>();
  command.add_option("LIST", arguments->list, "The list's name")->required();
  command.add_option("ENTRY", arguments->entries, "Platform, digest, or the image's name")
      ->required();
  add_push_flags(command, arguments->where);
  add_expectation_options(command, arguments->expectation);
  complete_with_registry(
      command, registration,
      "The image itself stays.\n"
      "Example:\n"
      "  fnimage manifest remove --push --insecure serverless:30501/action:latest linux/s390x",
      [arguments](Session& session) {
        return run_or_rehearse(arguments->where, session,
                               [&] { return run_list_remove(*arguments, session); });
      });
}

void set_up_manifest_annotate(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListAnnotateArguments>();
  command.add_option("LIST", arguments->list, "The list's name")->required();
  command.add_option("ENTRY", arguments->entry, "Platform, digest, or the image's name");
  add_push_flags(command, arguments->where);
  add_platform_edit_options(command, arguments->platform);
  command
      .add_option("--annotation", arguments->annotations,
                  "Of the entry: KEY=VALUE, or KEY- to remove it")
      ->type_name("K=V");
  command
      .add_option("--index-annotation", arguments->list_annotations,
                  "Of the list: KEY=VALUE, or KEY- to remove it")
      ->type_name("K=V");
  add_expectation_options(command, arguments->expectation);
  complete_with_registry(
      command, registration,
      "Example:\n"
      "  fnimage manifest annotate serverless:30501/action:latest \\\n"
      "    serverless:30501/action:power --arch ppc64le\n"
      "  fnimage manifest annotate --push --index-annotation team- serverless:30501/action:latest",
      [arguments](Session& session) {
        return run_or_rehearse(arguments->where, session,
                               [&] { return run_list_annotate(*arguments, session); });
      });
}

void set_up_manifest_rm(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListRmArguments>();
  command.add_option("LIST", arguments->lists, "The lists' names")->required();
  complete(command, registration, "Example:\n  fnimage manifest rm serverless:30501/action:latest",
           [arguments](Session& session) { return run_list_rm(*arguments, session); });
}

}  // namespace fnimage::cli

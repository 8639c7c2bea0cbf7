// fnimage manifest create | add: lists made of images that exist.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cmd_manifest.hpp"

namespace fnimage::cli {

namespace {

struct ListCreateArguments {
  std::string list;
  std::vector<std::string> children;
  std::vector<std::string> tags;
  ShapeArguments shape;
  std::vector<std::string> concurrent;
  std::string artifact_type;
  std::string subject;
  build::PlatformEdit platform_edit;
  ExpectationArguments expectation;
  bool amend = false;
  WhereArguments where;
  bool ignore_missing = false;
  bool referrers = false;
};

Result<build::ListOptions> list_options(const ListCreateArguments& arguments) {
  build::ListOptions options;
  FNIMAGE_TRY(registry::ImageShape shape, parse_shape(arguments.shape));
  options.format = shape.format;
  options.platforms = std::move(shape.platforms);
  options.annotations = std::move(shape.annotations);
  options.entry_annotations = std::move(shape.entry_annotations);
  options.amend = arguments.amend;
  FNIMAGE_TRY(options.also, parse_platforms(arguments.concurrent));
  options.platform_edit = arguments.platform_edit;
  FNIMAGE_CHECK(options.platform_edit.check());
  options.artifact_type = arguments.artifact_type;
  options.ignore_missing = arguments.ignore_missing;
  options.referrers = arguments.referrers;
  options.lint = !arguments.where.no_lint;
  FNIMAGE_TRY(options.expected, parse_expectation(arguments.expectation));
  if (options.amend && !(options.artifact_type.empty() && arguments.subject.empty())) {
    return fail(ErrorCode::invalid_argument, "--subject and --artifact-type are of a new list",
                "leave out --amend");
  }
  return options;
}

/// The manifest that a list is about: a digest, or a tag of the list's repository.
Result<manifest::Descriptor> find_subject(const std::string& text,
                                          const build::ListTarget& target) {
  const auto digest = manifest::Digest::parse(text);
  const registry::Selector selector = digest ? registry::Selector(*digest) : text;
  FNIMAGE_TRY(auto found, target.store->resolve(selector));
  if (!found) {
    return fail(ErrorCode::not_found,
                fmt::format("there is no subject {} in {}", registry::to_string(selector),
                            target.store->describe()),
                "name it by its digest, or a tag of the same repository");
  }
  return std::move(*found);
}

Result<void> run_list_create(const ListCreateArguments& arguments, Session& session) {
  FNIMAGE_TRY(build::ListOptions options, list_options(arguments));
  std::vector<registry::Location> children;
  for (const std::string& text : arguments.children) {
    FNIMAGE_TRY(registry::Location child, registry::parse_location(text));
    children.push_back(std::move(child));
  }
  std::vector<OpenedList> lists;
  std::vector<std::string> names{arguments.list};
  names.insert(names.end(), arguments.tags.begin(), arguments.tags.end());
  for (const std::string& name : names) {
    FNIMAGE_TRY(OpenedList list, open_list(name, arguments.where.push, session));
    lists.push_back(std::move(list));
  }
  FNIMAGE_TRY(const auto local, local_store_if_any());
  FNIMAGE_TRY(registry::Client * client, session.client());
  if (!arguments.subject.empty()) {
    FNIMAGE_TRY(options.subject, find_subject(arguments.subject, lists.front().target));
  }
  options.parallel = session.registry_options().connections;
  std::vector<build::NewList> wanted;
  wanted.reserve(lists.size());
  for (const OpenedList& list : lists) {
    wanted.push_back({list.target, children});
  }
  std::vector<registry::PublishedList> published;
  Result<void> made =
      build::create_lists(wanted, options, local.get(), *client, session.console(), published);
  const char* what = arguments.where.push ? "Pushed manifest list"
                     : arguments.amend    ? "Amended manifest list"
                                          : "Created manifest list";
  print_done(wanted, published, what, session);
  return made;
}

void add_list_options(CLI::App& command, ListCreateArguments& arguments) {
  command.add_option("LIST", arguments.list, "The list's name")->required();
  command
      .add_option("IMAGE", arguments.children,
                  "Images or lists: registry/name:tag, name@digest, oci:DIR[:tag], local name")
      ->required();
  add_push_flags(command, arguments.where);
  add_shape_options(command, arguments.shape);
  command
      .add_option("--concurrent", arguments.concurrent,
                  "Unusual platforms that others may be adding at the same time")
      ->delimiter(',')
      ->type_name("P,…");
  command.add_flag("--referrers", arguments.referrers,
                   "With signatures and the like of the images that are copied; needs --push");
  add_platform_edit_options(command, arguments.platform_edit);
  command.add_flag("--ignore-missing", arguments.ignore_missing,
                   "Leave out images that do not exist");
  add_expectation_options(command, arguments.expectation);
}

}  // namespace

void set_up_manifest_create(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListCreateArguments>();
  add_list_options(command, *arguments);
  command.add_flag("-a,--amend", arguments->amend, "Add to the list if it exists");
  command.add_option("-t,--tag", arguments->tags, "Another name for the list")->type_name("REF");
  command.add_option("--artifact-type", arguments->artifact_type, "The list's artifactType")
      ->type_name("TYPE");
  command.add_option("--subject", arguments->subject, "Digest or tag of what the list is about")
      ->type_name("REF");
  complete_with_registry(
      command, registration,
      "Without --push the list is made in the local store, for `fnimage manifest push`.\n"
      "Example:\n"
      "  fnimage manifest create --push --insecure serverless:30501/action:latest \\\n"
      "    serverless:30501/action:ppc64le serverless:30501/action:x86-64",
      [arguments](Session& session) {
        return run_or_rehearse(arguments->where, session,
                               [&] { return run_list_create(*arguments, session); });
      });
}

void set_up_manifest_add(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListCreateArguments>();
  arguments->amend = true;
  add_list_options(command, *arguments);
  complete_with_registry(
      command, registration,
      "With --push several machines may do this to one list at the same time.\n"
      "Example:\n"
      "  fnimage manifest add --push --insecure serverless:30501/action:latest \\\n"
      "    serverless:30501/action:ppc64le",
      [arguments](Session& session) {
        return run_or_rehearse(arguments->where, session,
                               [&] { return run_list_create(*arguments, session); });
      });
}

}  // namespace fnimage::cli

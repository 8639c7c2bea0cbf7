// fnimage manifest create | inspect | push: lists made of images that exist, as `docker manifest`.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/build/list.hpp>
#include <fnimage/registry/location.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "push.hpp"

namespace fnimage::cli {

namespace {

using manifest::Reference;
using registry::OciLayout;

struct CreateArguments {
  std::string list;
  std::vector<std::string> children;
  bool amend = false;
};

struct InspectArguments {
  std::string reference;
};

struct PushArguments {
  std::string list;
  bool purge = false;
};

Result<void> run_create(const CreateArguments& arguments, Session& session) {
  FNIMAGE_TRY(const Reference name, Reference::parse(arguments.list));
  std::vector<Reference> children;
  for (const std::string& text : arguments.children) {
    FNIMAGE_TRY(Reference child, Reference::parse(text));
    children.push_back(std::move(child));
  }
  FNIMAGE_TRY(const auto local, Session::local_store(OciLayout::Mode::create));
  FNIMAGE_TRY(registry::Client * client, session.client());
  build::CreateListOptions options;
  options.amend = arguments.amend;
  FNIMAGE_TRY(const manifest::Descriptor list,
              build::create_list(name, children, options, *local, *client, session.console()));
  if (session.common().json) {
    nlohmann::ordered_json value = to_json(list);
    value["reference"] = name.str();
    session.console().print(json_lines(value));
  } else if (session.common().quiet) {
    session.console().print(list.digest.str() + "\n");
  } else {
    session.console().print(fmt::format("Created manifest list {}\n", name.str()));
  }
  return {};
}

/// The list of that name in the local store, if there is one.
Result<std::optional<manifest::Document>> find_local(const Reference& name) {
  auto local = Session::local_store(OciLayout::Mode::existing);
  if (!local) {
    if (local.error().code() == ErrorCode::not_found) {
      return std::nullopt;
    }
    return fail(std::move(local).error());
  }
  FNIMAGE_TRY(const auto found, (*local)->resolve(name.str()));
  if (!found) {
    return std::nullopt;
  }
  FNIMAGE_TRY(manifest::Document document, (*local)->get_manifest(found->digest));
  return document;
}

Result<manifest::Document> read_remote(const std::string& text, Session& session) {
  FNIMAGE_TRY(const registry::Location location, registry::parse_location(text));
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  FNIMAGE_TRY(const registry::OpenedImage opened,
              registry::open_for_reading(location, *client, local));
  return opened.store->get_manifest(opened.selector);
}

Result<void> run_inspect(const InspectArguments& arguments, Session& session) {
  std::optional<manifest::Document> document;
  if (const auto reference = Reference::parse(arguments.reference)) {
    FNIMAGE_TRY(document, find_local(*reference));
  }
  if (!document) {
    FNIMAGE_TRY(manifest::Document remote, read_remote(arguments.reference, session));
    document = std::move(remote);
  }
  session.console().print_foreign(indent_json(document->bytes()) + "\n");
  return {};
}

Result<void> run_push(const PushArguments& arguments, Session& session) {
  FNIMAGE_TRY(const Reference name, parse_destination(arguments.list));
  FNIMAGE_TRY(const auto local, Session::local_store(OciLayout::Mode::create));
  FNIMAGE_TRY(const auto found, local->resolve(name.str()));
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("no list {} in the local store", name.str()),
                fmt::format("create it with `fnimage manifest create {} IMAGE...`", name.str()));
  }
  if (!manifest::is_index_type(found->media_type)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is a single image, not a list", name.str()), "use `fnimage push`");
  }
  FNIMAGE_TRY(const Pushed pushed, push(*local, found->digest, name, false, session));
  if (arguments.purge) {
    FNIMAGE_CHECK(local->remove_tag(name.str()));
  }
  session.console().print(session.common().json ? json_lines(to_json(pushed))
                                                : pushed.result.root.digest.str() + "\n");
  return {};
}

void add_create(CLI::App& manifest, Registration registration) {
  const auto arguments = std::make_shared<CreateArguments>();
  CLI::App& command = *manifest.add_subcommand("create", "Make a list in the local store");
  command.add_option("LIST", arguments->list, "The list's name")->required();
  command.add_option("IMAGE", arguments->children, "Images, one per platform")->required();
  command.add_flag("-a,--amend", arguments->amend, "Add to the list if it exists");
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  command.footer(
      "Example:\n"
      "  fnimage manifest create --insecure serverless:30501/action:latest \\\n"
      "    serverless:30501/action:ppc64le serverless:30501/action:x86-64");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) { return run_create(*arguments, session); };
  });
}

void add_manifest_inspect(CLI::App& manifest, Registration registration) {
  const auto arguments = std::make_shared<InspectArguments>();
  CLI::App& command = *manifest.add_subcommand("inspect", "Print a list or manifest");
  command.add_option("REF", arguments->reference, "Looked up in the local store first")->required();
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  command.footer("Example:\n  fnimage manifest inspect --insecure serverless:30501/action:latest");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) {
      return run_inspect(*arguments, session);
    };
  });
}

void add_manifest_push(CLI::App& manifest, Registration registration) {
  const auto arguments = std::make_shared<PushArguments>();
  CLI::App& command = *manifest.add_subcommand("push", "Publish a list of the local store");
  command.add_option("LIST", arguments->list, "The list's name")->required();
  command.add_flag("-p,--purge", arguments->purge, "Remove it from the local store afterwards");
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  command.footer("Example:\n  fnimage manifest push --insecure serverless:30501/action:latest");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) { return run_push(*arguments, session); };
  });
}

}  // namespace

void add_manifest(CLI::App& app, Registration registration) {
  CLI::App& command =
      *app.add_subcommand("manifest", "Make lists of images that exist, as `docker manifest` does");
  command.require_subcommand(1);
  command.footer("Example:\n  fnimage manifest create --help");
  add_create(command, registration);
  add_manifest_inspect(command, registration);
  add_manifest_push(command, registration);
}

}  // namespace fnimage::cli

// fnimage manifest inspect | push: a list printed, and a list of the local store published.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/registry/location.hpp>

#include "cmd_manifest.hpp"
#include "json_text.hpp"
#include "push.hpp"

namespace fnimage::cli {

namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Reference;

struct ListInspectArguments {
  std::string reference;
  std::string entry;
  bool verbose = false;
};

struct ListPushArguments {
  std::string list;
  std::vector<std::string> destinations;
  ExpectationArguments expectation;
  bool purge = false;
  bool dry_run = false;
  bool no_lint = false;
};

/// A manifest, and the store in which its children are.
struct FoundDocument {
  std::unique_ptr<registry::ImageStore> store;
  Document document;
};

/// What stands under that name in the local store, if anything.
Result<std::optional<FoundDocument>> find_in_local_store(const std::string& text) {
  const auto reference = Reference::parse(text);
  FNIMAGE_TRY(auto local, local_store_if_any());
  if (!reference || local == nullptr) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const auto found, local->resolve(reference->str()));
  if (!found) {
    return std::nullopt;
  }
  FNIMAGE_TRY(Document document, local->get_manifest(found->digest));
  return FoundDocument{std::move(local), std::move(document)};
}

Result<FoundDocument> find_document(const std::string& text, Session& session) {
  FNIMAGE_TRY(auto found, find_in_local_store(text));
  if (found) {
    return std::move(*found);
  }
  FNIMAGE_TRY(NamedImage image, session.open_image(text, false));
  FNIMAGE_TRY(Document document, image.opened.store->get_manifest(image.opened.selector));
  return FoundDocument{std::move(image.opened.store), std::move(document)};
}

/// A child of the list from where the list is, or else from where lists of the local store only
/// refer to.
Result<Document> find_child_document(const FoundDocument& list, const Descriptor& child,
                                     const std::string& name, Session& session) {
  if (list.store->repository()) {
    return list.store->get_manifest(child.digest);
  }
  const auto reference = Reference::parse(name);
  FNIMAGE_TRY(registry::Client * client, session.client());
  return registry::with_referred_images(
             *list.store, reference ? std::optional(*reference) : std::nullopt, *client)
      ->get_manifest(child.digest);
}

/// The form of `docker manifest inspect --verbose`.
Result<nlohmann::ordered_json> verbose(const std::string& name, const Descriptor& descriptor,
                                       const Document& document) {
  FNIMAGE_TRY(const nlohmann::json manifest, parse_json(document.bytes(), name));
  const bool docker = document.media_type() == manifest::media_type::docker_manifest;
  nlohmann::ordered_json shown = to_json(descriptor);
  if (descriptor.platform) {
    shown["platform"] = {{"architecture", descriptor.platform->architecture},
                         {"os", descriptor.platform->os}};
    if (!descriptor.platform->variant.empty()) {
      shown["platform"]["variant"] = descriptor.platform->variant;
    }
  }
  return nlohmann::ordered_json{{"Ref", name + "@" + descriptor.digest.str()},
                                {"Descriptor", std::move(shown)},
                                {docker ? "SchemaV2Manifest" : "OCIManifest", manifest}};
}

Result<Descriptor> find_listed(const Document& list, const std::string& text, Session& session) {
  if (!list.is_index()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("there is no entry {} of what is a single image", printable(text, 100)),
                "leave the entry out");
  }
  FNIMAGE_TRY(const auto local, local_store_if_any());
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const build::EntryName name, build::parse_entry_name(text, local.get(), *client));
  FNIMAGE_TRY(const manifest::Index index, list.index());
  return build::find_entry(index, name);
}

Result<void> print_verbose(const ListInspectArguments& arguments, const FoundDocument& found,
                           const std::vector<Descriptor>& entries, Session& session) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Descriptor& entry : entries) {
    FNIMAGE_TRY(const Document child,
                find_child_document(found, entry, arguments.reference, session));
    FNIMAGE_TRY(auto value, verbose(arguments.reference, entry, child));
    all.push_back(std::move(value));
  }
  session.console().print_foreign(json_lines(arguments.entry.empty() ? all : all.front()));
  return {};
}

Result<void> run_list_inspect(const ListInspectArguments& arguments, Session& session) {
  FNIMAGE_TRY(const FoundDocument found, find_document(arguments.reference, session));
  if (!arguments.entry.empty()) {
    FNIMAGE_TRY(const Descriptor entry, find_listed(found.document, arguments.entry, session));
    if (arguments.verbose) {
      return print_verbose(arguments, found, {entry}, session);
    }
    FNIMAGE_TRY(const Document child,
                find_child_document(found, entry, arguments.reference, session));
    session.console().print_foreign(indent_json(child.bytes()) + "\n");
    return {};
  }
  if (arguments.verbose && found.document.is_index()) {
    FNIMAGE_TRY(const manifest::Index index, found.document.index());
    return print_verbose(arguments, found, index.manifests, session);
  }
  if (arguments.verbose) {
    FNIMAGE_TRY(const auto value,
                verbose(arguments.reference, found.document.descriptor(), found.document));
    session.console().print_foreign(json_lines(value));
    return {};
  }
  session.console().print_foreign(indent_json(found.document.bytes()) + "\n");
  return {};
}

Result<manifest::Digest> find_local_list(const OpenedList& list) {
  const std::string name = list.target.tag();
  FNIMAGE_TRY(const auto found, list.store->resolve(name));
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("no list {} in the local store", name),
                fmt::format("create it with `fnimage manifest create {} IMAGE...`", name));
  }
  if (!manifest::is_index_type(found->media_type)) {
    return fail(ErrorCode::invalid_argument, fmt::format("{} is a single image, not a list", name),
                "use `fnimage push`");
  }
  return found->digest;
}

void print_pushed(const std::vector<build::Published>& all, Session& session) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const build::Published& pushed : all) {
    results.push_back(to_json(pushed));
    if (!session.common().json) {
      session.console().print(pushed.result.root.digest.str() + "\n");
    }
  }
  if (session.common().json && !all.empty()) {
    session.console().print(json_lines(results.size() == 1 ? results.front() : results));
  }
}

Result<void> run_list_push(const ListPushArguments& arguments, Session& session) {
  FNIMAGE_TRY(const build::Expectation expected, parse_expectation(arguments.expectation));
  std::vector<Reference> destinations;
  for (const std::string& text : arguments.destinations.empty()
                                     ? std::vector<std::string>{arguments.list}
                                     : arguments.destinations) {
    FNIMAGE_TRY(Reference destination, build::parse_destination(text));
    destinations.push_back(std::move(destination));
  }
  FNIMAGE_TRY(const OpenedList list, open_list(arguments.list, false, session));
  FNIMAGE_TRY(const manifest::Digest digest, find_local_list(list));
  FNIMAGE_TRY(registry::Client * client, session.client());
  // Images that the list only refers to are in its own repository: nothing to look for when that
  // is where it goes.
  const auto here = registry::with_referred_images(*list.store, std::nullopt, *client);
  const auto anywhere = registry::with_referred_images(*list.store, list.target.name, *client);
  std::vector<build::Published> done;
  build::PublishOptions options = publish_options(session);
  options.tag_platforms = false;
  options.expected = expected;
  options.lint = !arguments.no_lint;
  Result<void> result;
  for (const Reference& to : destinations) {
    const bool home = to.name() == list.target.name.name();
    registry::ImageStore& images = home ? *here : *anywhere;
    auto pushed = build::publish(images, digest, {to}, options, *client, session.console());
    if (!pushed) {
      result = fail(std::move(pushed).error());
      break;  // those before have moved, and that is said
    }
    done.push_back(std::move(pushed->front()));
  }
  if (session.dry_run() != nullptr) {
    return result;
  }
  if (arguments.purge && result) {
    FNIMAGE_CHECK(list.store->remove_tag(list.target.tag()));
  }
  print_pushed(done, session);
  return result;
}

}  // namespace

void set_up_manifest_inspect(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListInspectArguments>();
  command.add_option("REF", arguments->reference, "Looked up in the local store first")->required();
  command.add_option("ENTRY", arguments->entry,
                     "Print this image of the list: platform, digest, or its name");
  command.add_flag("-v,--verbose", arguments->verbose, "With the manifests of the images");
  complete_with_registry(
      command, registration,
      "Example:\n  fnimage manifest inspect --insecure serverless:30501/action:latest",
      [arguments](Session& session) { return run_list_inspect(*arguments, session); });
}

void set_up_manifest_push(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ListPushArguments>();
  command.add_option("LIST", arguments->list, "The list's name")->required();
  command.add_option("DEST", arguments->destinations, "Where to, when not to its own name");
  command.add_flag("-p,--purge", arguments->purge, "Remove it from the local store afterwards");
  add_no_lint_flag(command, arguments->no_lint);
  add_dry_run_flag(command, arguments->dry_run);
  add_expectation_options(command, arguments->expectation);
  complete_with_registry(
      command, registration,
      "Example:\n  fnimage manifest push --insecure serverless:30501/action:latest",
      [arguments](Session& session) {
        return run_or_rehearse({.push = true, .dry_run = arguments->dry_run}, session,
                               [&] { return run_list_push(*arguments, session); });
      });
}

}  // namespace fnimage::cli

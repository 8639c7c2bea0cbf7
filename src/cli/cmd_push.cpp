// fnimage push: from the local store to registries.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cmd_manifest.hpp"
#include "json_text.hpp"
#include "push.hpp"

namespace fnimage::cli {

namespace {

struct PushArguments {
  std::vector<std::string> references;
  bool add = false;
};

/// The local store and the digest that each reference stands for there.
Result<std::vector<manifest::Digest>> find_all(registry::ImageStore& local,
                                               const std::vector<manifest::Reference>& wanted) {
  std::vector<manifest::Digest> found;
  for (const manifest::Reference& reference : wanted) {
    FNIMAGE_TRY(const auto descriptor, local.resolve(reference.str()));
    if (!descriptor) {
      return fail(ErrorCode::not_found,
                  fmt::format("no image {} in the local store", reference.str()),
                  fmt::format("build it with `fnimage build -t {}`; `fnimage images` lists what is "
                              "there",
                              reference.str()));
    }
    found.push_back(descriptor->digest);
  }
  return found;
}

/// Joins the platforms of an image of the local store into the list that the registry has.
Result<registry::PublishedList> push_into_list(registry::OciLayout& local,
                                               const manifest::Reference& to, Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const auto repository, client->repository(to));
  registry::Location image{.kind = registry::Location::Kind::layout};
  image.directory = local.directory();
  image.tag = to.str();
  build::ListOptions options;
  options.amend = true;
  FNIMAGE_TRY(registry::PublishedList published,
              build::create_list({repository.get(), to}, {image}, options, nullptr, *client,
                                 session.console()));
  FNIMAGE_TRY(const manifest::Document document, local.get_manifest(to.str()));
  if (document.is_index()) {
    FNIMAGE_TRY(const manifest::Index own, document.index());
    for (const manifest::Descriptor& entry : own.manifests) {
      FNIMAGE_TRY(const manifest::Document child, local.get_manifest(entry.digest));
      FNIMAGE_CHECK(repository->put_manifest(
          child,
          to.tag_or_latest() + "-" + entry.platform.value_or(manifest::Platform{}).tag_suffix()));
    }
  }
  return published;
}

Result<void> push_all_into_lists(registry::OciLayout& local,
                                 const std::vector<manifest::Reference>& references,
                                 Session& session) {
  std::vector<ChangedList> changed;
  for (const manifest::Reference& to : references) {
    auto published = push_into_list(local, to, session);
    if (!published) {
      return fail(std::move(published).error().while_doing("push " + to.str()));
    }
    changed.push_back({{nullptr, to}, std::move(*published)});
  }
  print_changed(changed, "added to", session);
  return {};
}

Result<void> run_push(const PushArguments& arguments, Session& session) {
  std::vector<manifest::Reference> references;
  for (const std::string& text : arguments.references) {
    FNIMAGE_TRY(manifest::Reference reference, parse_destination(text));
    references.push_back(std::move(reference));
  }
  FNIMAGE_TRY(const auto local, Session::local_store(registry::OciLayout::Mode::create));
  FNIMAGE_TRY(const std::vector<manifest::Digest> digests, find_all(*local, references));
  if (arguments.add) {
    return push_all_into_lists(*local, references, session);
  }
  std::vector<PushItem> items;
  for (std::size_t i = 0; i < references.size(); ++i) {
    items.push_back({digests[i], references[i]});
  }
  FNIMAGE_TRY(const std::vector<Pushed> all, push_all(*local, items, true, session));
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const Pushed& pushed : all) {
    if (session.common().json) {
      results.push_back(to_json(pushed));
    } else {
      session.console().print(session.common().quiet ? pushed.result.root.digest.str() + "\n"
                                                     : to_text(pushed));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"pushed", std::move(results)}}));
  }
  return {};
}

}  // namespace

void add_push(CLI::App& app, Registration registration) {
  const auto arguments = std::make_shared<PushArguments>();
  CLI::App& command = *app.add_subcommand("push", "Publish images of the local store");
  command.add_option("REF", arguments->references, "registry/name:tag, as built with -t")
      ->required();
  command.add_flag("--add", arguments->add,
                   "Join the platforms into the list that is there, beside others that do so");
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  command.footer(
      "Each platform is tagged <tag>-<arch> too.\n"
      "Example:\n  fnimage push --plain-http 127.0.0.1:30501/hello:latest");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) { return run_push(*arguments, session); };
  });
}

}  // namespace fnimage::cli

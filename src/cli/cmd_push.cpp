// fnimage push: from the local store to registries.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/worker_pool.hpp>

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

/// A manifest and the tag of its platform.
struct PlatformTag {
  registry::ImageStore* store = nullptr;
  manifest::Digest digest;
  std::string tag;
};

Result<std::vector<PlatformTag>> platform_tags(registry::OciLayout& local,
                                               const build::ListTarget& list) {
  std::vector<PlatformTag> tags;
  FNIMAGE_TRY(const manifest::Document document, local.get_manifest(list.name.str()));
  if (document.is_index()) {
    FNIMAGE_TRY(const manifest::Index own, document.index());
    for (const manifest::Descriptor& entry : own.manifests) {
      if (entry.platform && entry.platform->os != "unknown") {
        tags.push_back({list.store, entry.digest, list.tag() + "-" + entry.platform->tag_suffix()});
      }
    }
  }
  return tags;
}

/// After the lists: docker-registry empties an image's link file for a moment while it is put under
/// a tag, and then finds a list that names the image to be wrong.
Result<void> put_platform_tags(registry::OciLayout& local, const std::vector<build::NewList>& lists,
                               std::size_t count, Session& session) {
  std::vector<PlatformTag> tags;
  for (std::size_t i = 0; i < count; ++i) {
    FNIMAGE_TRY(const auto some, platform_tags(local, lists[i].target));
    tags.insert(tags.end(), some.begin(), some.end());
  }
  WorkerPool pool(session.registry_options().connections);
  TaskGroup group(pool);
  for (const PlatformTag& tag : tags) {
    group.run([&local, &tag]() -> Result<void> {
      auto child = local.get_manifest(tag.digest);
      if (!child && child.error().code() == ErrorCode::not_found) {
        child = tag.store->get_manifest(tag.digest);  // the local list only refers to it
      }
      FNIMAGE_CHECK(child);
      return tag.store->put_manifest(*child, tag.tag);
    });
  }
  return group.wait();
}

/// Joins the platforms of images of the local store into the lists that their registries have.
Result<void> push_all_into_lists(registry::OciLayout& local,
                                 const std::vector<manifest::Reference>& references,
                                 Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  build::ListOptions options;
  options.amend = true;
  options.parallel = session.registry_options().connections;
  std::vector<std::unique_ptr<registry::ImageStore>> stores;
  std::vector<build::NewList> lists;
  for (const manifest::Reference& to : references) {
    FNIMAGE_TRY(stores.emplace_back(), client->repository(to));
    registry::Location image{.kind = registry::Location::Kind::local};
    image.reference = to;
    lists.push_back({{stores.back().get(), to}, {std::move(image)}});
  }
  std::vector<registry::PublishedList> published;
  Result<void> result =
      build::create_lists(lists, options, &local, *client, session.console(), published);
  if (!result && lists.size() == 1) {
    result = fail(std::move(result).error().while_doing("push " + references.front().str()));
  }
  const Result<void> tagged = put_platform_tags(local, lists, published.size(), session);
  print_done(lists, published, "added to", session);
  FNIMAGE_CHECK(result);
  return tagged;
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
  FNIMAGE_TRY(registry::Client * client, session.client());
  const auto images = build::with_referred_images(*local, std::nullopt, *client);
  FNIMAGE_TRY(const std::vector<Pushed> all, push_all(*images, items, true, session));
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

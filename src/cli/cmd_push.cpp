// fnimage push: from the local store to registries.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/registry/image_sources.hpp>
#include <fnimage/registry/selection.hpp>

#include "cmd_manifest.hpp"
#include "json_text.hpp"
#include "push.hpp"

namespace fnimage::cli {

namespace {

struct PushArguments {
  std::vector<std::string> references;
  std::vector<std::string> tags;
  ShapeArguments shape;
  ExpectationArguments expectation;
  bool add = false;
  bool dry_run = false;
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
  Result<void> tagged = put_platform_tags(local, lists, published.size(), session);
  print_done(lists, published, "added to", session);
  FNIMAGE_CHECK(result);
  return tagged;
}

/// "registry/name:tag", or a tag of the repository that the image is called after.
Result<manifest::Reference> further_destination(const manifest::Reference& own,
                                                const std::string& text) {
  return manifest::is_valid_tag(text) ? own.with_tag(text) : parse_destination(text);
}

/// What goes where: each reference to itself and, when it is the only one, to the further ones.
Result<std::vector<PushItem>> items_of(const std::vector<registry::Selector>& selectors,
                                       const std::vector<manifest::Reference>& references,
                                       const std::vector<std::string>& further) {
  std::vector<PushItem> items;
  for (std::size_t i = 0; i < references.size(); ++i) {
    items.push_back({selectors[i], references[i]});
  }
  for (const std::string& text : further) {
    FNIMAGE_TRY(manifest::Reference to, further_destination(references.front(), text));
    items.push_back({selectors.front(), std::move(to)});
  }
  return items;
}

Result<void> check_push(const PushArguments& arguments, const registry::ImageShape& shape) {
  const bool several = arguments.references.size() > 1;
  if (several && !(arguments.tags.empty() && arguments.expectation.digest.empty())) {
    return fail(ErrorCode::invalid_argument, "--tag and --expect-digest are about one image",
                "push the images one by one");
  }
  const bool guarded = arguments.expectation.no_clobber || !arguments.expectation.digest.empty();
  if (arguments.add && (shape.says_anything() || !arguments.tags.empty() || guarded)) {
    return fail(ErrorCode::invalid_argument,
                "--add joins images as they are into the list that is there",
                "use `fnimage manifest add --push`, which has these options");
  }
  return {};
}

/// With a dry run nothing is printed.
void print_all_pushed(const std::vector<Pushed>& all, Session& session) {
  if (session.dry_run() != nullptr) {
    return;
  }
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
}

Result<void> run_push(const PushArguments& arguments, Session& session) {
  std::vector<manifest::Reference> references;
  for (const std::string& text : arguments.references) {
    FNIMAGE_TRY(manifest::Reference reference, parse_destination(text));
    references.push_back(std::move(reference));
  }
  FNIMAGE_TRY(const registry::ImageShape shape, parse_shape(arguments.shape));
  FNIMAGE_CHECK(check_push(arguments, shape));
  PushOptions options{.tag_platforms = true};
  FNIMAGE_TRY(options.expected, parse_expectation(arguments.expectation));
  FNIMAGE_TRY(const auto local, Session::local_store(registry::OciLayout::Mode::create));
  FNIMAGE_TRY(const std::vector<manifest::Digest> digests, find_all(*local, references));
  if (arguments.add) {
    return push_all_into_lists(*local, references, session);
  }
  FNIMAGE_TRY(registry::Client * client, session.client());
  const auto images = registry::with_referred_images(*local, std::nullopt, *client);
  std::vector<registry::Selector> selectors;
  std::map<manifest::Digest, manifest::Document> made;
  for (const manifest::Digest& digest : digests) {
    FNIMAGE_TRY(registry::ShapedImage shaped,
                registry::shape_in(*images, digest, shape, session.console()));
    selectors.emplace_back(std::move(shaped.root));
    made.merge(shaped.made);
  }
  FNIMAGE_TRY(const auto items, items_of(selectors, references, arguments.tags));
  const bool as_it_is = made.empty();
  const auto changed = registry::with_manifests(*images, std::move(made));
  registry::ImageStore& from = as_it_is ? *images : *changed;
  FNIMAGE_TRY(const std::vector<Pushed> all, push_all(from, items, options, session));
  print_all_pushed(all, session);
  return {};
}

}  // namespace

void set_up_push(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<PushArguments>();
  command.add_option("REF", arguments->references, "registry/name:tag, as built with -t")
      ->required();
  command.add_flag("--add", arguments->add,
                   "Join the platforms into the list that is there, beside others that do so");
  command
      .add_option("-t,--tag", arguments->tags,
                  "Another tag, or a whole registry/name:tag, to push to as well")
      ->type_name("TAG|REF")
      ->allow_extra_args(false);
  add_shape_options(command, arguments->shape);
  command.add_flag("--keep-list", arguments->shape.keep_list,
                   "With --platform: a list, for one platform too");
  add_expectation_options(command, arguments->expectation);
  add_dry_run_flag(command, arguments->dry_run);
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  command.footer(
      "Each platform is tagged <tag>-<arch> too.\n"
      "Example:\n  fnimage push --plain-http 127.0.0.1:30501/hello:latest");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) {
      const auto work = [&] { return run_push(*arguments, session); };
      return arguments->dry_run ? rehearse(session, work) : work();
    };
  });
}

}  // namespace fnimage::cli

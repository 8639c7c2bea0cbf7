// fnimage push: from the local store to registries.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/platform_match.hpp>
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
  bool referrers = false;
  bool repair = false;
  bool dry_run = false;
  bool no_lint = false;
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

/// An image of the local store, and the list of a registry that its platforms join.
struct Joining {
  manifest::Reference image;
  build::NewList list;
  std::unique_ptr<registry::ImageStore> store;
};

/// Of the platforms that the image has brought, as they stand in the list.
Result<std::vector<PlatformTag>> platform_tags(registry::OciLayout& local, const Joining& joining,
                                               const manifest::Digest& list,
                                               const std::vector<manifest::Platform>& wanted) {
  std::vector<PlatformTag> tags;
  FNIMAGE_TRY(const manifest::Document image, local.get_manifest(joining.image.str()));
  if (!image.is_index()) {
    return tags;
  }
  FNIMAGE_TRY(const manifest::Index own, image.index());
  FNIMAGE_TRY(const manifest::Document standing, joining.store->get_manifest(list));
  FNIMAGE_TRY(const manifest::Index joined, standing.index());
  const auto is_wanted = [&](const manifest::Platform& platform) {
    return wanted.empty() || std::ranges::any_of(wanted, [&](const manifest::Platform& one) {
             return manifest::same_platform(one, platform);
           });
  };
  const auto is_own = [&](const manifest::Platform& platform) {
    return std::ranges::any_of(own.manifests, [&](const manifest::Descriptor& entry) {
      return entry.platform && manifest::same_platform(*entry.platform, platform);
    });
  };
  for (const manifest::Descriptor& entry : joined.manifests) {
    if (entry.platform && entry.platform->os != "unknown" && is_own(*entry.platform) &&
        is_wanted(*entry.platform)) {
      tags.push_back({joining.store.get(), entry.digest,
                      joining.list.target.tag() + "-" + entry.platform->tag_suffix()});
    }
  }
  return tags;
}

/// After the lists: docker-registry empties an image's link file for a moment while it is put under
/// a tag, and then finds a list that names the image to be wrong.
Result<void> put_platform_tags(registry::OciLayout& local, const std::vector<PlatformTag>& tags,
                               Session& session) {
  WorkerPool pool(session.registry_options().connections);
  TaskGroup group(pool);
  for (const PlatformTag& tag : tags) {
    group.run([&local, &tag]() -> Result<void> {
      auto child = local.get_manifest(tag.digest);
      if (!child && child.error().code() == ErrorCode::not_found) {
        child = tag.store->get_manifest(tag.digest);  // referred to, converted, or another's
      }
      FNIMAGE_CHECK(child);
      return tag.store->put_manifest(*child, tag.tag);
    });
  }
  return group.wait();
}

Result<void> tag_joined(registry::OciLayout& local, const std::vector<Joining>& all,
                        const std::vector<registry::PublishedList>& published,
                        const std::vector<manifest::Platform>& wanted, Session& session) {
  std::vector<PlatformTag> tags;
  for (std::size_t i = 0; i < published.size(); ++i) {
    FNIMAGE_TRY(const auto some, platform_tags(local, all[i], published[i].list.digest, wanted));
    tags.insert(tags.end(), some.begin(), some.end());
  }
  return put_platform_tags(local, tags, session);
}

/// Joins the platforms of images of the local store into the lists that their registries have.
Result<void> push_all_into_lists(registry::OciLayout& local, std::vector<Joining> all,
                                 const build::ListOptions& options, Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  std::vector<build::NewList> lists;
  for (Joining& joining : all) {
    FNIMAGE_TRY(joining.store, client->repository(joining.list.target.name));
    joining.list.target.store = joining.store.get();
    lists.push_back(joining.list);
  }
  std::vector<registry::PublishedList> published;
  Result<void> result =
      build::create_lists(lists, options, &local, *client, session.console(), published);
  if (!result && lists.size() == 1) {
    result = fail(std::move(result).error().while_doing("push " + all.front().image.str()));
  }
  Result<void> tagged = tag_joined(local, all, published, options.platforms, session);
  print_done(lists, published, "added to", session);
  FNIMAGE_CHECK(result);
  return tagged;
}

/// "registry/name:tag", or a tag of the repository that the image is called after.
Result<manifest::Reference> further_destination(const manifest::Reference& own,
                                                const std::string& text) {
  return manifest::is_valid_tag(text) ? own.with_tag(text) : build::parse_destination(text);
}

/// What goes where: each reference to itself and, when it is the only one, to the further ones.
Result<std::vector<build::PublishItem>> items_of(const std::vector<registry::Selector>& selectors,
                                                 const std::vector<manifest::Reference>& references,
                                                 const std::vector<std::string>& further) {
  std::vector<build::PublishItem> items;
  for (std::size_t i = 0; i < references.size(); ++i) {
    items.push_back({selectors[i], references[i]});
  }
  for (const std::string& text : further) {
    FNIMAGE_TRY(manifest::Reference to, further_destination(references.front(), text));
    items.push_back({selectors.front(), std::move(to)});
  }
  return items;
}

/// The same for lists that are joined.
Result<std::vector<Joining>> joinings_of(const std::vector<manifest::Reference>& references,
                                         const std::vector<std::string>& further) {
  std::vector<Joining> all;
  const auto add = [&](const manifest::Reference& image, const manifest::Reference& to) {
    registry::Location child{.kind = registry::Location::Kind::local};
    child.reference = image;
    all.push_back({image, {{nullptr, to}, {std::move(child)}}, nullptr});
  };
  for (const manifest::Reference& reference : references) {
    add(reference, reference);
  }
  for (const std::string& text : further) {
    FNIMAGE_TRY(const manifest::Reference to, further_destination(references.front(), text));
    add(references.front(), to);
  }
  return all;
}

build::ListOptions joining_options(const registry::ImageShape& shape,
                                   const build::Expectation& expected, const Session& session) {
  build::ListOptions options;
  options.format = shape.format;
  options.amend = true;
  options.converts_list = false;  // others may be adding to it
  options.platforms = shape.platforms;
  options.annotations = shape.annotations;
  options.entry_annotations = shape.entry_annotations;
  options.expected = expected;
  options.parallel = session.registry_options().connections;
  return options;
}

Result<void> check_push(const PushArguments& arguments) {
  const bool several = arguments.references.size() > 1;
  if (several && !(arguments.tags.empty() && arguments.expectation.digest.empty())) {
    return fail(ErrorCode::invalid_argument, "--tag and --expect-digest are about one image",
                "push the images one by one");
  }
  if (arguments.add && arguments.expectation.no_clobber) {
    return fail(ErrorCode::invalid_argument,
                "--add joins the list that is there, which --no-clobber refuses",
                "leave one of them out");
  }
  if (arguments.add && arguments.repair) {
    return fail(ErrorCode::invalid_argument,
                "--add does not look into images that the registry has, so it repairs none",
                "push the image with --repair under a tag of its own; that heals it in every list");
  }
  return {};
}

/// With a dry run nothing is printed.
void print_all_pushed(const std::vector<build::Published>& all, Session& session) {
  if (session.dry_run() != nullptr) {
    return;
  }
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const build::Published& pushed : all) {
    if (session.common().json) {
      results.push_back(to_json(pushed));
    } else {
      session.console().print(session.common().quiet ? pushed.result.root.digest.str() + "\n"
                                                     : cli::to_text(pushed));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"pushed", std::move(results)}}));
  }
}

Result<void> run_push(const PushArguments& arguments, Session& session) {
  std::vector<manifest::Reference> references;
  for (const std::string& text : arguments.references) {
    FNIMAGE_TRY(manifest::Reference reference, build::parse_destination(text));
    references.push_back(std::move(reference));
  }
  FNIMAGE_TRY(const registry::ImageShape shape, parse_shape(arguments.shape));
  FNIMAGE_CHECK(check_push(arguments));
  build::PublishOptions options = publish_options(session);
  options.referrers = arguments.referrers;
  options.repair = arguments.repair;
  options.lint = !arguments.no_lint;
  FNIMAGE_TRY(options.expected, parse_expectation(arguments.expectation));
  FNIMAGE_TRY(const auto local, Session::local_store(registry::OciLayout::Mode::create));
  FNIMAGE_TRY(const std::vector<manifest::Digest> digests, find_all(*local, references));
  if (arguments.add) {
    FNIMAGE_TRY(auto joinings, joinings_of(references, arguments.tags));
    build::ListOptions joining = joining_options(shape, options.expected, session);
    joining.referrers = arguments.referrers;
    joining.lint = !arguments.no_lint;
    return push_all_into_lists(*local, std::move(joinings), joining, session);
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
  FNIMAGE_TRY(const std::vector<build::Published> all,
              build::publish_all(from, items, options, *client, session.console()));
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
  command.add_flag("--referrers", arguments->referrers,
                   "SBOMs, signatures and whatever else refers to it, cosign's tags too");
  add_repair_flag(command, arguments->repair);
  add_no_lint_flag(command, arguments->no_lint);
  add_dry_run_flag(command, arguments->dry_run);
  complete_with_registry(command, registration,
                         "Each platform is tagged <tag>-<arch> too.\n"
                         "Example:\n  fnimage push --plain-http 127.0.0.1:30501/hello:latest",
                         [arguments](Session& session) {
                           const auto work = [&] { return run_push(*arguments, session); };
                           return arguments->dry_run ? rehearse(session, work) : work();
                         });
}

}  // namespace fnimage::cli

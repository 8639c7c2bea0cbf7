// fnimage layer: changes to single layers of an image that is published or stored.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/replace_layer.hpp>

#include "build_session.hpp"
#include "command.hpp"
#include "json_text.hpp"
#include "rehearsal.hpp"
#include "tag_names.hpp"

namespace fnimage::cli {

namespace {

struct ReplaceArguments {
  std::string reference;
  std::string name;
  std::string from;
  std::string to;
  std::vector<std::string> tags;
  std::string compression;
  BuildFileOptions cache{};
  bool local = false;
  bool dry_run = false;
};

Result<build::LayerReplacement> replacement_of(const ReplaceArguments& arguments) {
  build::LayerReplacement replacement{
      .name = arguments.name, .from = arguments.from, .to = arguments.to};
  if (!arguments.to.empty() && !arguments.to.starts_with('/')) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--to {} is not a path of the image", printable(arguments.to)),
                "begin it with '/'");
  }
  if (!arguments.compression.empty()) {
    FNIMAGE_TRY(replacement.compression, layer::parse_compression(arguments.compression));
  }
  FNIMAGE_TRY(replacement.source_date_epoch, build::source_date_epoch_from_environment());
  return replacement;
}

/// Where the result goes: the tag that was named, or others instead.
Result<build::ReplacementTarget> target_of(const ReplaceArguments& arguments,
                                           const NamedImage& named) {
  build::ReplacementTarget target{
      .tags = {}, .tag_platforms = named.location.kind == registry::Location::Kind::registry};
  for (const std::string& text : arguments.tags) {
    FNIMAGE_TRY(std::string tag, tag_in_store(named.location, text));
    target.tags.push_back(std::move(tag));
  }
  if (!target.tags.empty()) {
    return target;
  }
  if (!std::holds_alternative<std::string>(named.opened.selector)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is a digest, which cannot stand for something else",
                            printable(arguments.reference)),
                "say with -t what the result is to be called");
  }
  target.tags = {std::get<std::string>(named.opened.selector)};
  return target;
}

std::string replaced_text(const build::ReplaceResult& result, const registry::Location& location,
                          const build::ReplacementTarget& target) {
  if (result.root == result.before) {
    return fmt::format("unchanged {}: the layer has this content already\n",
                       result.root.digest.str());
  }
  std::string text;
  for (const build::ReplacedImage& image : result.images) {
    text += fmt::format("{}  {}\n  {}  {:>10}\n",
                        image.platform ? printable(image.platform->str()) : std::string("image"),
                        image.after.digest.str(), image.layer.digest.str(),
                        human_size(image.layer.size));
  }
  for (const std::string& tag : target.tags) {
    text += fmt::format("replaced in {}@{}  (was {})\n", printable(shown_name(location, tag)),
                        result.root.digest.str(), result.before.digest.str());
  }
  return text;
}

nlohmann::ordered_json replaced_json(const build::ReplaceResult& result,
                                     const registry::Location& location,
                                     const build::ReplacementTarget& target) {
  nlohmann::ordered_json platforms = nlohmann::ordered_json::array();
  for (const build::ReplacedImage& image : result.images) {
    platforms.push_back(
        {{"platform", image.platform ? nlohmann::ordered_json(image.platform->str()) : nullptr},
         {"manifest", cli::to_json(image.after)},
         {"previous", image.before.str()},
         {"layer", cli::to_json(image.layer)}});
  }
  nlohmann::ordered_json names = nlohmann::ordered_json::array();
  for (const std::string& tag : target.tags) {
    names.push_back(shown_name(location, tag));
  }
  return {{"list", cli::to_json(result.root)},
          {"previous", result.before.digest.str()},
          {"names", std::move(names)},
          {"platforms", std::move(platforms)}};
}

Result<void> run_replace(const ReplaceArguments& arguments, Session& session) {
  FNIMAGE_TRY(const build::LayerReplacement replacement, replacement_of(arguments));
  FNIMAGE_TRY(NamedImage named, session.open_image(arguments.reference, arguments.local));
  FNIMAGE_CHECK(require_registry_in_dry_run(named.location, session));
  FNIMAGE_TRY(const build::ReplacementTarget target, target_of(arguments, named));
  FNIMAGE_TRY(const auto store, Session::open_for_writing(named));
  FNIMAGE_TRY(const auto builder, BuildSession::open(arguments.cache, 0, session));
  FNIMAGE_TRY(const build::ReplaceResult result,
              build::replace_layer(*store, named.opened.selector, replacement, target,
                                   builder->environment()));
  if (session.dry_run() != nullptr) {
    return {};
  }
  if (session.common().json) {
    session.console().print(json_lines(replaced_json(result, named.location, target)));
  } else {
    session.console().print(session.common().quiet ? result.root.digest.str() + "\n"
                                                   : replaced_text(result, named.location, target));
  }
  return {};
}

void set_up_replace(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<ReplaceArguments>();
  add_image_argument(command, arguments->reference);
  command.add_option("--name", arguments->name, "The layer, as in the build file's `layers`")
      ->required()
      ->type_name("LAYER");
  command
      .add_option("--from", arguments->from,
                  "Its new content: a file or directory; {arch} and the like are filled in")
      ->required()
      ->type_name("PATH");
  command.add_option("--to", arguments->to, "Where it is in the image (default: where it is now)")
      ->type_name("PATH");
  command
      .add_option("-t,--tag", arguments->tags,
                  "Instead of REF's own tag: tags of the same repository, or names of the local "
                  "store")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command
      .add_option("--compression", arguments->compression,
                  "gzip, zstd or none (default: as the layer is now)")
      ->check(CLI::IsMember({"gzip", "zstd", "none"}))
      ->type_name("NAME");
  command
      .add_option("--cache-dir", arguments->cache.cache_directory,
                  "Instead of $XDG_CACHE_HOME/fnimage")
      ->type_name("DIR");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  add_dry_run_flag(command, arguments->dry_run);
  complete_with_registry(
      command, registration,
      "Every platform of the list gets the new layer; nothing else is sent or changes.\n"
      "Back again: fnimage tag REGISTRY/NAME@PREVIOUS TAG\n"
      "Example:\n  fnimage layer replace --name model --from model.h5 registry.example/digits:v1",
      [arguments](Session& session) {
        const auto work = [&] { return run_replace(*arguments, session); };
        return arguments->dry_run ? rehearse(session, work) : work();
      });
}

}  // namespace

void set_up_layer(CLI::App& command, Registration registration) {
  command.require_subcommand(1);
  command.footer("Example:\n  fnimage layer replace --help");
  add_commands(command, registration,
               {{"replace", "Swap one named layer on every platform", set_up_replace}});
}

}  // namespace fnimage::cli

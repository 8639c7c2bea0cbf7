// fnimage tag: further names for an image, in the local store, in a layout, or at once on a
// registry.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/tagging.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "rehearsal.hpp"
#include "tag_names.hpp"

namespace fnimage::cli {

namespace {

struct TagArguments {
  std::string source;
  std::vector<std::string> names;
  bool local = false;
  bool dry_run = false;
};

void print_tagged(const registry::Location& source, const registry::Retagged& done,
                  Session& session) {
  nlohmann::ordered_json tagged = nlohmann::ordered_json::array();
  for (const registry::MovedTag& moved : done.tags) {
    const std::string name = shown_name(source, moved.tag);
    if (session.common().json) {
      nlohmann::ordered_json value = {{"reference", name}, {"digest", done.root.digest.str()}};
      value["previous"] = moved.previous ? nlohmann::ordered_json(moved.previous->str()) : nullptr;
      tagged.push_back(std::move(value));
    } else if (!session.common().quiet) {
      session.console().print(fmt::format(
          "tagged {}@{}{}\n", printable(name), done.root.digest.str(),
          moved.previous ? fmt::format("  (was {})", moved.previous->str()) : std::string()));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"tagged", std::move(tagged)}}));
  }
}

Result<void> run_tag(const TagArguments& arguments, Session& session) {
  FNIMAGE_TRY(registry::Location source, registry::parse_location(arguments.source));
  if (arguments.local && source.kind == registry::Location::Kind::registry) {
    source.kind = registry::Location::Kind::local;
  }
  FNIMAGE_CHECK(require_registry_in_dry_run(source, session));
  std::vector<std::string> tags;
  if (source.is_path() && source.kind != registry::Location::Kind::layout) {
    return fail(ErrorCode::unsupported, "an archive cannot be changed",
                "write a new one: fnimage copy -t TAG SRC ARCHIVE");
  }
  for (const std::string& text : arguments.names) {
    FNIMAGE_TRY(std::string tag, tag_in_store(source, text));
    tags.push_back(std::move(tag));
  }
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  FNIMAGE_TRY(const registry::OpenedImage opened,
              registry::open_for_reading(source, *client, local));
  FNIMAGE_TRY(const registry::Retagged done, registry::retag(*opened.store, opened.selector, tags));
  if (session.dry_run() == nullptr) {
    print_tagged(source, done, session);
  }
  return {};
}

}  // namespace

void set_up_tag(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<TagArguments>();
  command.add_option("SRC", arguments->source, "registry/name:tag, oci:DIR:tag or a local name")
      ->required();
  command
      .add_option("NEW", arguments->names,
                  "The new tags; whole names in the local store, tags of the same repository else")
      ->required();
  command.add_flag("--local", arguments->local,
                   "SRC is in the local store, although it names a registry");
  add_dry_run_flag(command, arguments->dry_run);
  complete_with_registry(
      command, registration,
      "On a registry nothing is downloaded: the manifest is put under the new tags.\n"
      "Example:\n  fnimage tag hello:latest registry.example/hello:v1\n"
      "  fnimage tag registry.example/hello:v1 stable",
      [arguments](Session& session) {
        const auto work = [&] { return run_tag(*arguments, session); };
        return arguments->dry_run ? rehearse(session, work) : work();
      });
}

}  // namespace fnimage::cli

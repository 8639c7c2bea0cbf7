// fnimage tags: the tags of a repository, layout or archive.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/archive/open.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/list_publisher.hpp>

#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

Result<std::unique_ptr<registry::ImageStore>> open_repository(const std::string& text,
                                                              Session& session) {
  FNIMAGE_TRY(const registry::Location location, registry::parse_location(text));
  const bool whole = location.is_path()
                         ? location.tag.empty()
                         : location.kind == registry::Location::Kind::registry &&
                               !location.reference->tag() && !location.reference->digest();
  if (!whole) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is no repository, layout or archive", printable(text)),
                "write registry.example/name, oci:DIR or an archive, without tag; `fnimage images` "
                "lists the local store");
  }
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  return archive::open_store(location, *client, local);
}

struct TagsArguments {
  std::string repository;
  bool all = false;
};

Result<void> run_tags(const TagsArguments& arguments, Session& session) {
  FNIMAGE_TRY(const auto store, open_repository(arguments.repository, session));
  FNIMAGE_TRY(std::vector<std::string> tags, store->tags());
  if (!arguments.all) {
    std::erase_if(tags, registry::is_list_record_tag);
  }
  if (session.common().json) {
    session.console().print(json_lines({{"repository", store->describe()}, {"tags", tags}}));
    return {};
  }
  for (const std::string& tag : tags) {
    session.console().print(printable(tag) + "\n");
  }
  return {};
}

}  // namespace

void set_up_tags(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<TagsArguments>();
  command.add_option("REPO", arguments->repository, "registry/name, oci:DIR, or an archive")
      ->required();
  command.add_flag("--all", arguments->all, "Also those that side-by-side publishers leave");
  complete_with_registry(command, registration,
                         "Example:\n  fnimage tags --plain-http 127.0.0.1:30501/hello",
                         [arguments](Session& session) { return run_tags(*arguments, session); });
}

}  // namespace fnimage::cli

// fnimage inspect: a list or image as a tree.
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <fnimage/build/describe.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "tree.hpp"

namespace fnimage::cli {

namespace {

struct InspectArguments {
  std::string reference;
  bool raw = false;
  bool local = false;
};

Result<void> run_inspect(const InspectArguments& arguments, Session& session) {
  FNIMAGE_TRY(const NamedImage image, session.open_image(arguments.reference, arguments.local));
  const registry::OpenedImage& opened = image.opened;
  if (arguments.raw) {
    FNIMAGE_TRY(const manifest::Document document, opened.store->get_manifest(opened.selector));
    session.console().print_foreign(document.bytes());
    return {};
  }
  FNIMAGE_TRY(const build::Description description,
              build::describe(*opened.store, opened.selector));
  session.console().print(session.common().json
                              ? json_lines(to_json(description, image.location.str()))
                              : to_tree(description, image.location.str()));
  return {};
}

}  // namespace

void set_up_inspect(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<InspectArguments>();
  add_image_argument(command, arguments->reference);
  command.add_flag("--raw", arguments->raw, "The manifest or list, byte for byte");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "Example:\n  fnimage inspect --plain-http 127.0.0.1:30501/hello:latest",
      [arguments](Session& session) { return run_inspect(*arguments, session); });
}

}  // namespace fnimage::cli

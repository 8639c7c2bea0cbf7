// fnimage digest: what a name stands for at this moment.
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/selection.hpp>

#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct DigestArguments {
  std::string reference;
  std::string platform;
  bool local = false;
};

Result<manifest::Descriptor> find_descriptor(const DigestArguments& arguments,
                                             const registry::OpenedImage& opened) {
  if (!arguments.platform.empty()) {
    FNIMAGE_TRY(const manifest::Platform platform, manifest::Platform::parse(arguments.platform));
    return registry::find_platform(*opened.store, opened.selector, platform);
  }
  FNIMAGE_TRY(auto found, opened.store->resolve(opened.selector));
  if (!found) {
    return fail(ErrorCode::not_found,
                fmt::format("{} does not exist", printable(arguments.reference)),
                "check registry, repository and tag");
  }
  return std::move(*found);
}

Result<void> run_digest(const DigestArguments& arguments, Session& session) {
  FNIMAGE_TRY(const NamedImage image, session.open_image(arguments.reference, arguments.local));
  FNIMAGE_TRY(const manifest::Descriptor found, find_descriptor(arguments, image.opened));
  session.console().print(session.common().json ? json_lines(to_json(found))
                                                : found.digest.str() + "\n");
  return {};
}

}  // namespace

void set_up_digest(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<DigestArguments>();
  command
      .add_option("REF", arguments->reference,
                  "registry/name:tag, oci:DIR[:tag], an archive, or a name in the local store")
      ->required();
  command.add_option("--platform", arguments->platform, "That platform's image, not the list")
      ->type_name("P");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(command, registration,
                         "Example:\n  fnimage digest --plain-http 127.0.0.1:30501/hello:latest",
                         [arguments](Session& session) { return run_digest(*arguments, session); });
}

}  // namespace fnimage::cli

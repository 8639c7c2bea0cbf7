// fnimage inspect: a list or image as a tree.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <fnimage/build/describe.hpp>
#include <fnimage/check/images.hpp>
#include <fnimage/sbom/attach.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "sbom.hpp"
#include "tree.hpp"

namespace fnimage::cli {

namespace {

struct InspectArguments {
  std::string reference;
  bool raw = false;
  bool referrers = false;
  bool sbom = false;
  std::string format;
  std::string platform;
  bool local = false;
};

/// Prints the document that is attached to an image, or that REF itself is.
Result<void> print_sbom(const InspectArguments& arguments, const NamedImage& named,
                        Session& session) {
  registry::ImageStore& store = *named.opened.store;
  std::optional<sbom::Format> format;
  if (!arguments.format.empty()) {
    FNIMAGE_TRY(format, sbom::parse_format(arguments.format));
  }
  std::vector<manifest::Platform> platforms;
  if (!arguments.platform.empty()) {
    FNIMAGE_TRY(platforms.emplace_back(), manifest::Platform::parse(arguments.platform));
  }
  FNIMAGE_TRY(const manifest::Document root, store.get_manifest(named.opened.selector));
  FNIMAGE_TRY(const std::optional<std::string> own, sbom::read_document_of(store, root));
  if (own) {
    session.console().print_foreign(*own);
    return {};
  }
  FNIMAGE_TRY(const std::vector<check::Image> images,
              check::find_images(store, named.opened.selector, platforms));
  FNIMAGE_CHECK(require_one(images));
  FNIMAGE_TRY(const std::string document,
              sbom::read_attached(store, images.front().descriptor.digest, format));
  session.console().print_foreign(document);
  return {};
}

Result<void> run_inspect(const InspectArguments& arguments, Session& session) {
  if (!arguments.sbom && !(arguments.format.empty() && arguments.platform.empty())) {
    return fail(ErrorCode::invalid_argument, "--format and --platform choose a bill of materials",
                "write --sbom too");
  }
  if (arguments.sbom && (arguments.raw || arguments.referrers)) {
    return fail(ErrorCode::invalid_argument, "--sbom prints a document and nothing else",
                "leave out --raw and --referrers");
  }
  FNIMAGE_TRY(const NamedImage image, session.open_image(arguments.reference, arguments.local));
  const registry::OpenedImage& opened = image.opened;
  if (arguments.raw) {
    FNIMAGE_TRY(const manifest::Document document, opened.store->get_manifest(opened.selector));
    session.console().print_foreign(document.bytes());
    return {};
  }
  if (arguments.sbom) {
    return print_sbom(arguments, image, session);
  }
  FNIMAGE_TRY(const build::Description description,
              build::describe(*opened.store, opened.selector, {.companions = arguments.referrers}));
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
  command.add_flag("--referrers", arguments->referrers,
                   "Show what refers to each image too: SBOMs, signatures");
  command.add_flag("--sbom", arguments->sbom,
                   "The attached bill of materials of a platform, byte for byte");
  command.add_option("--format", arguments->format, "With --sbom: spdx or cyclonedx")
      ->type_name("NAME");
  command.add_option("--platform", arguments->platform, "With --sbom: of this platform")
      ->type_name("P");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "Example:\n  fnimage inspect --plain-http 127.0.0.1:30501/hello:latest",
      [arguments](Session& session) { return run_inspect(*arguments, session); });
}

}  // namespace fnimage::cli

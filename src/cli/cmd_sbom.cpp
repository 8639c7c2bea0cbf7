// fnimage sbom: the bill of materials of an image, printed, written or attached.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/sbom/attach.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "sbom.hpp"

namespace fnimage::cli {

namespace {

struct SbomArguments {
  std::string reference;
  std::vector<std::string> formats;
  std::vector<std::string> platforms;
  std::string output;
  bool attach = false;
  bool local = false;
};

Result<std::vector<sbom::Contents>> read_contents_of(const std::vector<check::Image>& images,
                                                     const NamedImage& named, Session& session) {
  FNIMAGE_TRY(const std::filesystem::path cache, build::default_cache_directory());
  remove_stale_temporaries(cache / "sbom");
  FNIMAGE_TRY(const TemporaryDirectory directory, TemporaryDirectory::create_in(cache / "sbom"));
  WorkerPool pool;
  return sbom::read_all_contents(*named.opened.store, images, image_name(named.location),
                                 directory.path(), pool, session.console());
}

Result<void> attach_all(const std::vector<sbom::Contents>& all,
                        const std::vector<sbom::Format>& formats, NamedImage& named,
                        Session& session) {
  FNIMAGE_TRY(const auto store, Session::open_for_writing(named));
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::string text;
  for (const sbom::Contents& contents : all) {
    for (const sbom::Format format : formats) {
      FNIMAGE_TRY(const sbom::Attached attached, sbom::attach(*store, contents, format));
      nlohmann::ordered_json value = cli::to_json(attached);
      value["platform"] = contents.platform.str();
      value["image"] = contents.image.digest.str();
      value["packages"] = contents.installed.packages.size();
      json.push_back(std::move(value));
      text += session.common().quiet
                  ? fmt::format("{}\n", attached.manifest.digest.str())
                  : fmt::format("{:<18}  {} packages  {}\n", contents.platform.str(),
                                contents.installed.packages.size(), cli::to_text(attached));
    }
  }
  session.console().print(session.common().json ? json_lines({{"attached", std::move(json)}})
                                                : text);
  return {};
}

Result<void> check_arguments(const SbomArguments& arguments, std::size_t formats) {
  if (arguments.attach && !arguments.output.empty()) {
    return fail(ErrorCode::invalid_argument, "--attach writes no file",
                "leave out --output; `fnimage inspect --sbom` prints what is attached");
  }
  if (!arguments.attach && (formats > 1 || arguments.platforms.size() > 1)) {
    return fail(ErrorCode::invalid_argument, "one document has one format and one platform",
                "choose one with --format and --platform; with --attach there may be several");
  }
  return {};
}

Result<void> run_sbom(const SbomArguments& arguments, Session& session) {
  FNIMAGE_TRY(std::vector<sbom::Format> formats, parse_formats(arguments.formats));
  if (formats.empty()) {
    formats = {sbom::Format::spdx};
  }
  FNIMAGE_CHECK(check_arguments(arguments, formats.size()));
  std::vector<manifest::Platform> platforms;
  for (const std::string& word : arguments.platforms) {
    FNIMAGE_TRY(platforms.emplace_back(), manifest::Platform::parse(word));
  }
  FNIMAGE_TRY(NamedImage named, session.open_image(arguments.reference, arguments.local));
  if (arguments.attach) {
    named.opened.store->expect_writes();
  }
  FNIMAGE_TRY(const std::vector<check::Image> images,
              check::find_images(*named.opened.store, named.opened.selector, platforms));
  FNIMAGE_CHECK(arguments.attach ? Result<void>() : require_one(images));
  FNIMAGE_TRY(const std::vector<sbom::Contents> contents, read_contents_of(images, named, session));
  if (arguments.attach) {
    return attach_all(contents, formats, named, session);
  }
  const std::string document = sbom::to_document(contents.front(), formats.front());
  if (!arguments.output.empty()) {
    return write_file_atomically(arguments.output, document);
  }
  session.console().print_foreign(document);
  return {};
}

}  // namespace

void set_up_sbom(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<SbomArguments>();
  add_image_argument(command, arguments->reference);
  command.add_option("--format", arguments->formats, "spdx (default) or cyclonedx")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--platform", arguments->platforms,
                  "Of a list: this one; with --attach only these")
      ->type_name("P,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("-o,--output", arguments->output, "Into a file, not to standard output")
      ->type_name("FILE");
  command.add_flag("--attach", arguments->attach,
                   "Keep it with the image, as a referrer of each platform's manifest");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "The Debian packages of an image, whoever built it, as SPDX 2.3 or CycloneDX 1.5.\n"
      "What is attached already: fnimage inspect --referrers, fnimage inspect --sbom.\n"
      "Example:\n  fnimage sbom --plain-http --platform linux/ppc64le "
      "127.0.0.1:30501/hello:latest",
      [arguments](Session& session) { return run_sbom(*arguments, session); });
}

}  // namespace fnimage::cli

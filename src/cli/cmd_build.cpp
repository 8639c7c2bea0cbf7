// fnimage build: every platform of a build file, into the local store or a layout, and on to
// registries when asked to.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/lock.hpp>
#include <fnimage/build/output.hpp>
#include <fnimage/build/publish.hpp>
#include <fnimage/build/spec.hpp>

#include "build_session.hpp"
#include "command.hpp"
#include "json_text.hpp"
#include "push.hpp"
#include "sbom.hpp"

namespace fnimage::cli {

namespace {

using manifest::Reference;

struct BuildArguments {
  BuildFileOptions build_file;
  std::vector<std::string> tags;
  std::vector<std::string> platforms;
  bool push = false;
  bool no_lint = false;
  std::string output;
  std::string format = "oci";
  std::string compression = "gzip";
  std::size_t threads = 0;
  bool locked = false;
  std::string bundle;
  bool no_check = false;
  bool strict = false;
  std::vector<std::string> sboms;
};

Result<std::vector<Reference>> read_tags(const BuildArguments& arguments) {
  if (arguments.push && arguments.tags.empty()) {
    return fail(ErrorCode::invalid_argument, "--push needs to know where to",
                "add -t registry.example/name:tag");
  }
  std::vector<Reference> references;
  for (const std::string& text : arguments.tags) {
    FNIMAGE_TRY(Reference reference,
                arguments.push ? build::parse_destination(text) : Reference::parse(text));
    if (reference.digest()) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("cannot build under a digest: {}", printable(text)), "name a tag");
    }
    references.push_back(std::move(reference));
  }
  return references;
}

Result<build::BuildOptions> build_options(const BuildArguments& arguments,
                                          const build::BuildSpec& spec) {
  build::BuildOptions options;
  for (const std::string& text : arguments.platforms) {
    FNIMAGE_TRY(manifest::Platform platform, build::parse_build_platform(text));
    options.platforms.push_back(std::move(platform));
  }
  FNIMAGE_TRY(options.compression, layer::parse_compression(arguments.compression));
  options.format = arguments.format == "docker" ? manifest::Format::docker : manifest::Format::oci;
  FNIMAGE_TRY(options.source_date_epoch, build::source_date_epoch_from_environment());
  options.offline = arguments.build_file.offline;
  options.lock_file = build::lock_path(spec);
  options.locked = arguments.locked;
  options.bundle = arguments.bundle;
  options.check = !arguments.no_check;
  options.strict = arguments.strict;
  FNIMAGE_TRY(options.sboms, parse_formats(arguments.sboms));
  return options;
}

std::string to_text(const build::BuildResult& result, const std::vector<std::string>& names) {
  std::string text;
  for (const build::BuiltPlatform& platform : result.platforms) {
    text += fmt::format("{}  {}\n", platform.platform.str(), platform.manifest.digest.str());
    for (const build::BuiltLayer& layer : platform.layers) {
      text += fmt::format("  {:<14}  {}  {:>10}{}\n", layer.name, layer.descriptor.digest.str(),
                          human_size(layer.descriptor.size), layer.cached ? "  cached" : "");
    }
    for (const sbom::Attached& attached : platform.sboms) {
      text += fmt::format("  {:<14}  {}\n", "sbom", cli::to_text(attached));
    }
  }
  for (const std::string& name : names) {
    text += fmt::format("built {}@{}\n", printable(name), result.list.digest.str());
  }
  return text;
}

/// All that is to be done with a build before it is published.
Result<void> complete_output(const build::Output& output, const build::BuildResult& result,
                             Session& session) {
  FNIMAGE_CHECK(output.complete(result, session.console()));
  const CommonOptions& common = session.common();
  if (!common.json) {
    session.console().print(common.quiet ? result.list.digest.str() + "\n"
                                         : to_text(result, output.names()));
  }
  return {};
}

void print_published(const build::BuiltAndPublished& done, const build::Output& output,
                     Session& session) {
  const CommonOptions& common = session.common();
  nlohmann::ordered_json json = to_json(done.built, output.names());
  for (const build::Published& published : done.published) {
    json["pushed"].push_back(to_json(published));
    if (!common.json && !common.quiet) {
      session.console().print(cli::to_text(published));
    }
  }
  if (common.json) {
    session.console().print(json_lines(json));
  }
}

Result<void> run_build(const BuildArguments& arguments, Session& session) {
  FNIMAGE_TRY(const std::vector<Reference> references, read_tags(arguments));
  FNIMAGE_TRY(const build::BuildSpec spec, read_spec(arguments.build_file));
  FNIMAGE_TRY(const build::BuildOptions options, build_options(arguments, spec));
  FNIMAGE_TRY(const auto builder,
              BuildSession::open(arguments.build_file, arguments.threads, session));
  FNIMAGE_TRY(const build::Output output, build::Output::open(arguments.output, references, spec,
                                                              options, builder->environment()));
  build::PublishOptions publishing = publish_options(session);
  publishing.referrers = !options.sboms.empty();
  publishing.lint = !arguments.no_lint;
  FNIMAGE_TRY(
      const build::BuiltAndPublished done,
      build::build_and_publish(spec, options, output.store(), output.tags(),
                               arguments.push ? references : std::vector<Reference>(), publishing,
                               builder->environment(), [&](const build::BuildResult& result) {
                                 return complete_output(output, result, session);
                               }));
  print_published(done, output, session);
  return {};
}

void add_build_options(CLI::App& command, BuildArguments& arguments) {
  add_build_file_options(command, arguments.build_file);
  command.add_option("-t,--tag", arguments.tags, "Name of the list; may be given several times")
      ->type_name("REF")
      ->allow_extra_args(false);
  command.add_option("--platform", arguments.platforms, "Only these platforms: linux/ppc64le,...")
      ->type_name("P,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_flag("--push", arguments.push,
                   "Publish every REF, and each platform as <tag>-<arch>");
  add_no_lint_flag(command, arguments.no_lint);
  command
      .add_option("-o,--output", arguments.output,
                  "Into oci:DIR[:tag], oci-archive:FILE[:tag] or\ndocker-archive:FILE[:name:tag], "
                  "not the local store")
      ->type_name("DEST");
  command.add_option("--format", arguments.format, "Media types: oci (default) or docker")
      ->check(CLI::IsMember({"oci", "docker"}))
      ->type_name("NAME");
  command
      .add_option("--sbom", arguments.sboms,
                  "Attach bills of materials to each platform's image: spdx, cyclonedx")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--compression", arguments.compression, "Layers: gzip (default), zstd or none")
      ->check(CLI::IsMember({"gzip", "zstd", "none"}))
      ->type_name("NAME");
  command.add_option("--threads", arguments.threads, "Threads (default: one per processor)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  command.add_flag("--locked", arguments.locked, "Demand the lock file: fail when there is none");
  command
      .add_option("--bundle", arguments.bundle,
                  "Take packages from here first: what `fnimage lock\n--bundle` made")
      ->type_name("DIR");
  add_cache_options(command, arguments.build_file);
  command.add_flag("--no-check", arguments.no_check,
                   "Build what cannot start on its platform, too");
  command.add_flag("--strict", arguments.strict,
                   "Fail when scripts of packages do what fnimage does\nnot do for them");
}

}  // namespace

void set_up_build(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<BuildArguments>();
  add_build_options(command, *arguments);
  complete_with_registry(
      command, registration,
      "Without -t the list is called <name>:latest in the local store.\n"
      "Example:\n  fnimage build --push --plain-http -t 127.0.0.1:30501/hello:latest hello",
      [arguments](Session& session) { return run_build(*arguments, session); });
}

}  // namespace fnimage::cli

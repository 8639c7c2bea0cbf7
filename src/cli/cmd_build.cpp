// fnimage build: every platform of a build file, into the local store or a layout, and on to
// registries when asked to.
#include <algorithm>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/archive/write.hpp>
#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/lock.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/transfer.hpp>

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

/// Where the build goes.
struct Target {
  std::unique_ptr<registry::ImageStore> store;
  std::vector<std::string> tags;   ///< as the store calls them
  std::vector<std::string> names;  ///< as people call them
  bool layout = false;             ///< a layout of the user's, not the local store
  /// An archive is written from a layout that lasts as long as the build.
  std::optional<registry::Location> archive{};
  std::optional<TemporaryDirectory> scratch{};
};

Result<std::vector<Reference>> read_tags(const BuildArguments& arguments) {
  if (arguments.push && arguments.tags.empty()) {
    return fail(ErrorCode::invalid_argument, "--push needs to know where to",
                "add -t registry.example/name:tag");
  }
  std::vector<Reference> references;
  for (const std::string& text : arguments.tags) {
    FNIMAGE_TRY(Reference reference,
                arguments.push ? parse_destination(text) : Reference::parse(text));
    if (reference.digest()) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("cannot build under a digest: {}", printable(text)), "name a tag");
    }
    references.push_back(std::move(reference));
  }
  return references;
}

/// The scratch layout lies beside the layer cache, so that layers are linked into it, not copied.
Result<Target> open_archive(const BuildArguments& arguments, const build::BuildSpec& spec,
                            const registry::Location& location,
                            const std::vector<Reference>& references) {
  const bool docker = location.kind == registry::Location::Kind::docker_archive;
  if (docker && !arguments.sboms.empty()) {
    return fail(ErrorCode::unsupported,
                "a docker archive holds nothing that is attached to its image",
                "write -o oci-archive:FILE, or leave out --sbom");
  }
  const std::size_t platforms =
      arguments.platforms.empty() ? spec.platforms.size() : arguments.platforms.size();
  if (docker && platforms != 1) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("a docker archive holds one platform's image, not {}", platforms),
                "choose one with --platform, or write -o oci-archive:FILE, which holds lists");
  }
  Target target;
  target.archive = location;
  FNIMAGE_TRY(const std::filesystem::path cache, cache_directory(arguments.build_file));
  remove_stale_temporaries(cache);
  FNIMAGE_TRY(auto scratch, TemporaryDirectory::create_in(cache));
  target.scratch.emplace(std::move(scratch));
  FNIMAGE_TRY(target.store, registry::OciLayout::open(target.scratch->path() / "layout",
                                                      registry::OciLayout::Mode::create));
  if (!location.tag.empty()) {
    target.tags = {location.tag};
  }
  for (const Reference& reference : references) {
    if (location.tag.empty()) {
      target.tags.push_back(docker ? reference.str() : reference.tag_or_latest());
    }
  }
  if (target.tags.empty()) {
    target.tags = {docker ? spec.name + ":latest" : std::string("latest")};
  }
  registry::Location named = location;
  for (const std::string& tag : target.tags) {
    named.tag = tag;
    target.names.push_back(named.str());
  }
  return target;
}

Result<void> write_archive(const Target& target, const build::BuildResult& result,
                           Session& session) {
  const bool docker = target.archive->kind == registry::Location::Kind::docker_archive;
  archive::WriteOptions options{
      .kind = docker ? archive::ArchiveKind::docker : archive::ArchiveKind::oci,
      .names = target.tags};
  if (!docker) {
    FNIMAGE_TRY(const manifest::Document list, target.store->get_manifest(result.list.digest));
    FNIMAGE_TRY(options.companions, registry::find_companions_of(*target.store, list));
  }
  const manifest::Digest root =
      docker ? result.platforms.front().manifest.digest : result.list.digest;
  FNIMAGE_CHECK(archive::write_archive(*target.store, root, target.archive->directory, options,
                                       session.console()));
  return {};
}

Result<Target> open_output(const BuildArguments& arguments, const build::BuildSpec& spec,
                           const std::vector<Reference>& references) {
  FNIMAGE_TRY(const registry::Location location, registry::parse_location(arguments.output));
  if (location.is_path() && location.kind != registry::Location::Kind::layout) {
    return open_archive(arguments, spec, location, references);
  }
  if (location.kind != registry::Location::Kind::layout) {
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("cannot build into '{}'", printable(arguments.output)),
        "write -o oci:DIR[:tag], oci-archive:FILE or docker-archive:FILE; for a registry use "
        "--push and -t");
  }
  Target target;
  target.layout = true;
  FNIMAGE_TRY(target.store,
              registry::OciLayout::open(location.directory, registry::OciLayout::Mode::create));
  if (!location.tag.empty()) {
    target.tags = {location.tag};
  } else if (references.empty()) {
    target.tags = {"latest"};
  } else {
    for (const Reference& reference : references) {
      if (std::find(target.tags.begin(), target.tags.end(), reference.tag_or_latest()) ==
          target.tags.end()) {
        target.tags.push_back(reference.tag_or_latest());
      }
    }
  }
  for (const std::string& tag : target.tags) {
    target.names.push_back(fmt::format("oci:{}:{}", location.directory.string(), tag));
  }
  return target;
}

Result<Target> open_target(const BuildArguments& arguments, const build::BuildSpec& spec,
                           const std::vector<Reference>& references) {
  if (!arguments.output.empty()) {
    return open_output(arguments, spec, references);
  }
  Target target;
  FNIMAGE_TRY(target.store, Session::local_store(registry::OciLayout::Mode::create));
  for (const Reference& reference : references) {
    target.tags.push_back(reference.str());
  }
  if (references.empty()) {
    FNIMAGE_TRY(const Reference own, Reference::parse(spec.name));
    target.tags.push_back(own.str());
  }
  target.names = target.tags;
  return target;
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

Result<build::BuildResult> build_into(const BuildArguments& arguments, const build::BuildSpec& spec,
                                      const build::BuildOptions& options, const Target& target,
                                      Session& session) {
  FNIMAGE_TRY(const auto builder,
              BuildSession::open(arguments.build_file, arguments.threads, session));
  FNIMAGE_TRY(build::BuildResult result,
              build::build(spec, options, *target.store, target.tags, builder->environment()));
  if (target.layout) {
    // Tools that cannot choose from a list find each platform under a tag of its own.
    registry::TransferOptions tagging;
    tagging.tags = target.tags;
    tagging.tag_platforms = true;
    FNIMAGE_CHECK(registry::transfer(*target.store, result.list.digest, *target.store, tagging,
                                     null_diagnostics()));
  }
  if (target.archive) {
    FNIMAGE_CHECK(write_archive(target, result, session));
  }
  return result;
}

std::string to_text(const build::BuildResult& result, const Target& target) {
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
  for (const std::string& name : target.names) {
    text += fmt::format("built {}@{}\n", printable(name), result.list.digest.str());
  }
  return text;
}

nlohmann::ordered_json result_json(const build::BuildResult& result, const Target& target) {
  nlohmann::ordered_json platforms = nlohmann::ordered_json::array();
  for (const build::BuiltPlatform& platform : result.platforms) {
    nlohmann::ordered_json layers = nlohmann::ordered_json::array();
    for (const build::BuiltLayer& layer : platform.layers) {
      nlohmann::ordered_json value = to_json(layer.descriptor);
      value["name"] = layer.name;
      value["cached"] = layer.cached;
      layers.push_back(std::move(value));
    }
    platforms.push_back({{"platform", platform.platform.str()},
                         {"manifest", to_json(platform.manifest)},
                         {"layers", std::move(layers)}});
    for (const sbom::Attached& attached : platform.sboms) {
      platforms.back()["sboms"].push_back(cli::to_json(attached));
    }
  }
  nlohmann::ordered_json uncovered = nlohmann::ordered_json::array();
  for (const build::UncoveredPackage& package : result.uncovered) {
    uncovered.push_back({{"package", package.package}, {"commands", package.commands}});
    for (const manifest::Platform& platform : package.platforms) {
      uncovered.back()["platforms"].push_back(platform.str());
    }
  }
  nlohmann::ordered_json json{
      {"list", to_json(result.list)}, {"names", target.names}, {"platforms", std::move(platforms)}};
  if (!uncovered.empty()) {
    json["uncovered"] = std::move(uncovered);
  }
  return json;
}

Result<void> run_build(const BuildArguments& arguments, Session& session) {
  FNIMAGE_TRY(const std::vector<Reference> references, read_tags(arguments));
  FNIMAGE_TRY(const build::BuildSpec spec, read_spec(arguments.build_file));
  FNIMAGE_TRY(build::BuildOptions options, build_options(arguments, spec));
  std::unique_ptr<registry::UploadAhead> ahead;
  if (arguments.push) {
    FNIMAGE_TRY(registry::Client * client, session.client());
    FNIMAGE_TRY(ahead, open_upload_ahead(references, session));
    options.on_new_layer = [to = ahead.get()](const manifest::Descriptor& layer,
                                              const ContentPtr& content) {
      to->send(layer, content);
    };
    const std::shared_future<Result<void>> registries =
        std::async(std::launch::async,
                   [&references, client] { return check_registries(references, *client); });
    options.before_layers = [registries] { return registries.get(); };  // not after the work
  }
  FNIMAGE_TRY(const Target target, open_target(arguments, spec, references));
  FNIMAGE_TRY(const build::BuildResult result,
              build_into(arguments, spec, options, target, session));
  const CommonOptions& common = session.common();
  nlohmann::ordered_json json = result_json(result, target);
  if (!common.json) {
    session.console().print(common.quiet ? result.list.digest.str() + "\n"
                                         : to_text(result, target));
  }
  std::vector<PushItem> items;
  for (std::size_t i = 0; arguments.push && i < references.size(); ++i) {
    items.push_back({result.list.digest, references[i]});
  }
  FNIMAGE_TRY(const std::vector<Pushed> all, push_all(*target.store, items,
                                                      {.tag_platforms = true,
                                                       .referrers = !options.sboms.empty(),
                                                       .lint = !arguments.no_lint,
                                                       .warn = false,  // the build has said it
                                                       .ahead = ahead.get()},
                                                      session));
  for (const Pushed& pushed : all) {
    json["pushed"].push_back(cli::to_json(pushed));
    if (!common.json && !common.quiet) {
      session.console().print(to_text(pushed));
    }
  }
  if (common.json) {
    session.console().print(json_lines(json));
  }
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

// fnimage copy: an image or list from any place to any other.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/archive/copy.hpp>
#include <fnimage/archive/open.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/list_publisher.hpp>

#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct CopyArguments {
  std::string from;
  std::string to;
  std::vector<std::string> platforms;
  bool all_tags = false;
  archive::CopyOptions options;
};

nlohmann::ordered_json copy_json(const archive::CopyResult& result, bool dry_run) {
  nlohmann::ordered_json json = {{"root", to_json(result.root)}, {"names", result.names}};
  if (!dry_run) {
    json["blobsUploaded"] = result.transferred.blobs_uploaded;
    json["blobsMounted"] = result.transferred.blobs_mounted;
    json["blobsExisted"] = result.transferred.blobs_existed;
    json["bytesUploaded"] = result.transferred.bytes_uploaded;
    json["referrers"] = result.referrers;
    return json;
  }
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const archive::PlannedPart& part : result.plan) {
    nlohmann::ordered_json value = to_json(part.descriptor);
    value["exists"] = part.existed;
    parts.push_back(std::move(value));
  }
  json["plan"] = std::move(parts);
  return json;
}

std::string plan_text(const archive::CopyResult& result) {
  std::string text;
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  for (const archive::PlannedPart& part : result.plan) {
    text += fmt::format("{:<6}  {}  {:>10}  {}\n", part.existed ? "exists" : "copy",
                        part.descriptor.digest.str(), human_size(part.descriptor.size),
                        printable(part.descriptor.media_type));
    bytes += part.existed ? 0 : part.descriptor.size;
    count += part.existed ? 0 : 1;
  }
  return text + fmt::format("would copy {} of {} blobs and manifests, {}\n", count,
                            result.plan.size(), human_size(bytes));
}

std::string copied_text(const archive::CopyResult& result) {
  const registry::TransferResult& sent = result.transferred;
  std::string text;
  for (const std::string& name : result.names) {
    text += fmt::format("copied {}@{}\n", printable(name), result.root.digest.str());
  }
  text += fmt::format("blobs: {} copied ({}), {} mounted, {} there already", sent.blobs_uploaded,
                      human_size(sent.bytes_uploaded), sent.blobs_mounted, sent.blobs_existed);
  return text + (result.referrers > 0 ? fmt::format("; {} referrers\n", result.referrers) : "\n");
}

/// One copy, or one for each tag of the source's repository.
Result<std::vector<std::pair<registry::Location, registry::Location>>> pairs_of(
    const CopyArguments& arguments, Session& session) {
  FNIMAGE_TRY(registry::Location from, registry::parse_location(arguments.from));
  FNIMAGE_TRY(registry::Location to, registry::parse_location(arguments.to));
  std::vector<std::pair<registry::Location, registry::Location>> pairs;
  if (!arguments.all_tags) {
    pairs.emplace_back(std::move(from), std::move(to));
    return pairs;
  }
  using Kind = registry::Location::Kind;
  if (from.kind != Kind::registry || from.reference->tag() || from.reference->digest() ||
      (to.kind != Kind::layout && to.kind != Kind::registry) ||
      (to.kind == Kind::layout ? !to.tag.empty() : to.reference->tag() || to.reference->digest())) {
    return fail(ErrorCode::invalid_argument,
                "--all-tags copies a repository into a repository or layout, without tags",
                "write registry.example/name registry.example/other, or … oci:DIR");
  }
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const auto repository, client->repository(*from.reference));
  FNIMAGE_TRY(std::vector<std::string> tags, repository->tags());
  std::erase_if(tags, registry::is_list_record_tag);  // they say nothing elsewhere
  for (const std::string& tag : tags) {
    registry::Location one_from = from;
    registry::Location one_to = to;
    FNIMAGE_TRY(one_from.reference, from.reference->with_tag(tag));
    if (to.kind == Kind::layout) {
      one_to.tag = tag;
    } else {
      FNIMAGE_TRY(one_to.reference, to.reference->with_tag(tag));
    }
    pairs.emplace_back(std::move(one_from), std::move(one_to));
  }
  return pairs;
}

Result<void> run_copy(const CopyArguments& arguments, Session& session) {
  archive::CopyOptions options = arguments.options;
  for (const std::string& text : arguments.platforms) {
    FNIMAGE_TRY(manifest::Platform platform, manifest::Platform::parse(text));
    options.platforms.push_back(std::move(platform));
  }
  FNIMAGE_TRY(const auto pairs, pairs_of(arguments, session));
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  nlohmann::ordered_json copied = nlohmann::ordered_json::array();
  for (const auto& [from, to] : pairs) {
    FNIMAGE_TRY(const archive::CopyResult result,
                archive::copy(from, to, options, {*client, local}, session.console()));
    if (session.common().json) {
      copied.push_back(copy_json(result, options.dry_run));
    } else if (session.common().quiet) {
      session.console().print(result.root.digest.str() + "\n");
    } else {
      session.console().print(options.dry_run ? plan_text(result) : copied_text(result));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"copied", std::move(copied)}}));
  }
  return {};
}

}  // namespace

void add_copy(CLI::App& app, Registration registration) {
  const auto arguments = std::make_shared<CopyArguments>();
  CLI::App& command = *app.add_subcommand("copy", "Copy an image or list to another place");
  command.add_option("SRC", arguments->from, "Where it is")->required();
  command.add_option("DST", arguments->to, "Where it goes")->required();
  command
      .add_option("--platform", arguments->platforms,
                  "Only these platforms: linux/ppc64le,...; one is copied as a single image")
      ->type_name("P,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_flag("--keep-list", arguments->options.keep_list,
                   "With --platform: a list, for one platform too");
  command.add_flag("--referrers", arguments->options.referrers,
                   "Signatures, SBOMs and whatever else refers to it, too");
  command
      .add_option("-t,--tag", arguments->options.tags,
                  "A further tag at the destination; may be given several times")
      ->type_name("TAG")
      ->allow_extra_args(false);
  command.add_flag("--all-tags", arguments->all_tags, "Every tag of the repository SRC");
  command.add_flag("--dry-run", arguments->options.dry_run, "Only say what would be copied");
  add_common_options(command, registration.settings.common);
  add_registry_options(command, registration.settings.registry);
  add_side_options(command, registration.settings.registry);
  command.footer(
      "SRC and DST: registry/name:tag, oci:DIR[:tag], oci-archive:FILE[:tag],\n"
      "docker-archive:FILE[:name:tag], or a name in the local store. Digests stay as they are.\n"
      "Example:\n  fnimage copy --plain-http 127.0.0.1:30501/hello:latest oci-archive:hello.tar");
  command.callback([arguments, registration] {
    registration.action = [arguments](Session& session) { return run_copy(*arguments, session); };
  });
}

}  // namespace fnimage::cli

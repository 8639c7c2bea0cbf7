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
#include "push.hpp"
#include "rehearsal.hpp"
#include "shape_options.hpp"

namespace fnimage::cli {

namespace {

struct CopyArguments {
  std::string from;
  std::string to;
  ShapeArguments shape;
  bool all_tags = false;
  bool dry_run = false;
  archive::CopyOptions options;
};

nlohmann::ordered_json copy_json(const archive::CopyResult& result) {
  nlohmann::ordered_json json = {{"root", to_json(result.root)}, {"names", result.names}};
  json["blobsUploaded"] = result.transferred.blobs_uploaded;
  json["blobsMounted"] = result.transferred.blobs_mounted;
  json["blobsExisted"] = result.transferred.blobs_existed;
  json["bytesUploaded"] = result.transferred.bytes_uploaded;
  json["referrers"] = result.referrers;
  json["moved"] = to_json(result.transferred.moved);
  return json;
}

nlohmann::ordered_json plan_json(const archive::CopyResult& result) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const archive::PlannedPart& part : result.plan) {
    nlohmann::ordered_json value = to_json(part.descriptor);
    value["exists"] = part.existed;
    parts.push_back(std::move(value));
  }
  return {{"root", to_json(result.root)}, {"names", result.names}, {"plan", std::move(parts)}};
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
  if (result.referrers > 0) {
    text += fmt::format("; {} referrer{}", result.referrers, result.referrers == 1 ? "" : "s");
  }
  return text + "\n";
}

/// One copy, or one for each tag of the source's repository.
Result<std::vector<archive::CopyItem>> items_of(const CopyArguments& arguments, Session& session) {
  FNIMAGE_TRY(registry::Location from, registry::parse_location(arguments.from));
  FNIMAGE_TRY(registry::Location to, registry::parse_location(arguments.to));
  std::vector<archive::CopyItem> items;
  if (!arguments.all_tags) {
    items.push_back({std::move(from), std::move(to)});
    return items;
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
    items.push_back({std::move(one_from), std::move(one_to)});
  }
  return items;
}

Result<std::vector<archive::CopyResult>> copy_items(const CopyArguments& arguments,
                                                    Session& session) {
  archive::CopyOptions options = arguments.options;
  FNIMAGE_TRY(options.shape, parse_shape(arguments.shape));
  options.parallel = session.registry_options().connections;
  options.dry_run = arguments.dry_run && session.dry_run() == nullptr;
  FNIMAGE_TRY(const auto items, items_of(arguments, session));
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  auto copied = archive::copy_all(items, options, {*client, local}, session.console());
  if (!copied) {
    return fail(std::move(copied).error().while_doing(
        fmt::format("copy {} to {}", printable(arguments.from), printable(arguments.to))));
  }
  return copied;
}

/// Into a registry: each request. Elsewhere, where there are none: each blob and manifest.
Result<void> rehearse_copy(const CopyArguments& arguments, Session& session) {
  FNIMAGE_TRY(const registry::Location to, registry::parse_location(arguments.to));
  std::vector<archive::CopyResult> results;
  const auto work = [&]() -> Result<void> {
    FNIMAGE_TRY(results, copy_items(arguments, session));
    return {};
  };
  const bool planned = to.kind != registry::Location::Kind::registry;
  const auto about = [&]() -> nlohmann::ordered_json {
    nlohmann::ordered_json copied = nlohmann::ordered_json::array();
    for (const archive::CopyResult& result : results) {
      copied.push_back(planned ? plan_json(result)
                               : nlohmann::ordered_json{{"root", to_json(result.root)},
                                                        {"names", result.names}});
    }
    return {{"copied", std::move(copied)}};
  };
  if (!planned) {
    return rehearse(session, work, about);
  }
  FNIMAGE_CHECK(work());
  if (session.common().json) {
    session.console().print(json_lines(about()));
    return {};
  }
  for (const archive::CopyResult& result : results) {
    session.console().print(plan_text(result));
  }
  return {};
}

Result<void> run_copy(const CopyArguments& arguments, Session& session) {
  if (arguments.dry_run) {
    return rehearse_copy(arguments, session);
  }
  FNIMAGE_TRY(const auto results, copy_items(arguments, session));
  nlohmann::ordered_json copied = nlohmann::ordered_json::array();
  for (const archive::CopyResult& result : results) {
    if (session.common().json) {
      copied.push_back(copy_json(result));
    } else {
      session.console().print(session.common().quiet ? result.root.digest.str() + "\n"
                                                     : copied_text(result));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"copied", std::move(copied)}}));
  }
  return {};
}

}  // namespace

void set_up_copy(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<CopyArguments>();
  command.add_option("SRC", arguments->from, "Where it is")->required();
  command.add_option("DST", arguments->to, "Where it goes")->required();
  add_shape_options(command, arguments->shape);
  command.add_flag("--keep-list", arguments->shape.keep_list,
                   "With --platform: a list, for one platform too");
  command.add_flag("--referrers", arguments->options.referrers,
                   "Signatures, SBOMs and whatever else refers to it, cosign's tags too");
  command
      .add_option("-t,--tag", arguments->options.tags,
                  "A further tag at the destination; may be given several times")
      ->type_name("TAG")
      ->allow_extra_args(false);
  command.add_flag("--all-tags", arguments->all_tags, "Every tag of the repository SRC");
  add_repair_flag(command, arguments->options.repair);
  command.add_flag("--dry-run", arguments->dry_run,
                   "Write nothing; print each request, or what would be written elsewhere");
  complete_with_registry(
      command, registration,
      "SRC and DST: registry/name:tag, oci:DIR[:tag], oci-archive:FILE[:tag],\n"
      "docker-archive:FILE[:name:tag], or a name in the local store. Digests stay as they are,\n"
      "unless --platform, --format or the annotations ask for another list.\n"
      "Example:\n  fnimage copy --plain-http 127.0.0.1:30501/hello:latest oci-archive:hello.tar",
      [arguments](Session& session) { return run_copy(*arguments, session); });
  add_side_options(command, registration.settings.registry);
}

}  // namespace fnimage::cli

// fnimage pull: from registries into the local store.
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/archive/copy.hpp>
#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "shape_options.hpp"

namespace fnimage::cli {

namespace {

struct PullArguments {
  std::vector<std::string> references;
  std::vector<std::string> platforms;
};

/// From a registry to the same name in the local store.
Result<archive::CopyItem> item_of(const std::string& text) {
  FNIMAGE_TRY(registry::Location from, registry::parse_location(text));
  if (from.kind != registry::Location::Kind::registry) {
    return fail(ErrorCode::invalid_argument, fmt::format("{} names no registry", printable(text)),
                "write registry.example/name:tag; from elsewhere use `fnimage copy`");
  }
  registry::Location to{.kind = registry::Location::Kind::local, .reference = from.reference};
  if (from.reference->digest()) {
    // The local store names images by tags: the digest's first digits are one.
    constexpr std::size_t digits = 12;
    const manifest::Digest& digest = *from.reference->digest();
    FNIMAGE_TRY(to.reference, from.reference->with_tag(from.reference->tag().value_or(fmt::format(
                                  "{}-{}", digest.algorithm(), digest.hex().substr(0, digits)))));
  }
  return archive::CopyItem{std::move(from), std::move(to)};
}

nlohmann::ordered_json pulled_json(const archive::CopyResult& result) {
  const registry::TransferResult& got = result.transferred;
  return {{"reference", result.names.front()},
          {"digest", result.root.digest.str()},
          {"blobsDownloaded", got.blobs_uploaded},
          {"blobsExisted", got.blobs_existed},
          {"bytesDownloaded", got.bytes_uploaded}};
}

std::string pulled_text(const archive::CopyResult& result) {
  const registry::TransferResult& got = result.transferred;
  return fmt::format("pulled {}@{}  blobs: {} downloaded ({}), {} there already\n",
                     printable(result.names.front()), result.root.digest.str(), got.blobs_uploaded,
                     human_size(got.bytes_uploaded), got.blobs_existed);
}

Result<void> run_pull(const PullArguments& arguments, Session& session) {
  archive::CopyOptions options;
  FNIMAGE_TRY(options.shape.platforms, parse_platforms(arguments.platforms));
  options.parallel = session.registry_options().connections;
  std::vector<archive::CopyItem> items;
  for (const std::string& text : arguments.references) {
    FNIMAGE_TRY(archive::CopyItem item, item_of(text));
    items.push_back(std::move(item));
  }
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const std::filesystem::path local, Session::local_directory());
  auto results = archive::copy_all(items, options, {*client, local}, session.console());
  if (!results) {
    return fail(std::move(results).error().while_doing(
        "pull " + printable(join(arguments.references, ", "))));
  }
  nlohmann::ordered_json pulled = nlohmann::ordered_json::array();
  for (const archive::CopyResult& result : *results) {
    if (session.common().json) {
      pulled.push_back(pulled_json(result));
    } else {
      session.console().print(session.common().quiet ? result.root.digest.str() + "\n"
                                                     : pulled_text(result));
    }
  }
  if (session.common().json) {
    session.console().print(json_lines({{"pulled", std::move(pulled)}}));
  }
  return {};
}

}  // namespace

void set_up_pull(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<PullArguments>();
  command.add_option("REF", arguments->references, "registry/name:tag or …@sha256:…")->required();
  command
      .add_option("--platform", arguments->platforms,
                  "Only these platforms: linux/ppc64le,...; one becomes a single image")
      ->type_name("P,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  complete_with_registry(command, registration,
                         "All platforms of a list are fetched unless some are named.\n"
                         "Example:\n  fnimage pull --plain-http 127.0.0.1:30501/hello:latest",
                         [arguments](Session& session) { return run_pull(*arguments, session); });
}

}  // namespace fnimage::cli

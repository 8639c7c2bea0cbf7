#include "push.hpp"

#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

Result<manifest::Reference> parse_destination(std::string_view text) {
  FNIMAGE_TRY(manifest::Reference reference, manifest::Reference::parse(text));
  if (reference.registry().empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} names no registry to push to", printable(text)),
                "write it as registry.example/name:tag");
  }
  if (reference.digest()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("cannot push to a digest: {}", printable(text)), "name a tag");
  }
  return reference;
}

Result<void> check_registries(const std::vector<manifest::Reference>& references,
                              Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  std::set<std::string> seen;
  for (const manifest::Reference& reference : references) {
    if (seen.insert(reference.registry()).second) {
      FNIMAGE_CHECK(client->ping(reference.registry()));
    }
  }
  return {};
}

Result<Pushed> push(registry::ImageStore& from, const registry::Selector& selector,
                    const manifest::Reference& to, bool tag_platforms, Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(const auto repository, client->repository(to));
  registry::TransferOptions options;
  options.tags = {to.tag_or_latest()};
  options.tag_platforms = tag_platforms;
  auto result = registry::transfer(from, selector, *repository, options, session.console());
  if (!result) {
    return fail(std::move(result).error().while_doing(fmt::format("push {}", to.str())));
  }
  return Pushed{to, std::move(*result)};
}

std::string to_text(const Pushed& pushed) {
  const registry::TransferResult& result = pushed.result;
  return fmt::format("pushed {}@{}  blobs: {} uploaded ({}), {} mounted, {} there already\n",
                     pushed.reference.str(), result.root.digest.str(), result.blobs_uploaded,
                     human_size(result.bytes_uploaded), result.blobs_mounted, result.blobs_existed);
}

nlohmann::ordered_json to_json(const Pushed& pushed) {
  const registry::TransferResult& result = pushed.result;
  return {{"reference", pushed.reference.str()},    {"digest", result.root.digest.str()},
          {"blobsUploaded", result.blobs_uploaded}, {"blobsMounted", result.blobs_mounted},
          {"blobsExisted", result.blobs_existed},   {"bytesUploaded", result.bytes_uploaded}};
}

}  // namespace fnimage::cli

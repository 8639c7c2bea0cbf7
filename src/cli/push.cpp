#include "push.hpp"

#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

/// For messages: a thousand names help nobody.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 3;
  if (names.size() <= most) {
    return fmt::format("{}", fmt::join(names, ", "));
  }
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + most, ", "),
                     names.size() - most);
}

}  // namespace

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

Result<std::vector<Pushed>> push_all(registry::ImageStore& from, const std::vector<PushItem>& items,
                                     bool tag_platforms, Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  std::vector<std::unique_ptr<registry::ImageStore>> stores;
  std::vector<registry::Destination> destinations;
  std::vector<std::string> names;
  for (const PushItem& item : items) {
    FNIMAGE_TRY(stores.emplace_back(), client->repository(item.to));
    destinations.push_back({.selector = item.selector,
                            .store = stores.back().get(),
                            .tags = {item.to.tag_or_latest()},
                            .tag_platforms = tag_platforms});
    names.push_back(item.to.str());
  }
  auto results = registry::transfer_all(from, destinations, session.registry_options().connections,
                                        session.console());
  if (!results) {
    return fail(std::move(results).error().while_doing("push " + listed(names)));
  }
  std::vector<Pushed> pushed;
  for (std::size_t i = 0; i < items.size(); ++i) {
    pushed.push_back({items[i].to, std::move((*results)[i])});
  }
  return pushed;
}

Result<Pushed> push(registry::ImageStore& from, const registry::Selector& selector,
                    const manifest::Reference& to, bool tag_platforms, Session& session) {
  FNIMAGE_TRY(auto pushed, push_all(from, {{selector, to}}, tag_platforms, session));
  return std::move(pushed.front());
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

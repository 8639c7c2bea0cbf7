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

/// The platforms' tags, as transfer_all() gives them.
Result<void> tag_platforms(registry::ImageStore& from, const manifest::Document& list,
                           const std::string& tag, registry::ImageStore& to) {
  FNIMAGE_TRY(const manifest::Index index, list.index());
  for (const manifest::Descriptor& entry : index.manifests) {
    if (!entry.platform || entry.platform->os == "unknown") {
      continue;
    }
    FNIMAGE_TRY(const manifest::Document child, from.get_manifest(entry.digest));
    FNIMAGE_CHECK(to.put_manifest(child, tag + "-" + entry.platform->tag_suffix()));
  }
  return {};
}

/// Moves the tag to what has been sent, if it is where it is expected; then the platforms' tags.
Result<void> move_tags(registry::ImageStore& from, const PushItem& item, registry::ImageStore& to,
                       const PushOptions& options) {
  const std::string tag = item.to.tag_or_latest();
  FNIMAGE_TRY(const manifest::Document root, from.get_manifest(item.selector));
  FNIMAGE_TRY(const bool moved, to.put_manifest_if(root, tag, options.expected.digest));
  if (!moved) {
    return fail(ErrorCode::already_exists, fmt::format("{} has changed meanwhile", item.to.str()),
                "look with `fnimage manifest inspect`");
  }
  return options.tag_platforms && root.is_index() ? tag_platforms(from, root, tag, to)
                                                  : Result<void>();
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
                              registry::Client& client) {
  std::set<std::string> seen;
  for (const manifest::Reference& reference : references) {
    if (seen.insert(reference.registry()).second) {
      FNIMAGE_CHECK(client.ping(reference.registry()));
    }
  }
  return {};
}

Result<std::vector<Pushed>> push_all(registry::ImageStore& from, const std::vector<PushItem>& items,
                                     const PushOptions& options, Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  const bool guarded = options.expected.absent || options.expected.digest;
  std::vector<std::unique_ptr<registry::ImageStore>> stores;
  std::vector<registry::Destination> destinations;
  std::vector<std::string> names;
  for (const PushItem& item : items) {
    FNIMAGE_TRY(stores.emplace_back(), client->repository(item.to));
    FNIMAGE_CHECK(guarded
                      ? build::require_expected({stores.back().get(), item.to}, options.expected)
                      : Result<void>());
    destinations.push_back(
        {.selector = item.selector, .store = stores.back().get(), .repair = options.repair});
    if (!guarded) {
      destinations.back().tags = {item.to.tag_or_latest()};
      destinations.back().tag_platforms = options.tag_platforms;
    }
    names.push_back(item.to.str());
  }
  auto results = registry::transfer_all(from, destinations, session.registry_options().connections,
                                        session.console());
  if (!results) {
    return fail(std::move(results).error().while_doing("push " + listed(names)));
  }
  std::vector<Pushed> pushed;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (guarded) {
      FNIMAGE_CHECK(move_tags(from, items[i], *stores[i], options));
    }
    pushed.push_back({items[i].to, std::move((*results)[i])});
    if (guarded) {
      pushed.back().result.moved = {{items[i].to.tag_or_latest(), options.expected.digest}};
    }
  }
  return pushed;
}

Result<Pushed> push(registry::ImageStore& from, const registry::Selector& selector,
                    const manifest::Reference& to, const PushOptions& options, Session& session) {
  FNIMAGE_TRY(auto pushed, push_all(from, {{selector, to}}, options, session));
  return std::move(pushed.front());
}

nlohmann::ordered_json moved_json(const std::vector<registry::MovedTag>& moved) {
  nlohmann::ordered_json tags = nlohmann::ordered_json::array();
  for (const registry::MovedTag& tag : moved) {
    const nlohmann::ordered_json previous =
        tag.previous ? nlohmann::ordered_json(tag.previous->str()) : nlohmann::ordered_json();
    tags.push_back({{"tag", tag.tag}, {"previous", previous}});
  }
  return tags;
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
          {"blobsExisted", result.blobs_existed},   {"bytesUploaded", result.bytes_uploaded},
          {"moved", moved_json(result.moved)}};
}

}  // namespace fnimage::cli

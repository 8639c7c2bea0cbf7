#include "push.hpp"

#include <memory>
#include <set>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/check/list.hpp>
#include <fnimage/registry/referrers.hpp>

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

bool is_guarded(const PushOptions& options) {
  return options.expected.absent || options.expected.digest;
}

/// Moves the tag to what has been sent, if it is where it is expected; then the platforms' tags.
Result<std::vector<registry::MovedTag>> move_tags(registry::ImageStore& from, const PushItem& item,
                                                  registry::ImageStore& to,
                                                  const PushOptions& options) {
  const std::string tag = item.to.tag_or_latest();
  FNIMAGE_TRY(const manifest::Document root, from.get_manifest(item.selector));
  std::vector<registry::MovedTag> moved{{.tag = tag, .previous = options.expected.digest}};
  if (is_guarded(options)) {
    FNIMAGE_TRY(const bool stood, to.put_manifest_if(root, tag, options.expected.digest));
    if (!stood) {
      return fail(ErrorCode::already_exists, fmt::format("{} has changed meanwhile", item.to.str()),
                  "look with `fnimage manifest inspect`");
    }
  } else {
    FNIMAGE_TRY(registry::Retagged retagged, registry::retag(to, root.digest(), {tag}));
    moved = std::move(retagged.tags);
    std::erase_if(moved,
                  [&](const registry::MovedTag& one) { return one.previous == root.digest(); });
  }
  if (options.tag_platforms && root.is_index()) {
    FNIMAGE_CHECK(tag_platforms(from, root, tag, to));
  }
  return moved;
}

/// What refers to an image that has just been sent goes after it.
Result<std::size_t> push_referrers(registry::ImageStore& from, const PushItem& item,
                                   registry::ImageStore& to, registry::TransferResult& result,
                                   Session& session) {
  FNIMAGE_TRY(const manifest::Document root, from.get_manifest(item.selector));
  FNIMAGE_TRY(const registry::Companions companions, registry::find_companions_of(from, root));
  FNIMAGE_TRY(const auto sent,
              registry::copy_companions(from, companions, to,
                                        session.registry_options().connections, session.console()));
  for (const registry::TransferResult& one : sent) {
    result += one;
  }
  return companions.count();
}

/// What lists of the source are for nodes. What is missing there, the transfer says.
Result<void> lint_all(registry::ImageStore& from, const std::vector<PushItem>& items,
                      const PushOptions& options, Session& session) {
  std::set<manifest::Digest> seen;
  for (const PushItem& item : items) {
    FNIMAGE_TRY(const manifest::Document root, from.get_manifest(item.selector));
    if (!root.is_index() || !seen.insert(root.digest()).second) {
      continue;
    }
    FNIMAGE_TRY(std::vector<manifest::Finding> findings,
                check::lint_stored(from, root, session.registry_options().connections));
    std::erase_if(findings, [](const manifest::Finding& finding) {
      return finding.rule == check::missing_image_rule;
    });
    FNIMAGE_CHECK(manifest::require_publishable(findings, item.to.str()));
    for (const manifest::Finding& finding : findings) {
      if (options.warn) {
        session.console().report(Severity::warning, fmt::format("{}: {}; {}", item.to.str(),
                                                                finding.message, finding.fix));
      }
    }
  }
  return {};
}

}  // namespace

void add_no_lint_flag(CLI::App& command, bool& no_lint) {
  command.add_flag("--no-lint", no_lint,
                   "Publish a list that nodes cannot use, too, see fnimage lint");
}

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

Result<std::unique_ptr<registry::UploadAhead>> open_upload_ahead(
    const std::vector<manifest::Reference>& references, Session& session) {
  FNIMAGE_TRY(registry::Client * client, session.client());
  std::vector<std::unique_ptr<registry::ImageStore>> stores;
  for (const manifest::Reference& reference : references) {
    FNIMAGE_TRY(stores.emplace_back(), client->repository(reference));
  }
  return std::make_unique<registry::UploadAhead>(
      std::move(stores), session.registry_options().connections, session.console());
}

Result<std::vector<Pushed>> push_all(registry::ImageStore& from, const std::vector<PushItem>& items,
                                     const PushOptions& options, Session& session) {
  FNIMAGE_CHECK(options.lint ? lint_all(from, items, options, session) : Result<void>());
  FNIMAGE_TRY(registry::Client * client, session.client());
  const bool guarded = is_guarded(options);
  const bool tags_last = guarded || options.referrers;
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
    if (!tags_last) {
      destinations.back().tags = {item.to.tag_or_latest()};
      destinations.back().tag_platforms = options.tag_platforms;
    }
    names.push_back(item.to.str());
  }
  if (options.ahead != nullptr) {
    options.ahead->finish();
  }
  auto results = registry::transfer_all(from, destinations, session.registry_options().connections,
                                        session.console());
  if (!results) {
    return fail(std::move(results).error().while_doing("push " + listed(names)));
  }
  std::vector<Pushed> pushed;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Pushed& one = pushed.emplace_back(Pushed{items[i].to, std::move((*results)[i])});
    if (const auto repository = stores[i]->repository(); options.ahead && repository) {
      options.ahead->correct(*repository, one.result);
    }
    if (options.referrers) {
      FNIMAGE_TRY(one.referrers, push_referrers(from, items[i], *stores[i], one.result, session));
    }
    if (tags_last) {
      FNIMAGE_TRY(one.result.moved, move_tags(from, items[i], *stores[i], options));
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
  const std::string referrers =
      pushed.referrers == 0
          ? std::string()
          : fmt::format("; {} referrer{}", pushed.referrers, pushed.referrers == 1 ? "" : "s");
  return fmt::format("pushed {}@{}  blobs: {} uploaded ({}), {} mounted, {} there already{}\n",
                     pushed.reference.str(), result.root.digest.str(), result.blobs_uploaded,
                     human_size(result.bytes_uploaded), result.blobs_mounted, result.blobs_existed,
                     referrers);
}

nlohmann::ordered_json to_json(const Pushed& pushed) {
  const registry::TransferResult& result = pushed.result;
  return {{"reference", pushed.reference.str()},    {"digest", result.root.digest.str()},
          {"blobsUploaded", result.blobs_uploaded}, {"blobsMounted", result.blobs_mounted},
          {"blobsExisted", result.blobs_existed},   {"bytesUploaded", result.bytes_uploaded},
          {"referrers", pushed.referrers},          {"moved", moved_json(result.moved)}};
}

}  // namespace fnimage::cli

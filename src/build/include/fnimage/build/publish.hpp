// Publishing: images of a store under names in registries, and a build that publishes what it makes
// while it makes it. All content goes first and the tags last (publishing rule 6), so a tag never
// stands for something incomplete, whatever fails and whenever it is stopped: by the stop token of
// the client's transport, every call ends as cancelled soon after. What was sent stays, and the
// next run finds it. Thread-safety: may run several times at once on one client.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/list.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/registry/upload_ahead.hpp>

namespace fnimage::build {

/// A reference that can be published to. Error: invalid_argument for one without registry or with a
/// digest.
Result<manifest::Reference> parse_destination(std::string_view text);

/// Every registry that is named answers and accepts the credentials.
Result<void> check_registries(const std::vector<manifest::Reference>& references,
                              registry::Client& client);

struct PublishOptions {
  bool tag_platforms = true;  ///< each platform gets "<tag>-<platform>" too
  Expectation expected{};     ///< where the tags have to stand
  bool referrers = false;     ///< what refers to the images goes along, before any tag moves
  bool repair = false;        ///< look for all blobs where the tags stand already, too
  bool lint = true;           ///< refuse lists that nodes cannot use, before anything is sent
  bool warn = true;           ///< with lint: report what some nodes cannot use; else it has been
  std::size_t parallel = 8;   ///< large blobs in flight at the same time
  /// Not owned; has sent, or is sending, some of the blobs. Null = nothing has.
  registry::UploadAhead* ahead = nullptr;
};

/// An image of the source, and where it goes.
struct PublishItem {
  registry::Selector selector;
  manifest::Reference to;
};

struct Published {
  manifest::Reference reference;
  registry::TransferResult result;
  std::size_t referrers = 0;  ///< that went along
};

/// Several images at once: they share connections, and blobs by mounting. Errors: already_exists
/// when a tag is not where it is expected; those of manifest::require_publishable() for a list that
/// nodes cannot use; cancelled; those of source and registries. Images that were complete by then
/// have their tags, the others have none.
Result<std::vector<Published>> publish_all(registry::ImageStore& from,
                                           const std::vector<PublishItem>& items,
                                           const PublishOptions& options, registry::Client& client,
                                           Diagnostics& diagnostics);

/// One image under several names.
Result<std::vector<Published>> publish(registry::ImageStore& from,
                                       const registry::Selector& selector,
                                       const std::vector<manifest::Reference>& references,
                                       const PublishOptions& options, registry::Client& client,
                                       Diagnostics& diagnostics);

struct BuiltAndPublished {
  BuildResult built;
  std::vector<Published> published{};  ///< in the order of the references
};

/// build(), then publish() of the list. The registries are asked before any layer is made, and
/// layers are sent while others are still packed. What some nodes cannot use the build reports, so
/// publishing does not again.
/// @param tags in `store`. @param on_built is called when all is built and nothing published yet;
/// its error ends the call. May be empty.
Result<BuiltAndPublished> build_and_publish(
    const BuildSpec& spec, BuildOptions build_options, registry::ImageStore& store,
    const std::vector<std::string>& tags, const std::vector<manifest::Reference>& references,
    PublishOptions publish_options, const Environment& environment,
    const std::function<Result<void>(const BuildResult&)>& on_built = {});

}  // namespace fnimage::build

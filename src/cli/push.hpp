// Publishing from a store to registries: what push, build --push and manifest push share.
// Thread-safety: belongs to one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/build/list.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/registry/upload_ahead.hpp>

#include "session.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

struct Pushed {
  manifest::Reference reference;
  registry::TransferResult result;
  std::size_t referrers = 0;  ///< that went along
};

/// A reference that can be pushed to. Error: invalid_argument for one without registry or with a
/// digest.
Result<manifest::Reference> parse_destination(std::string_view text);

/// Every registry that is named answers and accepts the credentials.
Result<void> check_registries(const std::vector<manifest::Reference>& references,
                              registry::Client& client);

/// --no-lint.
void add_no_lint_flag(CLI::App& command, bool& no_lint);

struct PushOptions {
  bool tag_platforms = false;     ///< each platform gets "<tag>-<platform>" too
  build::Expectation expected{};  ///< where the tags have to stand
  bool referrers = false;         ///< what refers to the images goes along, before any tag moves
  bool repair = false;            ///< look for all blobs where the tags stand already, too
  bool lint = true;               ///< refuse lists that nodes cannot use
  bool warn = true;  ///< with lint: report what some nodes cannot use; else it has been
  registry::UploadAhead* ahead =
      nullptr;  ///< not owned; has sent, or is sending, some of the blobs
};

/// For blobs of images that will be pushed to these references.
Result<std::unique_ptr<registry::UploadAhead>> open_upload_ahead(
    const std::vector<manifest::Reference>& references, Session& session);

/// Errors: already_exists when a tag is not where it is expected; those of require_valid() for a
/// list that nodes cannot use, before anything is sent.
Result<Pushed> push(registry::ImageStore& from, const registry::Selector& selector,
                    const manifest::Reference& to, const PushOptions& options, Session& session);

/// An image of the source and where it goes.
struct PushItem {
  registry::Selector selector;
  manifest::Reference to;
};

/// push() of several images at once: they share connections, and blobs by mounting.
Result<std::vector<Pushed>> push_all(registry::ImageStore& from, const std::vector<PushItem>& items,
                                     const PushOptions& options, Session& session);

/// [{"tag": …, "previous": digest or null}]
nlohmann::ordered_json moved_json(const std::vector<registry::MovedTag>& moved);

/// One line for people.
std::string to_text(const Pushed& pushed);
nlohmann::ordered_json to_json(const Pushed& pushed);

}  // namespace fnimage::cli

// fnimage rm: takes names away; in the local store and layouts also what nothing needs any more.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/list_publisher.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/tagging.hpp>

#include "command.hpp"
#include "json_text.hpp"
#include "rehearsal.hpp"

namespace fnimage::cli {

namespace {

using registry::Location;
using registry::OciLayout;

struct RmArguments {
  std::vector<std::string> references;
  bool keep_blobs = false;
  bool local = false;
  bool dry_run = false;
};

struct Removed {
  std::string name;
  manifest::Digest digest;
  std::vector<std::string> tags{};  ///< that went with a digest
};

Result<Removed> remove_digest(registry::ImageStore& store, const std::string& name,
                              const manifest::Digest& digest) {
  FNIMAGE_TRY(std::vector<std::string> tags, registry::tags_of(store, digest));
  FNIMAGE_CHECK(store.remove_manifest(digest));
  return Removed{.name = name, .digest = digest, .tags = std::move(tags)};
}

class Remover {
 public:
  Remover(const RmArguments& arguments, Session& session)
      : arguments_(arguments), session_(session) {}

  Result<void> run() {
    std::vector<Location> locations;
    for (const std::string& text : arguments_.references) {
      FNIMAGE_TRY(Location location, parse(text));
      locations.push_back(std::move(location));
    }
    for (const Location& location : locations) {
      auto removed = remove(location);
      if (!removed) {
        report();  // what is gone is gone
        return fail(std::move(removed).error());
      }
      removed_.push_back(std::move(*removed));
    }
    FNIMAGE_CHECK(reclaim());
    report();
    return {};
  }

 private:
  Result<Location> parse(const std::string& text) const {
    FNIMAGE_TRY(Location location, registry::parse_location(text));
    if (arguments_.local && location.kind == Location::Kind::registry) {
      location.kind = Location::Kind::local;
    }
    const bool archive = location.is_path() && location.kind != Location::Kind::layout;
    const bool named = location.is_path()
                           ? !location.tag.empty()
                           : location.kind == Location::Kind::local || location.reference->tag() ||
                                 location.reference->digest();
    if (archive || !named) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("cannot remove {}: {}", printable(text),
                              archive ? "an archive is a file" : "it names no tag"),
                  archive ? "remove the file" : "write the tag that is to go");
    }
    FNIMAGE_CHECK(require_registry_in_dry_run(location, session_));
    return location;
  }

  Result<OciLayout*> layout(const Location& location) {
    std::filesystem::path directory = location.directory;
    if (location.kind == Location::Kind::local) {
      FNIMAGE_TRY(directory, Session::local_directory());
    }
    auto found = layouts_.find(directory);
    if (found == layouts_.end()) {
      FNIMAGE_TRY(auto opened, OciLayout::open(directory, OciLayout::Mode::existing));
      found = layouts_.emplace(directory, std::move(opened)).first;
    }
    return found->second.get();
  }

  Result<Removed> remove(const Location& location) {
    if (location.kind == Location::Kind::registry) {
      FNIMAGE_TRY(registry::Client * client, session_.client());
      FNIMAGE_TRY(const auto store, client->repository(*location.reference));
      if (location.reference->digest()) {
        return remove_digest(*store, location.str(), *location.reference->digest());
      }
      const std::string tag = location.reference->tag_or_latest();
      FNIMAGE_TRY(manifest::Digest digest, registry::remove_single_tag(*store, tag));
      FNIMAGE_CHECK(registry::remove_list_records(*store, tag));
      return Removed{.name = location.str(), .digest = std::move(digest)};
    }
    FNIMAGE_TRY(OciLayout * store, layout(location));
    if (location.reference && location.reference->digest()) {
      return remove_digest(*store, location.str(), *location.reference->digest());
    }
    const std::string tag = location.reference ? location.reference->str() : location.tag;
    FNIMAGE_TRY(const auto before, store->resolve(tag));
    FNIMAGE_CHECK(store->remove_tag(tag));  // says so when there is none
    return Removed{.name = location.str(), .digest = before->digest};
  }

  Result<void> reclaim() {
    for (const auto& [directory, store] : layouts_) {
      if (arguments_.keep_blobs) {
        continue;
      }
      FNIMAGE_TRY(const OciLayout::Reclaimed one, store->reclaim());
      if (one.busy) {
        session_.console().report(
            Severity::warning, fmt::format("{} is being written to: blobs stay until the next rm",
                                           directory.string()));
      }
      reclaimed_.blobs += one.blobs;
      reclaimed_.bytes += one.bytes;
    }
    return {};
  }

  void report() const {
    if (session_.dry_run() != nullptr) {
      return;  // nothing has happened
    }
    nlohmann::ordered_json removed = nlohmann::ordered_json::array();
    std::string text;
    for (const Removed& one : removed_) {
      removed.push_back(
          {{"reference", one.name}, {"digest", one.digest.str()}, {"tags", one.tags}});
      text += fmt::format("removed {}{}{}\n", printable(one.name),
                          one.name.ends_with(one.digest.str()) ? "" : "@" + one.digest.str(),
                          one.tags.empty() ? "" : "  with its tags " + join(one.tags, ", "));
    }
    if (session_.common().json) {
      session_.console().print(json_lines({{"removed", std::move(removed)},
                                           {"blobsReclaimed", reclaimed_.blobs},
                                           {"bytesReclaimed", reclaimed_.bytes}}));
    } else if (!session_.common().quiet) {
      if (reclaimed_.blobs > 0) {
        text += fmt::format("reclaimed {} from {} blobs\n", human_size(reclaimed_.bytes),
                            reclaimed_.blobs);
      }
      session_.console().print(text);
    }
  }

  const RmArguments& arguments_;
  Session& session_;
  std::map<std::filesystem::path, std::unique_ptr<OciLayout>> layouts_;
  std::vector<Removed> removed_;
  OciLayout::Reclaimed reclaimed_;
};

}  // namespace

void set_up_rm(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<RmArguments>();
  command
      .add_option("REF", arguments->references,
                  "A local name, oci:DIR:tag, registry/name:tag, or registry/name@sha256:…")
      ->required();
  command.add_flag("--keep-blobs", arguments->keep_blobs,
                   "Local store and layouts: remove the name only, free no space");
  command.add_flag("--local", arguments->local,
                   "Remove from the local store, for names with a registry too");
  add_dry_run_flag(command, arguments->dry_run);
  complete_with_registry(
      command, registration,
      "registry/name:tag removes that tag only (and what publishers of that list noted beside "
      "it);\n"
      "other tags of the same image stay. A registry that\n"
      "deletes manifests but no tags gets a placeholder put under the tag, which is then deleted.\n"
      "registry/name@sha256:… deletes the manifest itself, and all its tags with it.\n"
      "Example:\n  fnimage rm hello:latest",
      [arguments](Session& session) {
        const auto work = [&] { return Remover(*arguments, session).run(); };
        return arguments->dry_run ? rehearse(session, work) : work();
      });
}

}  // namespace fnimage::cli

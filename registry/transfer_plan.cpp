// Walks the tree level by level, each level's children in parallel, so that the number of round
// trips in a row is the depth of the tree and not the number of platforms.
#include "transfer_plan.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::registry::detail {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

constexpr std::size_t max_depth = 8;  // A7: lists within lists
constexpr std::size_t max_manifests = 50'000;
constexpr std::uint64_t max_manifest_bytes = std::uint64_t{256} * 1024 * 1024;

/// Foreign layers stay where their URLs point (A5): registries take manifests without them.
bool is_foreign(const Descriptor& layer) {
  return !layer.urls.empty() && (layer.media_type.find("nondistributable") != std::string::npos ||
                                 layer.media_type.find(".foreign.") != std::string::npos);
}

/// Children that are no manifests at all, as in the cache lists of buildkit.
bool is_blob_type(std::string_view media_type) {
  return manifest::is_layer_type(media_type) || manifest::is_config_type(media_type);
}

std::string name_of(const Descriptor& child) {
  const std::string digest = "manifest " + child.digest.str();
  return child.platform ? fmt::format("{} ({})", digest, printable(child.platform->str(), 80))
                        : digest;
}

/// Whether a store that is only a directory really holds all below `node`. A registry checks that
/// itself when it takes a manifest.
class Completeness {
 public:
  explicit Completeness(ImageStore& store) : store_(store) {}

  // NOLINTNEXTLINE(misc-no-recursion): bounded by max_depth
  Result<bool> holds(const Digest& digest, std::size_t depth) {
    if (depth > max_depth) {
      return false;
    }
    if (!seen_.insert(digest).second) {
      return true;
    }
    const Result<Document> document = store_.get_manifest(digest);
    if (!document) {
      return document.error().code() == ErrorCode::not_found ? Result<bool>(false)
                                                             : fail(document.error());
    }
    if (document->is_index()) {
      FNIMAGE_TRY(const manifest::Index index, document->index());
      for (const Descriptor& child : index.manifests) {
        FNIMAGE_TRY(const bool there, is_blob_type(child.media_type)
                                          ? store_.has_blob(child)
                                          : holds(child.digest, depth + 1));
        if (!there) {
          return false;
        }
      }
    } else if (document->is_image()) {
      FNIMAGE_TRY(const manifest::ImageManifest image, document->image());
      FNIMAGE_TRY(const bool config, store_.has_blob(image.config));
      bool complete = config;
      for (const Descriptor& layer : image.layers) {
        if (complete && !is_foreign(layer)) {
          FNIMAGE_TRY(complete, store_.has_blob(layer));
        }
      }
      return complete;
    }
    return true;
  }

 private:
  ImageStore& store_;
  std::set<Digest> seen_;
};

struct Child {
  Descriptor descriptor;
  std::string platform;  ///< its own or that of the list around it; empty = none
};

class Planner {
 public:
  Planner(ImageStore& from, ImageStore& to, WorkerPool& pool) : from_(from), to_(to), pool_(pool) {}

  Result<TransferPlan> run(const Selector& selector) {
    FNIMAGE_TRY(Document root, from_.get_manifest(selector));
    TransferPlan plan{std::move(root), {}, {}};
    std::vector<Child> next;
    seen_.insert(plan.root.digest());
    FNIMAGE_CHECK(expand(plan.root, {}, next));
    while (!next.empty()) {
      // A list is allowed at this depth but nothing below it; images may hang one further.
      if (plan.levels.size() > max_depth) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("{} of {}: lists are nested deeper than {}",
                                printable(to_string(selector)), from_.describe(), max_depth));
      }
      std::vector<Child> below;
      FNIMAGE_TRY(std::vector<PlannedManifest> level, load(next, below));
      plan.levels.push_back(std::move(level));
      next = std::move(below);
    }
    plan.blobs = std::move(blobs_);
    return plan;
  }

 private:
  /// Notes the blobs of a manifest and collects its children.
  Result<void> expand(const Document& document, const std::string& platform,
                      std::vector<Child>& children) {
    if (document.is_image()) {
      FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
      FNIMAGE_CHECK(note_blob(image.config, "config", platform));
      for (const Descriptor& layer : image.layers) {
        if (!is_foreign(layer)) {
          FNIMAGE_CHECK(note_blob(layer, "layer", platform));
        }
      }
    } else if (document.is_index()) {
      FNIMAGE_TRY(manifest::Index index, document.index());
      for (Descriptor& child : index.manifests) {
        std::string name = child.platform ? child.platform->str() : platform;
        if (is_blob_type(child.media_type)) {
          FNIMAGE_CHECK(note_blob(child, "blob", name));
        } else if (seen_.insert(child.digest).second) {
          children.push_back({std::move(child), std::move(name)});
        }
      }
      if (seen_.size() > max_manifests) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("more than {} manifests in one tree", max_manifests));
      }
    }
    return {};
  }

  Result<void> note_blob(const Descriptor& blob, std::string kind, const std::string& platform) {
    const auto [known, is_new] = blob_places_.try_emplace(blob.digest, blobs_.size());
    if (is_new) {
      blobs_.push_back({blob, std::move(kind), {}});
    }
    PlannedBlob& planned = blobs_[known->second];
    if (planned.blob.size != blob.size) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("blob {} has {} bytes in one manifest and {} in another",
                              blob.digest.str(), planned.blob.size, blob.size));
    }
    if (!platform.empty() &&
        std::ranges::find(planned.platforms, platform) == planned.platforms.end()) {
      planned.platforms.push_back(platform);
    }
    return {};
  }

  /// Fetches what is missing of one level and finds what is below it.
  Result<std::vector<PlannedManifest>> load(const std::vector<Child>& children,
                                            std::vector<Child>& below) {
    std::vector<std::optional<Document>> documents(children.size());
    TaskGroup group(pool_);
    for (std::size_t i = 0; i < children.size(); ++i) {
      group.run([this, &child = children[i].descriptor, &target = documents[i]]() -> Result<void> {
        FNIMAGE_TRY(const bool present, is_present(child));
        if (!present) {
          FNIMAGE_TRY(target, fetch(child));
        }
        return {};
      });
    }
    FNIMAGE_CHECK(group.wait());
    std::vector<PlannedManifest> level;
    for (std::size_t i = 0; i < children.size(); ++i) {
      if (!documents[i]) {
        continue;
      }
      manifest_bytes_ += documents[i]->bytes().size();
      if (manifest_bytes_ > max_manifest_bytes) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("the manifests of one tree are larger than {}",
                                human_size(max_manifest_bytes)));
      }
      FNIMAGE_CHECK(expand(*documents[i], children[i].platform, below));
      level.push_back({std::move(*documents[i]), name_of(children[i].descriptor)});
    }
    return level;
  }

  Result<bool> is_present(const Descriptor& child) {
    FNIMAGE_TRY(const std::optional<Descriptor> there, to_.resolve(child.digest));
    if (!there || there->size != child.size) {
      return false;
    }
    return to_.repository() ? Result<bool>(true) : Completeness(to_).holds(child.digest, 0);
  }

  Result<Document> fetch(const Descriptor& child) {
    Result<Document> document = from_.get_manifest(child.digest);
    if (!document) {
      if (document.error().code() != ErrorCode::not_found) {
        return fail(std::move(document.error()).while_doing("read " + name_of(child)));
      }
      const std::string platform =
          child.platform ? printable(child.platform->str(), 80) : std::string("this entry");
      return fail(ErrorCode::not_found,
                  fmt::format("{} is neither in {} nor in {}", name_of(child), to_.describe(),
                              from_.describe()),
                  fmt::format("push the image of {} first, or leave it out of the list", platform));
    }
    return check(std::move(*document), child);
  }

  /// What the list says about its child must be true, or nodes would refuse what was pushed.
  static Result<Document> check(Document document, const Descriptor& child) {
    if (child.digest.algorithm() != "sha256") {
      return fail(ErrorCode::unsupported, name_of(child) + ": manifests are stored by sha256 only");
    }
    if (document.digest() != child.digest || document.bytes().size() != child.size) {
      return fail(ErrorCode::verification,
                  fmt::format("{} is {} with {} bytes; the list says {} bytes", name_of(child),
                              document.digest().str(), document.bytes().size(), child.size),
                  "the list was made wrongly; create it again");
    }
    if (document.media_type() == child.media_type) {
      return document;
    }
    return Document::from_bytes(document.bytes(), child.media_type, name_of(child));
  }

  ImageStore& from_;
  ImageStore& to_;
  WorkerPool& pool_;
  std::set<Digest> seen_;
  std::vector<PlannedBlob> blobs_;
  std::unordered_map<Digest, std::size_t> blob_places_;
  std::uint64_t manifest_bytes_ = 0;
};

}  // namespace

std::string PlannedBlob::label() const {
  constexpr std::size_t shown_digits = 12;
  std::string text = fmt::format("{} {}:{}", kind, blob.digest.algorithm(),
                                 blob.digest.hex().substr(0, shown_digits));
  if (platforms.size() == 1) {
    text += fmt::format(" ({})", printable(platforms.front(), 80));
  } else if (platforms.size() > 1) {
    text += fmt::format(" ({} platforms)", platforms.size());
  }
  return text;
}

Result<TransferPlan> plan_transfer(ImageStore& from, const Selector& selector, ImageStore& to,
                                   WorkerPool& pool) {
  return Planner(from, to, pool).run(selector);
}

}  // namespace fnimage::registry::detail

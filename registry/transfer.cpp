// transfer(): read the manifests from the root down, then send from the leaves up. Nothing is sent
// before every manifest has been read and checked, and no tag moves before everything it needs is
// there.
#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

constexpr std::size_t max_depth = 8;

struct PlannedBlob {
  Descriptor descriptor;
  std::string label;
};

std::string short_digest(const Digest& digest) {
  return fmt::format("{}:{}", digest.algorithm(), digest.hex().substr(0, 12));
}

class Transfer {
 public:
  Transfer(ImageStore& from, ImageStore& to, const TransferOptions& options,
           Diagnostics& diagnostics)
      : from_(from),
        to_(to),
        options_(options),
        diagnostics_(diagnostics),
        pool_(options.parallel) {}

  Result<TransferResult> run(const Selector& selector) {
    FNIMAGE_CHECK(check_tags());
    FNIMAGE_TRY(const Document root, from_.get_manifest(selector));
    result_.root.emplace(root.descriptor());
    FNIMAGE_CHECK(plan(root, 0, {}));
    FNIMAGE_CHECK(send_blobs());
    FNIMAGE_CHECK(send_manifests());
    FNIMAGE_CHECK(tag(root));
    return TransferResult{.root = *result_.root,
                          .blobs_uploaded = result_.uploaded,
                          .blobs_mounted = result_.mounted,
                          .blobs_existed = result_.existed,
                          .bytes_uploaded = result_.bytes,
                          .manifests_uploaded = result_.manifests};
  }

 private:
  struct Counters {
    std::optional<Descriptor> root;
    std::uint64_t uploaded = 0;
    std::uint64_t mounted = 0;
    std::uint64_t existed = 0;
    std::uint64_t bytes = 0;
    std::uint64_t manifests = 0;
  };

  /// A layout takes any name; a registry does not, and must not say so only after half of the tags
  /// have moved.
  Result<void> check_tags() const {
    if (!to_.repository()) {
      return {};
    }
    for (const auto& tag : options_.tags) {
      if (!manifest::is_valid_tag(tag)) {
        return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is not a valid tag", tag));
      }
    }
    return {};
  }

  /// Reads what is below a manifest and notes what has to be sent. @param platform for labels.
  Result<void> plan(const Document& document, std::size_t depth, const std::string& platform) {
    if (depth > max_depth) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("lists are nested deeper than {} levels", max_depth));
    }
    if (document.is_index()) {
      FNIMAGE_TRY(const auto index, document.index());
      for (const auto& child : index.manifests) {
        FNIMAGE_CHECK(plan_child(child, depth + 1));
      }
    } else if (document.is_image()) {
      FNIMAGE_TRY(const auto image, document.image());
      FNIMAGE_CHECK(plan_blob(image.config, "config", platform));
      for (const auto& layer : image.layers) {
        FNIMAGE_CHECK(plan_blob(layer, "layer", platform));
      }
    }
    if (levels_.size() <= depth) {
      levels_.resize(depth + 1);
    }
    levels_[depth].push_back(document);
    return {};
  }

  Result<void> plan_child(const Descriptor& child, std::size_t depth) {
    if (!seen_.insert(child.digest).second) {
      return {};
    }
    FNIMAGE_TRY(const auto present, to_.resolve(child.digest));
    // A registry takes a manifest only with its content, so what it has is whole. A layout may hold
    // less.
    if (present && to_.repository()) {
      return {};
    }
    auto document = from_.get_manifest(child.digest);
    if (!document) {
      const bool missing = document.error().code() == ErrorCode::not_found;
      if (missing && present) {
        return {};
      }
      return fail(missing ? missing_child(child) : std::move(document).error());
    }
    if (document->bytes().size() != child.size) {
      return fail(ErrorCode::verification,
                  fmt::format("{} in {} has {} bytes, the list says {}", child.digest.str(),
                              from_.describe(), document->bytes().size(), child.size));
    }
    children_.emplace(child.digest, *document);
    return plan(*document, depth, child.platform ? child.platform->str() : std::string());
  }

  Error missing_child(const Descriptor& child) const {
    const std::string platform = child.platform ? child.platform->str() : "no platform";
    return Error(ErrorCode::not_found,
                 fmt::format("the list's image for {} ({}) is neither in {} nor in {}", platform,
                             child.digest.str(), from_.describe(), to_.describe()))
        .with_hint("push that image first, or make the list again from images that exist");
  }

  Result<void> plan_blob(const Descriptor& blob, std::string_view kind,
                         const std::string& platform) {
    if (!seen_.insert(blob.digest).second) {
      return {};
    }
    if (!blob.urls.empty()) {
      // Foreign layers live elsewhere by design and may be absent everywhere.
      FNIMAGE_TRY(const bool held, from_.has_blob(blob));
      if (!held) {
        return {};
      }
    }
    blobs_.push_back({blob, fmt::format("{} {}{}", kind, short_digest(blob.digest),
                                        platform.empty() ? "" : fmt::format(" ({})", platform))});
    return {};
  }

  Result<void> send_blobs() {
    // Large ones first: a large blob that begins last is all that everybody waits for.
    std::stable_sort(blobs_.begin(), blobs_.end(), [](const PlannedBlob& a, const PlannedBlob& b) {
      return a.descriptor.size > b.descriptor.size;
    });
    TaskGroup group(pool_);
    for (const auto& blob : blobs_) {
      group.run([this, &blob] { return send_blob(blob); });
    }
    return group.wait();
  }

  Result<void> send_blob(const PlannedBlob& blob) {
    const auto task = diagnostics_.begin(blob.label, blob.descriptor.size);
    auto outcome = copy_blob(blob.descriptor, task.get());
    if (!outcome) {
      task->finish("failed");
      return fail(std::move(outcome).error().while_doing(
          fmt::format("copy {} from {} to {}", blob.label, from_.describe(), to_.describe())));
    }
    const std::lock_guard lock(mutex_);
    switch (*outcome) {
      case BlobOutcome::existed:
        ++result_.existed;
        task->finish("exists");
        break;
      case BlobOutcome::mounted:
        ++result_.mounted;
        task->finish("mounted");
        break;
      case BlobOutcome::uploaded:
        ++result_.uploaded;
        result_.bytes += blob.descriptor.size;
        task->finish("done");
        break;
    }
    return {};
  }

  Result<BlobOutcome> copy_blob(const Descriptor& blob, ProgressTask* progress) {
    auto content = from_.blob(blob);
    if (!content) {
      // A list or image may be known here without all of its blobs, as long as they are where it
      // goes.
      if (content.error().code() == ErrorCode::not_found) {
        FNIMAGE_TRY(const bool there, to_.has_blob(blob));
        if (there) {
          return BlobOutcome::existed;
        }
      }
      return fail(std::move(content).error());
    }
    return to_.put_blob(blob, **content, {.mount_from = from_.repository(), .progress = progress});
  }

  Result<void> send_manifests() {
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
      TaskGroup group(pool_);
      for (const auto& document : *level) {
        group.run([this, &document]() -> Result<void> {
          auto put = to_.put_manifest(document, std::nullopt);
          if (!put) {
            return fail(std::move(put).error().while_doing(fmt::format(
                "put manifest {} into {}", short_digest(document.digest()), to_.describe())));
          }
          const std::lock_guard lock(mutex_);
          ++result_.manifests;
          return {};
        });
      }
      FNIMAGE_CHECK(group.wait());
    }
    return {};
  }

  Result<void> tag(const Document& root) {
    if (options_.tag_platforms && root.is_index()) {
      FNIMAGE_CHECK(tag_children(root));
    }
    for (const auto& name : options_.tags) {
      auto put = to_.put_manifest(root, name);
      if (!put) {
        return fail(
            std::move(put).error().while_doing(fmt::format("tag {} in {}", name, to_.describe())));
      }
    }
    return {};
  }

  Result<void> tag_children(const Document& root) {
    FNIMAGE_TRY(const auto index, root.index());
    for (const auto& child : index.manifests) {
      if (!child.platform) {
        continue;
      }
      const auto known = children_.find(child.digest);
      Result<Document> document = known != children_.end() ? Result<Document>(known->second)
                                                           : to_.get_manifest(child.digest);
      if (!document) {
        return fail(std::move(document).error());
      }
      for (const auto& name : options_.tags) {
        FNIMAGE_CHECK(to_.put_manifest(*document, name + "-" + child.platform->tag_suffix()));
      }
    }
    return {};
  }

  ImageStore& from_;
  ImageStore& to_;
  const TransferOptions& options_;
  Diagnostics& diagnostics_;
  WorkerPool pool_;

  std::vector<std::vector<Document>> levels_;  ///< by depth; sent from the deepest up
  std::map<Digest, Document> children_;
  std::set<Digest> seen_;
  std::vector<PlannedBlob> blobs_;

  std::mutex mutex_;
  Counters result_;
};

}  // namespace

Result<TransferResult> transfer(ImageStore& from, const Selector& selector, ImageStore& to,
                                const TransferOptions& options, Diagnostics& diagnostics) {
  return Transfer(from, to, options, diagnostics).run(selector);
}

}  // namespace fnimage::registry

// Carries out a plan: blobs, then manifests from the leaves up, then the root, then tags. Each step
// waits for the one before it, so that whatever fails leaves every tag where it was.
#include <algorithm>
#include <mutex>
#include <ranges>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/transfer.hpp>

#include "blob_content.hpp"
#include "transfer_plan.hpp"

namespace fnimage::registry {

namespace {

using detail::PlannedBlob;
using detail::PlannedManifest;
using manifest::Descriptor;
using manifest::Document;

/// A tag that one platform's manifest gets.
struct PlatformTag {
  std::string tag;
  Descriptor child;
};

/// "<tag>-<platform>" for every tag and entry. Of two entries of one platform the first counts, as
/// it does for nodes. Entries without a platform or of an unknown one (attestations) get none.
Result<std::vector<PlatformTag>> platform_tags(const Document& root,
                                               const TransferOptions& options) {
  std::vector<PlatformTag> result;
  if (!options.tag_platforms || !root.is_index()) {
    return result;
  }
  FNIMAGE_TRY(const manifest::Index index, root.index());
  for (const std::string& tag : options.tags) {
    std::set<std::string> given;
    for (const Descriptor& child : index.manifests) {
      if (!child.platform || child.platform->architecture == "unknown") {
        continue;
      }
      const std::string suffix = child.platform->tag_suffix();
      if (!manifest::is_valid_tag(suffix)) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("platform {} of the list cannot be part of a tag",
                                printable(child.platform->str(), 80)),
                    "correct the platform in the list, or push without a tag per platform");
      }
      if (given.insert(suffix).second) {
        result.push_back({fmt::format("{}-{}", tag, suffix), child});
      }
    }
  }
  return result;
}

std::string_view word_for(BlobOutcome outcome) noexcept {
  switch (outcome) {
    case BlobOutcome::existed:
      return "exists";
    case BlobOutcome::mounted:
      return "mounted";
    case BlobOutcome::uploaded:
      return "done";
  }
  return "done";
}

class Transfer {
 public:
  Transfer(ImageStore& from, ImageStore& to, WorkerPool& pool, Diagnostics& diagnostics,
           TransferResult& result)
      : from_(from), to_(to), pool_(pool), diagnostics_(diagnostics), result_(result) {}

  Result<void> put_blobs(const std::vector<PlannedBlob>& blobs) {
    TaskGroup group(pool_);
    for (const PlannedBlob& planned : blobs) {
      group.run([this, &planned] { return put_blob(planned); });
    }
    return group.wait();
  }

  /// From the leaves up: a list never stands before what it names.
  Result<void> put_manifests(const std::vector<std::vector<PlannedManifest>>& levels) {
    for (const auto& level : std::views::reverse(levels)) {
      TaskGroup group(pool_);
      for (const PlannedManifest& planned : level) {
        group.run([this, &planned] {
          return put_manifest(planned.document, std::nullopt, planned.what);
        });
      }
      FNIMAGE_CHECK(group.wait());
      result_.manifests_uploaded += level.size();
    }
    return {};
  }

  Result<void> put_root(const Document& root, const std::vector<PlatformTag>& platforms,
                        const std::vector<std::string>& tags) {
    ++result_.manifests_uploaded;
    const std::string what = "manifest " + root.digest().str();
    // With one tag in all, a refused root moves nothing: its tag's own PUT is enough.
    if (tags.size() != 1 || !platforms.empty()) {
      FNIMAGE_CHECK(put_manifest(root, std::nullopt, what));
    }
    for (const PlatformTag& platform : platforms) {
      FNIMAGE_TRY(const Document child, to_.get_manifest(platform.child.digest));
      FNIMAGE_CHECK(put_manifest(child, platform.tag, "tag " + printable(platform.tag)));
    }
    for (const std::string& tag : tags) {
      FNIMAGE_CHECK(put_manifest(root, tag, "tag " + printable(tag)));
    }
    return {};
  }

 private:
  Result<void> put_manifest(const Document& document, const std::optional<std::string>& tag,
                            const std::string& what) {
    Result<void> put = to_.put_manifest(document, tag);
    if (!put) {
      return fail(
          std::move(put.error()).while_doing(fmt::format("store {} in {}", what, to_.describe())));
    }
    return put;
  }

  Result<void> put_blob(const PlannedBlob& planned) {
    const std::string label = planned.label();
    const std::unique_ptr<ProgressTask> task = diagnostics_.begin(label, planned.blob.size);
    PutBlobOptions options;
    options.progress = task.get();
    if (from_.repository() != to_.repository()) {
      options.mount_from = from_.repository();
    }
    // Embedded content spares the source a question ("{}" of artifacts mostly).
    const ContentPtr content = planned.blob.data ? memory_content(*planned.blob.data)
                                                 : detail::lazy_blob(from_, planned.blob);
    Result<BlobOutcome> outcome = to_.put_blob(planned.blob, *content, options);
    if (!outcome) {
      task->finish("failed");
      return fail(std::move(outcome.error())
                      .while_doing(fmt::format("store {} in {}", label, to_.describe())));
    }
    task->finish(word_for(*outcome));
    count(*outcome, planned.blob.size);
    return {};
  }

  void count(BlobOutcome outcome, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    switch (outcome) {
      case BlobOutcome::existed:
        ++result_.blobs_existed;
        break;
      case BlobOutcome::mounted:
        ++result_.blobs_mounted;
        break;
      case BlobOutcome::uploaded:
        ++result_.blobs_uploaded;
        result_.bytes_uploaded += size;
        break;
    }
  }

  ImageStore& from_;
  ImageStore& to_;
  WorkerPool& pool_;
  Diagnostics& diagnostics_;
  std::mutex mutex_;  ///< guards the blob counts of result_
  TransferResult& result_;
};

}  // namespace

Result<TransferResult> transfer(ImageStore& from, const Selector& selector, ImageStore& to,
                                const TransferOptions& options, Diagnostics& diagnostics) {
  WorkerPool pool(std::max<std::size_t>(1, options.parallel));
  FNIMAGE_TRY(const detail::TransferPlan plan, detail::plan_transfer(from, selector, to, pool));
  FNIMAGE_TRY(const std::vector<PlatformTag> platforms, platform_tags(plan.root, options));
  TransferResult result{plan.root.descriptor()};
  Transfer run(from, to, pool, diagnostics, result);
  FNIMAGE_CHECK(run.put_blobs(plan.blobs));
  FNIMAGE_CHECK(run.put_manifests(plan.levels));
  FNIMAGE_CHECK(run.put_root(plan.root, platforms, options.tags));
  return result;
}

}  // namespace fnimage::registry

// transfer() and transfer_all(): first the plan, then one graph of tasks for all destinations, from
// the blobs up to the tags.
#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/registry/transfer.hpp>

#include "task_graph.hpp"
#include "transfer_plan.hpp"

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

/// Threads beside those of large blobs: for manifests and small blobs.
constexpr std::size_t spare_threads = 4;
constexpr std::uint64_t heavy_blob = std::uint64_t{64} * 1024;

class Sender {
 public:
  Sender(ImageStore& from, const Plan& plan, Diagnostics& diagnostics)
      : from_(from), plan_(plan), diagnostics_(diagnostics) {
    for (const Target& target : plan.targets) {
      results_.push_back({.root = target.root->descriptor(), .moved = target.moved});
    }
  }

  Result<std::vector<TransferResult>> run(WorkerPool& pool, std::size_t parallel) {
    add_blobs();
    for (std::size_t i = 0; i < plan_.targets.size(); ++i) {
      if (!plan_.targets[i].stands) {
        add_manifests(i);
      }
    }
    FNIMAGE_CHECK(graph_.run(pool, parallel));
    return std::move(results_);
  }

 private:
  using Ids = std::vector<TaskGraph::Id>;

  void add_blobs() {
    for (const PlannedBlob& blob : plan_.blobs) {
      const std::uint64_t size = blob.descriptor.size;
      blob_tasks_.push_back(graph_.add([this, &blob] { return send_blob(blob); },
                                       blob.after ? Ids{blob_tasks_[*blob.after]} : Ids{},
                                       size > heavy_blob ? size : 0));
    }
  }

  /// Children before their lists, without recursion: what is nested here came from outside.
  void add_manifests(std::size_t index) {
    const Target& target = plan_.targets[index];
    const Stage stage = begin_stage(index);
    const auto sent = manifest_tasks_.find({target.place, target.root->digest()});
    if (sent != manifest_tasks_.end()) {
      add_root_tags(index, stage, sent->second);
      return;
    }
    std::vector<Digest> open{target.root->digest()};
    std::set<Digest> entered;
    while (!open.empty()) {
      const Digest digest = open.back();
      const PlannedManifest& planned = target.manifests.at(digest);
      if (manifest_tasks_.contains({target.place, digest})) {
        open.pop_back();
      } else if (entered.insert(digest).second) {
        std::copy_if(planned.children.begin(), planned.children.end(), std::back_inserter(open),
                     [&target](const Digest& child) { return target.manifests.contains(child); });
      } else {
        manifest_tasks_.emplace(std::pair(target.place, digest),
                                add_manifest(index, planned, stage));
        open.pop_back();
      }
    }
    root_tasks_[target.place].push_back(manifest_tasks_.at({target.place, target.root->digest()}));
  }

  /// What the tags of one target wait for.
  struct Stage {
    Ids blobs;          ///< all of them: until then no tag moves
    Ids platform_tags;  ///< of images that are not sent for this target: the root waits for them
  };

  Stage begin_stage(std::size_t index) {
    const Target& target = plan_.targets[index];
    Stage stage;
    for (const auto& [digest, planned] : target.manifests) {
      for (const std::size_t blob : planned.blobs) {
        stage.blobs.push_back(blob_tasks_[blob]);
      }
    }
    for (const PlatformTag& platform : target.platform_tags) {
      const auto planned = target.manifests.find(platform.child);
      const auto sent = manifest_tasks_.find({target.place, platform.child});
      const bool is_sent = sent != manifest_tasks_.end();
      if (planned != target.manifests.end() && !planned->second.present && !is_sent) {
        continue;  // its tags come with it
      }
      Ids after = stage.blobs;
      const Ids& roots = root_tasks_[target.place];  // which may name it; see add_manifest()
      after.insert(after.end(), roots.begin(), roots.end());
      if (is_sent) {
        after.push_back(sent->second);
      }
      const Document& document = target.tagged.at(platform.child);
      stage.platform_tags.push_back(
          add([this, index, &document, &platform] { return tag(index, document, platform.names); },
              std::move(after)));
    }
    return stage;
  }

  /// The root is sent for another target of the same place, and everything below it.
  void add_root_tags(std::size_t index, const Stage& stage, TaskGraph::Id root) {
    const Target& target = plan_.targets[index];
    if (target.tags.empty()) {
      return;
    }
    Ids after = stage.platform_tags;
    after.push_back(root);
    root_tasks_[target.place].push_back(
        add([this, index, &target] { return tag(index, *target.root, target.tags); },
            std::move(after)));
  }

  /// A child goes under its platform's tags at once, when everything of the target that is large is
  /// there, and the list, with its own tags, follows: so the tags move one round trip apart, the
  /// list's last. They do not move at the same time: docker-registry empties an image's link file
  /// for a moment while it is put under a tag, and then finds a list that names the image to be
  /// wrong (DIGEST_INVALID).
  TaskGraph::Id add_manifest(std::size_t index, const PlannedManifest& planned,
                             const Stage& stage) {
    const Target& target = plan_.targets[index];
    const Digest& digest = planned.document.digest();
    const bool is_root = digest == target.root->digest();
    Ids after;
    for (const std::size_t blob : planned.blobs) {
      after.push_back(blob_tasks_[blob]);
    }
    for (const Digest& child : planned.children) {
      const auto sent = manifest_tasks_.find({target.place, child});
      if (sent != manifest_tasks_.end()) {
        after.push_back(sent->second);
      }
    }
    std::vector<std::string> tags = is_root ? target.tags : std::vector<std::string>();
    if (is_root) {
      after.insert(after.end(), stage.platform_tags.begin(), stage.platform_tags.end());
    } else if (!planned.present) {
      tags = platform_names(target, digest);
      if (!tags.empty()) {
        after.insert(after.end(), stage.blobs.begin(), stage.blobs.end());
      }
    }
    if (planned.present && tags.empty()) {
      return add([]() -> Result<void> { return {}; }, std::move(after));  // a meeting point
    }
    return add([this, index, &planned,
                tags = std::move(tags)] { return send_manifest(index, planned.document, tags); },
               std::move(after));
  }

  static std::vector<std::string> platform_names(const Target& target, const Digest& child) {
    std::vector<std::string> names;
    for (const PlatformTag& platform : target.platform_tags) {
      if (platform.child == child) {
        names.insert(names.end(), platform.names.begin(), platform.names.end());
      }
    }
    return names;
  }

  TaskGraph::Id add(TaskGraph::Work work, Ids after) {
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    return graph_.add(std::move(work), after);
  }

  [[nodiscard]] ImageStore& store(std::size_t index) const {
    return *plan_.targets[index].destination->store;
  }

  Result<void> send_blob(const PlannedBlob& blob) {
    ImageStore& to = store(blob.target);
    const auto task = diagnostics_.begin(blob.label, blob.descriptor.size);
    auto outcome = copy_blob(blob, to, task.get());
    if (!outcome) {
      task->finish("failed");
      return fail(std::move(outcome).error().while_doing(
          fmt::format("copy {} from {} to {}", blob.label, from_.describe(), to.describe())));
    }
    const std::lock_guard lock(mutex_);
    TransferResult& result = results_[blob.target];
    switch (*outcome) {
      case BlobOutcome::existed:
        ++result.blobs_existed;
        task->finish("exists");
        break;
      case BlobOutcome::mounted:
        ++result.blobs_mounted;
        task->finish("mounted");
        break;
      case BlobOutcome::uploaded:
        ++result.blobs_uploaded;
        result.bytes_uploaded += blob.descriptor.size;
        task->finish("done");
        break;
    }
    return {};
  }

  Result<BlobOutcome> copy_blob(const PlannedBlob& blob, ImageStore& to, ProgressTask* progress) {
    auto content = from_.blob(blob.descriptor);
    if (!content) {
      // A list or image may be known here without all of its blobs, as long as they are where it
      // goes.
      if (content.error().code() == ErrorCode::not_found) {
        FNIMAGE_TRY(const bool there, to.has_blob(blob.descriptor));
        if (there) {
          return BlobOutcome::existed;
        }
      }
      return fail(std::move(content).error());
    }
    // When the image is not there, its smallest parts, its config above all, are hardly there
    // either.
    return to.put_blob(blob.descriptor, **content,
                       {.mount_from = blob.mount_from,
                        .progress = progress,
                        .probably_new = !blob.hardly_missing});
  }

  /// All that it needs is there, so its tags can come with it.
  Result<void> send_manifest(std::size_t index, const Document& document,
                             const std::vector<std::string>& tags) {
    if (!tags.empty()) {
      FNIMAGE_CHECK(tag(index, document, tags));
    } else {
      ImageStore& to = store(index);
      auto put = to.put_manifest(document, std::nullopt);
      if (!put) {
        return fail(std::move(put).error().while_doing(
            fmt::format("put manifest {}:{} into {}", document.digest().algorithm(),
                        document.digest().hex().substr(0, 12), to.describe())));
      }
    }
    const std::lock_guard lock(mutex_);
    ++results_[index].manifests_uploaded;
    return {};
  }

  Result<void> tag(std::size_t index, const Document& document,
                   const std::vector<std::string>& names) {
    ImageStore& to = store(index);
    auto put = to.put_tags(document, names);
    if (!put) {
      return fail(std::move(put).error().while_doing(
          fmt::format("tag {} in {}", fmt::join(names, ", "), to.describe())));
    }
    return {};
  }

  ImageStore& from_;
  const Plan& plan_;
  Diagnostics& diagnostics_;
  TaskGraph graph_;
  Ids blob_tasks_;
  std::map<std::pair<std::string, Digest>, TaskGraph::Id> manifest_tasks_;  ///< by place
  std::map<std::string, Ids> root_tasks_;                                   ///< the same

  std::mutex mutex_;
  std::vector<TransferResult> results_;  // guarded by mutex_ while the graph runs
};

}  // namespace

Result<std::vector<TransferResult>> transfer_all(ImageStore& from,
                                                 const std::vector<Destination>& destinations,
                                                 std::size_t parallel, Diagnostics& diagnostics) {
  WorkerPool pool(std::max<std::size_t>(parallel, 1) + spare_threads);
  FNIMAGE_TRY(const Plan plan, make_plan(from, destinations, pool));
  return Sender(from, plan, diagnostics).run(pool, parallel);
}

Result<TransferResult> transfer(ImageStore& from, const Selector& selector, ImageStore& to,
                                const TransferOptions& options, Diagnostics& diagnostics) {
  FNIMAGE_TRY(auto results, transfer_all(from,
                                         {{.selector = selector,
                                           .store = &to,
                                           .tags = options.tags,
                                           .tag_platforms = options.tag_platforms}},
                                         options.parallel, diagnostics));
  return std::move(results.front());
}

}  // namespace fnimage::registry

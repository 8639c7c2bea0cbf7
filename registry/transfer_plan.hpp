// What transfer_all() has to send: the manifests of all destinations read from the roots down,
// level by level and in parallel, and the blobs below. What is checked at a registry, and why:
//   - Every child and every tag of the root is asked for, in one parallel step. When all tags stand
//     where they should, nothing would be published, so nothing is checked further or sent, unless
//     the destination is to be repaired.
//   - Otherwise a child that the registry has is not sent, but its blobs are asked for: a registry
//     keeps a manifest whose blobs it has lost, and a new tag must not stand for that. This runs
//     beside the uploads of what is new. Not so for children that only the registry knows (a list
//     made of pushed images) and within one repository: there is nothing to heal them with.
// Thread-safety: belongs to one thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::registry {

struct PlannedBlob {
  std::size_t target = 0;  ///< the first destination that needs it
  manifest::Descriptor descriptor;
  std::string label;
  std::optional<RepositoryName> mount_from{};
  std::optional<std::size_t> after{};  ///< the blob of another repository that it is mounted from
  bool hardly_missing = false;         ///< an image that the destination has names it
};

struct PlannedManifest {
  manifest::Document document;
  std::vector<std::size_t> blobs{};  ///< indices of Plan::blobs
  std::vector<manifest::Digest> children{};
  bool present = false;  ///< at the destination: only what it needs is looked after
};

struct PlatformTag {
  manifest::Digest child;
  std::vector<std::string> names;  ///< still to be moved
};

struct Target {
  const Destination* destination = nullptr;
  std::string place{};  ///< equal for destinations that share their blobs
  std::optional<manifest::Document> root{};
  std::vector<std::string> tags{};  ///< of the root, still to be moved
  std::vector<MovedTag> moved{};    ///< those of a registry, and where they stand before
  bool stands = false;              ///< with all its tags: nothing is to be done
  std::vector<PlatformTag> platform_tags{};
  std::map<manifest::Digest, manifest::Document> tagged{};  ///< what platform_tags stand for
  std::map<manifest::Digest, PlannedManifest> manifests{};  ///< the root among them
};

struct Plan {
  std::vector<Target> targets;
  std::vector<PlannedBlob> blobs;
};

Result<Plan> make_plan(ImageStore& from, const std::vector<Destination>& destinations,
                       WorkerPool& pool);

}  // namespace fnimage::registry

// What transfer_all() has to send: the manifests of all destinations read from the roots down,
// level by level and in parallel, and the blobs below what the destinations do not have.
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
};

struct PlannedManifest {
  manifest::Document document;
  std::vector<std::size_t> blobs{};          ///< indices of Plan::blobs
  std::vector<manifest::Digest> children{};  ///< those that are sent too
};

struct PlatformTag {
  manifest::Digest child;
  std::string suffix;
};

struct Target {
  const Destination* destination = nullptr;
  std::string place{};  ///< equal for destinations that share their blobs
  std::optional<manifest::Document> root{};
  std::vector<PlatformTag> platform_tags{};
  std::map<manifest::Digest, manifest::Document> tagged{};  ///< what platform_tags stand for
  std::map<manifest::Digest, PlannedManifest> manifests{};  ///< to be sent, the root among them
};

struct Plan {
  std::vector<Target> targets;
  std::vector<PlannedBlob> blobs;
};

Result<Plan> make_plan(ImageStore& from, const std::vector<Destination>& destinations,
                       WorkerPool& pool);

}  // namespace fnimage::registry

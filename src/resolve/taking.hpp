// Following what machines take, from a list down to images. Private to resolve. Thread-safety:
// belongs to one thread; reads on several.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/runtime_match.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::resolve {

/// Nodes of the same kind take the same.
struct Kind {
  manifest::NodeMachine machine;
  manifest::Runtime runtime;
};

/// What one kind of node takes.
struct Taking {
  std::shared_ptr<const manifest::RuntimeChoice> choice{};  ///< null when it is no list
  std::optional<manifest::Descriptor> entry{};              ///< of the list that was asked for
  std::optional<manifest::Descriptor> taken{};
  std::set<manifest::Digest> pulled{};  ///< with the one that is taken
  std::string reason{};
  std::vector<std::string> warnings{};
};

/// An image as far as it matters here.
struct ReadImage {
  manifest::ImageManifest manifest;
  /// Nullopt when it was not asked for, and for artifacts.
  std::optional<manifest::ImageConfig> config{};
};

/// Reads what is taken of one image or list.
class Follower {
 public:
  /// Both must outlive it.
  Follower(registry::ImageStore& store, WorkerPool& pool) : store_(store), pool_(pool) {}

  /// One for each kind, in their order. Errors: invalid_input when root is neither list nor image;
  /// those of the store.
  Result<std::vector<Taking>> follow(const manifest::Document& root,
                                     const std::vector<Kind>& kinds);

  /// Reads the configs of the images that were read.
  Result<void> read_configs();

  /// Nullptr for what is no image, or missing.
  [[nodiscard]] const ReadImage* image(const manifest::Digest& digest) const;

 private:
  /// Where one kind of node has got to.
  struct Step {
    std::size_t kind = 0;
    manifest::Digest list;
    std::optional<manifest::Descriptor> next{};
  };

  Result<void> keep(const manifest::Document& document);
  Result<void> fetch(const std::set<manifest::Digest>& wanted);
  void choose(Step& step, const Kind& kind, Taking& taking) const;
  /// False when there is nothing below to choose from.
  bool descend(Step& step, Taking& taking) const;

  registry::ImageStore& store_;
  WorkerPool& pool_;
  registry::DocumentBudget budget_;
  std::map<manifest::Digest, manifest::Index> lists_;
  std::map<manifest::Digest, ReadImage> images_;
  std::map<manifest::Digest, std::string> problems_;  ///< why it is neither
};

}  // namespace fnimage::resolve

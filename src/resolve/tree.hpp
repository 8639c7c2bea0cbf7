// What an image or list consists of, as far as it was read, and what a node takes of it. Private to
// resolve. Thread-safety: parts and trees are immutable once made; a TreeBuilder belongs to one
// thread, and reads on several.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/runtime_match.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/require/fit.hpp>
#include <fnimage/resolve/image.hpp>

namespace fnimage::resolve {

/// Nodes of the same kind take the same of a list, their requirements aside.
struct Kind {
  manifest::NodeMachine machine;
  manifest::Runtime runtime;
};

/// What an entry or an image asks of a node.
struct Asked {
  require::Requirements requirements;
  require::Needs needs;
  std::string problem{};  ///< why it is not understood; printable; empty = it is
};
/// Null: nothing.
using AskedPtr = std::shared_ptr<const Asked>;

struct Blob {
  manifest::Digest digest;
  std::uint64_t size = 0;
};

/// An image as far as it matters here.
struct ImagePart {
  std::vector<Blob> blobs{};  ///< config and layers, each once
  std::uint64_t pull_size = 0;
  std::string artifact_type{};                   ///< of what is none; empty = it is an image
  std::optional<manifest::Platform> platform{};  ///< its config's, if that has one
  AskedPtr asked{};
};

struct ListPart {
  manifest::Index index;
  std::vector<AskedPtr> asked{};        ///< of each entry
  std::vector<std::string> variants{};  ///< suffixes, the best first
  std::string variants_problem{};       ///< why they are not understood
};

/// One manifest: either of the two, or why it is neither.
struct Part {
  manifest::Descriptor descriptor;
  std::optional<ListPart> list{};
  std::optional<ImagePart> image{};
  std::string problem{};  ///< "is missing"; printable
  std::size_t memory = 0;
};
using PartPtr = std::shared_ptr<const Part>;

/// At most what fits: hostile sizes do not wrap around.
std::uint64_t saturated_sum(std::uint64_t a, std::uint64_t b) noexcept;

/// Whether it is a fault of what is stored, not of getting it.
bool is_fault_of_content(const Error& error) noexcept;

/// What a document says. What cannot be understood is a part with a problem. Reads the config of an
/// image. Errors: those of the store but not_found, and what comes broken.
Result<PartPtr> part_of(const manifest::Document& document, registry::ImageStore& store);
/// The same for a digest.
Result<PartPtr> read_part(registry::ImageStore& store, const manifest::Digest& digest);

/// Error: invalid_input for what is neither image nor list.
Result<void> check_root(const Part& root);

/// What one kind of node takes of a tree.
struct Found {
  enum class Trouble : std::uint8_t {
    none,
    no_match,  ///< the last list has nothing for it
    unread,    ///< `taken` was not read
    broken,    ///< `taken` is missing or no image
    nested_too_deep,
    other_platform,  ///< the entry names none, and the config another one
  };
  struct Step {
    const ListPart* list = nullptr;
    std::optional<std::size_t> taken{};
  };
  static constexpr std::size_t max_nesting = 8;

  Trouble trouble = Trouble::none;
  std::array<Step, max_nesting> steps{};        ///< the list, then lists within it
  std::size_t depth = 0;                        ///< of them; 0 = a single image
  const manifest::Descriptor* taken = nullptr;  ///< of the last manifest that it came to
  const Part* part = nullptr;                   ///< its; null when it was not read
  const Asked* asked = nullptr;                 ///< null: nothing
  bool is_foreign = false;                      ///< the config's platform does not run there

  [[nodiscard]] bool is_taken() const noexcept { return trouble == Trouble::none; }
  /// Of the list that was asked for.
  [[nodiscard]] std::optional<std::size_t> entry() const noexcept {
    return depth == 0 ? std::nullopt : steps[0].taken;
  }
};

class Tree {
 public:
  [[nodiscard]] const Part& root() const noexcept { return *items_.front().part; }
  /// Null for a single image.
  [[nodiscard]] const ListPart* list() const noexcept {
    return root().list ? &*root().list : nullptr;
  }
  /// Null when it was not read.
  [[nodiscard]] const Part* find(const manifest::Digest& digest) const;
  /// What a node takes, its requirements aside.
  [[nodiscard]] Found find_for(const manifest::Runtime& runtime,
                               const manifest::NodeMachine& machine) const noexcept;
  /// Whether everything was there.
  [[nodiscard]] bool is_complete() const noexcept;
  [[nodiscard]] std::size_t memory() const noexcept;

 private:
  friend class TreeBuilder;
  static constexpr std::uint32_t not_read = UINT32_MAX;
  struct Item {
    PartPtr part;
    std::vector<std::uint32_t> children{};  ///< of each entry: into items_, or not_read
  };

  std::vector<Item> items_;
  std::map<manifest::Digest, std::uint32_t> places_;
};

/// Reads trees, each manifest once.
class TreeBuilder {
 public:
  using Read = std::function<Result<PartPtr>(const manifest::Digest&)>;

  /// @param read is called from several threads.
  TreeBuilder(PartPtr root, Read read, WorkerPool& pool);

  /// Those that are not in the tree yet. Errors: those of reading; invalid_input for too much.
  Result<void> read(const std::set<manifest::Digest>& wanted);
  /// All that some node may take. Errors: also invalid_input for more than `most` manifests.
  Result<void> read_all(std::size_t most);

  [[nodiscard]] const Tree& tree() const noexcept { return tree_; }
  [[nodiscard]] std::shared_ptr<const Tree> share() && {
    return std::make_shared<const Tree>(std::move(tree_));
  }

 private:
  void add(PartPtr part);
  void link();

  Tree tree_;
  Read read_;
  WorkerPool& pool_;
  registry::DocumentBudget budget_;
};

/// The one decision: see ResolvedImage::choose().
Choice choose_from(const Tree& base, std::span<const Variant> variants,
                   const node::Node& node) noexcept;

}  // namespace fnimage::resolve

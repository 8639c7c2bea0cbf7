// An image with everything that choosing from it needs: the list, its variants, and what its images
// ask of a node. Made by a Resolver (resolver.hpp), shared by all who ask. Thread-safety:
// immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::resolve {

class Tree;

/// How many variants of one list are looked at.
inline constexpr std::size_t max_variants = 64;

/// What a node takes of an image and its variants. Its pointers refer to the ResolvedImage that
/// gave it, and are good for as long as that lives.
struct Choice {
  enum class Outcome : std::uint8_t {
    taken,
    no_match,  ///< the list has nothing that the node's runtime takes
    unfit,     ///< the node lacks what the image requires
    broken,    ///< what the runtime takes is missing, no image, or not understood
  };
  Outcome outcome = Outcome::no_match;
  /// Of the manifest to run; null unless one is taken.
  const manifest::Descriptor* image = nullptr;
  /// Into ResolvedImage::variants(); nullopt: of the list itself.
  std::optional<std::size_t> variant{};
  /// Into the manifests of that list; nullopt when none matches, and for a single image.
  std::optional<std::size_t> entry{};
  /// Of that image; null when it requires nothing, or none is taken.
  const require::Requirements* requirements = nullptr;
  /// Taken, but the node does not say whether it has all that is required.
  bool is_unsure = false;
  /// Taken, but its config says a platform that the node does not run: a runtime pulls a single
  /// image unasked, and it does not start (exec format error).
  bool is_foreign = false;
  std::uint64_t pull_size = 0;  ///< bytes of config and layers, compressed

  explicit operator bool() const noexcept { return outcome == Outcome::taken; }
};

/// A list that stands in for another one on the nodes that have what it requires. Plain runtimes
/// never see it.
struct Variant {
  std::string suffix;                  ///< "gpu"
  std::string tag;                     ///< "latest-gpu"
  std::shared_ptr<const Tree> tree{};  ///< null: it cannot be used
  std::string problem{};               ///< why not; printable
};

/// What is known of the image that an entry stands for.
struct EntryFacts {
  require::Requirements requirements{};
  std::optional<manifest::Platform> config_platform{};  ///< nullopt: it was not read, or has none
};

class ResolvedImage {
 public:
  /// @param name of the repository: "serverless:30501/action". @param problems with the variants
  /// as a whole, printable.
  ResolvedImage(std::string name, std::shared_ptr<const Tree> base, std::vector<Variant> variants,
                std::vector<std::string> problems);

  /// What the node takes: of the first variant that its runtime takes an image of, and whose
  /// requirements it is known to meet; else of the list itself, whose requirements it must not
  /// lack. Pure; allocates nothing, unless the entry that is taken names no platform or the node
  /// has os.features.
  [[nodiscard]] Choice choose(const node::Node& node) const noexcept;

  /// "serverless:30501/action@sha256:…": what the node is to pull; empty when nothing is taken.
  [[nodiscard]] std::string pull_name(const Choice& choice) const;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Of the list, or of the single image.
  [[nodiscard]] const manifest::Descriptor& root() const noexcept;
  /// Null for a single image.
  [[nodiscard]] const manifest::Index* index() const noexcept;
  /// The best first.
  [[nodiscard]] std::span<const Variant> variants() const noexcept { return variants_; }
  /// Null when that variant cannot be used.
  [[nodiscard]] const manifest::Index* variant_index(std::size_t variant) const noexcept;
  /// Of that variant's list. Null when it cannot be used.
  [[nodiscard]] const manifest::Descriptor* variant_root(std::size_t variant) const noexcept;
  /// Of the list, or of a variant's: one for each entry, in the list's order; of a single image
  /// just one. Error: invalid_input for requirements that are not understood; not_found for a
  /// variant that cannot be used.
  [[nodiscard]] Result<std::vector<EntryFacts>> facts(
      std::optional<std::size_t> variant = std::nullopt) const;
  /// What is wrong with it although nodes take it: variants that are missing. Printable.
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// Never null; for the resolver.
  [[nodiscard]] const std::shared_ptr<const Tree>& tree() const noexcept { return base_; }
  /// About how much memory it holds.
  [[nodiscard]] std::size_t memory() const noexcept { return memory_; }

 private:
  std::string name_;
  std::shared_ptr<const Tree> base_;
  std::vector<Variant> variants_;
  std::vector<std::string> warnings_;
  std::size_t memory_ = 0;
};

}  // namespace fnimage::resolve

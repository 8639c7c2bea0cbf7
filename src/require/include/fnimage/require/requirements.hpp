// What a function needs of the node that it runs on: the `requires:` of a build file, and the
// annotation that carries it on the entry of a list and on the image's manifest. Runtimes do not
// look at it; `resolve` and `place` do. Thread-safety: value types and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>

namespace fnimage::require {

/// CUDA's compute capability.
struct ComputeCapability {
  unsigned major = 0;
  unsigned minor = 0;

  friend auto operator<=>(const ComputeCapability&, const ComputeCapability&) = default;
};

struct Gpu {
  std::string vendor;       ///< "nvidia", "amd", "intel" (its driver i915) or "intel-xe"
  std::uint64_t count = 1;  ///< at least 1
  std::optional<std::uint64_t> memory_bytes{};  ///< of each; of nvidia only
  std::optional<ComputeCapability> compute{};   ///< or a newer one; of nvidia only

  friend bool operator==(const Gpu&, const Gpu&) = default;
};

struct Tpu {
  std::uint64_t count = 1;    ///< chips, at least 1
  std::string accelerator{};  ///< "tpu-v5-lite-podslice"; empty = any
  std::string topology{};     ///< "2x4"; empty = any

  friend bool operator==(const Tpu&, const Tpu&) = default;
};

/// A taint of nodes that the function is allowed on.
struct Toleration {
  std::string key;
  std::string value{};   ///< empty = whatever the taint's value is
  std::string effect{};  ///< "NoSchedule", "PreferNoSchedule", "NoExecute"; empty = all

  friend bool operator==(const Toleration&, const Toleration&) = default;
};

/// The needs of one platform's image.
struct Requirements {
  std::optional<std::uint64_t> cpu_millis{};  ///< thousandths of a processor
  std::optional<std::uint64_t> memory_bytes{};
  std::optional<Gpu> gpu{};
  std::optional<Tpu> tpu{};
  /// Of the platform's architecture, in Go's words: "v2" to "v4" of amd64, "power8" to "power10" of
  /// ppc64le. Empty = the baseline.
  std::string cpu_level{};
  std::vector<std::string> cpu_features{};  ///< as Node Feature Discovery names them: "AVX2", "MMA"
  std::map<std::string, std::string> near{};  ///< labels that the node has
  std::vector<Toleration> tolerations{};

  [[nodiscard]] bool empty() const { return *this == Requirements{}; }
  friend bool operator==(const Requirements&, const Requirements&) = default;
};

/// Of an entry of a list, and of an image's manifest: the needs as JSON, see to_json().
inline constexpr std::string_view requires_annotation = "io.fnimage.requires";
/// Of a list: what follows "<tag>-" in the tags of its variants, the best first: "gpu,avx512". See
/// resolve.
inline constexpr std::string_view variants_annotation = "io.fnimage.variants";

/// {"cpu":"4","gpu":{"count":1,"memory":"16Gi","vendor":"nvidia"},"memory":"8Gi"}: keys as in the
/// build file, sorted, compact; quantities in their shortest form. Equal values give equal text.
std::string to_json(const Requirements& requirements);

/// Reads to_json()'s text, and what others write in its manner. Unknown keys are errors: a need
/// that is not understood must not be passed over. Error: invalid_input, beginning with `what`.
Result<Requirements> parse_requirements(std::string_view json, std::string_view what);

/// What annotations say; nothing when they have none. Error: invalid_input.
Result<Requirements> requirements_of(const manifest::Annotations& annotations,
                                     std::string_view what);

/// "7.5", "9". Error: invalid_argument; the message is to follow what it is about.
Result<ComputeCapability> parse_compute_capability(std::string_view text);
/// "7.5", "9.0"
std::string to_string(const ComputeCapability& capability);

/// What makes requirements impossible.
struct Fault {
  std::vector<std::string> path;  ///< of the key: {"gpu", "memory"}, {"tolerations", "0", "effect"}
  std::string message;            ///< printable, to follow the key
  std::string hint{};
};

/// The first fault, nullopt when there is none: levels that the architecture does not have, memory
/// of GPUs of vendors whose nodes do not say it, labels that Kubernetes would refuse.
/// @param architecture empty = any: a level has to be one of some architecture.
std::optional<Fault> find_fault(const Requirements& requirements, std::string_view architecture);

/// Levels of an architecture's processors, the lowest first; empty when it has none.
std::vector<std::string_view> cpu_levels_of(std::string_view architecture);

/// Whether this can be asked of a platform at all, see find_fault(). Error: invalid_argument that
/// begins with the key: "gpu.memory: …".
Result<void> check(const Requirements& requirements, const manifest::Platform& platform);

/// Suffixes of the variants' tags. Error: invalid_input for what cannot stand in a tag, or twice.
Result<std::vector<std::string>> variants_of(const manifest::Annotations& annotations,
                                             std::string_view what);

/// Whether it can be the suffix of a variant's tag. Error: invalid_argument; the message is to
/// follow what it is about.
Result<void> check_variant(std::string_view suffix);

/// "4 cpu, 8Gi, 1 nvidia gpu ≥16Gi, level v3": for people; empty when nothing is required.
std::string describe(const Requirements& requirements);

}  // namespace fnimage::require

// Which entry of a list the container runtime of a node takes, and why it passes the others over.
// The runtimes differ: in the names that they understand, in what they fall back to, in what they
// make of os.features, of two equal entries and of entries that say no platform. Sources:
// containerd/platforms compare.go, containerd core/images, core/transfer/image and
// internal/cri/server/images, containers/image platform_matcher.go and oci_index.go, moby
// pull_v2_unix.go, go-containerregistry pkg/v1/platform.go. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::manifest {

enum class RuntimeKind : std::uint8_t {
  containerd,            ///< as Kubernetes asks it (CRI)
  containerd_client,     ///< as its Go client's Pull does: nerdctl, ctr images pull --local
  crio,                  ///< CRI-O and Podman: containers/image
  docker,                ///< Docker's own image store (graph drivers)
  docker_containerd,     ///< Docker on containerd's image store
  go_containerregistry,  ///< crane, ko, func, kaniko; asked for the node's platform
};

/// A container runtime.
struct Runtime {
  RuntimeKind kind = RuntimeKind::containerd;
  /// Its version; 0.0 = not known: the newest that is.
  unsigned major = 0;
  unsigned minor = 0;

  /// "containerd 2.1", "CRI-O", "Podman 5.2", "Docker (containerd's image store)"
  [[nodiscard]] std::string str() const;
  friend bool operator==(const Runtime&, const Runtime&) = default;
};

/// "containerd", "containerd:2.1", "containerd://2.1.4" (as a Node's status says it), "ctr:1.7",
/// "cri-o://1.30.2", "podman", "docker:27", "docker+containerd:28", "crane", "ggcr". What follows
/// the minor version ("1.7.27-k3s1") is not looked at. Error: invalid_argument, naming those that
/// are known.
Result<Runtime> parse_runtime(std::string_view text);

/// All kinds with the versions from which on they differ, oldest first: what a list has to please.
std::vector<Runtime> known_runtimes();

/// The platform as the runtime sees it: amd64 without a variant, arm with one; the os.features that
/// the node has (go-containerregistry: that are asked for). os.version counts only for
/// go-containerregistry: Windows' rules are not restated here. @param cpu_variant the level that a
/// processor's features come to ("v3" of amd64); only some runtimes find it out. Empty = not known.
struct NodeMachine {
  Platform platform;
  std::string cpu_variant{};
};

/// What becomes of one entry.
struct EntryVerdict {
  bool is_taken = false;   ///< it is what runs
  bool is_pulled = false;  ///< it is downloaded; also of entries that do not run
  std::string reason{};    ///< why it is passed over, or taken although it may not work; printable
};

struct RuntimeChoice {
  std::optional<std::size_t> taken;    ///< into the list's manifests; nullopt: the pull fails
  std::vector<EntryVerdict> verdicts;  ///< one for each entry, in the list's order
};

/// What a node takes of a list, into the list's manifests; nullopt: the pull fails. Linear in the
/// list, and without allocations unless the node has os.features.
std::optional<std::size_t> taken_by(const Index& list, const Runtime& runtime,
                                    const NodeMachine& node);

/// The same with the reasons. Never fails: a list from which nothing can be taken is an answer.
RuntimeChoice choose_for(const Index& list, const Runtime& runtime, const NodeMachine& node);

}  // namespace fnimage::manifest

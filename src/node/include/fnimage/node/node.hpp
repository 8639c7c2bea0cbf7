// Nodes of a cluster, as the Kubernetes API describes them (core/v1 Node): what decides which image
// a node takes and what it has room for. Thread-safety: value types and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/runtime_match.hpp>

namespace fnimage::node {

struct Taint {
  std::string key;
  std::string value;   ///< empty = none
  std::string effect;  ///< "NoSchedule", "PreferNoSchedule", "NoExecute"

  friend bool operator==(const Taint&, const Taint&) = default;
};

struct Resources {
  std::optional<std::uint64_t> cpu_millis{};    ///< thousandths of a processor; nullopt = not said
  std::optional<std::uint64_t> memory_bytes{};  ///< nullopt = not said
  std::map<std::string, std::uint64_t> others{};  ///< "nvidia.com/gpu": whole units or bytes

  friend bool operator==(const Resources&, const Resources&) = default;
};

struct Node {
  std::string name;
  manifest::NodeMachine machine;
  manifest::Runtime runtime{};
  std::map<std::string, std::string> labels{};
  Resources capacity{};
  Resources allocatable{};
  std::vector<Taint> taints{};
  bool unschedulable = false;
  bool ready = true;  ///< false when its status has a condition Ready that is not True
  /// It is an object of Kubernetes': what it does not have, it lacks. Of others, made from a
  /// platform or from a machine, what they do not say is not known.
  bool is_described = false;
};

/// How much is read: a node with a full list of images is about 20 KiB of JSON.
inline constexpr std::size_t max_nodes = 20'000;
inline constexpr std::size_t max_nodes_bytes = std::size_t{32} << 20;
inline constexpr std::size_t max_nodes_yaml_bytes = std::size_t{8} << 20;
/// Texts, numbers, lists and objects of all nodes together. What kubectl writes has one in 20 bytes
/// or more; without a limit 32 MiB of "{}" would take a gigabyte.
inline constexpr std::size_t max_nodes_values = 2'000'000;

/// Reads Node objects: one, or a List of them (`kubectl get nodes -o json`), or the same as YAML,
/// which may hold several documents. What begins with '{' is JSON. Error: invalid_input that names
/// node and field: "nodes.json: node worker-1: status.nodeInfo.architecture is not text"; also when
/// there is no node at all, and for objects that are something else.
/// @param name of the text, for messages.
Result<std::vector<Node>> read_nodes(std::string_view text, std::string_view name);

/// The machine that people mean by a platform: a variant of ARM is what runtimes see of it, one of
/// another architecture ("amd64/v3") the level of its processor.
manifest::NodeMachine machine_of(manifest::Platform platform);

}  // namespace fnimage::node

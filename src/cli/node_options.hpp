// Options that say which nodes are meant. Thread-safety: plain values.
#pragma once

#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/node/node.hpp>

namespace CLI {
class App;
}

namespace fnimage::cli {

struct NodeArguments {
  std::vector<std::string> files;
  std::vector<std::string> platforms;
  std::vector<std::string> labels;     ///< of the nodes of these platforms, as what follows
  std::vector<std::string> resources;  ///< "nvidia.com/gpu=2"
  std::string cpu;
  std::string memory;

  /// Whether the nodes of these platforms are described as Kubernetes describes its own.
  [[nodiscard]] bool describes() const {
    return !labels.empty() || !resources.empty() || !cpu.empty() || !memory.empty();
  }
};

/// --node, --platform, --label, --cpu, --memory, --resource.
void add_node_options(CLI::App& command, NodeArguments& arguments);

/// Nodes of files as kubectl writes them, "-" for standard input. Errors: those of reading.
Result<std::vector<node::Node>> read_node_files(const std::vector<std::string>& files);

/// Those of the files, or one for each platform, or else this machine. Errors: invalid_argument for
/// the options, those of reading.
Result<std::vector<node::Node>> nodes_of(const NodeArguments& arguments);

}  // namespace fnimage::cli

#include "node_options.hpp"

#include <iterator>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/host.hpp>
#include <fnimage/node/label.hpp>
#include <fnimage/node/quantity.hpp>
#include <fnimage/require/selection.hpp>

#include "standard_input.hpp"

namespace fnimage::cli {

namespace {

constexpr std::uint64_t millis_per_cpu = 1000;

tl::unexpected<Error> refuse_option(std::string_view option, const std::string& value,
                                    std::string_view message, std::string_view form) {
  return fail(ErrorCode::invalid_argument,
              fmt::format("{} {}: {}", option, printable(value, 100), message),
              fmt::format("write {}", form));
}

Result<std::uint64_t> quantity_of(std::string_view option, const std::string& value,
                                  const std::string& text, std::uint64_t per_unit) {
  const auto quantity = node::parse_quantity(text, per_unit);
  return quantity ? quantity
                  : refuse_option(option, value, quantity.error().message(), "4, 500m, 16Gi");
}

/// "KEY=VALUE" whose key Kubernetes would take.
Result<std::pair<std::string, std::string>> pair_of(std::string_view option,
                                                    const std::string& text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string::npos) {
    return refuse_option(option, text, "has no '='", "KEY=VALUE");
  }
  std::string key = text.substr(0, sign);
  if (const auto checked = node::check_label_key(key); !checked) {
    return refuse_option(option, text, checked.error().message(), "KEY=VALUE");
  }
  return std::pair(std::move(key), text.substr(sign + 1));
}

/// The labels that say the level of the processor, as those of real nodes do.
void label_level(node::Node& node) {
  const manifest::Platform& platform = node.machine.platform;
  for (const std::string_view level : require::cpu_levels_of(platform.architecture)) {
    if (node.machine.cpu_variant.empty()) {
      return;
    }
    const auto needs = require::label_needs({.cpu_level = std::string(level)}, platform);
    for (const require::Expression& expression : needs.front().any.front()) {
      if (!expression.values.empty()) {
        node.labels.emplace(expression.key, expression.values.front());
      }
    }
    if (level == node.machine.cpu_variant) {
      return;
    }
  }
}

/// A node that is as the options say and has nothing else.
Result<node::Node> described_node(const NodeArguments& arguments) {
  node::Node node;
  node.is_described = true;
  for (const std::string& text : arguments.labels) {
    FNIMAGE_TRY(auto label, pair_of("--label", text));
    if (const auto checked = node::check_label_value(label.second); !checked) {
      return refuse_option("--label", text, checked.error().message(), "KEY=VALUE");
    }
    node.labels[label.first] = std::move(label.second);
  }
  for (const std::string& text : arguments.resources) {
    FNIMAGE_TRY(const auto resource, pair_of("--resource", text));
    FNIMAGE_TRY(node.allocatable.others[resource.first],
                quantity_of("--resource", text, resource.second, 1));
  }
  if (!arguments.cpu.empty()) {
    FNIMAGE_TRY(node.allocatable.cpu_millis,
                quantity_of("--cpu", arguments.cpu, arguments.cpu, millis_per_cpu));
  }
  if (!arguments.memory.empty()) {
    FNIMAGE_TRY(node.allocatable.memory_bytes,
                quantity_of("--memory", arguments.memory, arguments.memory, 1));
  }
  return node;
}

Result<std::vector<node::Node>> nodes_of_platforms(const NodeArguments& arguments) {
  std::vector<node::Node> nodes;
  node::Node described;
  if (arguments.describes()) {
    FNIMAGE_TRY(described, described_node(arguments));
  }
  for (const std::string& text : arguments.platforms) {
    FNIMAGE_TRY(manifest::Platform platform, manifest::Platform::parse(text));
    node::Node& node = nodes.emplace_back(described);
    node.name = platform.str();
    node.machine = node::machine_of(std::move(platform));
    if (node.is_described) {
      label_level(node);
    }
  }
  return nodes;
}

}  // namespace

void add_node_options(CLI::App& command, NodeArguments& arguments) {
  CLI::Option* file =
      command
          .add_option("--node", arguments.files,
                      "Nodes as `kubectl get nodes -o json` (or yaml) writes them, - for standard "
                      "input; may be repeated")
          ->type_name("FILE");
  CLI::Option* platform =
      command
          .add_option(
              "--platform", arguments.platforms,
              "A node of this platform, linux/amd64/v3 with that processor; may be repeated "
              "(default: this machine)")
          ->type_name("P")
          ->excludes(file);
  command
      .add_option("--label", arguments.labels,
                  "Of the nodes of --platform, which then have no other; may be repeated")
      ->type_name("KEY=VALUE")
      ->needs(platform);
  command.add_option("--cpu", arguments.cpu, "Processors that these nodes have: 4, 3500m")
      ->type_name("N")
      ->needs(platform);
  command.add_option("--memory", arguments.memory, "Memory that these nodes have: 16Gi")
      ->type_name("SIZE")
      ->needs(platform);
  command
      .add_option("--resource", arguments.resources,
                  "Devices that these nodes have: nvidia.com/gpu=2; may be repeated")
      ->type_name("NAME=N")
      ->needs(platform);
}

Result<std::vector<node::Node>> read_node_files(const std::vector<std::string>& files) {
  std::vector<node::Node> nodes;
  for (const std::string& file : files) {
    FNIMAGE_TRY(const std::string text, read_input(file, node::max_nodes_bytes));
    FNIMAGE_TRY(std::vector<node::Node> read, node::read_nodes(text, input_name(file)));
    std::move(read.begin(), read.end(), std::back_inserter(nodes));
  }
  return nodes;
}

Result<std::vector<node::Node>> nodes_of(const NodeArguments& arguments) {
  FNIMAGE_TRY(std::vector<node::Node> nodes, read_node_files(arguments.files));
  FNIMAGE_TRY(std::vector<node::Node> others, nodes_of_platforms(arguments));
  std::move(others.begin(), others.end(), std::back_inserter(nodes));
  if (nodes.empty()) {
    nodes.push_back({.name = "this machine", .machine = node::this_machine()});
  }
  return nodes;
}

}  // namespace fnimage::cli

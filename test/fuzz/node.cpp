// Nodes of a cluster in JSON and YAML, what functions require of them, and the small grammars of
// both: quantities, labels, variants. What can be read is written and read again, and both ways of
// asking whether a node fits agree.
#include <fnimage/node/label.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/node/quantity.hpp>
#include <fnimage/require/fit.hpp>

#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

require::Requirements example() {
  return {.cpu_millis = 4000,
          .gpu = require::Gpu{.vendor = "nvidia",
                              .memory_bytes = std::uint64_t{16} << 30,
                              .compute = require::ComputeCapability{7, 5}},
          .cpu_level = "v3",
          .near = {{"warehouse", "dwh-1"}}};
}

const manifest::Platform& amd64() {
  static const manifest::Platform platform{"linux", "amd64", {}, {}, {}};
  return platform;
}

void check_fit(const require::Requirements& requirements, node::Node node) {
  const require::Needs needs(requirements, amd64());
  for (const bool is_described : {true, false}) {
    node.is_described = is_described;
    const require::Fit fit = needs.fit(node);
    require(fit.is_good() == needs.fits(node), "the short answer is the long one's");
    require(!is_described || fit.unknown.size() <= 2,
            "only cpu and memory are unknown of an object");
  }
}

void check_nodes(std::string_view text) {
  const auto nodes = node::read_nodes(text, "input");
  if (!succeeded(nodes)) {
    return;
  }
  require(!nodes->empty(), "no nodes are an error");
  for (const node::Node& node : *nodes) {
    require(!node.name.empty() && !node.machine.platform.os.empty() &&
                !node.machine.platform.architecture.empty(),
            "a node has a name and a platform");
    require(node.is_described, "a node that is read is an object");
    check_fit(example(), node);
  }
}

void check_requirements(std::string_view text) {
  const auto requirements = require::parse_requirements(text, "input");
  if (!succeeded(requirements)) {
    return;
  }
  const std::string json = require::to_json(*requirements);
  const auto again = require::parse_requirements(json, "again");
  require(succeeded(again) && *again == *requirements, "what is written can be read");
  require(require::to_json(*again) == json, "and gives the same text");
  require(!require::terms_of(*requirements, amd64()).empty(), "there is a term");
  for (const auto& [key, quantity] : require::resources_of(*requirements)) {
    require(succeeded(node::parse_quantity(quantity)), "resources are quantities");
  }
  require::describe(*requirements);
  check_fit(*requirements, {.name = "node", .machine = {amd64(), "v2"}});
}

void check_small(std::string_view text) {
  if (const auto value = node::parse_quantity(text); succeeded(value)) {
    const auto again = node::parse_quantity(node::quantity_text(*value));
    require(succeeded(again) && *again == *value, "quantities can be written");
  }
  if (const auto millis = node::parse_quantity(text, 1000); succeeded(millis)) {
    const auto again = node::parse_quantity(node::millis_text(*millis), 1000);
    require(succeeded(again) && *again == *millis, "and thousandths");
  }
  if (succeeded(node::check_label_value(text)) && !text.empty()) {
    require(succeeded(node::check_label_key(text)), "a value is a key, too");
  }
  succeeded(require::variants_of({{std::string(require::variants_annotation), std::string(text)}},
                                 "input"));
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string_view text = text_of(data, size);
  check_nodes(text);
  check_requirements(text);
  check_small(text);
  return 0;
}

// Node objects as kubectl writes them, and as nobody should.
#include <fmt/format.h>

#include <fnimage/node/host.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::node {
namespace {

using manifest::RuntimeKind;
using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::string_view worker = R"({
  "apiVersion": "v1", "kind": "Node",
  "metadata": {"name": "worker-1", "labels": {
    "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": "worker-1",
    "feature.node.kubernetes.io/cpu-cpuid.X86_64_V2": "true",
    "feature.node.kubernetes.io/cpu-cpuid.X86_64_V3": "true",
    "feature.node.kubernetes.io/cpu-cpuid.X86_64_V4": "false"}},
  "spec": {"podCIDR": "10.244.1.0/24", "unschedulable": true, "taints": [
    {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule",
     "timeAdded": "2026-01-02T03:04:05Z"}]},
  "status": {
    "capacity": {"cpu": "8", "memory": "65586508Ki", "nvidia.com/gpu": "2", "pods": "110"},
    "allocatable": {"cpu": "7910m", "memory": 64000000000, "nvidia.com/gpu": "1"},
    "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
    "images": [{"names": ["serverless:30501/action:latest"], "sizeBytes": 12}],
    "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux",
                 "containerRuntimeVersion": "containerd://2.1.4", "kubeletVersion": "v1.33.1"}}})";

/// The worker with one text in place of another.
std::string changed(std::string_view from, std::string_view to) {
  std::string text(worker);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Nodes, AreReadWithAllThatMatters) {
  const std::vector<Node> nodes = unwrap(read_nodes(worker, "nodes.json"));
  ASSERT_THAT(nodes, SizeIs(1));
  const Node& node = nodes.front();
  EXPECT_EQ(node.name, "worker-1");
  EXPECT_EQ(node.machine.platform.str(), "linux/amd64");
  EXPECT_EQ(node.machine.cpu_variant, "v3");
  EXPECT_EQ(node.runtime, (manifest::Runtime{RuntimeKind::containerd, 2, 1}));
  EXPECT_EQ(node.labels.at("kubernetes.io/hostname"), "worker-1");
  EXPECT_THAT(node.taints,
              ElementsAre(Taint{"nvidia.com/gpu", "present", "NoSchedule"},
                          Taint{"node.kubernetes.io/unschedulable", "", "NoSchedule"}));
  EXPECT_TRUE(node.unschedulable);
  EXPECT_TRUE(node.ready);
  EXPECT_TRUE(node.is_described);
  EXPECT_EQ(node.capacity, (Resources{.cpu_millis = 8000,
                                      .memory_bytes = std::uint64_t{65586508} << 10,
                                      .others = {{"nvidia.com/gpu", 2}, {"pods", 110}}}));
  EXPECT_EQ(node.allocatable, (Resources{.cpu_millis = 7910,
                                         .memory_bytes = 64'000'000'000,
                                         .others = {{"nvidia.com/gpu", 1}}}));
}

TEST(Nodes, LabelsStandInForTheStatus) {
  const Node node =
      unwrap(
          read_nodes(changed(R"("architecture": "amd64", "operatingSystem": "linux",)", ""), "n"))
          .front();
  EXPECT_EQ(node.machine.platform.str(), "linux/amd64");
  EXPECT_THAT(
      read_nodes(changed(R"("kubernetes.io/arch": "amd64")", R"("kubernetes.io/arch": "ppc64le")"),
                 "n"),
      fails_with(ErrorCode::invalid_input,
                 AllOf(HasSubstr("node worker-1: status.nodeInfo.architecture is amd64"),
                       HasSubstr("label kubernetes.io/arch says ppc64le"))));
  EXPECT_THAT(
      read_nodes(changed(R"("kubernetes.io/os": "linux")", R"("kubernetes.io/os": "windows")"),
                 "n"),
      fails_with(ErrorCode::invalid_input, HasSubstr("operatingSystem is linux")));
}

TEST(Nodes, MayBeUnready) {
  const auto ready = [](std::string_view status) {
    return unwrap(read_nodes(changed(R"("Ready", "status": "True")",
                                     fmt::format(R"("Ready", "status": "{}")", status)),
                             "n"))
        .front()
        .ready;
  };
  EXPECT_FALSE(ready("Unknown"));
  EXPECT_FALSE(ready("False"));
  EXPECT_TRUE(ready("True"));
}

TEST(Nodes, OfAListAreAll) {
  const std::string second = changed("\"worker-1\", \"labels\"", "\"worker-2\", \"labels\"");
  for (const std::string_view kind : {"List", "NodeList"}) {
    const std::vector<Node> nodes = unwrap(read_nodes(
        fmt::format(R"({{"kind": "{}", "items": [{}, {}]}})", kind, worker, second), "n"));
    ASSERT_THAT(nodes, SizeIs(2));
    EXPECT_EQ(nodes[1].name, "worker-2");
  }
  std::string without_kind = changed(R"("apiVersion": "v1", "kind": "Node",)", "");
  EXPECT_THAT(
      read_nodes(fmt::format(R"({{"kind": "NodeList", "items": [{}]}})", without_kind), "n"),
      test::is_ok());
  EXPECT_THAT(read_nodes(fmt::format(R"({{"kind": "List", "items": [{}]}})", without_kind), "n"),
              fails_with(ErrorCode::invalid_input, HasSubstr("items[0]: kind is missing")));
}

TEST(Nodes, FaultsNameNodeAndField) {
  const std::vector<std::array<std::string, 3>> faults{
      {R"("architecture": "amd64")", R"("architecture": 5)",
       "nodes.json: node worker-1: status.nodeInfo.architecture is not text"},
      {R"("containerRuntimeVersion": "containerd://2.1.4",)", "",
       "nodes.json: node worker-1: status.nodeInfo.containerRuntimeVersion is missing"},
      {"containerd://2.1.4", "rubbish",
       "nodes.json: node worker-1: status.nodeInfo.containerRuntimeVersion is not known"},
      {R"("cpu": "8")", R"("cpu": "8 cores")",
       "nodes.json: node worker-1: status.capacity.cpu is no quantity: \"8 cores\""},
      {R"("cpu": "7910m")", R"("cpu": [])",
       "nodes.json: node worker-1: status.allocatable.cpu is no quantity"},
      {R"("kubernetes.io/hostname": "worker-1")", R"("kubernetes.io/hostname": true)",
       "nodes.json: node worker-1: metadata.labels.kubernetes.io/hostname is not text"},
      {R"("unschedulable": true)", R"("unschedulable": "yes")",
       "nodes.json: node worker-1: spec.unschedulable is not true or false"},
      {R"("key": "nvidia.com/gpu", )", "",
       "nodes.json: node worker-1: spec.taints[0]: key is missing"},
      {R"({"type": "MemoryPressure", "status": "False"})", "7",
       "nodes.json: node worker-1: status.conditions[0]: is not an object"},
      {R"("spec": {)", R"("spec": 1, "s": {)", "nodes.json: node worker-1: spec is not an object"},
      {R"("name": "worker-1",)", "", "nodes.json: metadata.name is missing"},
      {R"("name": "worker-1",)", R"("name": [],)", "nodes.json: metadata.name is not text"},
      {R"("kind": "Node")", R"("kind": "Pod")", "nodes.json: is a Pod, not a Node"},
      {R"("kind": "Node")", R"("kind": null)", "nodes.json: kind is missing"},
  };
  for (const auto& [from, to, message] : faults) {
    EXPECT_THAT(read_nodes(changed(from, to), "nodes.json"),
                fails_with(ErrorCode::invalid_input, StartsWith(message)));
  }
}

TEST(Nodes, WordsFromOutsideAreMadePrintable) {
  const auto read = read_nodes(
      changed(R"("architecture": "amd64")", R"("architecture": "\u001b[2J")"), "evil\x1b.json");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message().find('\x1b'), std::string::npos);
  EXPECT_THAT(read.error().message(), HasSubstr("evil\\x1b.json"));
}

TEST(Nodes, HostileTextsAreRefused) {
  const auto refused = [](const std::string& text, std::string_view why) {
    EXPECT_THAT(read_nodes(text, "n"), fails_with(ErrorCode::invalid_input, HasSubstr(why)));
  };
  refused("", "there is no node in it");
  refused(R"({"kind": "List", "items": []})", "there is no node in it");
  refused(R"({"kind": "List", "items": {}})", "items is not a list");
  refused(R"({"kind": "List", "items": [null]})", "items[0]: is not an object");
  // Lists do not nest.
  refused(R"({"kind": "List", "items": [{"kind": "List", "items": []}]})", "is a List, not a Node");
  refused("{\"a\":" + std::string(100'000, '['), "nested deeper");
  refused(R"({"kind": "Node", "kind": "Node"})", "duplicate key");
  refused("{" + std::string(max_nodes_bytes, ' ') + "}", "is more than");
  refused(changed("worker-1\",", std::string(5000, 'x') + "\","), "longer than 4096 bytes");
  std::string tiny = R"({"kind": "NodeList", "items": [)";
  while (tiny.size() + 5 < max_nodes_bytes) {
    tiny += "{},";
  }
  tiny.back() = ']';
  refused(tiny + "}", "more than 2000000 values");
  std::string many = R"({"kind": "NodeList", "items": [)";
  const std::string small =
      R"({"metadata":{"name":"a"},"status":{"nodeInfo":{"architecture":"amd64",)"
      R"("operatingSystem":"linux","containerRuntimeVersion":"cri-o://1.30.1"}}},)";
  for (std::size_t i = 0; i <= max_nodes; ++i) {
    many += small;
  }
  many.back() = ']';
  refused(many + "}", "more than 20000 nodes");
}

constexpr std::string_view power = R"(apiVersion: v1
items:
- apiVersion: v1
  kind: Node
  metadata:
    annotations:
      volumes.kubernetes.io/controller-managed-attach-detach: "true"
    labels:
      kubernetes.io/arch: ppc64le
      kubernetes.io/os: linux
      feature.node.kubernetes.io/cpu-cpuid.X86_64_V3: "true"
    name: power-1
  spec: {}
  status:
    allocatable:
      cpu: 159500m
      memory: 1e3
    capacity:
      cpu: 160
      memory: 2.5Gi
      pods: "250"
    conditions:
    - lastHeartbeatTime: "2026-11-01T10:00:00Z"
      status: "False"
      type: Ready
    nodeInfo:
      architecture: ppc64le
      containerRuntimeVersion: cri-o://1.30.2
      operatingSystem: linux
kind: List
metadata:
  resourceVersion: ""
)";

TEST(YamlNodes, AreReadAsJsonIs) {
  const std::vector<Node> nodes = unwrap(read_nodes(power, "nodes.yaml"));
  ASSERT_THAT(nodes, SizeIs(1));
  const Node& node = nodes.front();
  EXPECT_EQ(node.name, "power-1");
  EXPECT_EQ(node.machine.platform.str(), "linux/ppc64le");
  EXPECT_EQ(node.machine.cpu_variant, "");
  EXPECT_EQ(node.runtime, (manifest::Runtime{RuntimeKind::crio, 1, 30}));
  EXPECT_FALSE(node.ready);
  EXPECT_EQ(node.capacity, (Resources{.cpu_millis = 160'000,
                                      .memory_bytes = std::uint64_t{5} << 29,
                                      .others = {{"pods", 250}}}));
  EXPECT_EQ(node.allocatable, (Resources{.cpu_millis = 159'500, .memory_bytes = 1000}));
}

/// A node as a document of its own.
std::string yaml_node(std::string_view name, std::string_view extra = "") {
  return fmt::format(
      "kind: Node\nmetadata:\n  name: {}\nstatus:\n  nodeInfo: {{architecture: s390x, "
      "operatingSystem: linux, containerRuntimeVersion: \"containerd://1.7.24~ds1\"}}\n{}",
      name, extra);
}

TEST(YamlNodes, MayBeSeveralDocuments) {
  const std::vector<Node> nodes = unwrap(
      read_nodes("---\n" + yaml_node("a") + "---\n---\n" + yaml_node("\"7\"") + "...\n", "n"));
  ASSERT_THAT(nodes, SizeIs(2));
  EXPECT_EQ(nodes[0].name, "a");
  EXPECT_EQ(nodes[1].name, "7");
  EXPECT_THAT(read_nodes(yaml_node("a") + "---\nkind: Pod\n", "n"),
              fails_with(ErrorCode::invalid_input, HasSubstr("n: document 2: is a Pod")));
  // What is not quoted is a number, as for Kubernetes.
  EXPECT_THAT(read_nodes(yaml_node("7"), "n"),
              fails_with(ErrorCode::invalid_input, HasSubstr("metadata.name is not text")));
}

TEST(YamlNodes, HostileTextsAreRefused) {
  const auto refused = [](const std::string& text, std::string_view why) {
    EXPECT_THAT(read_nodes(text, "n.yaml"), fails_with(ErrorCode::invalid_input, HasSubstr(why)));
  };
  refused("a: &x 1\nb: *x\n", "n.yaml:1:4: anchors");
  refused("a: *x\n", "n.yaml:1:4:");
  refused("a: !!binary eA==\n", "tags (");
  refused(yaml_node("a", "kind: Node\n"), "duplicate key 'kind'");
  refused("? [a]\n: 1\n", "a key must be a plain name");
  refused("a: " + std::string(100, '[') + std::string(100, ']'), "nested deeper than 64 levels");
  refused("a: " + std::string(100'000, '['), "a key must be a plain name");  // as yaml-cpp sees it
  std::string deep;
  for (int i = 0; i < 10'000; ++i) {
    deep += "- ";
  }
  refused(deep, "nested deeper than 64 levels");
  refused(std::string("kind: Node\n\0more", 16), "a zero byte");
  refused("a: [1, 2\n", "not valid YAML");
  refused("kind: Node #" + std::string(max_nodes_yaml_bytes, 'x'), "accepted as YAML");
  std::string tiny = "a: [";
  while (tiny.size() + 5 < max_nodes_yaml_bytes) {
    tiny += "{},";
  }
  refused(tiny + "]\n", "more than 2000000 values");
  std::string many;
  for (std::size_t i = 0; i <= max_nodes; ++i) {
    many += "--- 1\n";
  }
  refused(many, "more than 20000 documents");
}

TEST(Machines, OfAPlatform) {
  const auto machine = [](std::string_view text) {
    return machine_of(unwrap(manifest::Platform::parse(text)));
  };
  EXPECT_EQ(machine("linux/amd64/v3").platform.str(), "linux/amd64");
  EXPECT_EQ(machine("linux/amd64/v3").cpu_variant, "v3");
  EXPECT_EQ(machine("linux/arm/v6").platform.str(), "linux/arm/v6");
  EXPECT_EQ(machine("linux/arm/v6").cpu_variant, "");
}

TEST(Machines, ThisOneIsTheHost) {
  const manifest::NodeMachine machine = this_machine();
  EXPECT_EQ(machine.platform, manifest::host_platform());
  if (machine.platform.architecture == "amd64") {
    EXPECT_THAT(machine.cpu_variant, ::testing::AnyOf("", "v2", "v3", "v4"));
  } else {
    EXPECT_EQ(machine.cpu_variant, "");
  }
}

}  // namespace
}  // namespace fnimage::node

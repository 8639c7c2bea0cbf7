// Reading Node objects, see the header. Fields that are not needed are not looked at; those that
// are must be what the API says.
#include <array>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/node/quantity.hpp>

#include "yaml_documents.hpp"

namespace fnimage::node {

namespace {

using nlohmann::json;

constexpr std::string_view arch_label = "kubernetes.io/arch";
constexpr std::string_view os_label = "kubernetes.io/os";
constexpr std::size_t max_labels = 10'000;  // of one node
constexpr std::size_t max_word = 4096;      // bytes of one text

/// The member of an object, or null when it is absent or null.
const json* member_of(const json& object, std::string_view key) {
  const auto found = object.find(std::string(key));
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// Reads one object; every error says the place.
class NodeReader {
 public:
  NodeReader(const json& object, std::string place) : object_(object), place_(std::move(place)) {}

  Result<Node> read() {
    Node node;
    node.is_described = true;
    FNIMAGE_TRY(node.name, required_text({"metadata", "name"}, {}));
    place_ += fmt::format(": node {}", printable(node.name, 80));
    FNIMAGE_TRY(node.labels, read_labels());
    FNIMAGE_TRY(node.machine, read_machine(node.labels));
    FNIMAGE_TRY(node.runtime, read_runtime());
    FNIMAGE_TRY(node.capacity, read_resources("capacity"));
    FNIMAGE_TRY(node.allocatable, read_resources("allocatable"));
    FNIMAGE_TRY(node.taints, read_taints());
    FNIMAGE_TRY(node.unschedulable, read_flag({"spec", "unschedulable"}));
    FNIMAGE_TRY(node.ready, read_ready());
    return node;
  }

 private:
  using Path = std::initializer_list<std::string_view>;

  [[nodiscard]] tl::unexpected<Error> refuse_field(std::string_view field, std::string_view what,
                                                   std::string hint = {}) const {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{}: {}{}{}", place_, printable(field, 200), field.empty() ? "" : " ", what),
        std::move(hint));
  }

  /// Null when it, or an object above it, is absent.
  [[nodiscard]] Result<const json*> find(Path path) const {
    const json* value = &object_;
    std::string walked;
    for (const std::string_view key : path) {
      if (!value->is_object()) {
        return refuse_field(walked, "is not an object");
      }
      value = member_of(*value, key);
      if (value == nullptr) {
        return nullptr;
      }
      walked += walked.empty() ? key : fmt::format(".{}", key);
    }
    return value;
  }

  [[nodiscard]] Result<std::string> text_of(const json& value, std::string_view field) const {
    if (!value.is_string()) {
      return refuse_field(field, "is not text");
    }
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() > max_word) {
      return refuse_field(field, fmt::format("is longer than {} bytes", max_word));
    }
    return text;
  }

  /// Empty when it is absent.
  [[nodiscard]] Result<std::string> read_text(Path path) const {
    FNIMAGE_TRY(const json* value, find(path));
    return value == nullptr ? Result<std::string>(std::string()) : text_of(*value, joined(path));
  }

  [[nodiscard]] Result<std::string> required_text(Path path, std::string hint) const {
    FNIMAGE_TRY(std::string text, read_text(path));
    if (text.empty()) {
      return refuse_field(joined(path), "is missing", std::move(hint));
    }
    return text;
  }

  [[nodiscard]] Result<bool> read_flag(Path path) const {
    FNIMAGE_TRY(const json* value, find(path));
    if (value != nullptr && !value->is_boolean()) {
      return refuse_field(joined(path), "is not true or false");
    }
    return value != nullptr && value->get<bool>();
  }

  static std::string joined(Path path) { return fmt::format("{}", fmt::join(path, ".")); }

  /// The members of an object that may be absent.
  [[nodiscard]] Result<const json*> find_object(Path path) const {
    FNIMAGE_TRY(const json* value, find(path));
    if (value != nullptr && !value->is_object()) {
      return refuse_field(joined(path), "is not an object");
    }
    if (value != nullptr && value->size() > max_labels) {
      return refuse_field(joined(path), fmt::format("has more than {} members", max_labels));
    }
    return value;
  }

  [[nodiscard]] Result<const json*> find_list(Path path) const {
    FNIMAGE_TRY(const json* value, find(path));
    if (value != nullptr && !value->is_array()) {
      return refuse_field(joined(path), "is not a list");
    }
    if (value != nullptr && value->size() > max_labels) {
      return refuse_field(joined(path), fmt::format("has more than {} entries", max_labels));
    }
    return value;
  }

  [[nodiscard]] Result<std::map<std::string, std::string>> read_labels() const {
    std::map<std::string, std::string> labels;
    FNIMAGE_TRY(const json* object, find_object({"metadata", "labels"}));
    if (object == nullptr) {
      return labels;
    }
    for (const auto& [key, value] : object->items()) {
      FNIMAGE_TRY(labels[key], text_of(value, "metadata.labels." + key));
    }
    return labels;
  }

  /// What the status says, else the label; both must say the same.
  [[nodiscard]] Result<std::string> read_word(std::string_view status_key, std::string_view label,
                                              const std::map<std::string, std::string>& labels) {
    const std::string field = fmt::format("status.nodeInfo.{}", status_key);
    FNIMAGE_TRY(std::string said, read_text({"status", "nodeInfo", status_key}));
    const auto labelled = labels.find(std::string(label));
    if (labelled == labels.end()) {
      return said.empty()
                 ? refuse_field(field, fmt::format("is missing, and so is the label {}", label))
                 : Result<std::string>(std::move(said));
    }
    if (!said.empty() && said != labelled->second) {
      return refuse_field(field, fmt::format("is {}, and the label {} says {}", printable(said, 80),
                                             label, printable(labelled->second, 80)));
    }
    return labelled->second;
  }

  Result<manifest::NodeMachine> read_machine(const std::map<std::string, std::string>& labels) {
    FNIMAGE_TRY(const std::string architecture, read_word("architecture", arch_label, labels));
    FNIMAGE_TRY(const std::string os, read_word("operatingSystem", os_label, labels));
    auto platform = manifest::Platform::parse(os + "/" + architecture);
    if (!platform) {
      return refuse_field("status.nodeInfo",
                          fmt::format("is of no platform: {}", platform.error().message()));
    }
    std::string level = platform->architecture == "amd64" ? level_of(labels) : std::string();
    return manifest::NodeMachine{.platform = std::move(*platform), .cpu_variant = std::move(level)};
  }

  /// What Node Feature Discovery has found out.
  static std::string level_of(const std::map<std::string, std::string>& labels) {
    constexpr std::array<std::string_view, 3> levels{"4", "3", "2"};
    for (const std::string_view level : levels) {
      const auto label =
          labels.find(fmt::format("feature.node.kubernetes.io/cpu-cpuid.X86_64_V{}", level));
      if (label != labels.end() && label->second == "true") {
        return fmt::format("v{}", level);
      }
    }
    return {};
  }

  [[nodiscard]] Result<manifest::Runtime> read_runtime() const {
    constexpr std::string_view field = "status.nodeInfo.containerRuntimeVersion";
    FNIMAGE_TRY(const std::string said,
                required_text({"status", "nodeInfo", "containerRuntimeVersion"},
                              "write the runtime that the node has, like containerd://2.1.4"));
    auto runtime = manifest::parse_runtime(said);
    if (!runtime) {
      return refuse_field(field, fmt::format("is not known: {}", runtime.error().message()),
                          runtime.error().hint());
    }
    return *runtime;
  }

  [[nodiscard]] Result<std::uint64_t> quantity_of(const json& value, const std::string& field,
                                                  std::uint64_t per_unit) const {
    if (!value.is_string() && !value.is_number()) {
      return refuse_field(field, "is no quantity");
    }
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    const auto quantity = parse_quantity(text, per_unit);
    return quantity ? quantity : refuse_field(field, quantity.error().message());
  }

  [[nodiscard]] Result<Resources> read_resources(std::string_view key) const {
    Resources resources;
    FNIMAGE_TRY(const json* object, find_object({"status", key}));
    if (object == nullptr) {
      return resources;
    }
    constexpr std::uint64_t millis = 1000;
    for (const auto& [name, value] : object->items()) {
      const std::string field = fmt::format("status.{}.{}", key, name);
      FNIMAGE_TRY(const std::uint64_t amount,
                  quantity_of(value, field, name == "cpu" ? millis : 1));
      if (name == "cpu") {
        resources.cpu_millis = amount;
      } else if (name == "memory") {
        resources.memory_bytes = amount;
      } else {
        resources.others[name] = amount;
      }
    }
    return resources;
  }

  [[nodiscard]] Result<std::vector<Taint>> read_taints() const {
    std::vector<Taint> taints;
    FNIMAGE_TRY(const json* list, find_list({"spec", "taints"}));
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const NodeReader entry((*list)[i], fmt::format("{}: spec.taints[{}]", place_, i));
      Taint& taint = taints.emplace_back();
      FNIMAGE_TRY(taint.key, entry.required_text({"key"}, {}));
      FNIMAGE_TRY(taint.value, entry.read_text({"value"}));
      FNIMAGE_TRY(taint.effect, entry.required_text({"effect"}, {}));
    }
    return taints;
  }

  [[nodiscard]] Result<bool> read_ready() const {
    FNIMAGE_TRY(const json* list, find_list({"status", "conditions"}));
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const NodeReader entry((*list)[i], fmt::format("{}: status.conditions[{}]", place_, i));
      FNIMAGE_TRY(const std::string type, entry.required_text({"type"}, {}));
      if (type == "Ready") {
        FNIMAGE_TRY(const std::string status, entry.required_text({"status"}, {}));
        return status == "True";
      }
    }
    return true;
  }

  const json& object_;
  std::string place_;
};

/// The nodes of all objects of a text.
class NodeCollector {
 public:
  explicit NodeCollector(std::string_view name) : name_(name) {}

  Result<void> add(const json& object, const std::string& where) {
    FNIMAGE_TRY(const std::string kind, kind_of(object, where));
    if (kind != "List" && kind != "NodeList") {
      return add_node(object, kind, where);
    }
    const json* items = member_of(object, "items");
    if (items == nullptr || !items->is_array()) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: items is not a list", where));
    }
    for (std::size_t i = 0; i < items->size(); ++i) {
      const json& item = (*items)[i];
      const std::string item_where = fmt::format("{}: items[{}]", where, i);
      // A NodeList's own items need not say what they are.
      std::string item_kind = "Node";
      if (kind == "List" || !item.is_object() || item.contains("kind")) {
        FNIMAGE_TRY(item_kind, kind_of(item, item_where));
      }
      FNIMAGE_CHECK(add_node(item, item_kind, item_where));
    }
    return {};
  }

  Result<std::vector<Node>> take() && {
    if (nodes_.empty()) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: there is no node in it", name_),
                  "write it with: kubectl get nodes -o json");
    }
    return std::move(nodes_);
  }

 private:
  static Result<std::string> kind_of(const json& object, const std::string& where) {
    if (!object.is_object()) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: is not an object", where));
    }
    const json* kind = member_of(object, "kind");
    if (kind == nullptr || !kind->is_string()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: kind is {}", where, kind == nullptr ? "missing" : "not text"));
    }
    return kind->get<std::string>();
  }

  Result<void> add_node(const json& object, const std::string& kind, const std::string& where) {
    if (kind != "Node") {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: is a {}, not a Node", where, printable(kind, 80)),
                  "write it with: kubectl get nodes -o json");
    }
    if (nodes_.size() >= max_nodes) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: more than {} nodes", name_, max_nodes));
    }
    // Before its name is known a node goes by its place, afterwards by its name.
    const bool has_name = object.contains("metadata") && object["metadata"].is_object() &&
                          object["metadata"].contains("name");
    NodeReader reader(object, has_name ? name_ : where);
    FNIMAGE_TRY(nodes_.emplace_back(), reader.read());
    return {};
  }

  std::string name_;
  std::vector<Node> nodes_;
};

Result<std::vector<json>> parse_objects(std::string_view text, const std::string& name) {
  if (!trim(text).starts_with('{')) {
    return parse_yaml_documents(text, name);
  }
  FNIMAGE_TRY(
      json object,
      parse_json(text, name, {.max_bytes = max_nodes_bytes, .max_values = max_nodes_values}));
  std::vector<json> objects;
  objects.push_back(std::move(object));
  return objects;
}

}  // namespace

Result<std::vector<Node>> read_nodes(std::string_view text, std::string_view name) {
  const std::string shown = printable(name, 200);
  FNIMAGE_TRY(const std::vector<json> objects, parse_objects(text, shown));
  NodeCollector collector(shown);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    FNIMAGE_CHECK(collector.add(
        objects[i], objects.size() == 1 ? shown : fmt::format("{}: document {}", shown, i + 1)));
  }
  return std::move(collector).take();
}

manifest::NodeMachine machine_of(manifest::Platform platform) {
  const bool sees_variant = platform.architecture.starts_with("arm");
  std::string level = sees_variant ? std::string() : std::exchange(platform.variant, {});
  return {.platform = std::move(platform), .cpu_variant = std::move(level)};
}

}  // namespace fnimage::node

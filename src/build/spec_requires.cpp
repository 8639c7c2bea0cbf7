// Types are read here; what makes no sense is found by require::find_fault(), whose path leads to
// the line.
#include "spec_requires.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/quantity.hpp>

namespace fnimage::build {

namespace {

using NeedKeys = std::string_view;
constexpr std::array<NeedKeys, 8> requires_keys{"cpu",       "memory",       "gpu",  "tpu",
                                                "cpu-level", "cpu-features", "near", "tolerations"};
constexpr std::array<NeedKeys, 4> gpu_keys{"vendor", "count", "memory", "compute"};
constexpr std::array<NeedKeys, 3> tpu_keys{"count", "accelerator", "topology"};
constexpr std::array<NeedKeys, 3> toleration_keys{"key", "value", "effect"};
constexpr std::array<NeedKeys, 2> levelled{"amd64", "ppc64le"};

constexpr std::uint64_t millis_per_cpu = 1000;
constexpr std::size_t max_variants = 32;

/// A message that is to follow what it is about.
tl::unexpected<Error> refuse_value(const SpecReader& reader, const YamlNode& node,
                                   std::string_view message, std::string hint = {}) {
  const std::string about =
      node.key.empty() ? "this" : fmt::format("'{}'", printable(node.key, shown_bytes));
  return reader.refuse(node, fmt::format("{} {}", about, message), std::move(hint));
}

Result<std::uint64_t> read_quantity(const SpecReader& reader, const YamlNode& node,
                                    std::uint64_t per_unit = 1) {
  FNIMAGE_TRY(const std::string text, reader.text_not_empty(node));
  const auto amount = node::parse_quantity(text, per_unit);
  return amount ? amount
                : refuse_value(reader, node, amount.error().message(),
                               "write it as Kubernetes does: 4, 500m, 8Gi");
}

Result<void> read_quantity_of(const SpecReader& reader, const YamlNode& mapping,
                              std::string_view key, std::uint64_t per_unit,
                              std::optional<std::uint64_t>& amount) {
  if (const YamlNode* node = mapping.find(key)) {
    FNIMAGE_TRY(amount, read_quantity(reader, *node, per_unit));
  }
  return {};
}

Result<void> read_count_of(const SpecReader& reader, const YamlNode& mapping,
                           std::uint64_t& count) {
  const YamlNode* node = mapping.find("count");
  if (node == nullptr) {
    return {};
  }
  FNIMAGE_TRY(const std::string text, reader.text_not_empty(*node));
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{} || stop != end) {
    return refuse_value(reader, *node,
                        fmt::format("is no whole number: '{}'", printable(text, shown_bytes)));
  }
  return {};
}

Result<void> read_text_of(const SpecReader& reader, const YamlNode& mapping, std::string_view key,
                          std::string& text) {
  if (const YamlNode* node = mapping.find(key)) {
    FNIMAGE_TRY(text, reader.text_not_empty(*node));
  }
  return {};
}

Result<require::Gpu> read_gpu(const SpecReader& reader, const YamlNode& node) {
  FNIMAGE_CHECK(reader.expect_mapping(node, gpu_keys));
  FNIMAGE_TRY(const YamlNode* vendor, reader.require(node, "vendor"));
  require::Gpu gpu;
  FNIMAGE_TRY(gpu.vendor, reader.text_not_empty(*vendor));
  FNIMAGE_CHECK(read_count_of(reader, node, gpu.count));
  FNIMAGE_CHECK(read_quantity_of(reader, node, "memory", 1, gpu.memory_bytes));
  if (const YamlNode* compute = node.find("compute")) {
    FNIMAGE_TRY(const std::string text, reader.text_not_empty(*compute));
    const auto capability = require::parse_compute_capability(text);
    if (!capability) {
      return refuse_value(reader, *compute, capability.error().message(),
                          capability.error().hint());
    }
    gpu.compute = *capability;
  }
  return gpu;
}

Result<require::Tpu> read_tpu(const SpecReader& reader, const YamlNode& node) {
  FNIMAGE_CHECK(reader.expect_mapping(node, tpu_keys));
  require::Tpu tpu;
  FNIMAGE_CHECK(read_count_of(reader, node, tpu.count));
  FNIMAGE_CHECK(read_text_of(reader, node, "accelerator", tpu.accelerator));
  FNIMAGE_CHECK(read_text_of(reader, node, "topology", tpu.topology));
  return tpu;
}

Result<std::vector<require::Toleration>> read_tolerations(const SpecReader& reader,
                                                          const YamlNode& node) {
  FNIMAGE_CHECK(reader.expect_list(node));
  std::vector<require::Toleration> tolerations;
  for (const YamlNode& item : node.children) {
    FNIMAGE_CHECK(reader.expect_mapping(item, toleration_keys));
    FNIMAGE_TRY(const YamlNode* key, reader.require(item, "key"));
    require::Toleration& toleration = tolerations.emplace_back();
    FNIMAGE_TRY(toleration.key, reader.text_not_empty(*key));
    FNIMAGE_CHECK(read_text_of(reader, item, "value", toleration.value));
    FNIMAGE_CHECK(read_text_of(reader, item, "effect", toleration.effect));
  }
  return tolerations;
}

/// The node that a fault is about, or the last one above it that there is.
const YamlNode& node_at(const YamlNode& top, const std::vector<std::string>& path,
                        std::size_t from = 0) {
  const YamlNode* node = &top;
  for (std::size_t i = from; i < path.size(); ++i) {
    const YamlNode* below = node->find(path[i]);
    std::size_t index = 0;
    const char* end = path[i].data() + path[i].size();
    if (below == nullptr && node->kind == YamlNode::Kind::list &&
        std::from_chars(path[i].data(), end, index).ptr == end && index < node->children.size()) {
      below = &node->children[index];
    }
    if (below == nullptr) {
      break;
    }
    node = below;
  }
  return *node;
}

Result<void> read_levels(const SpecReader& reader, const YamlNode& node, RequiresSpec& needs) {
  FNIMAGE_CHECK(reader.expect_mapping(node, levelled));
  for (const YamlNode& member : node.children) {
    FNIMAGE_TRY(std::string level, reader.text_not_empty(member));
    if (const auto fault = require::find_fault({.cpu_level = level}, member.key)) {
      return reader.refuse(member, fmt::format("'cpu-level' {}", fault->message), fault->hint);
    }
    needs.cpu_levels[member.key] = std::move(level);
  }
  return {};
}

Result<void> read_features(const SpecReader& reader, const YamlNode& node, RequiresSpec& needs) {
  // Of any architecture, but a mapping; the names are looked at one by one.
  FNIMAGE_CHECK(node.kind == YamlNode::Kind::mapping ? Result<void>()
                                                     : reader.expect_mapping(node, levelled));
  for (const YamlNode& member : node.children) {
    const auto platform = manifest::Platform::parse(member.key);
    if (!platform || platform->architecture != member.key) {
      return reader.refuse_key(
          member, fmt::format("unknown architecture '{}'", printable(member.key, shown_bytes)),
          platform ? fmt::format("write {}", platform->architecture) : platform.error().hint());
    }
    FNIMAGE_TRY(std::vector<std::string> features, reader.text_list(member));
    if (const auto fault = require::find_fault({.cpu_features = features}, member.key)) {
      return refuse_value(reader, node_at(member, fault->path, 1), fault->message, fault->hint);
    }
    needs.cpu_features[member.key] = std::move(features);
  }
  return {};
}

Result<void> read_common(const SpecReader& reader, const YamlNode& node,
                         require::Requirements& common) {
  FNIMAGE_CHECK(read_quantity_of(reader, node, "cpu", millis_per_cpu, common.cpu_millis));
  FNIMAGE_CHECK(read_quantity_of(reader, node, "memory", 1, common.memory_bytes));
  if (const YamlNode* gpu = node.find("gpu")) {
    FNIMAGE_TRY(common.gpu, read_gpu(reader, *gpu));
  }
  if (const YamlNode* tpu = node.find("tpu")) {
    FNIMAGE_TRY(common.tpu, read_tpu(reader, *tpu));
  }
  if (const YamlNode* near = node.find("near")) {
    FNIMAGE_TRY(common.near, reader.text_map(*near));
  }
  if (const YamlNode* tolerations = node.find("tolerations")) {
    FNIMAGE_TRY(common.tolerations, read_tolerations(reader, *tolerations));
  }
  if (const auto fault = require::find_fault(common, {})) {
    return refuse_value(reader, node_at(node, fault->path), fault->message, fault->hint);
  }
  return {};
}

Result<void> check_variant_name(const SpecReader& reader, const YamlNode& item,
                                const std::string& suffix, const BuildSpec& spec) {
  if (const auto checked = require::check_variant(suffix); !checked) {
    return refuse_value(reader, item, checked.error().message(), checked.error().hint());
  }
  const bool is_platform =
      manifest::Platform::parse(suffix).has_value() ||
      std::any_of(spec.platforms.begin(), spec.platforms.end(),
                  [&](const auto& platform) { return platform.tag_suffix() == suffix; });
  if (is_platform) {
    return reader.refuse(item,
                         fmt::format("'{}' ends the tag of a platform, not of a variant", suffix),
                         "choose another name for the variant");
  }
  if (std::find(spec.variants.begin(), spec.variants.end(), suffix) != spec.variants.end()) {
    return reader.refuse(item, fmt::format("variant '{}' is named twice", suffix));
  }
  return {};
}

}  // namespace

require::Requirements RequiresSpec::of(const manifest::Platform& platform) const {
  require::Requirements requirements = common;
  if (const auto level = cpu_levels.find(platform.architecture); level != cpu_levels.end()) {
    requirements.cpu_level = level->second;
  }
  if (const auto features = cpu_features.find(platform.architecture);
      features != cpu_features.end()) {
    requirements.cpu_features = features->second;
  }
  return requirements;
}

Result<void> read_requires(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* node = root.find("requires");
  if (node == nullptr) {
    return {};
  }
  FNIMAGE_CHECK(reader.expect_mapping(*node, requires_keys));
  FNIMAGE_CHECK(read_common(reader, *node, spec.requirements.common));
  if (const YamlNode* levels = node->find("cpu-level")) {
    FNIMAGE_CHECK(read_levels(reader, *levels, spec.requirements));
  }
  if (const YamlNode* features = node->find("cpu-features")) {
    FNIMAGE_CHECK(read_features(reader, *features, spec.requirements));
  }
  return {};
}

Result<void> read_variants(const SpecReader& reader, const YamlNode& root, BuildSpec& spec) {
  const YamlNode* node = root.find("variants");
  if (node == nullptr) {
    return {};
  }
  FNIMAGE_CHECK(reader.expect_list(*node));
  if (node->children.size() > max_variants) {
    return reader.refuse(*node, fmt::format("'variants' names more than {}", max_variants));
  }
  for (const YamlNode& item : node->children) {
    FNIMAGE_TRY(std::string suffix, reader.text_not_empty(item));
    FNIMAGE_CHECK(check_variant_name(reader, item, suffix, spec));
    spec.variants.push_back(std::move(suffix));
  }
  return {};
}

}  // namespace fnimage::build

// The annotations: writing them in one form, and reading them strictly.
#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/node/quantity.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::require {

namespace {

using nlohmann::json;

constexpr JsonLimits requires_limits{.max_bytes = std::size_t{64} << 10, .max_depth = 4};
constexpr std::size_t max_variants = 32;
constexpr std::uint64_t millis_per_cpu = 1000;
constexpr std::size_t shown_text = 80;

using Names = std::span<const std::string_view>;
constexpr std::array<std::string_view, 8> all_keys{
    "cpu", "memory", "gpu", "tpu", "cpu-level", "cpu-features", "near", "tolerations"};
constexpr std::array<std::string_view, 4> gpu_keys{"vendor", "count", "memory", "compute"};
constexpr std::array<std::string_view, 3> tpu_keys{"count", "accelerator", "topology"};
constexpr std::array<std::string_view, 3> toleration_keys{"key", "value", "effect"};

/// Reads one JSON object; every error says the place.
class NeedReader {
 public:
  /// @param path what is in front of its keys: "gpu.", or nothing.
  NeedReader(const json& object, std::string_view what, std::string path)
      : object_(object), what_(what), path_(std::move(path)) {}

  Result<void> expect_keys(Names names) const {
    if (!object_.is_object()) {
      return refuse_key({}, "is not an object");
    }
    for (const auto& [key, value] : object_.items()) {
      if (std::find(names.begin(), names.end(), key) == names.end()) {
        return refuse_key(key, "is not known",
                          "it may be of a newer version, whose needs must not be passed over");
      }
    }
    return {};
  }

  [[nodiscard]] const json* find(std::string_view key) const {
    const auto found = object_.find(std::string(key));
    return found == object_.end() ? nullptr : &*found;
  }

  /// Empty when it is absent.
  [[nodiscard]] Result<std::string> text(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) {
      return std::string();
    }
    return value->is_string() ? Result<std::string>(value->get<std::string>())
                              : refuse_key(key, "is not text");
  }

  [[nodiscard]] Result<std::optional<std::uint64_t>> quantity(std::string_view key,
                                                              std::uint64_t per_unit = 1) const {
    const json* value = find(key);
    if (value == nullptr) {
      return std::nullopt;
    }
    if (!value->is_string() && !value->is_number()) {
      return refuse_key(key, "is no quantity");
    }
    const auto amount = node::parse_quantity(
        value->is_string() ? value->get<std::string>() : value->dump(), per_unit);
    return amount ? Result<std::optional<std::uint64_t>>(*amount)
                  : refuse_key(key, amount.error().message());
  }

  [[nodiscard]] Result<std::uint64_t> count(std::string_view key) const {
    FNIMAGE_TRY(const auto amount, quantity(key));
    return amount.value_or(1);
  }

  [[nodiscard]] Result<std::vector<std::string>> texts(std::string_view key) const {
    std::vector<std::string> list;
    const json* value = find(key);
    if (value != nullptr && !value->is_array()) {
      return refuse_key(key, "is not a list");
    }
    for (std::size_t i = 0; value != nullptr && i < value->size(); ++i) {
      if (!(*value)[i].is_string()) {
        return refuse_key(fmt::format("{}[{}]", key, i), "is not text");
      }
      list.push_back((*value)[i].get<std::string>());
    }
    return list;
  }

  [[nodiscard]] Result<std::map<std::string, std::string>> text_map(std::string_view key) const {
    std::map<std::string, std::string> map;
    const json* value = find(key);
    if (value == nullptr) {
      return map;
    }
    if (!value->is_object()) {
      return refuse_key(key, "is not an object");
    }
    for (const auto& [name, text] : value->items()) {
      if (!text.is_string()) {
        return refuse_key(fmt::format("{}.{}", key, name), "is not text");
      }
      map[name] = text.get<std::string>();
    }
    return map;
  }

  [[nodiscard]] NeedReader below(const json& value, std::string_view key) const {
    return {value, what_, fmt::format("{}{}", path_, key)};
  }

  [[nodiscard]] tl::unexpected<Error> refuse_key(std::string_view key, std::string_view message,
                                                 std::string hint = {}) const {
    const std::string_view dot = path_.empty() || key.empty() ? "" : ".";
    const std::string place = printable(fmt::format("{}{}{}", path_, dot, key), 200);
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: {}{}{}", what_, place, place.empty() ? "" : " ", message),
                std::move(hint));
  }

 private:
  const json& object_;
  std::string_view what_;
  std::string path_;
};

Result<Gpu> read_gpu(const NeedReader& reader) {
  FNIMAGE_CHECK(reader.expect_keys(gpu_keys));
  Gpu gpu;
  FNIMAGE_TRY(gpu.vendor, reader.text("vendor"));
  FNIMAGE_TRY(gpu.count, reader.count("count"));
  FNIMAGE_TRY(gpu.memory_bytes, reader.quantity("memory"));
  if (reader.find("compute") != nullptr) {
    FNIMAGE_TRY(const std::string text, reader.text("compute"));
    auto capability = parse_compute_capability(text);
    if (!capability) {
      return reader.refuse_key("compute", capability.error().message());
    }
    gpu.compute = *capability;
  }
  return gpu;
}

Result<Tpu> read_tpu(const NeedReader& reader) {
  FNIMAGE_CHECK(reader.expect_keys(tpu_keys));
  Tpu tpu;
  FNIMAGE_TRY(tpu.count, reader.count("count"));
  FNIMAGE_TRY(tpu.accelerator, reader.text("accelerator"));
  FNIMAGE_TRY(tpu.topology, reader.text("topology"));
  return tpu;
}

Result<std::vector<Toleration>> read_tolerations(const NeedReader& reader) {
  std::vector<Toleration> tolerations;
  const json* list = reader.find("tolerations");
  if (list != nullptr && !list->is_array()) {
    return reader.refuse_key("tolerations", "is not a list");
  }
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const NeedReader entry = reader.below((*list)[i], fmt::format("tolerations[{}]", i));
    FNIMAGE_CHECK(entry.expect_keys(toleration_keys));
    Toleration& toleration = tolerations.emplace_back();
    FNIMAGE_TRY(toleration.key, entry.text("key"));
    FNIMAGE_TRY(toleration.value, entry.text("value"));
    FNIMAGE_TRY(toleration.effect, entry.text("effect"));
  }
  return tolerations;
}

Result<Requirements> read_all(const NeedReader& reader) {
  FNIMAGE_CHECK(reader.expect_keys(all_keys));
  Requirements requirements;
  FNIMAGE_TRY(requirements.cpu_millis, reader.quantity("cpu", millis_per_cpu));
  FNIMAGE_TRY(requirements.memory_bytes, reader.quantity("memory"));
  if (const json* gpu = reader.find("gpu")) {
    FNIMAGE_TRY(requirements.gpu, read_gpu(reader.below(*gpu, "gpu")));
  }
  if (const json* tpu = reader.find("tpu")) {
    FNIMAGE_TRY(requirements.tpu, read_tpu(reader.below(*tpu, "tpu")));
  }
  FNIMAGE_TRY(requirements.cpu_level, reader.text("cpu-level"));
  FNIMAGE_TRY(requirements.cpu_features, reader.texts("cpu-features"));
  FNIMAGE_TRY(requirements.near, reader.text_map("near"));
  FNIMAGE_TRY(requirements.tolerations, read_tolerations(reader));
  return requirements;
}

json gpu_json(const Gpu& gpu) {
  json value{{"vendor", gpu.vendor}, {"count", gpu.count}};
  if (gpu.memory_bytes) {
    value["memory"] = node::quantity_text(*gpu.memory_bytes);
  }
  if (gpu.compute) {
    value["compute"] = to_string(*gpu.compute);
  }
  return value;
}

json tpu_json(const Tpu& tpu) {
  json value{{"count", tpu.count}};
  if (!tpu.accelerator.empty()) {
    value["accelerator"] = tpu.accelerator;
  }
  if (!tpu.topology.empty()) {
    value["topology"] = tpu.topology;
  }
  return value;
}

json tolerations_json(const std::vector<Toleration>& tolerations) {
  json list = json::array();
  for (const Toleration& toleration : tolerations) {
    json& value = list.emplace_back(json{{"key", toleration.key}});
    if (!toleration.value.empty()) {
      value["value"] = toleration.value;
    }
    if (!toleration.effect.empty()) {
      value["effect"] = toleration.effect;
    }
  }
  return list;
}

std::string gpu_text(const Gpu& gpu) {
  std::string text = fmt::format("{} {} gpu", gpu.count, gpu.vendor);
  if (gpu.memory_bytes) {
    text += fmt::format(" ≥{}", node::quantity_text(*gpu.memory_bytes));
  }
  if (gpu.compute) {
    text += fmt::format(" compute ≥{}", to_string(*gpu.compute));
  }
  return text;
}

std::string tpu_text(const Tpu& tpu) {
  return fmt::format("{} tpu{}{}{}{}", tpu.count, tpu.accelerator.empty() ? "" : " ",
                     tpu.accelerator, tpu.topology.empty() ? "" : " ", tpu.topology);
}

}  // namespace

Result<ComputeCapability> parse_compute_capability(std::string_view text) {
  const std::size_t dot = text.find('.');
  const auto number = [](std::string_view digits) -> std::optional<unsigned> {
    unsigned value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
  };
  const auto major = number(text.substr(0, dot));
  const auto minor =
      dot == std::string_view::npos ? std::optional(0U) : number(text.substr(dot + 1));
  if (!major || !minor) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("is no compute capability: \"{}\"", printable(text, shown_text)),
                "write it like \"7.5\"");
  }
  return ComputeCapability{*major, *minor};
}

std::string to_string(const ComputeCapability& capability) {
  return fmt::format("{}.{}", capability.major, capability.minor);
}

std::string to_json(const Requirements& requirements) {
  json value = json::object();
  if (requirements.cpu_millis) {
    value["cpu"] = node::millis_text(*requirements.cpu_millis);
  }
  if (requirements.memory_bytes) {
    value["memory"] = node::quantity_text(*requirements.memory_bytes);
  }
  if (requirements.gpu) {
    value["gpu"] = gpu_json(*requirements.gpu);
  }
  if (requirements.tpu) {
    value["tpu"] = tpu_json(*requirements.tpu);
  }
  if (!requirements.cpu_level.empty()) {
    value["cpu-level"] = requirements.cpu_level;
  }
  if (!requirements.cpu_features.empty()) {
    value["cpu-features"] = requirements.cpu_features;
  }
  if (!requirements.near.empty()) {
    value["near"] = requirements.near;
  }
  if (!requirements.tolerations.empty()) {
    value["tolerations"] = tolerations_json(requirements.tolerations);
  }
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Requirements> parse_requirements(std::string_view json, std::string_view what) {
  FNIMAGE_TRY(const nlohmann::json object, parse_json(json, what, requires_limits));
  FNIMAGE_TRY(Requirements requirements, read_all(NeedReader(object, what, {})));
  if (const auto fault = find_fault(requirements, {})) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{}: {}: {}", what, printable(fmt::format("{}", fmt::join(fault->path, "."))),
                    fault->message),
        fault->hint);
  }
  return requirements;
}

Result<Requirements> requirements_of(const manifest::Annotations& annotations,
                                     std::string_view what) {
  const auto found = annotations.find(std::string(requires_annotation));
  if (found == annotations.end()) {
    return Requirements{};
  }
  return parse_requirements(found->second, fmt::format("{}: {}", what, requires_annotation));
}

Result<void> check_variant(std::string_view suffix) {
  if (manifest::is_valid_tag(fmt::format("x-{}", suffix)) && !suffix.empty()) {
    return {};
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("cannot end a tag: \"{}\"", printable(suffix, shown_text)),
              "use letters, digits, '.', '_' and '-': gpu, avx512");
}

Result<std::vector<std::string>> variants_of(const manifest::Annotations& annotations,
                                             std::string_view what) {
  std::vector<std::string> variants;
  const auto found = annotations.find(std::string(variants_annotation));
  if (found == annotations.end()) {
    return variants;
  }
  const auto refuse = [&](std::string_view message) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: {}: {}", what, variants_annotation, message));
  };
  for (const std::string_view suffix : split(found->second, ',')) {
    if (const auto checked = check_variant(suffix); !checked) {
      return refuse(checked.error().message());
    }
    if (std::find(variants.begin(), variants.end(), suffix) != variants.end()) {
      return refuse(fmt::format("{} is named twice", suffix));
    }
    if (variants.size() == max_variants) {
      return refuse(fmt::format("more than {} variants", max_variants));
    }
    variants.emplace_back(suffix);
  }
  return variants;
}

std::string describe(const Requirements& requirements) {
  std::vector<std::string> parts;
  if (requirements.cpu_millis) {
    parts.push_back(fmt::format("{} cpu", node::millis_text(*requirements.cpu_millis)));
  }
  if (requirements.memory_bytes) {
    parts.push_back(node::quantity_text(*requirements.memory_bytes));
  }
  if (requirements.gpu) {
    parts.push_back(gpu_text(*requirements.gpu));
  }
  if (requirements.tpu) {
    parts.push_back(tpu_text(*requirements.tpu));
  }
  if (!requirements.cpu_level.empty()) {
    parts.push_back("level " + requirements.cpu_level);
  }
  parts.insert(parts.end(), requirements.cpu_features.begin(), requirements.cpu_features.end());
  for (const auto& [key, value] : requirements.near) {
    parts.push_back(fmt::format("{}={}", key, value));
  }
  return printable(join(parts, ", "));
}

}  // namespace fnimage::require

// What cannot be asked of any node, so that it is found where it is written and not when nothing
// gets placed.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/label.hpp>
#include <fnimage/require/requirements.hpp>

#include "words.hpp"

namespace fnimage::require {

namespace {

constexpr std::size_t shown_fault = 80;
constexpr std::uint64_t max_devices = 4096;  // of one node
constexpr std::size_t max_entries = 64;      // of one list
constexpr unsigned max_capability = 999;

using Path = std::vector<std::string>;
using MaybeFault = std::optional<Fault>;

MaybeFault fault_if(bool is_fault, Path path, std::string_view message, std::string hint = {}) {
  return is_fault ? MaybeFault(Fault{std::move(path), std::string(message), std::move(hint)})
                  : std::nullopt;
}

MaybeFault fault_from(const Result<void>& checked, Path path) {
  return checked ? std::nullopt
                 : MaybeFault(
                       Fault{std::move(path), checked.error().message(), checked.error().hint()});
}

MaybeFault wrong_count(std::uint64_t count, Path path) {
  return fault_if(count == 0 || count > max_devices, std::move(path),
                  fmt::format("must be 1 to {}", max_devices));
}

MaybeFault wrong_vendor(const std::string& vendor) {
  if (find_vendor(vendor) != nullptr) {
    return std::nullopt;
  }
  std::vector<std::string_view> names;
  for (const GpuVendor& known : gpu_vendors()) {
    names.push_back(known.name);
  }
  const auto near = nearest(vendor, names);
  return Fault{{"gpu", "vendor"},
               fmt::format("is no known vendor: \"{}\"{}", printable(vendor, shown_fault),
                           near ? fmt::format("; did you mean {}?", *near) : std::string()),
               fmt::format("choose {}", fmt::join(names, ", "))};
}

MaybeFault fault_in(const Gpu& gpu) {
  if (auto fault = wrong_vendor(gpu.vendor)) {
    return fault;
  }
  if (auto fault = wrong_count(gpu.count, {"gpu", "count"})) {
    return fault;
  }
  const bool has_labels = find_vendor(gpu.vendor)->has_labels;
  constexpr std::string_view unsaid = "is said by nodes of nvidia's GPUs only";
  if (auto fault = fault_if(gpu.memory_bytes && !has_labels, {"gpu", "memory"}, unsaid)) {
    return fault;
  }
  if (auto fault = fault_if(gpu.memory_bytes == 0, {"gpu", "memory"}, "must be more than 0")) {
    return fault;
  }
  if (auto fault = fault_if(gpu.compute && !has_labels, {"gpu", "compute"}, unsaid)) {
    return fault;
  }
  return fault_if(gpu.compute && (gpu.compute->major == 0 || gpu.compute->major > max_capability ||
                                  gpu.compute->minor > max_capability),
                  {"gpu", "compute"}, "is no compute capability");
}

MaybeFault fault_in(const Tpu& tpu) {
  if (auto fault = wrong_count(tpu.count, {"tpu", "count"})) {
    return fault;
  }
  if (auto fault = fault_from(node::check_label_value(tpu.accelerator), {"tpu", "accelerator"})) {
    return fault;
  }
  return fault_from(node::check_label_value(tpu.topology), {"tpu", "topology"});
}

MaybeFault wrong_level(const std::string& level, std::string_view architecture) {
  if (level.empty()) {
    return std::nullopt;
  }
  const auto levels = cpu_levels();
  const bool is_known = std::any_of(levels.begin(), levels.end(), [&](const CpuLevel& known) {
    return known.name == level && (architecture.empty() || known.architecture == architecture);
  });
  if (is_known) {
    return std::nullopt;
  }
  if (architecture.empty()) {
    return Fault{{"cpu-level"},
                 fmt::format("is no known level: \"{}\"", printable(level, shown_fault))};
  }
  const auto names = cpu_levels_of(architecture);
  const std::string shown = printable(architecture, shown_fault);
  if (names.empty()) {
    return Fault{{"cpu-level"}, fmt::format("{} has no levels", shown), "remove it"};
  }
  return Fault{{"cpu-level"},
               fmt::format("is no level of {}: \"{}\"", shown, printable(level, shown_fault)),
               fmt::format("choose {}", fmt::join(names, ", "))};
}

MaybeFault fault_in(const std::vector<std::string>& features) {
  if (auto fault = fault_if(features.size() > max_entries, {"cpu-features"},
                            fmt::format("has more than {} entries", max_entries))) {
    return fault;
  }
  for (std::size_t i = 0; i < features.size(); ++i) {
    const std::string& feature = features[i];
    const Path path{"cpu-features", fmt::format("{}", i)};
    // It becomes part of a key, and the rule for keys looks at one as a whole.
    if (feature.empty() || feature.find('/') != std::string::npos ||
        !node::check_label_key(fmt::format("{}{}", cpuid_label, feature))) {
      return Fault{
          path,
          fmt::format("is no feature of a processor: \"{}\"", printable(feature, shown_fault)),
          "write it as Node Feature Discovery does: AVX2, MMA"};
    }
    if (std::find(features.begin(), features.begin() + static_cast<std::ptrdiff_t>(i), feature) !=
        features.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Fault{path, fmt::format("is named twice: {}", feature)};
    }
  }
  return std::nullopt;
}

MaybeFault fault_in(const std::map<std::string, std::string>& near) {
  if (auto fault = fault_if(near.size() > max_entries, {"near"},
                            fmt::format("has more than {} labels", max_entries))) {
    return fault;
  }
  for (const auto& [key, value] : near) {
    if (auto fault = fault_from(node::check_label_key(key), {"near", key})) {
      return fault;
    }
    if (auto fault = fault_from(node::check_label_value(value), {"near", key})) {
      return fault;
    }
  }
  return std::nullopt;
}

MaybeFault fault_in(const Toleration& toleration, const std::string& index) {
  if (auto fault =
          fault_from(node::check_label_key(toleration.key), {"tolerations", index, "key"})) {
    return fault;
  }
  if (auto fault =
          fault_from(node::check_label_value(toleration.value), {"tolerations", index, "value"})) {
    return fault;
  }
  constexpr std::array<std::string_view, 3> effects{"NoSchedule", "PreferNoSchedule", "NoExecute"};
  const std::string& effect = toleration.effect;
  if (effect.empty() || std::find(effects.begin(), effects.end(), effect) != effects.end()) {
    return std::nullopt;
  }
  const auto near = nearest(effect, effects);
  return Fault{{"tolerations", index, "effect"},
               fmt::format("is no effect of a taint: \"{}\"{}", printable(effect, shown_fault),
                           near ? fmt::format("; did you mean {}?", *near) : std::string()),
               fmt::format("choose {}, or leave it out for all", fmt::join(effects, ", "))};
}

MaybeFault fault_in(const std::vector<Toleration>& tolerations) {
  if (auto fault = fault_if(tolerations.size() > max_entries, {"tolerations"},
                            fmt::format("has more than {} entries", max_entries))) {
    return fault;
  }
  for (std::size_t i = 0; i < tolerations.size(); ++i) {
    if (auto fault = fault_in(tolerations[i], fmt::format("{}", i))) {
      return fault;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string_view> cpu_levels_of(std::string_view architecture) {
  std::vector<std::string_view> names;
  for (const CpuLevel& level : cpu_levels()) {
    if (level.architecture == architecture) {
      names.push_back(level.name);
    }
  }
  return names;
}

std::optional<Fault> find_fault(const Requirements& requirements, std::string_view architecture) {
  constexpr std::string_view none = "must be more than 0";
  auto fault = fault_if(requirements.cpu_millis == 0, {"cpu"}, none);
  if (!fault) {
    fault = fault_if(requirements.memory_bytes == 0, {"memory"}, none);
  }
  if (!fault && requirements.gpu) {
    fault = fault_in(*requirements.gpu);
  }
  if (!fault && requirements.tpu) {
    fault = fault_in(*requirements.tpu);
  }
  if (!fault) {
    fault = wrong_level(requirements.cpu_level, architecture);
  }
  if (!fault) {
    fault = fault_in(requirements.cpu_features);
  }
  if (!fault) {
    fault = fault_in(requirements.near);
  }
  return fault ? fault : fault_in(requirements.tolerations);
}

Result<void> check(const Requirements& requirements, const manifest::Platform& platform) {
  if (const auto fault = find_fault(requirements, platform.architecture)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: {}", printable(fmt::format("{}", fmt::join(fault->path, "."))),
                            fault->message),
                fault->hint);
  }
  return {};
}

}  // namespace fnimage::require

// Needs of labels, and the terms that they come to.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/quantity.hpp>
#include <fnimage/require/selection.hpp>

#include "words.hpp"

namespace fnimage::require {

namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::size_t shown_word = 80;

std::optional<std::int64_t> whole_number(std::string_view text) noexcept {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && stop == end ? std::optional(number) : std::nullopt;
}

bool compares(const Expression& expression, std::string_view value) noexcept {
  const auto has = whole_number(value);
  const auto bound =
      expression.values.size() == 1 ? whole_number(expression.values.front()) : std::nullopt;
  if (!has || !bound) {
    return false;
  }
  return expression.op == Operator::gt ? *has > *bound : *has < *bound;
}

Expression is_in(std::string_view key, std::string value) {
  return {.key = std::string(key), .op = Operator::in, .values = {std::move(value)}};
}

Expression is_over(std::string_view key, std::uint64_t bound) {
  return {.key = std::string(key), .op = Operator::gt, .values = {fmt::format("{}", bound)}};
}

/// At least that many, in units of 1; Gt is the only operator that there is.
Expression is_least(std::string_view key, std::uint64_t least) {
  return least > 0 ? is_over(key, least - 1)
                   : Expression{.key = std::string(key), .op = Operator::gt, .values = {"-1"}};
}

LabelNeed level_need(const std::string& name, const manifest::Platform& platform) {
  const CpuLevel* level = find_level(platform.architecture, name);
  // check() refuses others; no node has such a label, so that the need is not passed over.
  const std::string feature = level != nullptr ? std::string(level->feature) : name;
  std::string text = fmt::format("a processor of level {} is needed", printable(name, shown_word));
  if (level != nullptr && level->architecture == "amd64") {
    text += "; Node Feature Discovery says it from version 0.19 on";
  }
  return {.any = {{is_in(fmt::format("{}{}", cpuid_label, feature), "true")}},
          .text = std::move(text),
          .cpu_level = name};
}

LabelNeed feature_need(const std::string& feature) {
  return {.any = {{is_in(fmt::format("{}{}", cpuid_label, feature), "true")}},
          .text = fmt::format(
              "the processor's {} is needed{}", printable(feature, shown_word),
              is_left_out(feature) ? "; Node Feature Discovery says it only when told to" : "")};
}

LabelNeed compute_need(const ComputeCapability& compute) {
  LabelNeed need{.any = {},
                 .text = fmt::format("compute capability {}.{} or newer is needed", compute.major,
                                     compute.minor)};
  if (compute.minor == 0) {
    need.any.push_back({is_least(compute_major_label, compute.major)});
    return need;
  }
  need.any.push_back({is_in(compute_major_label, fmt::format("{}", compute.major)),
                      is_least(compute_minor_label, compute.minor)});
  need.any.push_back({is_over(compute_major_label, compute.major)});
  return need;
}

void add_gpu_needs(const Gpu& gpu, std::vector<LabelNeed>& needs) {
  if (gpu.memory_bytes) {
    // The label is in whole MiB that are there, so that a part of one that is needed counts as one.
    const std::uint64_t least =
        *gpu.memory_bytes / mebibyte + (*gpu.memory_bytes % mebibyte != 0 ? 1 : 0);
    needs.push_back({.any = {{is_least(gpu_memory_label, least)}},
                     .text = fmt::format("{} MiB or more are needed", least)});
  }
  if (gpu.compute) {
    needs.push_back(compute_need(*gpu.compute));
  }
}

LabelNeed value_need(std::string_view key, const std::string& value) {
  return {.any = {{is_in(key, value)}},
          .text = fmt::format("\"{}\" is needed", printable(value, shown_word))};
}

std::string gpu_resource(const Gpu& gpu) {
  const GpuVendor* vendor = find_vendor(gpu.vendor);
  // check() refuses others; no node offers such a resource.
  return vendor != nullptr ? std::string(vendor->resource) : gpu.vendor + ".invalid/gpu";
}

void add_toleration(std::vector<Toleration>& tolerations, Toleration toleration) {
  if (std::find(tolerations.begin(), tolerations.end(), toleration) == tolerations.end()) {
    tolerations.push_back(std::move(toleration));
  }
}

}  // namespace

std::string_view to_string(Operator op) noexcept {
  switch (op) {
    case Operator::in:
      return "In";
    case Operator::not_in:
      return "NotIn";
    case Operator::exists:
      return "Exists";
    case Operator::does_not_exist:
      return "DoesNotExist";
    case Operator::gt:
      return "Gt";
    case Operator::lt:
      return "Lt";
  }
  return "In";
}

bool matches(const Expression& expression, const std::map<std::string, std::string>& labels) {
  const auto label = labels.find(expression.key);
  const bool exists = label != labels.end();
  const auto is_listed = [&]() {
    return exists && std::find(expression.values.begin(), expression.values.end(), label->second) !=
                         expression.values.end();
  };
  switch (expression.op) {
    case Operator::in:
      return is_listed();
    case Operator::not_in:
      return !is_listed();
    case Operator::exists:
      return exists;
    case Operator::does_not_exist:
      return !exists;
    case Operator::gt:
    case Operator::lt:
      return exists && compares(expression, label->second);
  }
  return false;
}

bool matches(const Term& term, const std::map<std::string, std::string>& labels) {
  return std::all_of(term.begin(), term.end(),
                     [&](const Expression& expression) { return matches(expression, labels); });
}

std::vector<LabelNeed> label_needs(const Requirements& requirements,
                                   const manifest::Platform& platform) {
  std::vector<LabelNeed> needs;
  if (!requirements.cpu_level.empty()) {
    needs.push_back(level_need(requirements.cpu_level, platform));
  }
  for (const std::string& feature : requirements.cpu_features) {
    needs.push_back(feature_need(feature));
  }
  if (requirements.gpu) {
    add_gpu_needs(*requirements.gpu, needs);
  }
  if (requirements.tpu && !requirements.tpu->accelerator.empty()) {
    needs.push_back(value_need(tpu_accelerator_label, requirements.tpu->accelerator));
  }
  if (requirements.tpu && !requirements.tpu->topology.empty()) {
    needs.push_back(value_need(tpu_topology_label, requirements.tpu->topology));
  }
  for (const auto& [key, value] : requirements.near) {
    needs.push_back(value_need(key, value));
  }
  return needs;
}

std::vector<Term> terms_of(const Requirements& requirements, const manifest::Platform& platform) {
  std::vector<Term> terms{{}};
  for (const LabelNeed& need : label_needs(requirements, platform)) {
    std::vector<Term> longer;
    for (const Term& term : terms) {
      for (const Term& alternative : need.any) {
        Term& both = longer.emplace_back(term);
        both.insert(both.end(), alternative.begin(), alternative.end());
      }
    }
    terms = std::move(longer);
  }
  return terms;
}

std::map<std::string, std::uint64_t> extended_resources(const Requirements& requirements) {
  std::map<std::string, std::uint64_t> resources;
  if (requirements.gpu) {
    resources[gpu_resource(*requirements.gpu)] = requirements.gpu->count;
  }
  if (requirements.tpu) {
    resources[std::string(tpu_resource)] = requirements.tpu->count;
  }
  return resources;
}

std::map<std::string, std::string> resources_of(const Requirements& requirements) {
  std::map<std::string, std::string> resources;
  if (requirements.cpu_millis) {
    resources["cpu"] = node::millis_text(*requirements.cpu_millis);
  }
  if (requirements.memory_bytes) {
    resources["memory"] = node::quantity_text(*requirements.memory_bytes);
  }
  for (const auto& [name, amount] : extended_resources(requirements)) {
    resources[name] = fmt::format("{}", amount);
  }
  return resources;
}

std::vector<Toleration> tolerations_of(const Requirements& requirements,
                                       const manifest::Platform& platform) {
  std::vector<Toleration> tolerations = requirements.tolerations;
  // Nodes with a device bear a taint by the name of its resource: so does Kubernetes' admission
  // plugin ExtendedResourceToleration expect it, and so do the clouds set it.
  for (const auto& [name, amount] : extended_resources(requirements)) {
    add_toleration(tolerations, {.key = name, .effect = "NoSchedule"});
  }
  add_toleration(
      tolerations,
      {.key = std::string(arch_key), .value = platform.architecture, .effect = "NoSchedule"});
  return tolerations;
}

}  // namespace fnimage::require

#include "kubernetes.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include <gtest/gtest.h>

namespace fnimage::place::kubernetes {

namespace {

/// strconv.ParseInt(text, 10, 64)
std::optional<long long> parse_int(const std::string& text) {
  const std::size_t first = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const bool is_number = text.size() > first && text.size() - first <= 19 &&
                         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(first), text.end(),
                                     [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? std::optional(std::strtoll(text.c_str(), nullptr, 10)) : std::nullopt;
}

bool compares(const json& expression, const std::string& label, bool greater) {
  const auto has = parse_int(label);
  const auto bound = parse_int(expression.at("values").at(0).get<std::string>());
  return has && bound && (greater ? *has > *bound : *has < *bound);
}

bool holds(const json& expression, const json& labels) {
  const std::string key = expression.at("key");
  const std::string op = expression.at("operator");
  const bool exists = labels.contains(key);
  if (op == "Exists") {
    return exists;
  }
  if (op == "DoesNotExist") {
    return !exists;
  }
  const json& values = expression.at("values");
  const bool is_in =
      exists && std::find(values.begin(), values.end(), labels.at(key)) != values.end();
  if (op == "In") {
    return is_in;
  }
  if (op == "NotIn") {
    return !is_in;
  }
  if (op != "Gt" && op != "Lt") {
    ADD_FAILURE() << "operator " << op;
    return false;
  }
  return exists && compares(expression, labels.at(key).get<std::string>(), op == "Gt");
}

bool matches(const json& term, const json& labels) {
  EXPECT_FALSE(term.contains("matchFields")) << "not known here";
  const json expressions = term.value("matchExpressions", json::array());
  return !expressions.empty() &&
         std::all_of(expressions.begin(), expressions.end(),
                     [&](const json& expression) { return holds(expression, labels); });
}

bool covers(const json& toleration, const json& taint) {
  const std::string effect = toleration.value("effect", "");
  if (!effect.empty() && taint.at("effect") != effect) {
    return false;
  }
  const std::string key = toleration.value("key", "");
  const std::string op = toleration.value("operator", "Equal");
  if (key.empty()) {
    return op == "Exists";
  }
  return taint.at("key") == key &&
         (op == "Exists" || toleration.value("value", "") == taint.value("value", ""));
}

}  // namespace

double quantity(const json& text) {
  static const std::map<std::string, double> units{{"", 1e3},
                                                   {"m", 1},
                                                   {"k", 1e6},
                                                   {"M", 1e9},
                                                   {"G", 1e12},
                                                   {"T", 1e15},
                                                   {"P", 1e18},
                                                   {"Ki", 1024e3},
                                                   {"Mi", 1048576e3},
                                                   {"Gi", 1073741824e3},
                                                   {"Ti", 1099511627776e3},
                                                   {"Pi", 1125899906842624e3}};
  const auto said = text.get<std::string>();
  const std::size_t end = said.find_first_not_of("0123456789.");
  const std::string suffix = end == std::string::npos ? "" : said.substr(end);
  EXPECT_TRUE(units.contains(suffix)) << said;
  return std::strtod(said.c_str(), nullptr) * (units.contains(suffix) ? units.at(suffix) : 0);
}

bool selects(const json& spec, const json& labels) {
  const json selector = spec.value("nodeSelector", json::object());
  for (const auto& [key, value] : selector.items()) {
    if (!labels.contains(key) || labels.at(key) != value) {
      return false;
    }
  }
  const json affinity =
      spec.value("affinity", json::object()).value("nodeAffinity", json::object());
  if (!affinity.contains("requiredDuringSchedulingIgnoredDuringExecution")) {
    return true;
  }
  const json& terms =
      affinity.at("requiredDuringSchedulingIgnoredDuringExecution").at("nodeSelectorTerms");
  return std::any_of(terms.begin(), terms.end(),
                     [&](const json& term) { return matches(term, labels); });
}

bool tolerates(const json& spec, const json& node) {
  const json tolerations = spec.value("tolerations", json::array());
  json taints = node.at("spec").value("taints", json::array());
  if (node.at("spec").value("unschedulable", false)) {
    taints.push_back({{"key", "node.kubernetes.io/unschedulable"}, {"effect", "NoSchedule"}});
  }
  return std::all_of(taints.begin(), taints.end(), [&](const json& taint) {
    return taint.at("effect") == "PreferNoSchedule" ||
           std::any_of(tolerations.begin(), tolerations.end(),
                       [&](const json& toleration) { return covers(toleration, taint); });
  });
}

bool has_room(const json& spec, const json& node) {
  std::map<std::string, double> wanted;
  for (const json& container : spec.value("containers", json::array())) {
    const json resources = container.value("resources", json::object());
    json requests = resources.value("limits", json::object());  // what is not requested
    requests.update(resources.value("requests", json::object()));
    for (const auto& [name, amount] : requests.items()) {
      wanted[name] += quantity(amount);
    }
  }
  const json& allocatable = node.at("status").at("allocatable");
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& want) {
    const double has = allocatable.contains(want.first) ? quantity(allocatable.at(want.first)) : 0;
    return want.second <= has;
  });
}

bool schedules(const json& spec, const json& node) {
  return selects(spec, node.at("metadata").at("labels")) && tolerates(spec, node) &&
         has_room(spec, node);
}

}  // namespace fnimage::place::kubernetes

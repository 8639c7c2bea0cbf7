#include "validity.hpp"

#include <map>
#include <regex>
#include <set>

namespace fnimage::place::validity {

namespace {

using nlohmann::json;
using Faults = std::vector<std::string>;

/// Making a regex takes longer than all else here.
bool is(const std::string& text, const std::string& pattern) {
  static std::map<std::string, std::regex> known;
  auto found = known.find(pattern);
  if (found == known.end()) {
    found = known.emplace(pattern, std::regex(pattern)).first;
  }
  return std::regex_match(text, found->second);
}

bool is_name(const std::string& text) {
  return text.size() <= 63 && is(text, "[a-z]([-a-z0-9]*[a-z0-9])?");
}

bool is_key(const std::string& key) {
  const std::size_t slash = key.find('/');
  const std::string name = slash == std::string::npos ? key : key.substr(slash + 1);
  const bool prefix_is_good =
      slash == std::string::npos ||
      (slash <= 253 && is(key.substr(0, slash),
                          "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"));
  return prefix_is_good && name.size() <= 63 &&
         is(name, "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?");
}

bool is_value(const std::string& value) {
  return value.size() <= 63 && is(value, "([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?");
}

bool is_quantity(const json& value) {
  return value.is_string() &&
         is(value.get<std::string>(),
            "[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?");
}

void unknown_fields(const json& value, const std::set<std::string>& known, const std::string& where,
                    Faults& faults) {
  for (const auto& [key, member] : value.items()) {
    if (!known.contains(key)) {
      faults.push_back(where + " has the unknown field " + key);
    }
  }
}

void check_expression(const json& expression, Faults& faults) {
  unknown_fields(expression, {"key", "operator", "values"}, "expression", faults);
  const std::string key = expression.value("key", "");
  const std::string op = expression.value("operator", "");
  const json values = expression.value("values", json::array());
  if (!is_key(key)) {
    faults.push_back("label key " + key);
  }
  for (const json& value : values) {
    if (!value.is_string() || (!is_value(value.get<std::string>()) && op != "Gt" && op != "Lt")) {
      faults.push_back("label value " + value.dump());
    }
  }
  if (op == "In" || op == "NotIn") {
    if (values.empty()) {
      faults.push_back(op + " without values");
    }
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (!values.empty()) {
      faults.push_back(op + " with values");
    }
  } else if (op == "Gt" || op == "Lt") {
    if (values.size() != 1 || !is(values[0].get<std::string>(), "-?[0-9]{1,18}")) {
      faults.push_back(op + " without one whole number");
    }
  } else {
    faults.push_back("operator " + op);
  }
}

void check_affinity(const json& affinity, Faults& faults) {
  const json& terms = affinity.at("nodeAffinity")
                          .at("requiredDuringSchedulingIgnoredDuringExecution")
                          .at("nodeSelectorTerms");
  if (terms.empty()) {
    faults.emplace_back("no nodeSelectorTerms");
  }
  std::set<std::string> seen;
  for (const json& term : terms) {
    unknown_fields(term, {"matchExpressions", "matchFields"}, "term", faults);
    if (term.value("matchExpressions", json::array()).empty() && !term.contains("matchFields")) {
      faults.emplace_back("an empty term, which matches nothing");
    }
    if (!seen.insert(term.dump()).second) {
      faults.push_back("the same term twice: " + term.dump());
    }
    std::set<std::string> in_keys;
    for (const json& expression : term.value("matchExpressions", json::array())) {
      check_expression(expression, faults);
      if (expression.value("operator", "") == "In" && !in_keys.insert(expression["key"]).second) {
        faults.push_back("two lists of values of " + expression["key"].get<std::string>());
      }
    }
  }
}

void check_toleration(const json& toleration, Faults& faults) {
  unknown_fields(toleration, {"key", "operator", "value", "effect", "tolerationSeconds"},
                 "toleration", faults);
  const std::string key = toleration.value("key", "");
  const std::string op = toleration.value("operator", "Equal");
  const std::string effect = toleration.value("effect", "");
  if (!key.empty() && !is_key(key)) {
    faults.push_back("toleration's key " + key);
  }
  if ((op == "Exists" && !toleration.value("value", "").empty()) ||
      (key.empty() && op != "Exists") || (op != "Exists" && op != "Equal") ||
      !is_value(toleration.value("value", ""))) {
    faults.push_back("toleration " + toleration.dump());
  }
  if (!std::set<std::string>{"", "NoSchedule", "PreferNoSchedule", "NoExecute"}.contains(effect)) {
    faults.push_back("effect " + effect);
  }
}

void check_resources(const json& resources, Faults& faults) {
  unknown_fields(resources, {"requests", "limits"}, "resources", faults);
  const json requests = resources.value("requests", json::object());
  const json limits = resources.value("limits", json::object());
  for (const json& amounts : {requests, limits}) {
    for (const auto& [name, amount] : amounts.items()) {
      if (!is_quantity(amount)) {
        faults.push_back("quantity " + amount.dump());
      }
      const bool is_device = name.find('/') != std::string::npos;
      if (is_device && (!is(amount.get<std::string>(), "[0-9]+") || !requests.contains(name) ||
                        !limits.contains(name) || requests[name] != limits[name])) {
        faults.push_back("a device whose request is not its limit: " + resources.dump());
      }
      if (!is_device &&
          !std::set<std::string>{"cpu", "memory", "ephemeral-storage"}.contains(name)) {
        faults.push_back("resource " + name);
      }
    }
  }
}

void check_container(const json& container, bool whole, Faults& faults) {
  unknown_fields(container, {"name", "image", "ports", "resources", "env"}, "container", faults);
  if (!is_name(container.value("name", ""))) {
    faults.push_back("container's name " + container.value("name", ""));
  }
  if (whole && !is(container.value("image", ""), "[^ @]+@sha256:[0-9a-f]{64}")) {
    faults.push_back("image " + container.value("image", ""));
  }
  if (container.contains("resources")) {
    check_resources(container["resources"], faults);
  }
}

}  // namespace

Faults faults_of_spec(const json& spec, bool whole) {
  Faults faults;
  unknown_fields(spec, {"nodeSelector", "affinity", "tolerations", "containers"}, "spec", faults);
  const json selector = spec.value("nodeSelector", json::object());
  for (const auto& [key, value] : selector.items()) {
    if (!is_key(key) || !value.is_string() || !is_value(value.get<std::string>())) {
      faults.push_back("nodeSelector " + key + "=" + value.dump());
    }
  }
  if (spec.contains("affinity")) {
    check_affinity(spec["affinity"], faults);
  }
  for (const json& toleration : spec.value("tolerations", json::array())) {
    check_toleration(toleration, faults);
  }
  for (const json& container : spec.value("containers", json::array())) {
    check_container(container, whole, faults);
  }
  if (whole && spec.value("containers", json::array()).empty()) {
    faults.emplace_back("no containers");
  }
  return faults;
}

Faults faults_of_object(const json& object) {
  Faults faults;
  unknown_fields(object, {"apiVersion", "kind", "metadata", "spec"}, "object", faults);
  if (!is_name(object.at("metadata").value("name", ""))) {
    faults.push_back("name " + object.at("metadata").value("name", ""));
  }
  if (object.value("apiVersion", "").empty() || object.value("kind", "").empty()) {
    faults.emplace_back("no apiVersion or kind");
  }
  return faults;
}

}  // namespace fnimage::place::validity

#include "affinity.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::place {

namespace {

using require::Expression;
using require::Operator;
using require::Term;

bool is_single_value(const Expression& expression) {
  return expression.op == Operator::in && expression.values.size() == 1;
}

bool is_in(const Term& term, const Expression& expression) {
  return std::find(term.begin(), term.end(), expression) != term.end();
}

}  // namespace

Split split_terms(const std::vector<Term>& terms) {
  Split split{.rest = terms};
  if (terms.empty()) {
    return split;
  }
  for (const Expression& expression : terms.front()) {
    const bool in_all = std::all_of(terms.begin(), terms.end(),
                                    [&](const Term& term) { return is_in(term, expression); });
    if (in_all && is_single_value(expression)) {
      split.selector.emplace(expression.key, expression.values.front());
      for (Term& term : split.rest) {
        std::erase(term, expression);
      }
    }
  }
  // Of terms that are ORed one without expressions would hold for all nodes, but Kubernetes takes
  // it to match none.
  const bool says_all = std::any_of(split.rest.begin(), split.rest.end(),
                                    [](const Term& term) { return term.empty(); });
  if (says_all) {
    split.rest.clear();
  }
  return split;
}

Json node_selector_json(const std::vector<Term>& terms) {
  Json values = Json::array();
  for (const Term& term : terms) {
    Json expressions = Json::array();
    for (const Expression& expression : term) {
      Json value = {{"key", expression.key},
                    {"operator", std::string(require::to_string(expression.op))}};
      if (!expression.values.empty()) {
        value["values"] = expression.values;
      }
      expressions.push_back(std::move(value));
    }
    values.push_back({{"matchExpressions", std::move(expressions)}});
  }
  return {{"nodeSelectorTerms", std::move(values)}};
}

Json affinity_json(const std::vector<Term>& terms) {
  return {{"nodeAffinity", {{std::string(required_field), node_selector_json(terms)}}}};
}

Json toleration_json(const require::Toleration& toleration) {
  Json value = {{"key", toleration.key},
                {"operator", toleration.value.empty() ? "Exists" : "Equal"}};
  if (!toleration.value.empty()) {
    value["value"] = toleration.value;
  }
  if (!toleration.effect.empty()) {
    value["effect"] = toleration.effect;
  }
  return value;
}

Json tolerations_json(const std::vector<require::Toleration>& tolerations) {
  Json values = Json::array();
  for (const require::Toleration& toleration : tolerations) {
    values.push_back(toleration_json(toleration));
  }
  return values;
}

Json resources_json(const std::map<std::string, std::string>& resources) {
  Json requests = Json::object();
  Json limits = Json::object();
  for (const auto& [name, amount] : resources) {
    requests[name] = amount;
    if (name != "cpu") {
      limits[name] = amount;
    }
  }
  Json value = {{"requests", std::move(requests)}};
  if (!limits.empty()) {
    value["limits"] = std::move(limits);
  }
  return value;
}

Json selector_json(const std::map<std::string, std::string>& selector) {
  Json value = Json::object();
  for (const auto& [key, label] : selector) {
    value[key] = label;
  }
  return value;
}

void place_spec(Json& spec, const Placement& placement) {
  const Split split = split_terms(placement.terms);
  if (split.rest.empty()) {
    spec["nodeSelector"] = selector_json(split.selector);
  } else {
    spec["affinity"] = affinity_json(placement.terms);
  }
  if (!placement.tolerations.empty()) {
    spec["tolerations"] = tolerations_json(placement.tolerations);
  }
}

std::string shown_expression(const Expression& expression) {
  return printable(fmt::format("{} {}{}{}", expression.key, require::to_string(expression.op),
                               expression.values.empty() ? "" : " ", join(expression.values, ", ")),
                   200);
}

std::string beyond_selector(const Placement& placement) {
  const Split split = split_terms(placement.terms);
  if (split.rest.empty()) {
    return {};
  }
  if (placement.terms.size() > 1) {
    return fmt::format("one of {} sets of labels", placement.terms.size());
  }
  return shown_expression(split.rest.front().front());
}

}  // namespace fnimage::place

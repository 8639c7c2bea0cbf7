#include "node_features.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <fnimage/base/text.hpp>

namespace fnimage::place::nfd {

namespace {

/// An expression that cannot be evaluated stops everything.
enum class Verdict { no, yes, error };

/// All of them have to be looked at: which comes first is chance, since sets of expressions have
/// no order, and an error is one whatever the others say.
template <typename List, typename Judge>
Verdict all_hold(const List& list, Judge judge) {
  Verdict all = Verdict::yes;
  for (const auto& one : list) {
    const Verdict verdict = judge(one);
    if (verdict == Verdict::error || (verdict == Verdict::no && all == Verdict::yes)) {
      all = verdict;
    }
    if (all == Verdict::error) {
      break;
    }
  }
  return all;
}

template <typename List, typename Judge>
Verdict any_holds(const List& list, Judge judge) {
  Verdict any = Verdict::no;
  for (const auto& one : list) {
    const Verdict verdict = judge(one);
    if (verdict == Verdict::error) {
      return verdict;
    }
    any = verdict == Verdict::yes ? verdict : any;
  }
  return any;
}

Verdict verdict_of(bool holds) {
  return holds ? Verdict::yes : Verdict::no;
}

/// strconv.Atoi
std::optional<long long> whole_number(const std::string& text) {
  const std::string digits = text.substr(text.starts_with('-') || text.starts_with('+') ? 1 : 0);
  const bool is_number = !digits.empty() && digits.size() <= 18 &&
                         digits.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? std::optional(std::strtoll(text.c_str(), nullptr, 10)) : std::nullopt;
}

Verdict compares(const json& expression, const std::string& input) {
  const auto has = whole_number(input);
  std::vector<long long> bounds;
  for (const json& value : expression.at("value")) {
    if (const auto bound = whole_number(value.get<std::string>())) {
      bounds.push_back(*bound);
    }
  }
  if (!has || bounds.size() != expression.at("value").size() || bounds.empty()) {
    return Verdict::error;
  }
  const std::string op = expression.at("op");
  if (op == "GtLt" || op == "GeLe") {
    const bool within = op == "GtLt" ? *has > bounds[0] && *has < bounds.at(1)
                                     : *has >= bounds[0] && *has <= bounds.at(1);
    return verdict_of(within);
  }
  const long long bound = bounds.front();
  return verdict_of((op == "Gt" && *has > bound) || (op == "Ge" && *has >= bound) ||
                    (op == "Lt" && *has < bound) || (op == "Le" && *has <= bound));
}

/// Of an element that has a value.
Verdict judges_value(const json& expression, const std::string& input) {
  const std::string op = expression.at("op");
  if (op == "IsTrue" || op == "IsFalse") {
    return verdict_of(input == (op == "IsTrue" ? "true" : "false"));
  }
  if (op == "In" || op == "NotIn") {
    const json& values = expression.at("value");
    const bool is_listed = std::find(values.begin(), values.end(), input) != values.end();
    return verdict_of(is_listed == (op == "In"));
  }
  if (op == "InRegexp") {
    ADD_FAILURE() << "InRegexp is not known here";
    return Verdict::error;
  }
  return compares(expression, input);
}

/// An element that is absent, and one without a value, satisfies no operator on values; NotIn is
/// no exception.
Verdict judges(const json& expression, bool exists, const std::string* input) {
  const std::string op = expression.at("op");
  if (op == "Exists" || op == "DoesNotExist") {
    return verdict_of(exists == (op == "Exists"));
  }
  return exists && input != nullptr ? judges_value(expression, *input) : Verdict::no;
}

using Attributes = std::map<std::string, std::string>;

Verdict judges_attribute(const std::string& name, const json& expression,
                         const Attributes& attributes) {
  const auto found = attributes.find(name);
  const bool exists = found != attributes.end();
  return judges(expression, exists, exists ? &found->second : nullptr);
}

template <typename Sets>
const typename Sets::mapped_type* set_of(const Sets& sets, const std::string& name) {
  const auto found = sets.find(name);
  return found == sets.end() ? nullptr : &found->second;
}

/// Flags and attributes of one name are one set, and an element of either will do.
Verdict judges_element(const std::string& name, const json& expression,
                       const std::set<std::string>* flags, const Attributes* attributes) {
  const Verdict flag =
      flags != nullptr ? judges(expression, flags->contains(name), nullptr) : Verdict::no;
  const Verdict attribute =
      attributes != nullptr ? judges_attribute(name, expression, *attributes) : Verdict::no;
  if (expression.at("op") == "DoesNotExist" && flags != nullptr && attributes != nullptr) {
    return verdict_of(flag == Verdict::yes && attribute == Verdict::yes);
  }
  return attribute == Verdict::no ? flag : attribute;
}

/// One term of matchFeatures: all expressions on the set, or all of them on one of the instances.
Verdict judges_term(const json& term, const Features& features) {
  const std::string feature = term.at("feature");
  const auto expressions = term.at("matchExpressions").get<std::map<std::string, json>>();
  const auto* flags = set_of(features.flags, feature);
  const auto* attributes = set_of(features.attributes, feature);
  if (flags != nullptr || attributes != nullptr) {
    const Verdict verdict = all_hold(expressions, [&](const auto& one) {
      return judges_element(one.first, one.second, flags, attributes);
    });
    if (verdict != Verdict::no) {
      return verdict;
    }
  }
  const auto* instances = set_of(features.instances, feature);
  return instances == nullptr ? Verdict::no : any_holds(*instances, [&](const auto& instance) {
    return all_hold(expressions, [&](const auto& one) {
      return judges_attribute(one.first, one.second, instance);
    });
  });
}

Verdict judges_features(const json& terms, const Features& features) {
  return all_hold(terms, [&](const json& term) { return judges_term(term, features); });
}

/// matchFeatures AND one of matchAny.
Verdict judges_rule(const json& rule, const Features& features) {
  const Verdict any = rule.contains("matchAny")
                          ? any_holds(rule.at("matchAny"),
                                      [&](const json& one) {
                                        return judges_features(one.at("matchFeatures"), features);
                                      })
                          : Verdict::yes;
  const Verdict all = judges_features(rule.value("matchFeatures", json::array()), features);
  return any == Verdict::yes ? all : any;
}

class FaultFinder {
 public:
  void document(const json& document) {
    keys(document, "document", {"version", "compatibilities"}, {});
    expect(document.value("version", "") == "v1alpha1", "version");
    for (const json& compatibility : list(document, "compatibilities")) {
      keys(compatibility, "compatibility", {"rules"}, {"weight", "tag", "description"});
      std::set<std::string> names;
      for (const json& rule : list(compatibility, "rules")) {
        check_rule(rule);
        expect(names.insert(rule.value("name", "")).second, "two rules of one name");
      }
    }
  }

  std::vector<std::string> faults{};

 private:
  void expect(bool holds, const std::string& what) {
    if (!holds) {
      faults.push_back(what);
    }
  }

  void keys(const json& object, const std::string& what, const std::set<std::string>& needed,
            const std::set<std::string>& optional) {
    expect(object.is_object(), what + " is no object");
    for (const std::string& key : needed) {
      expect(object.contains(key), what + " lacks " + key);
    }
    for (const auto& [key, value] : object.items()) {
      expect(needed.contains(key) || optional.contains(key), what + " has " + key);
    }
  }

  json list(const json& object, const std::string& key) {
    const json value = object.value(key, json::array());
    expect(value.is_array() && !value.empty(), key + " is no list with something in it");
    return value.is_array() ? value : json::array();
  }

  void check_rule(const json& rule) {
    keys(rule, "rule", {"name"}, {"vars", "varsTemplate", "matchFeatures", "matchAny"});
    expect(!rule.value("name", "").empty(), "a rule has no name");
    expect(rule.contains("matchFeatures") || rule.contains("matchAny"), "a rule asks nothing");
    if (rule.contains("matchFeatures")) {
      check_terms(rule);
    }
    if (rule.contains("matchAny")) {
      for (const json& one : list(rule, "matchAny")) {
        keys(one, "matchAny", {"matchFeatures"}, {});
        check_terms(one);
      }
    }
  }

  void check_terms(const json& matcher) {
    // Of the features that there are, those that say what hardware a node has.
    static const std::set<std::string> known{"cpu.cpuid", "cpu.model", "local.label", "pci.device"};
    for (const json& term : list(matcher, "matchFeatures")) {
      keys(term, "term", {"feature", "matchExpressions"}, {});
      expect(known.contains(term.value("feature", "")), "feature " + term.value("feature", ""));
      const json expressions = term.value("matchExpressions", json::object());
      expect(expressions.is_object() && !expressions.empty(), "a term asks nothing");
      for (const auto& [element, expression] : expressions.items()) {
        check_expression(expression, element);
      }
    }
  }

  void check_expression(const json& expression, const std::string& element) {
    constexpr std::size_t many = 64;
    static const std::map<std::string, std::pair<std::size_t, std::size_t>> counts{
        {"In", {1, many}},        {"NotIn", {1, many}}, {"InRegexp", {1, many}}, {"Exists", {0, 0}},
        {"DoesNotExist", {0, 0}}, {"Gt", {1, 1}},       {"Ge", {1, 1}},          {"Lt", {1, 1}},
        {"Le", {1, 1}},           {"GtLt", {2, 2}},     {"GeLe", {2, 2}},        {"IsTrue", {0, 0}},
        {"IsFalse", {0, 0}}};
    keys(expression, element, {"op"}, {"value"});
    const std::string op = expression.value("op", "");
    const auto found = counts.find(op);
    expect(found != counts.end(), element + " has the operator " + op);
    const json values = expression.value("value", json::array());
    expect(values.is_array() && std::all_of(values.begin(), values.end(),
                                            [](const json& value) { return value.is_string(); }),
           element + " has values that are no text");
    if (found != counts.end()) {
      const auto& [least, most] = found->second;
      expect(values.size() >= least && values.size() <= most, element + " has too many values");
    }
  }
};

/// Whether it is a number, truth or nothing where no quotes say that it is text.
bool is_more_than_text(const std::string& word) {
  static const std::set<std::string> words{"",    "~", "null", "true", "false", "yes", "no", "on",
                                           "off", "y", "n",    "<<",   "=",     "inf", "nan"};
  const std::string unsigned_word = word.substr(word.find_first_not_of("+-") == 1 ? 1 : 0);
  const std::size_t dots = unsigned_word.starts_with('.') ? 1 : 0;
  const std::string rest = to_lower(unsigned_word.substr(dots));
  return words.contains(rest) || (rest[0] >= '0' && rest[0] <= '9');
}

json text_of(const YAML::Node& node) {
  const auto word = node.as<std::string>("");
  const bool is_quoted = node.Tag() == "!";
  EXPECT_TRUE(is_quoted || !is_more_than_text(word)) << word << " stands without quotes";
  return word;
}

json value_of(const YAML::Node& node) {
  if (node.IsMap()) {
    json object = json::object();
    for (const auto& pair : node) {
      object[text_of(pair.first).get<std::string>()] = value_of(pair.second);
    }
    return object;
  }
  if (node.IsSequence()) {
    json list = json::array();
    for (const YAML::Node& member : node) {
      list.push_back(value_of(member));
    }
    return list;
  }
  return text_of(node);
}

}  // namespace

Features features_of(const json& labels) {
  static const std::string cpuid = "feature.node.kubernetes.io/cpu-cpuid.";
  static const std::string device = "feature.node.kubernetes.io/pci-";  // <class>_<vendor>.present
  // Workers look for these on all nodes, whether they find any or not.
  Features features{.flags = {{"cpu.cpuid", {}}},
                    .attributes = {{"cpu.cpuid", {}}, {"local.label", {}}},
                    .instances = {{"pci.device", {}}}};
  for (const auto& [key, value] : labels.items()) {
    const auto text = value.get<std::string>();
    if (key.starts_with(cpuid)) {
      if (text == "true") {  // what a processor lacks has no label of Node Feature Discovery's
        features.flags["cpu.cpuid"].insert(key.substr(cpuid.size()));
      }
    } else if (key.starts_with(device)) {
      features.instances["pci.device"].push_back(
          {{"class", key.substr(device.size(), 4)}, {"vendor", key.substr(device.size() + 5, 4)}});
    } else if (key.starts_with("nvidia.com/")) {
      features.attributes["local.label"][key] = text;  // from the file that its discovery writes
    }
  }
  return features;
}

bool holds(const json& document, const Features& features) {
  const json& compatibilities = document.at("compatibilities");
  EXPECT_EQ(compatibilities.size(), 1U) << "which of several counts is not known here";
  const json& rules = compatibilities.at(0).at("rules");
  const auto judge = [&](const json& rule) { return judges_rule(rule, features); };
  const bool all = all_hold(rules, judge) == Verdict::yes;
  const bool any = any_holds(rules, judge) == Verdict::yes;
  EXPECT_EQ(all, any) << "rules that hold for some readers: " << document.dump();
  return all;
}

std::vector<std::string> faults_of(const json& document) {
  FaultFinder finder;
  finder.document(document);
  return finder.faults;
}

json loaded(const std::string& yaml) {
  return value_of(YAML::Load(yaml));
}

}  // namespace fnimage::place::nfd

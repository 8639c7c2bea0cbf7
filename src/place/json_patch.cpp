// A patch (RFC 6902) that narrows where a Pod may run. Patches cannot ask what is there, and adding
// to a member that exists replaces it: for a pod that has something of its own, the patch is made
// for that pod. Terms of both are ANDed by pairing each with each, since terms are ORed.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/quantity.hpp>

#include "formats.hpp"

namespace fnimage::place {

namespace {

constexpr std::size_t max_paired_terms = 1'000;
constexpr std::string_view requests_field = "requests";
constexpr std::string_view limits_field = "limits";

Json operation(std::string path, Json value) {
  return {{"op", "add"}, {"path", std::move(path)}, {"value", std::move(value)}};
}

tl::unexpected<Error> refuse_pod(const std::string& what) {
  return fail(ErrorCode::invalid_input, "the pod to patch " + what,
              "give a Pod as `kubectl get pod NAME -o json` prints it");
}

/// The member when it is there and of that type; null when it is absent. Error: invalid_input.
Result<const nlohmann::json*> member_of(const nlohmann::json& value, std::string_view name,
                                        nlohmann::json::value_t type) {
  const auto found = value.find(name);
  if (found == value.end() || found->is_null()) {
    return nullptr;
  }
  if (found->type() != type) {
    return refuse_pod(fmt::format("has {} that is {}", name, found->type_name()));
  }
  return &*found;
}

constexpr auto object_type = nlohmann::json::value_t::object;
constexpr auto array_type = nlohmann::json::value_t::array;

bool is_value_list(const nlohmann::json& values) {
  return values.is_array() && std::all_of(values.begin(), values.end(),
                                          [](const auto& value) { return value.is_string(); });
}

/// A term of the pod: its expressions, and what else is in it (matchFields).
Result<Json> checked_term(const nlohmann::json& term) {
  if (!term.is_object()) {
    return refuse_pod("has a nodeSelectorTerm that is no object");
  }
  FNIMAGE_TRY(const nlohmann::json* expressions, member_of(term, "matchExpressions", array_type));
  FNIMAGE_CHECK(member_of(term, "matchFields", array_type));
  for (const nlohmann::json& expression :
       expressions == nullptr ? nlohmann::json::array() : *expressions) {
    const bool is_good = expression.is_object() && expression.contains("key") &&
                         expression["key"].is_string() && expression.contains("operator") &&
                         expression["operator"].is_string() &&
                         (!expression.contains("values") || is_value_list(expression["values"]));
    if (!is_good) {
      return refuse_pod("has a nodeSelectorTerm with an expression that is none");
    }
  }
  Json copy = term;
  return copy;
}

/// In lists of one label become their intersection, equals one. Nullopt: nothing can match.
std::optional<Json> both(const Json& theirs, const Json& ours) {
  Json term = theirs;
  Json expressions = theirs.contains("matchExpressions") && theirs["matchExpressions"].is_array()
                         ? theirs["matchExpressions"]
                         : Json::array();
  for (const Json& expression : ours["matchExpressions"]) {
    if (std::find(expressions.begin(), expressions.end(), expression) != expressions.end()) {
      continue;
    }
    const auto same = std::find_if(expressions.begin(), expressions.end(), [&](const Json& other) {
      return expression["operator"] == "In" && other["operator"] == "In" &&
             other["key"] == expression["key"] && other.contains("values");
    });
    if (same == expressions.end()) {
      expressions.push_back(expression);
      continue;
    }
    Json values = Json::array();
    for (const Json& value : (*same)["values"]) {
      const Json& wanted = expression["values"];
      if (std::find(wanted.begin(), wanted.end(), value) != wanted.end()) {
        values.push_back(value);
      }
    }
    if (values.empty()) {
      return std::nullopt;
    }
    (*same)["values"] = std::move(values);
  }
  term["matchExpressions"] = std::move(expressions);
  return term;
}

/// Whether a term can hold on nodes that the pod's nodeSelector chooses.
bool agrees_with(const Json& term, const nlohmann::json* selector) {
  if (selector == nullptr) {
    return true;
  }
  const Json& expressions = term["matchExpressions"];
  return std::all_of(expressions.begin(), expressions.end(), [&](const Json& expression) {
    const auto chosen = selector->find(expression["key"].get<std::string>());
    if (expression["operator"] != "In" || chosen == selector->end() ||
        !expression.contains("values")) {
      return true;
    }
    const Json wanted = *chosen;
    const Json& values = expression["values"];
    return std::find(values.begin(), values.end(), wanted) != values.end();
  });
}

bool is_without_conditions(const Json& term) {
  const auto is_missing = [&](const char* name) {
    return !term.contains(name) || term[name].is_null() || term[name].empty();
  };
  return is_missing("matchExpressions") && is_missing("matchFields");
}

/// The pod's own terms. Nullopt: it has none, and may run anywhere.
Result<std::optional<std::vector<Json>>> terms_of_pod(const nlohmann::json* node_affinity) {
  if (node_affinity == nullptr) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const nlohmann::json* required,
              member_of(*node_affinity, required_field, object_type));
  if (required == nullptr) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const nlohmann::json* terms, member_of(*required, "nodeSelectorTerms", array_type));
  std::vector<Json> all;
  for (const nlohmann::json& term : terms == nullptr ? nlohmann::json::array() : *terms) {
    FNIMAGE_TRY(Json checked, checked_term(term));
    if (!is_without_conditions(checked)) {  // matches no node
      all.push_back(std::move(checked));
    }
  }
  return all;
}

/// Affinity operations for a pod that has a nodeSelector or an affinity of its own.
Result<Json> narrowed(const Placement& placement, const std::optional<std::vector<Json>>& theirs,
                      const nlohmann::json* selector) {
  const Json ours = node_selector_json(placement.terms)["nodeSelectorTerms"];
  const std::vector<Json> existing =
      theirs ? *theirs : std::vector<Json>{{{"matchExpressions", Json::array()}}};
  if (existing.size() * ours.size() > max_paired_terms) {
    return fail(ErrorCode::unsupported,
                fmt::format("the pod's {} terms and these {} are too many together",
                            existing.size(), ours.size()));
  }
  Json terms = Json::array();
  for (const Json& their : existing) {
    for (const Json& our : ours) {
      auto term = both(their, our);
      if (term && agrees_with(*term, selector) &&
          std::find(terms.begin(), terms.end(), *term) == terms.end()) {
        terms.push_back(std::move(*term));
      }
    }
  }
  if (terms.empty()) {
    return fail(
        ErrorCode::invalid_argument,
        "the pod's own nodeSelector and affinity leave none of the nodes that take the image",
        "compare them with --format affinity");
  }
  return Json{{"nodeSelectorTerms", std::move(terms)}};
}

Result<void> patch_affinity(Json& patch, const Placement& placement, const nlohmann::json& spec) {
  FNIMAGE_TRY(const nlohmann::json* selector, member_of(spec, "nodeSelector", object_type));
  FNIMAGE_TRY(const nlohmann::json* affinity, member_of(spec, "affinity", object_type));
  const nlohmann::json* node_affinity = nullptr;
  if (affinity != nullptr) {
    FNIMAGE_TRY(node_affinity, member_of(*affinity, "nodeAffinity", object_type));
  }
  FNIMAGE_TRY(const auto theirs, terms_of_pod(node_affinity));
  FNIMAGE_TRY(Json required, narrowed(placement, theirs, selector));
  const std::string field(required_field);
  if (affinity == nullptr) {
    patch.push_back(
        operation("/spec/affinity", {{"nodeAffinity", {{field, std::move(required)}}}}));
  } else if (node_affinity == nullptr) {
    patch.push_back(operation("/spec/affinity/nodeAffinity", {{field, std::move(required)}}));
  } else {
    patch.push_back(operation("/spec/affinity/nodeAffinity/" + field, std::move(required)));
  }
  return {};
}

Result<void> patch_tolerations(Json& patch, const Placement& placement,
                               const nlohmann::json& spec) {
  FNIMAGE_TRY(const nlohmann::json* theirs, member_of(spec, "tolerations", array_type));
  const Json ours = tolerations_json(placement.tolerations);
  if (theirs == nullptr) {
    if (!ours.empty()) {
      patch.push_back(operation("/spec/tolerations", ours));
    }
    return {};
  }
  for (const Json& toleration : ours) {
    if (std::find(theirs->begin(), theirs->end(), nlohmann::json(toleration)) == theirs->end()) {
      patch.push_back(operation("/spec/tolerations/-", toleration));
    }
  }
  return {};
}

/// The larger one of two amounts. Error: invalid_input.
Result<std::string> larger_of(const nlohmann::json& theirs, const std::string& ours) {
  constexpr std::uint64_t thousandths = 1000;
  const std::string said = theirs.is_string() ? theirs.get<std::string>() : theirs.dump();
  const auto amount = node::parse_quantity(said, thousandths);
  if (!amount) {
    return refuse_pod("has resources of which one " + amount.error().message());
  }
  FNIMAGE_TRY(const std::uint64_t wanted, node::parse_quantity(ours, thousandths));
  return *amount >= wanted ? said : ours;
}

/// What the container has and what the image needs: the larger of each, and no limit below that.
Result<Json> joined_resources(const nlohmann::json& theirs, const Placement& placement) {
  const Json ours = resources_json(placement.resources);
  Json joined = theirs;
  for (const std::string_view field : {requests_field, limits_field}) {
    const std::string name(field);
    FNIMAGE_CHECK(member_of(theirs, field, object_type));
    for (const auto& [resource, amount] : placement.resources) {
      const bool has =
          theirs.contains(name) && theirs[name].is_object() && theirs[name].contains(resource);
      if (has) {
        FNIMAGE_TRY(joined[name][resource], larger_of(theirs[name][resource], amount));
      } else if (ours.contains(name) && ours[name].contains(resource)) {
        joined[name][resource] = amount;
      }
    }
  }
  // A limit that a larger request has outgrown, or the other way round for devices.
  for (const auto& [resource, amount] : placement.resources) {
    Json& requests = joined[std::string(requests_field)];
    if (joined.contains(limits_field) && joined[std::string(limits_field)].contains(resource)) {
      Json& limit = joined[std::string(limits_field)][resource];
      FNIMAGE_TRY(limit, larger_of(limit, requests[resource].get<std::string>()));
      if (resource != "cpu" && resource != "memory") {
        requests[resource] = limit;  // devices: both are the same
      }
    }
  }
  return joined;
}

Result<void> patch_resources(Json& patch, const Placement& placement, const nlohmann::json& spec) {
  if (placement.resources.empty()) {
    return {};
  }
  FNIMAGE_TRY(const nlohmann::json* containers, member_of(spec, "containers", array_type));
  if (containers == nullptr || containers->empty()) {
    return refuse_pod("has no containers");
  }
  std::size_t index = 0;
  for (std::size_t i = 0; i < containers->size(); ++i) {
    const nlohmann::json& container = containers->at(i);
    if (!container.is_object()) {
      return refuse_pod("has a container that is no object");
    }
    index = container.value("name", nlohmann::json()) == openwhisk_container ? i : index;
  }
  FNIMAGE_TRY(const nlohmann::json* theirs,
              member_of(containers->at(index), "resources", object_type));
  const nlohmann::json none = nlohmann::json::object();
  FNIMAGE_TRY(Json joined, joined_resources(theirs == nullptr ? none : *theirs, placement));
  patch.push_back(
      operation(fmt::format("/spec/containers/{}/resources", index), std::move(joined)));
  return {};
}

}  // namespace

Result<Draft> draft_json_patch(const Placement& placement, const nlohmann::json* pod) {
  static const nlohmann::json bare = {
      {"kind", "Pod"},
      {"spec", {{"containers", nlohmann::json::array({nlohmann::json::object()})}}}};
  const nlohmann::json& patched = pod == nullptr ? bare : *pod;
  if (!patched.is_object() || (patched.contains("kind") && patched["kind"] != "Pod")) {
    return refuse_pod("is something else");
  }
  FNIMAGE_TRY(const nlohmann::json* spec, member_of(patched, "spec", object_type));
  if (spec == nullptr) {
    return refuse_pod("has no spec");
  }
  Json patch = Json::array();
  FNIMAGE_CHECK(patch_affinity(patch, placement, *spec));
  FNIMAGE_CHECK(patch_tolerations(patch, placement, *spec));
  FNIMAGE_CHECK(patch_resources(patch, placement, *spec));
  Draft draft{{std::move(patch)}, {}};
  draft.comments.emplace_back(
      pod != nullptr ? "For this pod only."
                     : "For pods without affinity and tolerations, whose first container has no");
  if (pod == nullptr) {
    draft.comments.emplace_back(
        "resources: adding replaces what is there. For others: --pod FILE.");
  }
  return draft;
}

}  // namespace fnimage::place

// See the header. Source: Kubernetes core/v1 Pod.
#include "decision.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/place/format.hpp>
#include <fnimage/place/resolved.hpp>
#include <fnimage/require/selection.hpp>

namespace controller {

namespace {

using fnimage::Error;
using fnimage::ErrorCode;
using fnimage::fail;
using fnimage::Result;
using nlohmann::json;
namespace place = fnimage::place;
namespace resolve = fnimage::resolve;

constexpr std::array<const char*, 2> architecture_labels{"kubernetes.io/arch",
                                                         "beta.kubernetes.io/arch"};
constexpr const char* required_terms = "requiredDuringSchedulingIgnoredDuringExecution";

/// The member of an object, or null when there is none.
const json* member_of(const json* object, const char* name) {
  if (object == nullptr || !object->is_object()) {
    return nullptr;
  }
  const auto found = object->find(name);
  return found == object->end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

/// A container that runs a function.
struct Use {
  const char* list;   ///< "containers" or "initContainers"
  std::size_t index;  ///< into it
  std::string image;
  fnimage::manifest::Reference reference;
  const Function* function;
};

std::vector<Use> uses_of(const json& spec, const State& state) {
  std::vector<Use> uses;
  for (const char* list : {"initContainers", "containers"}) {
    const json* containers = member_of(&spec, list);
    for (std::size_t i = 0;
         containers != nullptr && containers->is_array() && i < containers->size(); ++i) {
      std::string image = text_of(member_of(&(*containers)[i], "image"));
      auto reference = fnimage::manifest::Reference::parse(image);
      const Function* function = reference ? state.function_of(reference->name()) : nullptr;
      if (function != nullptr) {
        uses.push_back({list, i, std::move(image), std::move(*reference), function});
      }
    }
  }
  return uses;
}

/// How a pod says itself where it runs.
struct OwnChoice {
  std::string text{};                     ///< "its nodeSelector"; empty = it does not
  std::set<std::string> architectures{};  ///< that it names
};

bool is_about_architecture(const std::string& label) {
  return std::find(architecture_labels.begin(), architecture_labels.end(), label) !=
         architecture_labels.end();
}

void look_at_terms(const json* terms, OwnChoice& choice) {
  for (const json& term : terms != nullptr && terms->is_array() ? *terms : json::array()) {
    const json* expressions = member_of(&term, "matchExpressions");
    for (const json& expression :
         expressions != nullptr && expressions->is_array() ? *expressions : json::array()) {
      if (!is_about_architecture(text_of(member_of(&expression, "key")))) {
        continue;
      }
      choice.text = "its nodeAffinity";
      const json* values = member_of(&expression, "values");
      if (text_of(member_of(&expression, "operator")) == "In" && values != nullptr) {
        for (const json& value : *values) {
          choice.architectures.insert(text_of(&value));
        }
      }
    }
  }
}

OwnChoice own_choice_of(const json& spec) {
  OwnChoice choice;
  const json* affinity = member_of(member_of(&spec, "affinity"), "nodeAffinity");
  look_at_terms(member_of(member_of(affinity, required_terms), "nodeSelectorTerms"), choice);
  const json* selector = member_of(&spec, "nodeSelector");
  for (const char* label : architecture_labels) {
    if (const json* value = member_of(selector, label)) {
      choice.text = "its nodeSelector";
      choice.architectures = {text_of(value)};
    }
  }
  if (!text_of(member_of(&spec, "nodeName")).empty()) {
    choice.text = "its nodeName";
  }
  return choice;
}

/// A nodeSelectorTerm as it is judged.
struct OwnTerm {
  fnimage::require::Term labels;
  fnimage::require::Term fields;
};

/// Where the pod's own nodeSelector and required affinity let it go; read once, asked per node.
struct OwnNodes {
  fnimage::require::Term selector;
  std::optional<std::vector<OwnTerm>> any{};  ///< nullopt = no affinity
};

/// Nullopt for what is not understood.
std::optional<fnimage::require::Term> read_expressions(const json* list) {
  using fnimage::require::Operator;
  constexpr std::array operators{Operator::in,     Operator::not_in,
                                 Operator::exists, Operator::does_not_exist,
                                 Operator::gt,     Operator::lt};
  fnimage::require::Term term;
  for (const json& one : list != nullptr && list->is_array() ? *list : json::array()) {
    const std::string word = text_of(member_of(&one, "operator"));
    const auto* const op = std::find_if(operators.begin(), operators.end(), [&](Operator known) {
      return word == fnimage::require::to_string(known);
    });
    if (op == operators.end()) {
      return std::nullopt;
    }
    auto& read = term.emplace_back();
    read.key = text_of(member_of(&one, "key"));
    read.op = *op;
    const json* values = member_of(&one, "values");
    for (const json& value : values != nullptr && values->is_array() ? *values : json::array()) {
      read.values.push_back(text_of(&value));
    }
  }
  return term;
}

/// Terms that are not understood or say nothing hold for no node, and are not among them.
OwnNodes own_nodes_of(const json& spec) {
  OwnNodes own;
  const json* selector = member_of(&spec, "nodeSelector");
  if (selector != nullptr && selector->is_object()) {
    for (const auto& [key, value] : selector->items()) {
      own.selector.push_back({.key = key, .values = {text_of(&value)}});
    }
  }
  const json* affinity = member_of(member_of(&spec, "affinity"), "nodeAffinity");
  const json* terms = member_of(member_of(affinity, required_terms), "nodeSelectorTerms");
  if (terms == nullptr || !terms->is_array()) {
    return own;
  }
  own.any.emplace();
  for (const json& term : *terms) {
    auto labels = read_expressions(member_of(&term, "matchExpressions"));
    auto fields = read_expressions(member_of(&term, "matchFields"));
    if (labels && fields && !(labels->empty() && fields->empty())) {
      own.any->push_back({std::move(*labels), std::move(*fields)});
    }
  }
  return own;
}

bool lets_onto(const OwnNodes& own, const fnimage::node::Node& node) {
  const auto holds = [&](const OwnTerm& term) {
    return fnimage::require::matches(term.labels, node.labels) &&
           (term.fields.empty() ||
            fnimage::require::matches(term.fields, {{"metadata.name", node.name}}));
  };
  return fnimage::require::matches(own.selector, node.labels) &&
         (!own.any || std::any_of(own.any->begin(), own.any->end(), holds));
}

/// An image that was found for a container.
struct Found {
  resolve::KnownImage known;
  std::optional<std::size_t> variant{};  ///< the best that some ready node takes
  place::Placement placement;
  std::vector<std::string> warnings{};
};

/// The best variant that a ready node takes to which the pod may go; the list itself when no node
/// does.
std::optional<std::size_t> variant_for(const resolve::ResolvedImage& image, const json& spec,
                                       const State& state, const std::string& name,
                                       std::vector<std::string>& warnings) {
  const OwnNodes own = own_nodes_of(spec);
  std::optional<std::size_t> best;
  bool is_taken = false;
  for (const fnimage::node::Node& node : state.nodes) {
    const resolve::Choice choice =
        node.ready && lets_onto(own, node) ? image.choose(node) : resolve::Choice();
    is_taken = is_taken || choice;
    if (choice && choice.variant && (!best || *choice.variant < *best)) {
      best = choice.variant;
    }
  }
  if (!is_taken && !state.nodes.empty()) {
    warnings.push_back(fmt::format("{}: none of the {} nodes that are known can run it now", name,
                                   state.nodes.size()));
  }
  return best;
}

Result<Found> find(const Use& use, const json& spec, const State& state,
                   resolve::Resolver& resolver, const std::stop_token& stop) {
  Found found;
  const std::string name = fnimage::printable(use.image);
  FNIMAGE_TRY(found.known, resolver.image(use.image, stop));
  if (found.known.stale) {
    found.warnings.push_back(
        fmt::format("{}: its registry is away; this is what it said {} s ago", name,
                    std::chrono::duration_cast<std::chrono::seconds>(*found.known.stale).count()));
  }
  for (const std::string& warning : found.known.image->warnings()) {
    found.warnings.push_back(fmt::format("{}: {}", name, warning));
  }
  found.variant = variant_for(*found.known.image, spec, state, name, found.warnings);
  place::Options options{.runtimes = state.runtimes};
  if (!use.function->runtimes.empty()) {
    options.runtimes = {.all = use.function->runtimes};
  }
  FNIMAGE_TRY(found.placement, place::place(*found.known.image, found.variant, options));
  for (const std::string& note : found.placement.notes) {
    found.warnings.push_back(fmt::format("{}: {}", name, note));
  }
  return found;
}

/// repo:tag@digest, which keeps the tag for people to read.
std::string pinned_image(const Use& use, const Found& found) {
  const auto& image = *found.known.image;
  std::string tag =
      use.reference.digest() ? use.reference.tag().value_or("") : use.reference.tag_or_latest();
  std::string digest = image.root().digest.str();
  if (found.variant) {
    const resolve::Variant& variant = image.variants()[*found.variant];
    tag = variant.tag;
    digest = image.variant_root(*found.variant)->digest.str();
  }
  return fmt::format("{}{}{}@{}", use.reference.name(), tag.empty() ? "" : ":", tag, digest);
}

std::string image_for(const Use& use, const Found& found) {
  if (use.function->pin) {
    return pinned_image(use, found);
  }
  return found.variant ? fmt::format("{}:{}", use.reference.name(),
                                     found.known.image->variants()[*found.variant].tag)
                       : use.image;
}

/// Narrows the pod to where this image runs, and sees to its container. The patch is made for a pod
/// that has just this container.
Result<void> apply(json& spec, const Use& use, const Found& found) {
  json alone = spec;
  alone.erase("initContainers");
  alone["containers"] = json::array({spec[use.list][use.index]});
  const json pod{{"apiVersion", "v1"}, {"kind", "Pod"}, {"spec", std::move(alone)}};
  FNIMAGE_TRY(const place::Rendered rendered,
              place::render(found.placement, place::Format::json_patch,
                            {.image = use.image, .name = {}, .pod = &pod}));
  json patched = pod.patch(json::parse(rendered.json))["spec"];
  json container = std::move(patched["containers"][0]);
  container["image"] = image_for(use, found);
  for (const char* kept : {"initContainers", "containers"}) {
    patched.erase(kept);
    if (spec.contains(kept)) {
      patched[kept] = std::move(spec[kept]);
    }
  }
  patched[use.list][use.index] = std::move(container);
  spec = std::move(patched);
  return {};
}

/// What is to be said of a pod that has chosen.
Verdict leave_alone(const std::vector<Use>& uses, const json& spec, const OwnChoice& choice,
                    const State& state, resolve::Resolver& resolver, const std::stop_token& stop) {
  Verdict verdict;
  verdict.message = fmt::format("{} says where it runs", choice.text);
  verdict.warnings.push_back(fmt::format("fnimage leaves the pod as it is: {}", verdict.message));
  for (const Use& use : uses) {
    const auto found = find(use, spec, state, resolver, stop);
    for (const std::string& architecture : choice.architectures) {
      const bool has = !found || std::any_of(found->placement.platforms.begin(),
                                             found->placement.platforms.end(),
                                             [&](const place::PlacedPlatform& platform) {
                                               return platform.architecture == architecture;
                                             });
      if (!has) {
        verdict.warnings.push_back(fmt::format("{} has no image for {}, which {} asks for",
                                               fnimage::printable(use.image),
                                               fnimage::printable(architecture, 80), choice.text));
      }
    }
  }
  return verdict;
}

Verdict fail_for(const Use& use, const Error& error, bool fail_closed) {
  Verdict verdict;
  verdict.message = fmt::format("fnimage cannot place {} {} ({}): {}", use.list, use.index,
                                fnimage::printable(use.image), error.describe());
  if (use.function->fail_closed.value_or(fail_closed)) {
    verdict.kind = Verdict::Kind::denied;
    return verdict;
  }
  verdict.kind = Verdict::Kind::failed_open;
  verdict.warnings.push_back(verdict.message);
  return verdict;
}

void mark_applied(json& pod) {
  json& annotations = pod["metadata"]["annotations"];
  if (!annotations.is_object()) {
    annotations = json::object();
  }
  annotations[placement_annotation] = "applied";
}

Result<Verdict> place_pod(const json& pod, const std::vector<Use>& uses, const State& state,
                          resolve::Resolver& resolver, bool fail_closed,
                          const std::stop_token& stop) {
  Verdict verdict;
  Verdict failed;
  json placed = pod;
  for (const Use& use : uses) {
    Result<Found> found = find(use, placed["spec"], state, resolver, stop);
    const Result<void> applied =
        found ? apply(placed["spec"], use, *found) : tl::make_unexpected(found.error());
    if (!applied) {
      Verdict here = fail_for(use, applied.error(), fail_closed);
      if (here.kind == Verdict::Kind::denied) {
        return here;
      }
      failed = std::move(here);
      continue;
    }
    std::move(found->warnings.begin(), found->warnings.end(), std::back_inserter(verdict.warnings));
  }
  if (failed.kind == Verdict::Kind::failed_open) {
    return failed;
  }
  mark_applied(placed);
  verdict.kind = Verdict::Kind::patched;
  verdict.patch = json::diff(pod, placed);
  return verdict;
}

}  // namespace

Result<Verdict> decide(const Review& review, const State& state, resolve::Resolver& resolver,
                       bool fail_closed, const std::stop_token& stop) {
  if (review.kind != "Pod" || review.operation != "CREATE" || !review.subresource.empty()) {
    return Verdict();
  }
  const json& pod = review.object;
  const json* spec = member_of(&pod, "spec");
  const json* metadata = member_of(&pod, "metadata");
  if (spec == nullptr || !spec->is_object() || metadata == nullptr || !metadata->is_object()) {
    return fail(ErrorCode::invalid_input, "the object of the AdmissionReview is no Pod");
  }
  const std::string mark =
      text_of(member_of(member_of(metadata, "annotations"), placement_annotation));
  if (mark == "off" || mark == "applied") {
    return Verdict();
  }
  const std::vector<Use> uses = uses_of(*spec, state);
  if (uses.empty()) {
    return Verdict();
  }
  const OwnChoice choice = own_choice_of(*spec);
  if (!choice.text.empty()) {
    return leave_alone(uses, *spec, choice, state, resolver, stop);
  }
  try {
    return place_pod(pod, uses, state, resolver, fail_closed, stop);
  } catch (const std::exception& exception) {  // of a patch that does not apply
    return fail_for(uses.front(),
                    fail(ErrorCode::internal, fnimage::printable(exception.what())).value(),
                    fail_closed);
  }
}

}  // namespace controller

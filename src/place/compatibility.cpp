// Needs as rules over features. Labels that a vendor's own discovery puts on nodes reach Node
// Feature Discovery as features of the kind local.label.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/place/compatibility.hpp>
#include <fnimage/registry/referrers.hpp>

#include "formats.hpp"
#include "yaml_text.hpp"

namespace fnimage::place {

namespace {

using manifest::Descriptor;
using manifest::Document;
using require::Expression;
using require::Operator;
using require::Term;

/// Vendors of graphics processors in the PCI ID repository.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> pci_vendors{
    {{"nvidia", "10de"}, {"amd", "1002"}, {"intel", "8086"}, {"intel-xe", "8086"}}};
/// PCI classes: VGA, 3D and other display controllers, processing accelerators.
constexpr std::array<const char*, 4> gpu_classes{"0300", "0302", "0380", "1200"};
constexpr std::string_view empty_config = "{}";

/// One element of a set of features, and what is asked of it.
struct FeatureMatch {
  std::string feature;  ///< "cpu.cpuid"
  std::string element;
  Json expression;
};

std::optional<FeatureMatch> match_of(const Expression& expression) {
  const bool is_true =
      expression.op == Operator::in && expression.values == std::vector<std::string>{"true"};
  if (expression.key.starts_with(require::cpuid_label) &&
      (is_true || expression.op == Operator::exists)) {
    return FeatureMatch{
        "cpu.cpuid", expression.key.substr(require::cpuid_label.size()), {{"op", "Exists"}}};
  }
  if (!expression.key.starts_with("nvidia.com/")) {
    return std::nullopt;
  }
  Json asked = {{"op", std::string(require::to_string(expression.op))}};
  if (!expression.values.empty()) {
    asked["value"] = expression.values;
  }
  return FeatureMatch{"local.label", expression.key, std::move(asked)};
}

/// matchFeatures of a term. A set of features is named once for all of its elements, and once more
/// where an element is asked for twice.
Result<Json> match_features(const Term& term, const std::string& platform) {
  Json features = Json::array();
  for (const Expression& expression : term) {
    auto match = match_of(expression);
    if (!match) {
      return fail(ErrorCode::unsupported,
                  fmt::format("{}: {} is no feature of hardware, and Node Feature Discovery's "
                              "compatibility cannot say it",
                              platform, shown_expression(expression)),
                  "use another format for where the image has to run; leave the need out of its "
                  "requirements to say what hardware it needs");
    }
    const auto same = std::find_if(features.begin(), features.end(), [&](const Json& feature) {
      return feature["feature"] == match->feature &&
             !feature["matchExpressions"].contains(match->element);
    });
    Json& feature = same != features.end()
                        ? *same
                        : features.emplace_back(Json{{"feature", match->feature},
                                                     {"matchExpressions", Json::object()}});
    feature["matchExpressions"][match->element] = std::move(match->expression);
  }
  return features;
}

/// That there is a graphics processor at all.
std::optional<Json> gpu_rule(const require::Requirements& requirements) {
  if (!requirements.gpu) {
    return std::nullopt;
  }
  const auto* const vendor =
      std::find_if(pci_vendors.begin(), pci_vendors.end(),
                   [&](const auto& known) { return known.first == requirements.gpu->vendor; });
  if (vendor == pci_vendors.end()) {
    return std::nullopt;
  }
  Json device = {{"vendor", {{"op", "In"}, {"value", Json::array({std::string(vendor->second)})}}},
                 {"class", {{"op", "In"}, {"value", gpu_classes}}}};
  return Json{
      {"name", "gpu"},
      {"matchFeatures",
       Json::array({{{"feature", "pci.device"}, {"matchExpressions", std::move(device)}}})}};
}

Result<Json> label_rules(const PlacedPlatform& placed) {
  Json rules = Json::array();
  const std::vector<Term> terms = require::terms_of(placed.requirements, placed.image_platform);
  if (std::any_of(terms.begin(), terms.end(), [](const Term& term) { return term.empty(); })) {
    return rules;
  }
  Json alternatives = Json::array();
  for (const Term& term : terms) {
    FNIMAGE_TRY(Json features, match_features(term, placed.str()));
    alternatives.push_back({{"matchFeatures", std::move(features)}});
  }
  Json rule = {{"name", "labels"}};
  if (alternatives.size() == 1) {
    rule["matchFeatures"] = alternatives[0]["matchFeatures"];
  } else {
    rule["matchAny"] = std::move(alternatives);
  }
  rules.push_back(std::move(rule));
  return rules;
}

void note_amounts(const PlacedPlatform& placed, Compatibility& compatibility) {
  for (const auto& [name, amount] : require::resources_of(placed.requirements)) {
    const bool is_one = amount == "1" && placed.requirements.gpu && name != "cpu";
    if (!is_one) {
      compatibility.notes.push_back(fmt::format(
          "{}: amounts are no features, and {} of {} is not in it", placed.str(), amount, name));
    }
  }
}

Result<Compatibility> compatibility_of(const PlacedPlatform& placed) {
  Compatibility compatibility{.image = placed.image, .platform = placed.image_platform.str()};
  FNIMAGE_TRY(Json rules, label_rules(placed));
  if (auto rule = gpu_rule(placed.requirements)) {
    rules.push_back(std::move(*rule));
  }
  note_amounts(placed, compatibility);
  if (rules.empty()) {
    return compatibility;
  }
  const Json document = {
      {"version", "v1alpha1"},
      {"compatibilities",
       Json::array({{{"description",
                      fmt::format("What the image of {} needs of a node", compatibility.platform)},
                     {"rules", std::move(rules)}}})}};
  compatibility.yaml = to_yaml(document);
  compatibility.json = document.dump();
  return compatibility;
}

Descriptor descriptor_of_text(std::string_view text, std::string_view media_type) {
  return {.media_type = std::string(media_type),
          .digest = manifest::Digest::of(text),
          .size = text.size()};
}

Result<bool> is_attached(registry::ImageStore& store, const Descriptor& subject,
                         const Descriptor& referrer, const Descriptor& layer) {
  FNIMAGE_TRY(const std::vector<Descriptor> referrers, store.referrers(subject.digest));
  const bool is_listed =
      std::any_of(referrers.begin(), referrers.end(),
                  [&](const Descriptor& entry) { return entry.digest == referrer.digest; });
  if (!is_listed) {
    return false;
  }
  FNIMAGE_TRY(const auto standing, store.resolve(referrer.digest));
  FNIMAGE_TRY(const bool has_layer, store.has_blob(layer));
  return standing.has_value() && has_layer;
}

}  // namespace

Result<std::vector<Compatibility>> compatibilities_of(const Placement& placement) {
  std::vector<Compatibility> all;
  for (const PlacedPlatform& placed : placement.platforms) {
    const bool is_known = std::any_of(all.begin(), all.end(), [&](const Compatibility& other) {
      return other.image.digest == placed.image.digest;
    });
    if (!is_known) {
      FNIMAGE_TRY(Compatibility compatibility, compatibility_of(placed));
      all.push_back(std::move(compatibility));
    }
  }
  return all;
}

Result<Draft> draft_nfd(const Placement& placement) {
  FNIMAGE_TRY(const std::vector<Compatibility> all, compatibilities_of(placement));
  Draft draft;
  for (const Compatibility& compatibility : all) {
    draft.comments.insert(draft.comments.end(), compatibility.notes.begin(),
                          compatibility.notes.end());
    if (compatibility.yaml.empty()) {
      draft.comments.push_back(
          fmt::format("{}: needs no feature of hardware", compatibility.platform));
      continue;
    }
    draft.comments.push_back(
        fmt::format("Of {}, {}", compatibility.platform, compatibility.image.digest.str()));
    draft.documents.push_back(Json::parse(compatibility.json));
  }
  if (draft.documents.empty()) {
    return fail(ErrorCode::unsupported,
                "none of the images needs a feature of a node's hardware, so that there is no "
                "compatibility to state",
                "requirements are said in the build file (`requires:`) and with manifest annotate");
  }
  return draft;
}

Result<AttachedCompatibility> attach(registry::ImageStore& store,
                                     const Compatibility& compatibility,
                                     const std::string& created) {
  manifest::ImageManifest artifact{
      .config = descriptor_of_text(empty_config, manifest::media_type::oci_empty),
      .layers = {descriptor_of_text(compatibility.yaml, compatibility_layer_type)}};
  const Descriptor& image = compatibility.image;
  artifact.artifact_type = compatibility_artifact_type;
  artifact.subject =
      Descriptor{.media_type = image.media_type, .digest = image.digest, .size = image.size};
  artifact.annotations = {{std::string(manifest::annotation::created), created}};
  const Document document = Document::of(artifact);
  AttachedCompatibility attached{.manifest = document.descriptor()};
  attached.manifest.artifact_type = compatibility_artifact_type;
  FNIMAGE_TRY(attached.existed,
              is_attached(store, image, attached.manifest, artifact.layers.front()));
  if (attached.existed) {
    return attached;
  }
  FNIMAGE_CHECK(store.put_blob(artifact.config, *memory_content(std::string(empty_config)), {}));
  FNIMAGE_CHECK(store.put_blob(artifact.layers.front(), *memory_content(compatibility.yaml),
                               {.probably_new = true}));
  FNIMAGE_CHECK(registry::put_referrer(store, document));
  return attached;
}

}  // namespace fnimage::place

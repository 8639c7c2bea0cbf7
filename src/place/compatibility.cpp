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

/// A vendor's graphics processors among PCI devices.
struct PciVendor {
  std::string_view name;
  const char* id;
  bool makes_accelerators = false;  ///< also without a display controller's class
  bool has_drivers = false;         ///< several, each with a resource of its own
};
/// By the PCI ID repository. Intel's processing accelerators are NPUs and FPGAs.
constexpr std::array<PciVendor, 4> pci_vendors{{{"nvidia", "10de"},
                                                {"amd", "1002", true},
                                                {"intel", "8086", false, true},
                                                {"intel-xe", "8086", false, true}}};
/// VGA, 3D and other display controllers.
constexpr std::array<const char*, 3> display_classes{"0300", "0302", "0380"};
constexpr const char* accelerator_class = "1200";
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

const PciVendor* vendor_of(const require::Gpu& gpu) {
  const auto* const found =
      std::find_if(pci_vendors.begin(), pci_vendors.end(),
                   [&](const PciVendor& known) { return known.name == gpu.vendor; });
  return found == pci_vendors.end() ? nullptr : found;
}

/// That there is a graphics processor at all.
Json device_of(const PciVendor& vendor) {
  Json classes = display_classes;
  if (vendor.makes_accelerators) {
    classes.push_back(accelerator_class);
  }
  Json device = {{"vendor", {{"op", "In"}, {"value", Json::array({vendor.id})}}},
                 {"class", {{"op", "In"}, {"value", std::move(classes)}}}};
  return {{"feature", "pci.device"}, {"matchExpressions", std::move(device)}};
}

/// What labels have to say: one of these; none = nothing.
Result<std::vector<Json>> alternatives_of(const require::Requirements& requirements,
                                          const manifest::Platform& platform) {
  std::vector<Json> alternatives;
  const std::vector<Term> terms = require::terms_of(requirements, platform);
  if (std::any_of(terms.begin(), terms.end(), [](const Term& term) { return term.empty(); })) {
    return alternatives;
  }
  for (const Term& term : terms) {
    FNIMAGE_TRY(alternatives.emplace_back(), match_features(term, platform.str()));
  }
  return alternatives;
}

/// One for everything: of several rules a NodeFeatureGroup, whose rules these are by the spec,
/// would take any one for enough.
Result<std::optional<Json>> rule_of(const require::Requirements& requirements,
                                    const manifest::Platform& platform) {
  FNIMAGE_TRY(const std::vector<Json> alternatives, alternatives_of(requirements, platform));
  Json features = alternatives.size() == 1 ? alternatives.front() : Json::array();
  const PciVendor* vendor = requirements.gpu ? vendor_of(*requirements.gpu) : nullptr;
  if (vendor != nullptr) {
    features.push_back(device_of(*vendor));
  }
  Json rule = {{"name", "hardware"}};
  if (!features.empty()) {
    rule["matchFeatures"] = std::move(features);
  }
  if (alternatives.size() > 1) {
    for (const Json& alternative : alternatives) {
      rule["matchAny"].push_back({{"matchFeatures", alternative}});
    }
  }
  return rule.size() > 1 ? std::optional(std::move(rule)) : std::nullopt;
}

void note_amounts(const require::Requirements& requirements, Compatibility& compatibility) {
  require::Requirements rest = requirements;
  const PciVendor* vendor = rest.gpu ? vendor_of(*rest.gpu) : nullptr;
  const bool has_drivers = vendor != nullptr && vendor->has_drivers;
  if (vendor != nullptr && rest.gpu->count == 1 && !has_drivers) {
    rest.gpu.reset();  // its device says all
  }
  for (const auto& [name, amount] : require::resources_of(rest)) {
    compatibility.notes.push_back(
        fmt::format("{}: amounts{} are no features, and {} of {} is not in it",
                    compatibility.platform, has_drivers ? " and drivers" : "", amount, name));
  }
}

/// @param platform the image's own
Result<Compatibility> compatibility_of(const manifest::Descriptor& image,
                                       const manifest::Platform& platform,
                                       const require::Requirements& requirements) {
  Compatibility compatibility{.image = image, .platform = platform.str()};
  FNIMAGE_TRY(auto rule, rule_of(requirements, platform));
  note_amounts(requirements, compatibility);
  if (!rule) {
    return compatibility;
  }
  const Json document = {
      {"version", "v1alpha1"},
      {"compatibilities",
       Json::array({{{"description",
                      fmt::format("What the image of {} needs of a node", compatibility.platform)},
                     {"rules", Json::array({std::move(*rule)})}}})}};
  compatibility.yaml = to_yaml(document);
  compatibility.json = document.dump();
  return compatibility;
}

/// Unless the image has one, by another platform whose nodes take it.
Result<void> add_compatibility(std::vector<Compatibility>& all, const manifest::Descriptor& image,
                               const manifest::Platform& platform,
                               const require::Requirements& requirements) {
  const bool is_known = std::any_of(all.begin(), all.end(), [&](const Compatibility& other) {
    return other.image.digest == image.digest;
  });
  if (!is_known) {
    FNIMAGE_TRY(Compatibility compatibility, compatibility_of(image, platform, requirements));
    all.push_back(std::move(compatibility));
  }
  return {};
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
    FNIMAGE_CHECK(add_compatibility(all, placed.image, placed.image_platform, placed.requirements));
    for (const OtherImage& other : placed.others) {
      FNIMAGE_CHECK(add_compatibility(all, other.image, other.platform, placed.requirements));
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

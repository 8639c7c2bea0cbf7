// See the header.
#include <utility>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/report/json.hpp>

namespace fnimage::report {

using nlohmann::ordered_json;

namespace {

ordered_json layers_json(const std::vector<build::BuiltLayer>& layers) {
  ordered_json values = ordered_json::array();
  for (const build::BuiltLayer& layer : layers) {
    ordered_json value = to_json(layer.descriptor);
    value["name"] = layer.name;
    value["cached"] = layer.cached;
    values.push_back(std::move(value));
  }
  return values;
}

ordered_json uncovered_json(const std::vector<build::UncoveredPackage>& packages) {
  ordered_json values = ordered_json::array();
  for (const build::UncoveredPackage& package : packages) {
    values.push_back({{"package", package.package}, {"commands", package.commands}});
    for (const manifest::Platform& platform : package.platforms) {
      values.back()["platforms"].push_back(platform.str());
    }
  }
  return values;
}

std::string_view word_of(resolve::Choice::Outcome outcome) noexcept {
  using Outcome = resolve::Choice::Outcome;
  switch (outcome) {
    case Outcome::taken:
      return "taken";
    case Outcome::unfit:
      return "unfit";
    case Outcome::broken:
      return "broken";
    case Outcome::no_match:
      break;
  }
  return "no-match";
}

ordered_json requirements_json(const require::Requirements* requirements) {
  if (requirements == nullptr) {
    return {};
  }
  const auto value = parse_json(require::to_json(*requirements), "requirements");
  return value ? ordered_json(*value) : ordered_json();  // our own text can be read
}

}  // namespace

ordered_json to_json(const manifest::Descriptor& descriptor) {
  ordered_json value = {{"mediaType", descriptor.media_type},
                        {"digest", descriptor.digest.str()},
                        {"size", descriptor.size}};
  if (descriptor.platform) {
    value["platform"] = descriptor.platform->str();
  }
  return value;
}

ordered_json to_json(const std::vector<registry::MovedTag>& moved) {
  ordered_json tags = ordered_json::array();
  for (const registry::MovedTag& tag : moved) {
    const ordered_json previous = tag.previous ? ordered_json(tag.previous->str()) : ordered_json();
    tags.push_back({{"tag", tag.tag}, {"previous", previous}});
  }
  return tags;
}

ordered_json to_json(const sbom::Attached& attached) {
  const auto format = sbom::format_of(attached.document.media_type);
  return {{"format", format ? sbom::to_string(*format) : std::string_view()},
          {"manifest", to_json(attached.manifest)},
          {"document", to_json(attached.document)},
          {"existed", attached.existed}};
}

ordered_json to_json(const build::Published& published) {
  const registry::TransferResult& result = published.result;
  return {{"reference", published.reference.str()}, {"digest", result.root.digest.str()},
          {"blobsUploaded", result.blobs_uploaded}, {"blobsMounted", result.blobs_mounted},
          {"blobsExisted", result.blobs_existed},   {"bytesUploaded", result.bytes_uploaded},
          {"referrers", published.referrers},       {"moved", to_json(result.moved)}};
}

ordered_json to_json(const build::BuildResult& result, const std::vector<std::string>& names) {
  ordered_json platforms = ordered_json::array();
  for (const build::BuiltPlatform& platform : result.platforms) {
    platforms.push_back({{"platform", platform.platform.str()},
                         {"manifest", to_json(platform.manifest)},
                         {"layers", layers_json(platform.layers)}});
    for (const sbom::Attached& attached : platform.sboms) {
      platforms.back()["sboms"].push_back(to_json(attached));
    }
  }
  ordered_json json{
      {"list", to_json(result.list)}, {"names", names}, {"platforms", std::move(platforms)}};
  if (!result.uncovered.empty()) {
    json["uncovered"] = uncovered_json(result.uncovered);
  }
  return json;
}

ordered_json to_json(const resolve::KnownImage& known) {
  const resolve::ResolvedImage& image = *known.image;
  return {{"reference", image.name()},
          {"digest", image.root().digest.str()},
          {"mediaType", image.root().media_type},
          {"list", image.index() != nullptr},
          {"staleMs", known.stale ? ordered_json(known.stale->count()) : ordered_json()},
          {"warnings", image.warnings()}};
}

ordered_json to_json(const resolve::ResolvedImage& image, const node::Node& node,
                     const resolve::Choice& choice) {
  ordered_json json = {{"node", node.name},
                       {"platform", node.machine.platform.str()},
                       {"cpuVariant", node.machine.cpu_variant},
                       {"runtime", node.runtime.str()},
                       {"outcome", word_of(choice.outcome)},
                       {"taken", nullptr},
                       {"pull", nullptr},
                       {"variant", nullptr},
                       {"unsure", choice.is_unsure},
                       {"foreign", choice.is_foreign},
                       {"requires", requirements_json(choice.requirements)},
                       {"pullSize", choice.pull_size}};
  if (choice.image != nullptr) {
    json["taken"] = to_json(*choice.image);
    json["pull"] = image.pull_name(choice);
  }
  if (choice.variant) {
    json["variant"] = image.variants()[*choice.variant].suffix;
  }
  return json;
}

}  // namespace fnimage::report

// CycloneDX 1.5 as JSON, which is what all readers of 1.5 and 1.6 take. Thread-safety: pure
// functions.
#include <fmt/format.h>

#include "document.hpp"
#include "identity.hpp"

namespace fnimage::sbom {

namespace {

using nlohmann::ordered_json;

ordered_json property(std::string_view name, std::string value) {
  return {{"name", fmt::format("fnimage:{}", name)}, {"value", std::move(value)}};
}

ordered_json image_component(const Contents& contents, const std::string& purl) {
  ordered_json value = {{"type", "container"},
                        {"bom-ref", purl},
                        {"name", contents.name},
                        {"version", contents.image.digest.str()}};
  value["hashes"] = ordered_json::array(
      {{{"alg", contents.image.digest.algorithm() == "sha256" ? "SHA-256" : "SHA-512"},
        {"content", contents.image.digest.hex()}}});
  value["purl"] = purl;
  value["properties"] = ordered_json::array({property("platform", contents.platform.str())});
  return value;
}

std::string system_reference(const Distribution& distribution) {
  return fmt::format("os:{}-{}", distribution.id, distribution.version);
}

ordered_json system_component(const Distribution& distribution) {
  ordered_json value = {{"type", "operating-system"},
                        {"bom-ref", system_reference(distribution)},
                        {"name", distribution.id}};
  if (!distribution.version.empty()) {
    value["version"] = distribution.version;
  }
  if (!distribution.full_name.empty()) {
    value["description"] = distribution.full_name;
  }
  return value;
}

ordered_json organization(const Person& person) {
  ordered_json value = {{"name", person.name}};
  if (!person.address.empty()) {
    value["contact"] = ordered_json::array({{{"name", person.name}, {"email", person.address}}});
  }
  return value;
}

ordered_json debian_component(const source::InstalledPackage& package, const std::string& purl) {
  ordered_json value = {{"type", "library"}, {"bom-ref", purl}};
  if (const Person person = parse_person(package.maintainer); !person.name.empty()) {
    value["supplier"] = organization(person);
  }
  value["name"] = package.name;
  value["version"] = package.version;
  if (!package.summary.empty()) {
    value["description"] = package.summary;
  }
  value["purl"] = purl;
  if (is_web_address(package.homepage)) {
    value["externalReferences"] =
        ordered_json::array({{{"type", "website"}, {"url", package.homepage}}});
  }
  ordered_json properties = ordered_json::array(
      {property("deb:architecture", package.architecture), property("deb:source", package.source),
       property("deb:sourceVersion", package.source_version)});
  if (package.installed_kib > 0) {
    properties.push_back(
        property("deb:installedSizeKiB", fmt::format("{}", package.installed_kib)));
  }
  value["properties"] = std::move(properties);
  return value;
}

}  // namespace

ordered_json cyclonedx_document(const Contents& contents) {
  const std::string image = purl_of(contents);
  const auto& installed = contents.installed.packages;
  ordered_json components = ordered_json::array();
  ordered_json contained = ordered_json::array();
  if (contents.has_database && !contents.distribution.id.empty()) {
    components.push_back(system_component(contents.distribution));
    contained.push_back(system_reference(contents.distribution));
  }
  std::vector<std::string> purls;
  purls.reserve(installed.size());
  for (const source::InstalledPackage& package : installed) {
    purls.push_back(purl_of(package, contents.distribution));
    components.push_back(debian_component(package, purls.back()));
    contained.push_back(purls.back());
  }
  ordered_json dependencies = ordered_json::array();
  dependencies.push_back({{"ref", image}, {"dependsOn", std::move(contained)}});
  for (std::size_t i = 0; i < installed.size(); ++i) {
    ordered_json needs = ordered_json::array();
    for (const std::size_t needed : installed[i].depends) {
      needs.push_back(purls[needed]);
    }
    dependencies.push_back({{"ref", purls[i]}, {"dependsOn", std::move(needs)}});
  }
  return {
      {"$schema", "http://cyclonedx.org/schema/bom-1.5.schema.json"},
      {"bomFormat", "CycloneDX"},
      {"specVersion", "1.5"},
      {"serialNumber", fmt::format("urn:uuid:{}", uuid_of(contents, Format::cyclonedx))},
      {"version", 1},
      {"metadata",
       {{"timestamp", contents.created},
        {"tools",
         {{"components",
           ordered_json::array(
               {{{"type", "application"}, {"name", "fnimage"}, {"version", FNIMAGE_VERSION}}})}}},
        {"component", image_component(contents, image)}}},
      {"components", std::move(components)},
      {"dependencies", std::move(dependencies)}};
}

}  // namespace fnimage::sbom

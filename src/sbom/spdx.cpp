// SPDX 2.3 as JSON: clauses 6 (document), 7 (packages) and 11 (relationships) of the specification.
// Licences are not guessed from copyright files: NOASSERTION. Thread-safety: pure functions.
#include <fmt/format.h>

#include <fnimage/manifest/digest.hpp>

#include "document.hpp"
#include "identity.hpp"

namespace fnimage::sbom {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view document_id = "SPDXRef-DOCUMENT";
constexpr std::string_view image_id = "SPDXRef-Image";
constexpr std::string_view system_id = "SPDXRef-OperatingSystem";
constexpr std::string_view no_assertion = "NOASSERTION";

/// Letters, digits, '.' and '-' are what an id may have; the hash keeps apart what this makes
/// equal.
std::string id_of(const source::InstalledPackage& package, std::string_view purl) {
  constexpr std::size_t hash_digits = 12;
  std::string id = fmt::format("SPDXRef-Package-{}-{}-", package.name, package.architecture);
  for (char& c : id) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '-';
    c = allowed ? c : '-';
  }
  return id.append(manifest::Digest::of(purl).hex().substr(0, hash_digits));
}

ordered_json purl_reference(const std::string& purl) {
  return ordered_json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                               {"referenceType", "purl"},
                               {"referenceLocator", purl}}});
}

/// What every package says, in the order of the specification.
ordered_json package_start(std::string_view name, std::string_view id, std::string_view version) {
  ordered_json value = {{"name", name}, {"SPDXID", id}};
  if (!version.empty()) {
    value["versionInfo"] = version;
  }
  return value;
}

void add_no_assertions(ordered_json& value) {
  value["licenseConcluded"] = no_assertion;
  value["licenseDeclared"] = no_assertion;
  value["copyrightText"] = no_assertion;
}

ordered_json image_package(const Contents& contents) {
  ordered_json value = package_start(contents.name, image_id, contents.image.digest.str());
  value["supplier"] = no_assertion;
  value["downloadLocation"] = no_assertion;
  value["filesAnalyzed"] = false;
  if (contents.image.digest.algorithm() == "sha256") {
    value["checksums"] = ordered_json::array(
        {{{"algorithm", "SHA256"}, {"checksumValue", contents.image.digest.hex()}}});
  }
  add_no_assertions(value);
  value["comment"] = fmt::format("image for {}", contents.platform.str());
  value["externalRefs"] = purl_reference(purl_of(contents));
  value["primaryPackagePurpose"] = "CONTAINER";
  return value;
}

ordered_json system_package(const Distribution& distribution) {
  ordered_json value = package_start(distribution.id, system_id, distribution.version);
  value["supplier"] = no_assertion;
  value["downloadLocation"] = no_assertion;
  value["filesAnalyzed"] = false;
  add_no_assertions(value);
  if (!distribution.full_name.empty()) {
    value["summary"] = distribution.full_name;
  }
  value["primaryPackagePurpose"] = "OPERATING_SYSTEM";
  return value;
}

std::string supplier_of(const source::InstalledPackage& package) {
  const Person person = parse_person(package.maintainer);
  if (person.name.empty()) {
    return std::string(no_assertion);
  }
  return person.address.empty() ? fmt::format("Person: {}", person.name)
                                : fmt::format("Person: {} ({})", person.name, person.address);
}

ordered_json debian_package(const source::InstalledPackage& package, const std::string& id,
                            const std::string& purl) {
  ordered_json value = package_start(package.name, id, package.version);
  value["supplier"] = supplier_of(package);
  value["downloadLocation"] = no_assertion;
  value["filesAnalyzed"] = false;
  if (is_web_address(package.homepage)) {
    value["homepage"] = package.homepage;
  }
  value["sourceInfo"] =
      fmt::format("built from source package {} {}", package.source, package.source_version);
  add_no_assertions(value);
  if (!package.summary.empty()) {
    value["summary"] = package.summary;
  }
  value["comment"] = package.installed_kib > 0
                         ? fmt::format("architecture {}, installed size {} KiB",
                                       package.architecture, package.installed_kib)
                         : fmt::format("architecture {}", package.architecture);
  value["externalRefs"] = purl_reference(purl);
  return value;
}

ordered_json relationship(std::string_view from, std::string_view type, std::string_view to) {
  return {{"spdxElementId", from}, {"relationshipType", type}, {"relatedSpdxElement", to}};
}

}  // namespace

ordered_json spdx_document(const Contents& contents) {
  ordered_json packages = ordered_json::array({image_package(contents)});
  ordered_json relations = ordered_json::array({relationship(document_id, "DESCRIBES", image_id)});
  if (contents.has_database && !contents.distribution.id.empty()) {
    packages.push_back(system_package(contents.distribution));
    relations.push_back(relationship(image_id, "CONTAINS", system_id));
  }
  const auto& installed = contents.installed.packages;
  std::vector<std::string> ids;
  ids.reserve(installed.size());
  for (const source::InstalledPackage& package : installed) {
    const std::string purl = purl_of(package, contents.distribution);
    ids.push_back(id_of(package, purl));
    packages.push_back(debian_package(package, ids.back(), purl));
    relations.push_back(relationship(image_id, "CONTAINS", ids.back()));
  }
  for (std::size_t i = 0; i < installed.size(); ++i) {
    for (const std::size_t needed : installed[i].depends) {
      relations.push_back(relationship(ids[i], "DEPENDS_ON", ids[needed]));
    }
  }
  const std::string name = fmt::format("{}-{}", contents.name, contents.platform.tag_suffix());
  return {{"spdxVersion", "SPDX-2.3"},
          {"dataLicense", "CC0-1.0"},
          {"SPDXID", document_id},
          {"name", name},
          // What the specification proposes to those who have no web site for their documents.
          {"documentNamespace",
           fmt::format("https://spdx.org/spdxdocs/fnimage-{}", uuid_of(contents, Format::spdx))},
          {"creationInfo",
           {{"created", contents.created},
            {"creators", ordered_json::array({"Tool: fnimage-" FNIMAGE_VERSION})}}},
          {"packages", std::move(packages)},
          {"relationships", std::move(relations)}};
}

}  // namespace fnimage::sbom

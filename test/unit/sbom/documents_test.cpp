// Both formats against the fields that their specifications ask for, and against each other.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

#include "support.hpp"

namespace fnimage::sbom {
namespace {

using nlohmann::json;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using ::testing::UnorderedElementsAre;

/// "a DEPENDS_ON b", with names instead of ids.
std::vector<std::string> relations(const json& document, std::string_view type) {
  std::map<std::string, std::string> names{{"SPDXRef-DOCUMENT", "document"}};
  for (const json& package : document.at("packages")) {
    names[package.at("SPDXID")] = package.at("name");
  }
  std::vector<std::string> lines;
  for (const json& relation : document.at("relationships")) {
    if (relation.at("relationshipType") == type) {
      lines.push_back(names.at(relation.at("spdxElementId")) + " " +
                      names.at(relation.at("relatedSpdxElement")));
    }
  }
  return lines;
}

TEST(Spdx, SaysWhatTheSpecificationAsksFor) {
  const Contents contents = small_contents();
  const json document = parsed(to_document(contents, Format::spdx));
  EXPECT_EQ(document.at("spdxVersion"), "SPDX-2.3");
  EXPECT_EQ(document.at("dataLicense"), "CC0-1.0");
  EXPECT_EQ(document.at("SPDXID"), "SPDXRef-DOCUMENT");
  EXPECT_EQ(document.at("name"), "hello-ppc64le");
  EXPECT_THAT(std::string(document.at("documentNamespace")),
              MatchesRegex("https://spdx.org/spdxdocs/fnimage-[0-9a-f-]{36}"));
  EXPECT_EQ(document.at("creationInfo").at("created"), "2023-06-10T12:00:00Z");
  EXPECT_THAT(std::string(document.at("creationInfo").at("creators").at(0)),
              MatchesRegex("Tool: fnimage-[0-9.]+"));
  std::set<std::string> ids;
  for (const json& package : document.at("packages")) {
    EXPECT_THAT(std::string(package.at("SPDXID")), MatchesRegex("SPDXRef-[A-Za-z0-9.-]+"));
    EXPECT_TRUE(ids.insert(package.at("SPDXID")).second);
    EXPECT_EQ(package.at("downloadLocation"), "NOASSERTION");
    EXPECT_EQ(package.at("filesAnalyzed"), false);
    EXPECT_EQ(package.at("licenseConcluded"), "NOASSERTION");
    EXPECT_EQ(package.at("licenseDeclared"), "NOASSERTION");
  }
  EXPECT_THAT(relations(document, "DESCRIBES"), ElementsAre("document hello"));
  EXPECT_THAT(
      relations(document, "CONTAINS"),
      UnorderedElementsAre("hello debian", "hello libc6", "hello libstdc++6", "hello python3-x"));
  EXPECT_THAT(relations(document, "DEPENDS_ON"),
              UnorderedElementsAre("libstdc++6 libc6", "python3-x libc6", "python3-x libstdc++6"));
}

TEST(Spdx, APackage) {
  const json document = parsed(to_document(small_contents(), Format::spdx));
  const json& package = document.at("packages").at(3);
  EXPECT_EQ(package.at("name"), "libstdc++6");
  EXPECT_EQ(package.at("versionInfo"), "12.2.0-14+b1");
  EXPECT_EQ(package.at("supplier"), "Person: Debian GCC Maintainers (debian-gcc@lists.debian.org)");
  EXPECT_EQ(package.at("homepage"), "http://gcc.gnu.org/");
  EXPECT_EQ(package.at("sourceInfo"), "built from source package gcc-12 12.2.0-14");
  EXPECT_EQ(package.at("summary"), "GNU Standard C++ Library v3");
  EXPECT_EQ(package.at("comment"), "architecture ppc64el, installed size 2745 KiB");
  const json& reference = package.at("externalRefs").at(0);
  EXPECT_EQ(reference.at("referenceCategory"), "PACKAGE-MANAGER");
  EXPECT_EQ(reference.at("referenceType"), "purl");
  EXPECT_EQ(reference.at("referenceLocator"),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bb1?arch=ppc64el&distro=debian-12");
  EXPECT_FALSE(document.at("packages").at(4).contains("homepage")) << "it is no URL";
  EXPECT_EQ(document.at("packages").at(4).at("supplier"), "NOASSERTION");
}

TEST(CycloneDx, SaysWhatTheSpecificationAsksFor) {
  const Contents contents = small_contents();
  const json document = parsed(to_document(contents, Format::cyclonedx));
  EXPECT_EQ(document.at("bomFormat"), "CycloneDX");
  EXPECT_EQ(document.at("specVersion"), "1.5");
  EXPECT_EQ(document.at("version"), 1);
  EXPECT_THAT(
      std::string(document.at("serialNumber")),
      MatchesRegex("urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
  const json& metadata = document.at("metadata");
  EXPECT_EQ(metadata.at("timestamp"), "2023-06-10T12:00:00Z");
  EXPECT_EQ(metadata.at("component").at("type"), "container");
  EXPECT_EQ(metadata.at("component").at("purl"), metadata.at("component").at("bom-ref"));
  EXPECT_EQ(metadata.at("component").at("version"), contents.image.digest.str());
  std::set<std::string> references{metadata.at("component").at("bom-ref")};
  for (const json& component : document.at("components")) {
    EXPECT_TRUE(component.contains("type"));
    EXPECT_TRUE(component.contains("name"));
    EXPECT_TRUE(references.insert(component.at("bom-ref")).second);
  }
  for (const json& dependency : document.at("dependencies")) {
    EXPECT_TRUE(references.contains(dependency.at("ref")));
    for (const json& needed : dependency.at("dependsOn")) {
      EXPECT_TRUE(references.contains(needed)) << needed;
    }
  }
  const json& package = document.at("components").at(2);
  EXPECT_EQ(package.at("type"), "library");
  EXPECT_EQ(package.at("name"), "libstdc++6");
  EXPECT_EQ(package.at("purl"),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bb1?arch=ppc64el&distro=debian-12");
  EXPECT_EQ(package.at("supplier").at("name"), "Debian GCC Maintainers");
  EXPECT_EQ(package.at("supplier").at("contact").at(0).at("email"), "debian-gcc@lists.debian.org");
  EXPECT_EQ(package.at("externalReferences").at(0).at("url"), "http://gcc.gnu.org/");
}

TEST(Documents, AreTheSameForTheSameImage) {
  for (const Format format : {Format::spdx, Format::cyclonedx}) {
    const std::string document = to_document(small_contents(), format);
    EXPECT_EQ(document, to_document(small_contents(), format));
    EXPECT_TRUE(document.ends_with("}\n"));
    EXPECT_EQ(unwrap(count_packages(document, format)), 3U) << "neither image nor operating system";
  }
}

TEST(Documents, WithoutADatabaseNameTheImageOnly) {
  Contents contents = small_contents();
  contents.has_database = false;
  contents.installed = {};
  contents.distribution = {};
  const json spdx = parsed(to_document(contents, Format::spdx));
  EXPECT_EQ(spdx.at("packages").size(), 1U);
  EXPECT_EQ(spdx.at("relationships").size(), 1U);
  const json cyclonedx = parsed(to_document(contents, Format::cyclonedx));
  EXPECT_TRUE(cyclonedx.at("components").empty());
  EXPECT_EQ(cyclonedx.at("dependencies").size(), 1U);
}

TEST(Documents, AreUtf8WhateverThePackagesSay) {
  Contents contents = small_contents();
  source::InstalledPackage& package = contents.installed.packages[0];
  package.name = "lib\xff\"\\\n";
  package.maintainer = "\xc3 \xed\xa0\x80 <x@y>";
  package.summary = std::string("\0\x1f\x7f", 3);
  for (const Format format : {Format::spdx, Format::cyclonedx}) {
    const std::string document = to_document(contents, format);
    EXPECT_TRUE(json::accept(document));
    EXPECT_EQ(document.find('\xff'), std::string::npos);
    EXPECT_NE(document.find("\xef\xbf\xbd"), std::string::npos) << "replaced";
  }
}

TEST(Documents, EqualIdsAreKeptApart) {
  Contents contents = small_contents();
  auto& packages = contents.installed.packages;
  packages[0].name = "a+b";
  packages[1] = packages[0];
  packages[1].name = "a_b";
  packages[1].depends = {0};
  const json document = parsed(to_document(contents, Format::spdx));
  EXPECT_NE(document.at("packages").at(2).at("SPDXID"), document.at("packages").at(3).at("SPDXID"));
}

TEST(Documents, OfOthersAreCounted) {
  EXPECT_EQ(unwrap(count_packages(R"({"spdxVersion":"SPDX-2.2","packages":[{"name":"a"},
      {"primaryPackagePurpose":"OPERATING-SYSTEM"},{"primaryPackagePurpose":"LIBRARY"},7]})",
                                  Format::spdx)),
            3U);
  EXPECT_EQ(unwrap(count_packages(R"({"bomFormat":"CycloneDX","components":[{"type":"library"},
      {"type":"file"}]})",
                                  Format::cyclonedx)),
            1U);
  EXPECT_EQ(unwrap(count_packages(R"({"spdxVersion":"SPDX-2.3","packages":{}})", Format::spdx)),
            0U);
  EXPECT_THAT(count_packages(R"({"spdxVersion":"SPDX-2.3"})", Format::cyclonedx),
              fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(count_packages("[]", Format::spdx), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(count_packages("no JSON", Format::spdx), fails_with(ErrorCode::invalid_input));
}

TEST(Formats, HaveNamesAndTypes) {
  for (const Format format : {Format::spdx, Format::cyclonedx}) {
    EXPECT_EQ(unwrap(parse_format(to_string(format))), format);
    EXPECT_EQ(format_of(media_type_of(format)), format);
  }
  EXPECT_EQ(format_of("application/vnd.cyclonedx+json; version=1.6"), Format::cyclonedx);
  EXPECT_EQ(format_of("text/spdx"), std::nullopt);
  EXPECT_THAT(parse_format("swid"), fails_with(ErrorCode::invalid_argument));
}

}  // namespace
}  // namespace fnimage::sbom

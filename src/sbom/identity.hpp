// How packages, images and documents are called. Sources: purl specification (ECMA-427) with the
// types deb and oci; RFC 9562; RFC 3339. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include <fnimage/sbom/contents.hpp>
#include <fnimage/sbom/format.hpp>

namespace fnimage::sbom {

/// "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=ppc64el&distro=debian-12"
std::string purl_of(const source::InstalledPackage& package, const Distribution& distribution);

/// "pkg:oci/hello@sha256:…?arch=ppc64le". Without place and tag: an image keeps its document
/// wherever it is copied and however it is tagged.
std::string purl_of(const Contents& contents);

/// The same for the same contents, format and version of fnimage; version 8 of RFC 9562, since the
/// one made of names would be of SHA-1.
std::string uuid_of(const Contents& contents, Format format);

/// In UTC with whole seconds, as both formats take it; 1970 for what is no RFC 3339 time.
std::string utc_time(std::string_view text);

/// "Name <address>" of a control file.
struct Person {
  std::string_view name;
  std::string_view address{};  ///< empty when there is none
};
Person parse_person(std::string_view text);

/// An http or https URL of printable ASCII.
bool is_web_address(std::string_view text);

}  // namespace fnimage::sbom

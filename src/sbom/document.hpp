// The two writers. Private to sbom. Thread-safety: pure functions.
#pragma once

#include <nlohmann/json.hpp>

#include <fnimage/sbom/contents.hpp>

namespace fnimage::sbom {

/// SPDX 2.3.
nlohmann::ordered_json spdx_document(const Contents& contents);
/// CycloneDX 1.5.
nlohmann::ordered_json cyclonedx_document(const Contents& contents);

}  // namespace fnimage::sbom

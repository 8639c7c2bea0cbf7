// Structural validation of what is about to be published, or of what others made: publishing rules
// 1-3 and 5 of the design and image-spec V1-V7. Parsing already guarantees well-formedness; these
// are the rules between fields. Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/index.hpp>

namespace fnimage::manifest {

/// One violated rule.
struct Finding {
  std::string rule;                 ///< stable name: "duplicate-platform"
  std::string path;                 ///< JSON path: "/manifests/1/platform/architecture"
  std::string message;              ///< what is wrong
  std::string fix;                  ///< what to do
  bool fatal = true;                ///< false: some runtimes cope, see message
  std::string platform{};           ///< of the nodes that it is about; empty = see path
  std::vector<std::string> also{};  ///< further paths of which the same is true
};

/// Rules of a list: every entry with a platform (no-platform), Go names (platform-name), no two
/// entries of one platform (duplicate-platform), no variant on amd64 and ppc64le
/// (platform-variant), one media-type family (media-type-family), no attestations
/// (attestation-entry); and empty-list, no-bytes.
std::vector<Finding> validate(const Index& index);

/// Rules of a manifest: layer and config types of one family, sizes not zero.
std::vector<Finding> validate(const ImageManifest& manifest);

/// Rules between a config and its manifest: as many diff_ids as layers, history count, platform
/// set.
std::vector<Finding> validate(const ImageManifest& manifest, const ImageConfig& config);

/// Those that were not there before: of another rule, about other nodes or with another fix.
/// Positions are not compared, since entries move.
std::vector<Finding> new_findings(std::vector<Finding> after, const std::vector<Finding>& before);

/// An error that lists the fatal findings, or success: invalid_input; platform_mismatch when the
/// first is that nodes take nothing or that a config says another platform. @param what the
/// document's name.
Result<void> require_valid(const std::vector<Finding>& findings, std::string_view what);

}  // namespace fnimage::manifest

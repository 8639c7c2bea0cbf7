// What a manifest that is being put refers to, and whether it may be put (distribution-spec,
// Pushing Manifests). Thread-safety: pure but for the repository that is asked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>

#include "api/reply.hpp"
#include "store/store.hpp"

namespace fnimage::server {

/// A manifest's or list's type and references.
struct ManifestContent {
  std::string media_type;
  std::vector<manifest::Descriptor> blobs{};     ///< config and layers that have to be here
  std::vector<manifest::Descriptor> children{};  ///< entries of a list
  std::optional<manifest::Descriptor> subject{};
};

/// Reads bytes that came with a Content-Type (may be empty). Errors: invalid_input, also for a
/// document that could be read as two things or contradicts its type (A10); unsupported for types
/// other than OCI's and Docker's manifests and lists.
Result<ManifestContent> read_content(const std::string& bytes, std::string_view content_type);

/// What of it is missing in the repository, or has another size there. @param repository null =
/// there is none yet.
Result<std::vector<ApiError>> missing_content(const ManifestContent& content,
                                              Repository* repository);

}  // namespace fnimage::server

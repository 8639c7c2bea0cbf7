// Writing an image archive: the tar of an OCI layout, for `docker load` with docker's manifest.json
// beside it. The same image gives the same bytes. Nothing is gathered on disk before: contents go
// from their store into the archive, which gets its name when it is whole (F25, F26).
// Thread-safety: a pure function but for what it reads and writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::archive {

enum class ArchiveKind : std::uint8_t {
  oci,    ///< any image or list
  docker  ///< one platform's image; layers stay as they are, which every reader of these accepts
};

struct WriteOptions {
  ArchiveKind kind = ArchiveKind::oci;
  std::vector<std::string> names{};  ///< oci: tags; docker: "name:tag"
  /// Go into the archive too, under fallback tags and their own; oci only.
  registry::Companions companions{};
};

struct WrittenArchive {
  manifest::Descriptor root;
  std::size_t blobs = 0;    ///< without manifests
  std::uint64_t bytes = 0;  ///< of blobs and manifests
};

/// Writes the archive, replacing an old file of that name. Errors: those of `from`;
/// platform_mismatch for a list that should become a docker archive; unsupported for an artifact or
/// companions there; not_found when the file's directory does not exist; no_space, io.
Result<WrittenArchive> write_archive(registry::ImageStore& from, const registry::Selector& selector,
                                     const std::filesystem::path& file, const WriteOptions& options,
                                     Diagnostics& diagnostics);

}  // namespace fnimage::archive

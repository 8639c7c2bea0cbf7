// Parsing and editing of lists (V6, V11).
#include <algorithm>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/platform_match.hpp>

#include "json_fields.hpp"

namespace fnimage::manifest {

namespace {

/// Attestations of other tools carry "unknown/unknown": that names no platform either.
bool has_platform(const Descriptor& entry) {
  return entry.platform && entry.platform->os != "unknown";
}

bool replaces(const Descriptor& entry, const Descriptor& old) {
  if (has_platform(entry) && has_platform(old)) {
    return same_platform(*entry.platform, *old.platform) &&
           entry.platform->os_version == old.platform->os_version;
  }
  return !has_platform(entry) && !has_platform(old) && entry.digest == old.digest;
}

bool before(const Descriptor& a, const Descriptor& b) {
  if (has_platform(a) != has_platform(b)) {
    return has_platform(a);
  }
  if (!has_platform(a)) {
    return a.digest < b.digest;
  }
  const Platform x = normalize(*a.platform);
  const Platform y = normalize(*b.platform);
  return std::tie(x.os, x.architecture, x.variant, x.os_version, a.digest) <
         std::tie(y.os, y.architecture, y.variant, y.os_version, b.digest);
}

}  // namespace

static_assert(ListLimits{}.max_bytes == max_document_bytes &&
              ListLimits{}.max_entries == max_array_entries);

Result<Index> Index::parse(std::string_view bytes, const ListLimits& limits) {
  FNIMAGE_TRY(const nlohmann::json value, parse_json(bytes, "list", {limits.max_bytes}));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, "list"));
  FNIMAGE_CHECK(refuse_members(object, {"layers", "config"}, "a list"));
  FNIMAGE_TRY(const std::string type,
              read_schema(object, media_type::oci_index, media_type::docker_list));
  Index index;
  index.format = type == media_type::docker_list ? Format::docker : Format::oci;
  FNIMAGE_TRY(index.manifests, read_descriptors(object, "manifests", limits.max_entries));
  FNIMAGE_TRY(index.annotations, read_string_map(object, "annotations"));
  FNIMAGE_TRY(index.artifact_type, object.string_or("artifactType", {}));
  FNIMAGE_TRY(index.subject, read_optional_descriptor(object, "subject"));
  return index;
}

void Index::put(Descriptor entry) {
  std::erase_if(manifests, [&](const Descriptor& old) { return replaces(entry, old); });
  manifests.push_back(std::move(entry));
  std::sort(manifests.begin(), manifests.end(), before);
}

}  // namespace fnimage::manifest

// Readers of the JSON shapes that manifests, lists and configs share. All errors are invalid_input
// with the JSON path. Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::manifest {

/// Entries of one array in a document: far above anything real, far below what hurts.
inline constexpr std::size_t max_array_entries = 10'000;

/// invalid_input at a JSON path.
tl::unexpected<Error> refuse_field(const std::string& path, std::string_view why);

/// `type/subtype` of RFC 6838.
bool is_media_type(std::string_view text) noexcept;

/// The member as an array of at most `max_entries`, or nullptr when absent.
Result<const nlohmann::json*> read_array(const JsonObject& object, std::string_view key,
                                         std::size_t max_entries = max_array_entries);

/// An array of strings; absent = empty.
Result<std::vector<std::string>> read_strings(const JsonObject& object, std::string_view key);

/// An object whose values are all strings; absent = empty.
Result<Annotations> read_string_map(const JsonObject& object, std::string_view key);

Result<Digest> read_digest(const nlohmann::json& value, const std::string& path);

/// architecture, os, os.version, os.features and variant of an object that may have other members
/// too. @param required whether architecture and os have to be there; absent ones are empty.
Result<Platform> read_platform(const JsonObject& object, bool required = true);

/// The descriptor under `key`; absent = error when required.
Result<Descriptor> read_descriptor(const JsonObject& object, std::string_view key);
Result<std::optional<Descriptor>> read_optional_descriptor(const JsonObject& object,
                                                           std::string_view key);
/// A required array of descriptors.
Result<std::vector<Descriptor>> read_descriptors(const JsonObject& object, std::string_view key,
                                                 std::size_t max_entries = max_array_entries);

/// Error unless schemaVersion is 2 and mediaType is absent or one of the pair; returns the
/// mediaType, empty = absent.
Result<std::string> read_schema(const JsonObject& object, std::string_view oci_type,
                                std::string_view docker_type);

/// V11: refuses the object when it has any of the keys, which belong to the other kind of document.
Result<void> refuse_members(const JsonObject& object, std::initializer_list<std::string_view> keys,
                            std::string_view kind);

}  // namespace fnimage::manifest

// The two formats of a software bill of materials that fnimage writes and reads: SPDX 2.3 and
// CycloneDX 1.5, both as JSON. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/sbom/contents.hpp>

namespace fnimage::sbom {

enum class Format : std::uint8_t { spdx, cyclonedx };

/// "spdx", "cyclonedx".
std::string_view to_string(Format format) noexcept;
/// Error: invalid_argument that names the two.
Result<Format> parse_format(std::string_view text);
/// Of a document of that format, which is also the artifact type of what attaches it.
std::string_view media_type_of(Format format) noexcept;
/// Parameters of the type ("; version=1.5") are ignored; nullopt for anything else.
std::optional<Format> format_of(std::string_view media_type) noexcept;

/// The document, indented JSON with a line end. It depends on the contents and on fnimage's version
/// alone: equal contents give equal bytes. What is no UTF-8 is replaced.
std::string to_document(const Contents& contents, Format format);

/// Larger documents are not read.
inline constexpr std::size_t max_document_bytes = std::size_t{32} << 20;

/// How many packages a document lists: the image and its operating system are none. Error:
/// invalid_input for what is no document of the format, or larger than max_document_bytes.
Result<std::size_t> count_packages(std::string_view document, Format format);

}  // namespace fnimage::sbom

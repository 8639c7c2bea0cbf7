// Names and types of the formats, and reading documents as far as their packages are counted. See
// format.hpp.
#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/sbom/format.hpp>

#include "document.hpp"

namespace fnimage::sbom {

namespace {

constexpr std::string_view spdx_type = "application/spdx+json";
constexpr std::string_view cyclonedx_type = "application/vnd.cyclonedx+json";

/// Whether a member of an entry is one of these words.
bool is_one_of(const nlohmann::json& entry, const char* key,
               std::initializer_list<std::string_view> words) {
  const auto found = entry.is_object() ? entry.find(key) : entry.end();
  return found != entry.end() && found->is_string() &&
         std::ranges::find(words, found->get_ref<const std::string&>()) != words.end();
}

}  // namespace

std::string_view to_string(Format format) noexcept {
  return format == Format::spdx ? "spdx" : "cyclonedx";
}

Result<Format> parse_format(std::string_view text) {
  for (const Format format : {Format::spdx, Format::cyclonedx}) {
    if (text == to_string(format)) {
      return format;
    }
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("no format of a bill of materials: {}", printable(text)),
              "write spdx or cyclonedx");
}

std::string_view media_type_of(Format format) noexcept {
  return format == Format::spdx ? spdx_type : cyclonedx_type;
}

std::optional<Format> format_of(std::string_view media_type) noexcept {
  const std::string_view type = trim(media_type.substr(0, media_type.find(';')));
  for (const Format format : {Format::spdx, Format::cyclonedx}) {
    if (equals_ignoring_case(type, media_type_of(format))) {
      return format;
    }
  }
  return std::nullopt;
}

std::string to_document(const Contents& contents, Format format) {
  const nlohmann::ordered_json document =
      format == Format::spdx ? spdx_document(contents) : cyclonedx_document(contents);
  constexpr int indentation = 2;
  return document.dump(indentation, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<std::size_t> count_packages(std::string_view document, Format format) {
  FNIMAGE_TRY(const nlohmann::json json,
              parse_json(document, "bill of materials", {.max_bytes = max_document_bytes}));
  const bool spdx = format == Format::spdx;
  if (!json.is_object() || !json.contains(spdx ? "spdxVersion" : "bomFormat")) {
    return fail(ErrorCode::invalid_input,
                fmt::format("bill of materials: it is no {} document", to_string(format)));
  }
  const auto entries = json.find(spdx ? "packages" : "components");
  if (entries == json.end() || !entries->is_array()) {
    return 0;
  }
  return static_cast<std::size_t>(std::ranges::count_if(*entries, [&](const auto& entry) {
    return spdx ? !is_one_of(entry, "primaryPackagePurpose",
                             {"CONTAINER", "OPERATING_SYSTEM", "OPERATING-SYSTEM"})
                : !is_one_of(entry, "type", {"container", "operating-system", "file"});
  }));
}

}  // namespace fnimage::sbom

// What build, inspect and sbom share about bills of materials. Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/check/images.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/sbom/attach.hpp>

namespace fnimage::cli {

/// What an image without a title is called in its documents: the last part of its repository; empty
/// in a layout or archive, whose names say nothing of it. Registry and tag are left out, so that
/// they may change.
std::string image_name(const registry::Location& location);

/// "spdx", "cyclonedx", each once. Error: invalid_argument.
Result<std::vector<sbom::Format>> parse_formats(const std::vector<std::string>& words);

/// Error: platform_mismatch when nothing else said which of several images is meant, naming their
/// platforms.
Result<void> require_one(const std::vector<check::Image>& images);

nlohmann::ordered_json to_json(const sbom::Companion& companion);
/// Without indentation and line end.
std::string to_text(const sbom::Attached& attached);
std::string to_text(const sbom::Companion& companion);

}  // namespace fnimage::cli

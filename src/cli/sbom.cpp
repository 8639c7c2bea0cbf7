#include "sbom.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

std::string last_part(const manifest::Reference& reference) {
  const std::string& repository = reference.repository();
  return repository.substr(repository.rfind('/') + 1);
}

}  // namespace

std::string image_name(const registry::Location& location) {
  if (location.reference) {
    return last_part(*location.reference);
  }
  if (location.kind == registry::Location::Kind::docker_archive && !location.tag.empty()) {
    if (const auto reference = manifest::Reference::parse(location.tag)) {
      return last_part(*reference);
    }
  }
  return {};
}

Result<std::vector<sbom::Format>> parse_formats(const std::vector<std::string>& words) {
  std::vector<sbom::Format> formats;
  for (const std::string& word : words) {
    FNIMAGE_TRY(const sbom::Format format, sbom::parse_format(word));
    if (std::ranges::find(formats, format) == formats.end()) {
      formats.push_back(format);
    }
  }
  return formats;
}

Result<void> require_one(const std::vector<check::Image>& images) {
  if (images.size() == 1) {
    return {};
  }
  std::vector<std::string> platforms;
  platforms.reserve(images.size());
  for (const check::Image& image : images) {
    platforms.push_back(image.platform.str());
  }
  return fail(ErrorCode::platform_mismatch,
              fmt::format("there are images for {}", printable(join(platforms, ", "))),
              "choose one with --platform");
}

nlohmann::ordered_json to_json(const sbom::Companion& companion) {
  nlohmann::ordered_json value = to_json(companion.manifest);
  value["artifactType"] = companion.manifest.artifact_type;
  if (companion.format) {
    value["format"] = to_string(*companion.format);
  }
  if (companion.packages) {
    value["packages"] = *companion.packages;
  }
  if (companion.document) {
    value["document"] = to_json(*companion.document);
  }
  if (!companion.problem.empty()) {
    value["problem"] = companion.problem;
  }
  return value;
}

std::string to_text(const sbom::Attached& attached) {
  const auto format = sbom::format_of(attached.document.media_type);
  return fmt::format("{:<9}  {}  {:>10}{}", format ? to_string(*format) : std::string_view(),
                     attached.manifest.digest.str(), human_size(attached.document.size),
                     attached.existed ? "  there already" : "");
}

std::string to_text(const sbom::Companion& companion) {
  std::string text = fmt::format(
      "{}{}  {:>10}", companion.format ? "sbom    " : "refers  ", companion.manifest.digest.str(),
      human_size(companion.document ? companion.document->size : companion.manifest.size));
  text += fmt::format("  {}", companion.format ? to_string(*companion.format)
                                               : printable(companion.manifest.artifact_type, 80));
  if (companion.packages) {
    text += fmt::format(", {} package{}", *companion.packages, *companion.packages == 1 ? "" : "s");
  }
  return companion.problem.empty() ? text : text + "  " + printable(companion.problem);
}

}  // namespace fnimage::cli

#include "shape_options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::cli {

void add_shape_options(CLI::App& command, ShapeArguments& arguments) {
  command
      .add_option("--platform", arguments.platforms,
                  "Only these platforms of the images: linux/ppc64le,…")
      ->type_name("P,…")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--format", arguments.format, "oci or docker, of the whole tree")
      ->check(CLI::IsMember({"oci", "docker"}))
      ->type_name("FORMAT");
  command.add_option("--annotation", arguments.entry_annotations, "Of the entries: KEY=VALUE")
      ->type_name("K=V")
      ->allow_extra_args(false);
  command.add_option("--index-annotation", arguments.annotations, "Of the list: KEY=VALUE")
      ->type_name("K=V")
      ->allow_extra_args(false);
}

void add_repair_flag(CLI::App& command, bool& repair) {
  command.add_flag("--repair", repair,
                   "Look for all content although the tags stand, and send what is lost");
}

Result<registry::ImageShape> parse_shape(const ShapeArguments& arguments) {
  registry::ImageShape shape{.keep_list = arguments.keep_list};
  FNIMAGE_TRY(shape.platforms, parse_platforms(arguments.platforms));
  shape.format = parse_format(arguments.format);
  FNIMAGE_TRY(shape.annotations, parse_annotations(arguments.annotations));
  FNIMAGE_TRY(shape.entry_annotations, parse_annotations(arguments.entry_annotations));
  return shape;
}

std::optional<manifest::Format> parse_format(std::string_view text) {
  if (text.empty()) {
    return std::nullopt;
  }
  return text == "docker" ? manifest::Format::docker : manifest::Format::oci;
}

Result<std::vector<manifest::Platform>> parse_platforms(const std::vector<std::string>& texts) {
  std::vector<manifest::Platform> platforms;
  for (const std::string& text : texts) {
    FNIMAGE_TRY(manifest::Platform platform, manifest::Platform::parse(text));
    platforms.push_back(std::move(platform));
  }
  return platforms;
}

Result<manifest::Annotations> parse_annotations(const std::vector<std::string>& texts) {
  manifest::Annotations annotations;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("'{}' is no annotation", printable(text, 80)), "write KEY=VALUE");
    }
    annotations[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return annotations;
}

void add_expectation_options(CLI::App& command, ExpectationArguments& arguments) {
  command.add_flag("--no-clobber", arguments.no_clobber, "Refuse when there is a list already");
  command
      .add_option("--expect-digest", arguments.digest, "Refuse when the list is not this one now")
      ->type_name("DIGEST");
}

Result<build::Expectation> parse_expectation(const ExpectationArguments& arguments) {
  if (arguments.digest.empty()) {
    return build::Expectation{.absent = arguments.no_clobber};
  }
  if (arguments.no_clobber) {
    return fail(ErrorCode::invalid_argument, "--no-clobber and --expect-digest contradict",
                "give one of them");
  }
  auto digest = manifest::Digest::parse(arguments.digest);
  if (!digest) {
    return fail(ErrorCode::invalid_argument, "--expect-digest: " + digest.error().message(),
                "write it as sha256:…; `fnimage inspect` shows it");
  }
  return build::Expectation{.digest = std::move(*digest)};
}

}  // namespace fnimage::cli

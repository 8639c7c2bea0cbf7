// The build pipeline: plan, layers, configs and manifests, list, and the tags last (publishing
// rule 6), so that a tag never points to something incomplete. See the header.
#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/caught.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/source/package_pool.hpp>

#include "attach_sboms.hpp"
#include "image.hpp"
#include "layer_work.hpp"
#include "package_request.hpp"
#include "plan.hpp"
#include "plan_check.hpp"
#include "uncovered.hpp"

namespace fnimage::build {

namespace {

/// Stores config and manifest of one platform; returns the list's entry for it.
Result<manifest::Descriptor> store_image(const BuildSpec& spec, const Plan& plan,
                                         const PlatformPlan& platform,
                                         const std::vector<NamedBlob>& layers,
                                         manifest::Format format, registry::ImageStore& store) {
  const manifest::ImageConfig config = make_config(spec, plan, platform, layers);
  const std::string config_bytes = manifest::emit(config);
  const manifest::ImageManifest image =
      make_manifest(spec, plan, platform, layers, config_bytes, format);
  const std::string what = fmt::format("manifest of {}", platform.platform.str());
  FNIMAGE_CHECK(manifest::require_valid(manifest::validate(image), what));
  FNIMAGE_CHECK(manifest::require_valid(manifest::validate(image, config), what));
  FNIMAGE_CHECK(store.put_blob(image.config, *memory_content(config_bytes), {}));
  const manifest::Document document = manifest::Document::of(image);
  FNIMAGE_CHECK(store.put_manifest(document, std::nullopt));
  manifest::Descriptor entry = document.descriptor();
  entry.platform = platform.platform;
  if (format == manifest::Format::oci) {
    entry.annotations = requires_annotations(spec, platform.platform);
  }
  return entry;
}

Result<manifest::Descriptor> store_list(const manifest::Index& list,
                                        const std::vector<std::string>& tags,
                                        registry::ImageStore& store, Diagnostics& diagnostics) {
  const std::vector<manifest::Finding> findings = manifest::validate(list);
  FNIMAGE_CHECK(manifest::require_valid(findings, "list"));
  for (const manifest::Finding& finding : findings) {
    diagnostics.report(Severity::warning,
                       fmt::format("list {}: {}; {}", finding.path, finding.message, finding.fix));
  }
  const manifest::Document document = manifest::Document::of(list);
  FNIMAGE_CHECK(store.put_manifest(document, std::nullopt));
  for (const std::string& tag : tags) {
    FNIMAGE_CHECK(store.put_manifest(document, tag));
  }
  return document.descriptor();
}

std::vector<BuiltLayer> summarize(const std::vector<NamedBlob>& layers, manifest::Format format) {
  std::vector<BuiltLayer> summary;
  summary.reserve(layers.size());
  for (const NamedBlob& layer : layers) {
    summary.push_back({.name = layer.name,
                       .descriptor = convert(layer.layer.descriptor, format),
                       .cached = layer.layer.cached});
  }
  return summary;
}

/// What does not come along in a format without annotations.
void warn_of_annotations(const BuildSpec& spec, const Plan& plan, Diagnostics& diagnostics) {
  if (!spec.annotations.empty()) {
    diagnostics.report(
        Severity::warning,
        "the docker format has no annotations: those of the build file are left out");
  }
  const bool has_needs =
      std::any_of(plan.platforms.begin(), plan.platforms.end(), [&](const PlatformPlan& platform) {
        return !spec.requirements.of(platform.platform).empty();
      });
  if (has_needs || !spec.variants.empty()) {
    diagnostics.report(Severity::warning,
                       "the docker format has no annotations: what the function requires and what "
                       "its variants are does not travel with it");
  }
}

Result<BuildResult> build_once(const BuildSpec& spec, const BuildOptions& options,
                               registry::ImageStore& store, const std::vector<std::string>& tags,
                               const Environment& environment) {
  FNIMAGE_CHECK(require_not_stopped(environment.pool.stop_token()));
  FNIMAGE_TRY(const Plan plan, make_plan(spec, options, environment));
  std::vector<UncoveredPackage> uncovered = uncovered_packages(plan);
  FNIMAGE_CHECK(report_uncovered(uncovered, options.strict, environment.diagnostics));
  if (options.check) {
    FNIMAGE_CHECK(check_plan(spec, plan, environment));
  }
  manifest::Index list{.format = options.format, .manifests = {}};
  if (options.format == manifest::Format::oci) {
    list.annotations = list_annotations(spec, plan);
  } else {
    warn_of_annotations(spec, plan, environment.diagnostics);
  }
  FNIMAGE_CHECK(options.before_layers ? options.before_layers() : Result<void>());
  FNIMAGE_CHECK(copy_base_layers(plan, store, environment));
  FNIMAGE_TRY(const auto layers, make_layers(plan, options, store, environment));

  std::vector<BuiltPlatform> built;
  for (std::size_t i = 0; i < plan.platforms.size(); ++i) {
    const PlatformPlan& platform = plan.platforms[i];
    FNIMAGE_TRY(manifest::Descriptor entry,
                store_image(spec, plan, platform, layers[i], options.format, store));
    built.push_back({.platform = platform.platform,
                     .manifest = entry,
                     .layers = summarize(layers[i], options.format)});
    list.put(std::move(entry));
  }
  FNIMAGE_CHECK(attach_sboms(spec, options, store, environment, built));
  FNIMAGE_CHECK(require_not_stopped(environment.pool.stop_token()));
  FNIMAGE_TRY(manifest::Descriptor root, store_list(list, tags, store, environment.diagnostics));
  return BuildResult{
      .list = std::move(root), .platforms = std::move(built), .uncovered = std::move(uncovered)};
}

}  // namespace

Result<BuildResult> build(const BuildSpec& spec, const BuildOptions& options,
                          registry::ImageStore& store, const std::vector<std::string>& tags,
                          const Environment& environment) {
  const auto once = [&] { return build_once(spec, options, store, tags, environment); };
  Result<BuildResult> result = caught(once);
  if (result || result.error().code() != ErrorCode::verification ||
      !result.error().is_retryable()) {
    return result;
  }
  // Unpacked packages that the disk has damaged: they are made anew from what they came from.
  const std::size_t damaged = source::discard_damaged_packages(package_cache(environment));
  if (damaged == 0) {
    return result;
  }
  environment.diagnostics.report(
      Severity::warning,
      fmt::format("the package cache is damaged ({}): unpacking {} package{} again",
                  result.error().message(), damaged, damaged == 1 ? "" : "s"));
  return caught(once);
}

}  // namespace fnimage::build

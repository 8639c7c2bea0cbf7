// Config, manifest and annotations, see the header. Sources: image-spec config.md, annotations.md.
#include "image.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>

#include "layer_history.hpp"

namespace fnimage::build {

namespace {

constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Functions do not run as root. The ids need no entry in /etc/passwd.
constexpr std::string_view default_user = "1000:1000";

void set_environment(const BuildSpec& spec, const Plan& plan, manifest::ImageConfig& config) {
  if (!config.env_value("PATH")) {
    config.set_env("PATH", default_path);
  }
  for (const auto& [name, value] : plan.runtime.env) {
    config.set_env(name, value);
  }
  for (const auto& [name, value] : spec.config.env) {
    config.set_env(name, value);
  }
}

/// A new entry point makes the command of what was there before meaningless.
void set_command(const BuildSpec& spec, const Plan& plan, manifest::ImageConfig& config) {
  if (!plan.runtime.entrypoint.empty()) {
    config.entrypoint = plan.runtime.entrypoint;
    config.cmd = plan.runtime.cmd;
  }
  if (!spec.config.entrypoint.empty()) {
    config.entrypoint = spec.config.entrypoint;
    config.cmd.clear();
  }
  if (!spec.config.cmd.empty()) {
    config.cmd = spec.config.cmd;
  }
}

void set_process(const BuildSpec& spec, const Plan& plan, manifest::ImageConfig& config) {
  const bool action = spec.runtime != "none";
  if (!spec.config.user.empty()) {
    config.user = spec.config.user;
  } else if (config.user.empty() && action) {
    config.user = default_user;
  }
  if (!spec.config.workdir.empty()) {
    config.working_dir = spec.config.workdir;
  } else if (action) {
    config.working_dir = runtime::action_directory;
  }
  for (const std::string& port : plan.runtime.exposed_ports) {
    if (std::ranges::find(config.exposed_ports, port) == config.exposed_ports.end()) {
      config.exposed_ports.push_back(port);
    }
  }
  std::ranges::sort(config.exposed_ports);
}

}  // namespace

manifest::Descriptor convert(manifest::Descriptor descriptor, manifest::Format format) {
  descriptor.media_type = manifest::convert_type(descriptor.media_type, format);
  if (format == manifest::Format::docker) {
    descriptor.annotations.clear();
  }
  return descriptor;
}

manifest::ImageConfig make_config(const BuildSpec& spec, const Plan& plan,
                                  const PlatformPlan& platform,
                                  const std::vector<NamedBlob>& layers) {
  manifest::ImageConfig config;
  if (platform.base) {
    config = platform.base->config;
    config.author.clear();
  }
  config.platform = platform.platform;
  config.created = rfc3339(plan.time);
  set_environment(spec, plan, config);
  set_command(spec, plan, config);
  set_process(spec, plan, config);
  for (const auto& [name, value] : plan.labels) {
    config.labels[name] = value;
  }
  for (const auto& [name, value] : spec.config.labels) {
    config.labels[name] = value;
  }
  if (config.history.empty()) {
    // Either all layers have history or none: a base without any gets what can be said.
    config.history.resize(config.diff_ids.size(),
                          {.created = {}, .created_by = "base image", .comment = {}, .author = {}});
  }
  for (const NamedBlob& layer : layers) {
    config.diff_ids.push_back(layer.layer.diff_id);
    config.history.push_back({.created = config.created,
                              .created_by = created_by(layer.name),
                              .comment = comment_of(layer.place),
                              .author = {}});
  }
  return config;
}

manifest::ImageManifest make_manifest(const BuildSpec& spec, const Plan& plan,
                                      const PlatformPlan& platform,
                                      const std::vector<NamedBlob>& layers,
                                      std::string_view config_bytes, manifest::Format format) {
  const std::string title(manifest::annotation::title);
  manifest::ImageManifest image{
      .format = format,
      .config = convert({.media_type = std::string(manifest::media_type::oci_config),
                         .digest = manifest::Digest::of(config_bytes),
                         .size = config_bytes.size()},
                        format),
      .layers = {}};
  if (format == manifest::Format::oci) {
    image.annotations.merge(requires_annotations(spec, platform.platform));
  }
  // What the image's documents call it stands in the image: then they are the same wherever it is.
  if (format == manifest::Format::oci && !spec.config.labels.contains(title)) {
    image.annotations.emplace(title, spec.name);
  }
  if (platform.base) {
    for (const manifest::Descriptor& layer : platform.base->manifest.layers) {
      image.layers.push_back(convert(layer, format));
    }
    if (format == manifest::Format::oci) {
      image.annotations.emplace(manifest::annotation::base_digest,
                                platform.base->descriptor.digest.str());
      if (!plan.base_name.empty()) {
        image.annotations.emplace(manifest::annotation::base_name, plan.base_name);
      }
    }
  }
  for (const NamedBlob& layer : layers) {
    image.layers.push_back(convert(layer.layer.descriptor, format));
  }
  return image;
}

manifest::Annotations requires_annotations(const BuildSpec& spec,
                                           const manifest::Platform& platform) {
  const require::Requirements requirements = spec.requirements.of(platform);
  if (requirements.empty()) {
    return {};
  }
  return {{std::string(require::requires_annotation), require::to_json(requirements)}};
}

manifest::Annotations list_annotations(const BuildSpec& spec, const Plan& plan) {
  manifest::Annotations annotations = spec.annotations;
  if (!spec.variants.empty()) {
    annotations[std::string(require::variants_annotation)] = join(spec.variants, ",");
  }
  const std::optional<source::BaseImage>& base = plan.platforms.front().base;
  if (base) {
    annotations.emplace(manifest::annotation::base_digest, base->root.digest.str());
    if (!plan.base_name.empty()) {
      annotations.emplace(manifest::annotation::base_name, plan.base_name);
    }
  }
  return annotations;
}

}  // namespace fnimage::build

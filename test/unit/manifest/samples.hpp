// Small values that the manifest tests share.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::manifest::samples {

inline Platform platform(std::string_view text) {
  return test::unwrap(Platform::parse(text));
}

inline Descriptor blob(std::string_view type, std::string_view content) {
  return {std::string(type), Digest::of(content), content.size()};
}

/// A list entry; `name` makes its digest.
inline Descriptor entry(std::string_view name, std::string_view platform_text) {
  Descriptor descriptor = blob(media_type::oci_manifest, name);
  descriptor.platform = platform(platform_text);
  return descriptor;
}

/// A platform written as it stands, without the normal form.
inline Descriptor raw_entry(std::string os, std::string architecture, std::string variant = {}) {
  Descriptor descriptor = blob(media_type::oci_manifest, os + architecture + variant);
  descriptor.platform =
      Platform{std::move(os), std::move(architecture), std::move(variant), {}, {}};
  return descriptor;
}

inline ImageManifest image() {
  return {Format::oci,
          blob(media_type::oci_config, "{}"),
          {blob(media_type::oci_layer_gzip, "base"), blob(media_type::oci_layer_gzip, "top")}};
}

inline ImageManifest docker_image() {
  return {
      Format::docker,
      blob(media_type::docker_config, "{}"),
      {blob(media_type::docker_layer_gzip, "base"), blob(media_type::docker_layer_gzip, "top")}};
}

inline Index list() {
  Index index;
  index.put(entry("power", "linux/ppc64le"));
  index.put(entry("intel", "linux/amd64"));
  return index;
}

inline ImageConfig config() {
  ImageConfig config;
  config.platform = platform("linux/ppc64le");
  config.created = "1970-01-01T00:00:00Z";
  config.author = "team";
  config.user = "1000:1000";
  config.env = {"PATH=/usr/bin:/bin", "OMP_NUM_THREADS=2"};
  config.entrypoint = {"/usr/bin/python3", "/action/proxy.py"};
  config.cmd = {"serve"};
  config.working_dir = "/action";
  config.exposed_ports = {"9090/tcp", "8080/tcp"};
  config.volumes = {"/data"};
  config.labels = {{"b", "2"}, {"a", "1 < 2 & \"x\""}};
  config.stop_signal = "SIGTERM";
  config.diff_ids = {Digest::of("base tar"), Digest::of("top tar")};
  config.history = {{"1970-01-01T00:00:00Z", "base", "", "", false},
                    {"1970-01-01T00:00:00Z", "ENV", "no files", "team", true},
                    {"1970-01-01T00:00:00Z", "top", "", "", false}};
  return config;
}

}  // namespace fnimage::manifest::samples

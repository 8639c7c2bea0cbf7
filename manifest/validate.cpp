// The rules between fields. What no runtime copes with is fatal; what some cope with is reported.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/validate.hpp>

#include "platform_names.hpp"

namespace fnimage::manifest {

namespace {

constexpr bool fatal = true;
constexpr bool tolerable = false;

/// The family of a known type; nullopt for types that belong to neither.
std::optional<Format> family_of(std::string_view type) noexcept {
  if (!is_index_type(type) && !is_manifest_type(type) && !is_config_type(type) &&
      !is_layer_type(type)) {
    return std::nullopt;
  }
  return type.starts_with("application/vnd.docker.") ? Format::docker : Format::oci;
}

std::string_view family_name(Format format) noexcept {
  return format == Format::oci ? "OCI" : "Docker";
}

void check_family(std::vector<Finding>& findings, const Descriptor& descriptor, Format format,
                  const std::string& path, bool severity) {
  const std::optional<Format> family = family_of(descriptor.media_type);
  if (family && *family != format) {
    findings.push_back({"media-type-family", path + "/mediaType",
                        fmt::format("{} type in a document of the {} family", family_name(*family),
                                    family_name(format)),
                        "convert the whole tree to one family of media types", severity});
  }
}

void check_size(std::vector<Finding>& findings, const Descriptor& descriptor,
                const std::string& path) {
  if (descriptor.size == 0) {
    findings.push_back(
        {"no-bytes", path + "/size", "no bytes", "build or push the content again", fatal});
  }
}

void check_words(std::vector<Finding>& findings, const Platform& platform,
                 const std::string& path) {
  const Platform normal = normalize(platform);
  if (normal.os != platform.os) {
    findings.push_back({"platform-name", path + "/os",
                        fmt::format("\"{}\" is not Go's name", platform.os), "write " + normal.os,
                        tolerable});
  } else if (!is_known_os(platform.os)) {
    findings.push_back({"platform-name", path + "/os",
                        fmt::format("\"{}\" is not a known system", platform.os), "write linux",
                        tolerable});
  }
  if (platform.architecture == "ppc64el") {
    findings.push_back({"platform-name", path + "/architecture",
                        "\"ppc64el\" is Debian's name; no runtime knows it", "write ppc64le",
                        fatal});
  } else if (normal.architecture != platform.architecture) {
    findings.push_back(
        {"platform-name", path + "/architecture",
         fmt::format("\"{}\" is understood by containerd but not by CRI-O and others",
                     platform.architecture),
         "write " + normal.architecture, tolerable});
  } else if (!is_known_architecture(platform.architecture)) {
    findings.push_back({"platform-name", path + "/architecture",
                        fmt::format("\"{}\" is not a known architecture", platform.architecture),
                        "write Go's name of the architecture", tolerable});
  }
}

bool is_attestation(const Platform& platform) noexcept {
  return platform.os == "unknown" && platform.architecture == "unknown";
}

/// What the rules have to know of the other entries.
struct Others {
  std::map<std::pair<std::string, std::string>, std::size_t> firsts{};  ///< of each platform
  std::set<std::pair<std::string, std::string>> baselines{};  ///< os, architecture: no variant
};

Others others_of(const Index& index) {
  Others others;
  for (const Descriptor& entry : index.manifests) {
    if (entry.platform && entry.platform->variant.empty()) {
      others.baselines.emplace(entry.platform->os, entry.platform->architecture);
    }
  }
  return others;
}

void check_variant(std::vector<Finding>& findings, const Others& others, const Platform& platform,
                   const std::string& path) {
  if (platform.variant.empty() || !is_baseline_only(platform.architecture)) {
    return;
  }
  // No node asks for a variant of ppc64le, so without a baseline there is nothing to run at all.
  const bool severity = platform.architecture == "ppc64le" &&
                        !others.baselines.contains({platform.os, platform.architecture});
  findings.push_back(
      {"platform-variant", path + "/variant",
       fmt::format("most nodes do not look for a variant of {}", platform.architecture),
       "publish the baseline without variant, and variants under tags of their own", severity});
}

void check_duplicate(std::vector<Finding>& findings, Others& others, const Platform& platform,
                     std::size_t position, const std::string& path) {
  const auto [first, is_first] =
      others.firsts.try_emplace({normalize(platform).str(), platform.os_version}, position);
  if (!is_first) {
    findings.push_back({"duplicate-platform", path,
                        fmt::format("second entry for {}, the first is /manifests/{}; some "
                                    "runtimes download both",
                                    platform.str(), first->second),
                        "keep one entry for each platform", fatal});
  }
}

void check_entry(std::vector<Finding>& findings, Others& others, const Index& index,
                 std::size_t position) {
  const Descriptor& entry = index.manifests[position];
  const std::string path = fmt::format("/manifests/{}", position);
  check_size(findings, entry, path);
  check_family(findings, entry, index.format, path, tolerable);
  if (!entry.platform) {
    findings.push_back({"no-platform", path + "/platform",
                        "missing: runtimes guess or skip the entry",
                        "annotate the entry with its os and architecture", fatal});
    return;
  }
  const std::string platform_path = path + "/platform";
  if (is_attestation(*entry.platform)) {
    findings.push_back({"attestation-entry", platform_path,
                        "unknown/unknown entry, as of an attestation",
                        "publish attestations as referrers", tolerable});
    return;
  }
  check_words(findings, *entry.platform, platform_path);
  check_variant(findings, others, *entry.platform, platform_path);
  check_duplicate(findings, others, *entry.platform, position, platform_path);
}

}  // namespace

std::vector<Finding> validate(const Index& index) {
  std::vector<Finding> findings;
  if (index.manifests.empty()) {
    findings.push_back(
        {"empty-list", "/manifests", "empty: no node can run this", "add a platform", tolerable});
  }
  Others others = others_of(index);
  for (std::size_t i = 0; i < index.manifests.size(); ++i) {
    check_entry(findings, others, index, i);
  }
  return findings;
}

std::vector<Finding> validate(const ImageManifest& manifest) {
  std::vector<Finding> findings;
  check_size(findings, manifest.config, "/config");
  check_family(findings, manifest.config, manifest.format, "/config", fatal);
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const std::string path = fmt::format("/layers/{}", i);
    check_size(findings, manifest.layers[i], path);
    check_family(findings, manifest.layers[i], manifest.format, path, fatal);
  }
  return findings;
}

std::vector<Finding> validate(const ImageManifest& manifest, const ImageConfig& config) {
  std::vector<Finding> findings;
  if (config.diff_ids.size() != manifest.layers.size()) {
    findings.push_back({"diff-ids", "/rootfs/diff_ids",
                        fmt::format("{} entries, but the manifest has {} layers",
                                    config.diff_ids.size(), manifest.layers.size()),
                        "build the image again", fatal});
  }
  const auto told = static_cast<std::size_t>(
      std::count_if(config.history.begin(), config.history.end(),
                    [](const HistoryEntry& entry) { return !entry.empty_layer; }));
  if (!config.history.empty() && told != manifest.layers.size()) {
    findings.push_back(
        {"history", "/history",
         fmt::format("tells of {} layers, but the manifest has {}", told, manifest.layers.size()),
         "build the image again", fatal});
  }
  if (config.platform.os.empty() || config.platform.architecture.empty()) {
    findings.push_back({"no-platform", config.platform.os.empty() ? "/os" : "/architecture",
                        "missing", "set the platform of the image", fatal});
  } else {
    check_words(findings, config.platform, {});
  }
  return findings;
}

std::vector<Finding> new_findings(std::vector<Finding> after, const std::vector<Finding>& before) {
  for (const Finding& known : before) {
    const auto same = std::find_if(after.begin(), after.end(), [&](const Finding& finding) {
      return finding.rule == known.rule && finding.platform == known.platform &&
             finding.fix == known.fix;
    });
    if (same != after.end()) {
      after.erase(same);
    }
  }
  return after;
}

Result<void> require_valid(const std::vector<Finding>& findings, std::string_view what) {
  std::string text;
  const Finding* first = nullptr;
  for (const Finding& finding : findings) {
    if (!finding.fatal) {
      continue;
    }
    first = first == nullptr ? &finding : first;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", finding.path, finding.message);
  }
  if (first == nullptr) {
    return {};
  }
  const bool misses = first->rule == "nothing-taken" || first->rule == "config-platform";
  return fail(misses ? ErrorCode::platform_mismatch : ErrorCode::invalid_input,
              fmt::format("{}: {}", what, text), first->fix);
}

}  // namespace fnimage::manifest

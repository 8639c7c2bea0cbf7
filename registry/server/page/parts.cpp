#include "page/parts.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "api/target.hpp"

namespace fnimage::server {

namespace {

using manifest::Descriptor;

constexpr std::size_t most_layers = 200;
constexpr std::size_t most_pairs = 100;
constexpr std::size_t most_referrers = 50;
constexpr std::size_t most_words = 200;
constexpr std::size_t longest_value = 1000;

/// Cut to what a page shows.
std::string shortened(std::string_view text, std::size_t most = longest_value) {
  return text.size() <= most ? std::string(text) : std::string(text.substr(0, most)) + " …";
}

/// A link for what is one beyond doubt, else text.
Html value_part(const std::string& value) {
  constexpr std::string_view in_urls =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&()*+,;=%";
  const bool is_url = (value.starts_with("https://") || value.starts_with("http://")) &&
                      value.size() <= longest_value &&
                      value.find_first_not_of(in_urls) == std::string::npos;
  return is_url ? html(R"(<a href="{}" rel="noopener noreferrer nofollow">{}</a>)", value, value)
                : html("<bdi>{}</bdi>", shortened(value));
}

Html more_part(std::size_t all, std::size_t shown) {
  return all <= shown ? Html()
                      : html(R"(<p class="quiet">And {} more, see the manifest as JSON.</p>
)",
                             grouped(all - shown));
}

/// Bytes of this image alone and shared ones, as long as the largest image of the list is.
Html size_bar(const ImageBranch& branch, std::uint64_t largest) {
  constexpr double full = 100;
  const auto share = [&](std::uint64_t bytes) {
    return fmt::format("{:.2f}", largest == 0 ? 0
                                              : std::min(full, full * static_cast<double>(bytes) /
                                                                   static_cast<double>(largest)));
  };
  const std::uint64_t own = branch.size - std::min(branch.size, branch.shared);
  const std::string text = fmt::format("{}, of which {} are shared with other platforms",
                                       human_size(branch.size), human_size(branch.shared));
  return html(
      R"(<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label="{}"><rect class="own" width="{}" height="1"></rect><rect class="shared" x="{}" width="{}" height="1"></rect></svg>)",
      text, share(own), share(own), share(branch.shared));
}

std::string_view packed_as(std::string_view media_type) {
  return media_type.ends_with("gzip")   ? "gzip"
         : media_type.ends_with("zstd") ? "zstd"
         : media_type.ends_with("tar")  ? "tar"
                                        : media_type;
}

/// What made each layer, as many as there are layers.
std::vector<std::string> origins_of_layers(const ImageBranch& branch) {
  std::vector<std::string> origins;
  if (branch.config) {
    for (const manifest::HistoryEntry& entry : branch.config->history) {
      if (!entry.empty_layer) {
        origins.push_back(entry.created_by);
      }
    }
  }
  origins.resize(branch.manifest.image->layers.size());
  return origins;
}

Html layers_part(const ImagePage& page, const ImageBranch& branch) {
  constexpr std::size_t longest_origin = 120;
  const auto& layers = branch.manifest.image->layers;
  if (layers.empty()) {
    return {};
  }
  const auto origins = origins_of_layers(branch);
  Html part;
  part.add(
      R"(<table role="table" class="rows layers"><caption>{}</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Layer</th><th role="columnheader" scope="col">Made by</th><th role="columnheader" scope="col" class="number">Size</th><th role="columnheader" scope="col">Shared</th></tr></thead>
<tbody role="rowgroup">
)",
      count_of(layers.size(), "layer"));
  for (std::size_t i = 0; i < std::min(layers.size(), most_layers); ++i) {
    const Descriptor& layer = layers[i];
    const auto uses = page.tree.uses.find(layer.digest);
    const bool is_shared = uses != page.tree.uses.end() && uses->second > 1;
    part.add(
        R"(<tr role="row"><th role="rowheader" scope="row"><code title="{}">{}</code></th><td role="cell" data-label="Made by"><bdi>{}</bdi> <span class="quiet">{}</span></td><td role="cell" class="number" data-label="Size">{}</td><td role="cell" data-label="Shared">{}</td></tr>
)",
        layer.digest.str(), short_digest(layer.digest.str()), shortened(origins[i], longest_origin),
        packed_as(layer.media_type), human_size(layer.size),
        is_shared ? fmt::format("by {} platforms", uses->second) : std::string("–"));
  }
  return part.add("</tbody></table>\n").add(more_part(layers.size(), most_layers));
}

/// Layers and config that the manifest names and the repository does not have.
std::string missing_of(const ImageBranch& branch) {
  return branch.missing.empty()
             ? std::string()
             : "missing here, or of another size: " + shortened(join(branch.missing, ", "), 500);
}

void add_fact(Html& facts, std::string_view name, const std::string& value) {
  if (!value.empty()) {
    facts.add("<div><dt>{}</dt><dd><bdi>{}</bdi></dd></div>\n", name, shortened(value));
  }
}

std::string words_of(const std::vector<std::string>& words) {
  const std::size_t shown = std::min(words.size(), most_words);
  return join(std::span(words).first(shown), " ") + (shown < words.size() ? " …" : "");
}

Html config_part(const ImageBranch& branch) {
  if (!branch.config) {
    return branch.config_problem.empty()
               ? Html()
               : html(R"(<p class="bad">The config cannot be shown: <bdi>{}</bdi></p>
)",
                      branch.config_problem);
  }
  const manifest::ImageConfig& config = *branch.config;
  Html part;
  part.add("<h4>Config</h4>\n<dl class=\"facts\">\n");
  add_fact(part, "Created", config.created);
  add_fact(part, "Entrypoint", words_of(config.entrypoint));
  add_fact(part, "Command", words_of(config.cmd));
  add_fact(part, "Directory", config.working_dir);
  add_fact(part, "User", config.user);
  add_fact(part, "Ports", words_of(config.exposed_ports));
  part.add("</dl>\n");
  if (!config.env.empty()) {
    std::map<std::string, std::string> variables;
    for (const std::string& variable : config.env) {
      const std::size_t equals = std::min(variable.find('='), variable.size());
      variables[variable.substr(0, equals)] =
          variable.substr(std::min(variable.size(), equals + 1));
    }
    part.add("<h4>Environment</h4>\n").add(pairs_part(variables));
  }
  if (!config.labels.empty()) {
    part.add("<h4>Labels</h4>\n").add(pairs_part(config.labels));
  }
  return part;
}

Html annotations_part(const ImageBranch& branch, bool is_entry) {
  manifest::Annotations annotations =
      is_entry ? branch.descriptor.annotations : manifest::Annotations();
  if (branch.manifest.image) {
    annotations.insert(branch.manifest.image->annotations.begin(),
                       branch.manifest.image->annotations.end());
  }
  return annotations.empty() ? Html() : html("<h4>Annotations</h4>\n{}", pairs_part(annotations));
}

Html branch_details(const ImagePage& page, const ImageBranch& branch) {
  Html details;
  const std::string digest = branch.descriptor.digest.str();
  details.add(
      R"(<p class="digest"><span class="quiet">Manifest</span> <a href="{}"><code>{}</code></a></p>
)",
      digest_path(page.repository, digest), digest);
  if (branch.manifest.list) {
    return details.add("<p>A list of its own with {}.</p>\n",
                       count_of(branch.manifest.list->manifests.size(), "entry"));
  }
  if (!branch.manifest.image) {
    return details;
  }
  return details.add(layers_part(page, branch))
      .add(config_part(branch))
      .add(annotations_part(branch, page.tree.is_list()))
      .add(referrers_part(page.repository, branch.referrers, 4));
}

/// What is good to know of something that refers to an image.
std::string_view kind_of_referrer(const Descriptor& referrer) {
  const std::string& type = referrer.artifact_type;
  const auto has = [&](std::string_view word) { return type.find(word) != std::string::npos; };
  return has("spdx")                                           ? "SBOM (SPDX)"
         : has("cyclonedx")                                    ? "SBOM (CycloneDX)"
         : has("sbom") || has("syft")                          ? "SBOM"
         : has("sig") || has("cosign") || has("notary")        ? "signature"
         : has("in-toto") || has("attestation") || has("slsa") ? "attestation"
         : manifest::is_index_type(referrer.media_type)        ? "list"
                                                               : "artifact";
}

}  // namespace

Html branch_part(const ImagePage& page, const ImageBranch& branch, bool is_open) {
  Html head;
  head.add(R"(<summary><h3><bdi>{}</bdi></h3>)", branch.platform());
  const bool is_image = branch.manifest.image.has_value();
  if (is_image) {
    head.add(
        R"(<span class="size">{}{}</span>{})", human_size(branch.size),
        branch.shared == 0 ? std::string() : fmt::format(", {} shared", human_size(branch.shared)),
        size_bar(branch, page.tree.largest));
  }
  head.add("</summary>\n");
  Html part;
  // A tag is whole in each literal, so that the compiler sees where text stands.
  is_open ? part.add(R"(<details class="branch" open>)") : part.add(R"(<details class="branch">)");
  part.add(head);
  for (const std::string& problem : {branch.manifest.problem, missing_of(branch)}) {
    if (!problem.empty()) {
      part.add(R"(<p class="bad"><bdi>{}</bdi></p>
)",
               problem);
    }
  }
  return part.add(branch_details(page, branch)).add("</details>\n");
}

Html referrers_part(const std::string& repository, const std::vector<Descriptor>& referrers,
                    int level) {
  if (referrers.empty()) {
    return {};
  }
  Html part;
  level == 2 ? part.add("<h2>What refers to it</h2>\n") : part.add("<h4>What refers to it</h4>\n");
  part.add("<ul class=\"referrers\">\n");
  for (std::size_t i = 0; i < std::min(referrers.size(), most_referrers); ++i) {
    const Descriptor& referrer = referrers[i];
    part.add(
        R"(<li><strong>{}</strong> <bdi class="quiet">{}</bdi> <a href="{}"><code title="{}">{}</code></a></li>
)",
        kind_of_referrer(referrer), referrer.artifact_type,
        digest_path(repository, referrer.digest.str()), referrer.digest.str(),
        short_digest(referrer.digest.str()));
  }
  return part.add("</ul>\n").add(more_part(referrers.size(), most_referrers));
}

Html pairs_part(const std::map<std::string, std::string>& pairs) {
  Html part;
  part.add("<dl class=\"pairs\">\n");
  std::size_t shown = 0;
  for (const auto& [name, value] : pairs) {
    if (++shown > most_pairs) {
      break;
    }
    part.add("<div><dt><bdi>{}</bdi></dt><dd>{}</dd></div>\n", shortened(name, 200),
             value_part(value));
  }
  return part.add("</dl>\n").add(more_part(pairs.size(), most_pairs));
}

}  // namespace fnimage::server

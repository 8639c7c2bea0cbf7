#include "tree.hpp"

#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/require/requirements.hpp>

#include "json_text.hpp"
#include "sbom.hpp"

namespace fnimage::cli {

namespace {

using build::DescribedImage;
using build::Description;
using manifest::Descriptor;
using nlohmann::ordered_json;

/// In how many images each layer is.
std::map<manifest::Digest, std::size_t> count_uses(const Description& description) {
  std::map<manifest::Digest, std::size_t> uses;
  for (const DescribedImage& image : description.images) {
    if (image.manifest) {
      for (const Descriptor& layer : image.manifest->layers) {
        ++uses[layer.digest];
      }
    }
  }
  return uses;
}

/// What made each layer, from the config's history; as many as there are layers.
std::vector<std::string> layer_origins(const DescribedImage& image) {
  std::vector<std::string> origins;
  if (image.config) {
    for (const manifest::HistoryEntry& entry : image.config->history) {
      if (!entry.empty_layer) {
        origins.push_back(printable(entry.created_by, 60));
      }
    }
  }
  origins.resize(image.manifest ? image.manifest->layers.size() : 0);
  return origins;
}

std::string_view compression_of(std::string_view media_type) noexcept {
  if (media_type.ends_with("gzip")) {
    return "gzip";
  }
  return media_type.ends_with("zstd") ? "zstd" : "tar";
}

std::string platform_name(const DescribedImage& image) {
  if (image.is_attestation()) {
    return "attestation";
  }
  return image.platform ? image.platform->str() : "no platform";
}

std::uint64_t size_of(const DescribedImage& image) {
  std::uint64_t size = image.descriptor.size;
  if (image.manifest) {
    size += image.manifest->config.size;
    for (const Descriptor& layer : image.manifest->layers) {
      size += layer.size;
    }
  }
  return size;
}

/// What the image needs of a node, by its entry or else by itself; empty when it does not say.
std::string needs_of(const DescribedImage& image) {
  manifest::Annotations annotations = image.descriptor.annotations;
  if (image.manifest) {
    annotations.insert(image.manifest->annotations.begin(), image.manifest->annotations.end());
  }
  const auto needs = require::requirements_of(annotations, "requires");
  if (!needs) {
    return "requires  what cannot be read: " + printable(needs.error().message(), 200);
  }
  return needs->empty() ? std::string() : "requires  " + require::describe(*needs);
}

void append_image(std::string& text, const DescribedImage& image, std::string_view indent,
                  const std::map<manifest::Digest, std::size_t>& uses) {
  if (!image.manifest) {
    text += fmt::format("{}└── {}\n", indent,
                        image.problem.empty() ? "no image" : printable(image.problem));
    return;
  }
  const auto& layers = image.manifest->layers;
  std::vector<std::string> lines;
  if (std::string needs = needs_of(image); !needs.empty()) {
    lines.push_back(std::move(needs));
  }
  lines.push_back(fmt::format("config  {}  {:>10}", image.manifest->config.digest.str(),
                              human_size(image.manifest->config.size)));
  const std::vector<std::string> origins = layer_origins(image);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool shared = uses.at(layers[i].digest) > 1;
    lines.push_back(fmt::format("layer   {}  {:>10}  {}{}{}{}", layers[i].digest.str(),
                                human_size(layers[i].size), compression_of(layers[i].media_type),
                                origins[i].empty() ? "" : "  ", origins[i],
                                shared ? "  (shared)" : ""));
  }
  for (const sbom::Companion& companion : image.companions) {
    lines.push_back(cli::to_text(companion));
  }
  for (const std::string& line : lines) {
    text += fmt::format("{}{} {}\n", indent, &line == &lines.back() ? "└──" : "├──", line);
  }
}

/// Nothing when there are none, as when they were not asked for.
void add_companions(ordered_json& value, const std::vector<sbom::Companion>& companions) {
  for (const sbom::Companion& companion : companions) {
    value["referrers"].push_back(cli::to_json(companion));
  }
}

ordered_json image_json(const DescribedImage& image) {
  ordered_json value = to_json(image.descriptor);
  if (image.platform) {
    value["platform"] = image.platform->str();
  }
  if (image.inner_list) {
    value["list"] = image.inner_list->str();
  }
  if (!image.problem.empty()) {
    value["problem"] = image.problem;
  }
  if (image.manifest) {
    value["config"] = to_json(image.manifest->config);
    value["layers"] = ordered_json::array();
    const std::vector<std::string> origins = layer_origins(image);
    for (std::size_t i = 0; i < origins.size(); ++i) {
      ordered_json layer = to_json(image.manifest->layers[i]);
      if (!origins[i].empty()) {
        layer["createdBy"] = origins[i];
      }
      value["layers"].push_back(std::move(layer));
    }
    if (!image.manifest->annotations.empty()) {
      value["annotations"] = image.manifest->annotations;
    }
  }
  add_companions(value, image.companions);
  return value;
}

}  // namespace

std::string to_tree(const Description& description, std::string_view name) {
  std::string text =
      fmt::format("{}\n{}  {}\n{}  {}, {} of them shared between platforms\n", name,
                  description.root.digest().str(), printable(description.root.media_type(), 100),
                  description.is_list ? fmt::format("list of {}", description.images.size())
                                      : std::string("single image"),
                  human_size(description.total_size), human_size(description.shared_size));
  for (const auto& [key, value] : description.annotations) {
    text += fmt::format("  {}: {}\n", printable(key, 100), printable(value, 200));
  }
  for (const sbom::Companion& companion : description.companions) {
    text += fmt::format("  {}\n", cli::to_text(companion));
  }
  const auto uses = count_uses(description);
  for (std::size_t i = 0; i < description.images.size(); ++i) {
    const DescribedImage& image = description.images[i];
    const bool last = i + 1 == description.images.size();
    const std::string inner =
        image.inner_list ? "  in the list " + image.inner_list->str() : std::string();
    text += fmt::format("{} {}  {}  {}{}\n", last ? "└──" : "├──", platform_name(image),
                        image.descriptor.digest.str(), human_size(size_of(image)), inner);
    append_image(text, image, last ? "    " : "│   ", uses);
  }
  return text;
}

ordered_json to_json(const Description& description, std::string_view name) {
  ordered_json value = {{"reference", name},
                        {"digest", description.root.digest().str()},
                        {"mediaType", description.root.media_type()},
                        {"list", description.is_list},
                        {"totalSize", description.total_size},
                        {"sharedSize", description.shared_size}};
  if (!description.annotations.empty()) {
    value["annotations"] = description.annotations;
  }
  add_companions(value, description.companions);
  value["images"] = ordered_json::array();
  for (const DescribedImage& image : description.images) {
    value["images"].push_back(image_json(image));
  }
  return value;
}

}  // namespace fnimage::cli

// See the header.
#include "layer_history.hpp"

#include <fmt/format.h>

namespace fnimage::build {

namespace {

constexpr std::string_view created_by_prefix = "fnimage: ";
constexpr std::string_view place_prefix = "at ";

}  // namespace

std::string created_by(std::string_view layer) {
  return fmt::format("{}{}", created_by_prefix, layer);
}

std::string comment_of(std::string_view place) {
  return place.empty() ? std::string() : fmt::format("{}{}", place_prefix, place);
}

std::vector<ToldLayer> layers_in_history(const manifest::ImageConfig& config) {
  std::vector<ToldLayer> layers;
  for (std::size_t i = 0; i < config.history.size(); ++i) {
    const manifest::HistoryEntry& entry = config.history[i];
    if (entry.empty_layer) {
      continue;
    }
    ToldLayer& layer = layers.emplace_back(ToldLayer{.history = i});
    if (entry.created_by.starts_with(created_by_prefix)) {
      layer.name = entry.created_by.substr(created_by_prefix.size());
      const std::string_view comment = entry.comment;
      if (comment.starts_with(place_prefix) &&
          comment.substr(place_prefix.size()).starts_with('/')) {
        layer.place = comment.substr(place_prefix.size());
      }
    }
  }
  return layers;
}

}  // namespace fnimage::build

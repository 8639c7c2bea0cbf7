// How an image tells which of its layers is which: entries of its history (image-spec config.md).
// Private to build. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fnimage/manifest/image_config.hpp>

namespace fnimage::build {

/// "fnimage: model"
std::string created_by(std::string_view layer);
/// "at /action/model.h5", for a layer that is one path of the user's; empty for others.
std::string comment_of(std::string_view place);

/// A layer as the history tells it.
struct ToldLayer {
  std::size_t history = 0;  ///< index of its entry
  std::string name{};       ///< empty: not made by fnimage
  std::string place{};      ///< empty: not one path
};

/// The layers lowest first; empty when the config has no history.
std::vector<ToldLayer> layers_in_history(const manifest::ImageConfig& config);

}  // namespace fnimage::build

// The images of a store, and their files: from a reference to what is checked or listed.
// Thread-safety: functions that are pure but for the store; value types.
#pragma once

#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::check {

/// One platform's image.
struct Image {
  manifest::Descriptor descriptor;  ///< as the list has it
  manifest::ImageManifest manifest;
  manifest::ImageConfig config;
  manifest::Platform platform{};  ///< normalized; the list's, or else the config's
};

/// What a reference stands for: each platform's image, those of lists within the list too,
/// attestations and artifacts left out. Errors: platform_mismatch when a wanted platform is not
/// there, invalid_input when there is no image at all, those of the store.
/// @param platforms only these; empty = all
Result<std::vector<Image>> find_images(registry::ImageStore& store,
                                       const registry::Selector& selector,
                                       const std::vector<manifest::Platform>& platforms);

/// The entries of each layer, as its archive has them.
using LayerEntries = std::map<manifest::Digest, std::vector<layer::Entry>>;

/// Makes entries of a layer's content; called from several threads.
using LayerReader = std::function<Result<std::vector<layer::Entry>>(
    const manifest::Descriptor& blob, const Content& content)>;

/// Reads the layers of all images at the same time; one that several share is read once.
Result<LayerEntries> read_layers(registry::ImageStore& store, const std::vector<Image>& images,
                                 const LayerReader& reader, WorkerPool& pool,
                                 Diagnostics& diagnostics);

/// An image's layers laid over each other, each named by its number and what made it.
ImageFiles lay_files(const Image& image, const LayerEntries& layers);

}  // namespace fnimage::check

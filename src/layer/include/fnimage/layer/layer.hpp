// A finished layer and how it is made: one pass from entries to tar (-> diff_id) to compressor to
// (digest, size) to a file of the cache. Thread-safety: build_layer may run for many layers at once
// on one pool and one cache.
#pragma once

#include <memory>
#include <string>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/layer/cache.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/manifest/descriptor.hpp>

namespace fnimage::layer {

struct Layer {
  manifest::Descriptor descriptor;  ///< of the compressed blob, OCI media type
  manifest::Digest diff_id;         ///< of the uncompressed tar
  std::uint64_t uncompressed_size = 0;
  ContentPtr blob;      ///< the compressed bytes, a file of the cache
  bool cached = false;  ///< true: no layer work was done
};

struct LayerOptions {
  Compression compression = Compression::gzip;
  std::string label{};                  ///< for progress: "packages (linux/ppc64le)"
  std::shared_ptr<BlockPool> blocks{};  ///< of layers packed at once; null = some of its own
};

/// Packs a tree, or takes the layer from the cache when the tree has a key that was packed before
/// with the same engine. Peak memory does not depend on the layer's size. A pool that is asked to
/// stop ends it in the middle of a file: cancelled.
Result<Layer> build_layer(const FileTree& tree, const LayerOptions& options, LayerCache& cache,
                          WorkerPool& pool, Diagnostics& diagnostics);

}  // namespace fnimage::layer

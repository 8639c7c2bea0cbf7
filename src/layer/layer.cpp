// Packing in one pass: the calling thread reads, hashes the tar and the blob and writes; the pool
// compresses meanwhile. Thread-safety: see the header.
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <fnimage/layer/layer.hpp>
#include <fnimage/manifest/media_types.hpp>

#include "tar_progress.hpp"

namespace fnimage::layer {

namespace {

/// Hashes and counts what it passes on, until it is asked to stop.
class HashingWriter final : public Writer {
 public:
  HashingWriter(Writer& out, std::stop_token stop) : out_(out), stop_(std::move(stop)) {}

  Result<void> write(Bytes bytes) override {
    FNIMAGE_CHECK(require_not_stopped(stop_));
    hasher_.update(bytes);
    size_ += bytes.size();
    return out_.write(bytes);
  }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] manifest::Digest finish() { return hasher_.finish(); }

 private:
  Writer& out_;
  std::stop_token stop_;
  manifest::Hasher hasher_;
  std::uint64_t size_ = 0;
};

std::string_view media_type_of(Compression compression) noexcept {
  switch (compression) {
    case Compression::gzip:
      return manifest::media_type::oci_layer_gzip;
    case Compression::zstd:
      return manifest::media_type::oci_layer_zstd;
    case Compression::none:
      break;
  }
  return manifest::media_type::oci_layer;
}

Result<Layer> to_layer(const LayerCache::Record& record, Compression compression,
                       const LayerCache& cache, bool cached) {
  FNIMAGE_TRY(ContentPtr blob, file_content(cache.blob_path(record.digest)));
  return Layer{.descriptor = {.media_type = std::string(media_type_of(compression)),
                              .digest = record.digest,
                              .size = record.size},
               .diff_id = record.diff_id,
               .uncompressed_size = record.uncompressed_size,
               .blob = std::move(blob),
               .cached = cached};
}

Result<LayerCache::Record> pack(const FileTree& tree, const LayerOptions& options, AtomicFile& file,
                                WorkerPool& pool, ProgressTask& progress) {
  const Compression compression = options.compression;
  const auto report = [&](std::uint64_t done) { progress.update(done); };
  if (compression == Compression::none) {
    // The blob is the tar: one hash says both.
    HashingWriter blob(file, pool.stop_token());
    const std::unique_ptr<Compressor> plain = make_compressor(compression, blob, pool);
    FNIMAGE_CHECK(detail::write_tar(tree, *plain, report));
    FNIMAGE_CHECK(plain->finish());
    const manifest::Digest digest = blob.finish();
    return LayerCache::Record{digest, blob.size(), digest, blob.size()};
  }
  HashingWriter blob(file, {});
  const std::unique_ptr<Compressor> compressor =
      make_compressor(compression, blob, pool, options.blocks);
  HashingWriter tar(*compressor, pool.stop_token());
  FNIMAGE_CHECK(detail::write_tar(tree, tar, report));
  FNIMAGE_CHECK(compressor->finish());
  return LayerCache::Record{blob.finish(), blob.size(), tar.finish(), tar.size()};
}

}  // namespace

Result<Layer> build_layer(const FileTree& tree, const LayerOptions& options, LayerCache& cache,
                          WorkerPool& pool, Diagnostics& diagnostics) {
  const std::string label = options.label.empty() ? "layer" : options.label;
  std::optional<std::string> key;
  if (const std::optional<manifest::Digest> tree_key = tree.key()) {
    key = fmt::format("{}/{}", tree_key->str(), engine_id(options.compression));
  }
  const std::unique_ptr<ProgressTask> progress = diagnostics.begin(label, tree.content_size());
  if (key) {
    if (const std::optional<LayerCache::Record> record = cache.find(*key)) {
      Result<Layer> layer = to_layer(*record, options.compression, cache, true);
      if (layer) {  // else another process has just removed the blob: a miss
        progress->finish("cached");
        return layer;
      }
    }
  }
  const auto work = [&]() -> Result<Layer> {
    FNIMAGE_TRY(AtomicFile file, cache.begin());
    FNIMAGE_TRY(const LayerCache::Record record, pack(tree, options, file, pool, *progress));
    FNIMAGE_CHECK(cache.store(key, record, std::move(file)));
    return to_layer(record, options.compression, cache, false);
  };
  Result<Layer> layer = work();
  progress->finish(layer ? "done" : "failed");
  if (!layer) {
    return fail(std::move(layer).error().while_doing("build layer " + label));
  }
  return layer;
}

}  // namespace fnimage::layer

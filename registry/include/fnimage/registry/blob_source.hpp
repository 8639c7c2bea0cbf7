// Blobs of a registry of which only the digest is known, as whoever passes them on needs them: the
// size is told by the registry, and the bytes come as they are received. Thread-safety: all methods
// may be called from several threads.
#pragma once

#include <cstdint>
#include <optional>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

/// Takes a blob as it comes.
class BlobSink : public Writer {
 public:
  /// Before the first byte, once. @param size in bytes as the registry says; nullopt = it does not.
  virtual Result<void> begin(std::optional<std::uint64_t> size) = 0;
};

class BlobSource {
 public:
  virtual ~BlobSource() = default;
  /// In bytes as the registry says; nullopt = there is no such blob. One HEAD.
  virtual Result<std::optional<std::uint64_t>> blob_size(const manifest::Digest& digest) = 0;
  /// Hands all bytes to the sink, going on after broken connections; it returns when the sink has
  /// the last one. Nothing is verified but the size: that is the sink's. Errors: not_found, those
  /// of the sink and of the network.
  virtual Result<void> send_blob(const manifest::Digest& digest, BlobSink& sink) = 0;
};

/// The same store; null when it is no repository of a registry.
BlobSource* blob_source_of(ImageStore& store) noexcept;

}  // namespace fnimage::registry

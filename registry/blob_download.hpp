// The download of a blob: a GET that goes on with Range after a broken connection (F18).
// Thread-safety: a call belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <fnimage/base/stream.hpp>

#include "session.hpp"

namespace fnimage::registry {

struct BlobPlace {
  std::shared_ptr<Session> session{};
  std::string path{};  ///< "/v2/<name>/blobs/<digest>"
  Scopes scopes{};
  std::optional<std::uint64_t> size{};  ///< bytes; nullopt = the registry tells
};

/// Told once, when the registry has answered and before the first byte: the size if it is known.
using OnSize = std::function<Result<void>(std::optional<std::uint64_t>)>;

/// Hands the bytes from `offset` to the end to the sink, over as many connections as that takes.
/// Only the size is verified. @param stop of whoever waits; none: the session's.
Result<void> download_blob(const BlobPlace& place, std::uint64_t offset, Writer& sink,
                           const std::stop_token& stop = {}, const OnSize& on_size = {});

/// In bytes; nullopt = there is no such blob. One HEAD. Error: protocol when nothing says how large
/// it is.
Result<std::optional<std::uint64_t>> remote_blob_size(const BlobPlace& place);

}  // namespace fnimage::registry

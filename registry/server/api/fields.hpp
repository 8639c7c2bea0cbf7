// Header fields that say which part, and under which condition (RFC 9110 13.1, 14;
// distribution-spec, Pushing a blob in chunks). Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <fnimage/manifest/digest.hpp>

#include "http/exchange.hpp"
#include "store/store.hpp"

namespace fnimage::server {

/// A part of a blob.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

enum class RangeKind : std::uint8_t { whole, part, unsatisfiable };
struct WantedRange {
  RangeKind kind = RangeKind::whole;
  ByteRange range{};
};
/// What a Range field asks for of `size` bytes. Several ranges, or other units, are answered with
/// the whole (RFC 9110 14.2); a last position before the first with 416, as registries do.
WantedRange wanted_range(std::string_view field, std::uint64_t size);

/// A Content-Range of an upload: "<first>-<last>". Nullopt: malformed.
std::optional<ByteRange> upload_range(std::string_view field);

/// From If-Match and If-None-Match.
Condition condition_of(const Request& request);
/// Whether an If-None-Match of a GET or HEAD names what is there.
bool is_not_modified(const Request& request, const manifest::Digest& current);

}  // namespace fnimage::server

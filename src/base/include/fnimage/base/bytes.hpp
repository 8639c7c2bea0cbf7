// Views of raw bytes, hex and base64. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// The bytes of a text, without copying. The view is valid as long as the text is.
inline Bytes as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The bytes as characters, without copying.
std::string_view as_text(Bytes bytes) noexcept;

/// Lower-case hexadecimal.
std::string to_hex(Bytes bytes);

/// Standard base64 with padding (RFC 4648 section 4).
std::string to_base64(Bytes bytes);

/// Decodes standard base64; padding may be missing, white space is skipped. Error: invalid_input.
Result<std::string> from_base64(std::string_view text);

/// "1.5 MiB", "12 B": sizes as people read them, binary units.
std::string human_size(std::uint64_t bytes);

}  // namespace fnimage

// Keys, and what is made with them. Thread-safety: pure functions, but for the random ones, which
// may be called from several threads.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <fnimage/base/bytes.hpp>

namespace fnimage::server {

using Mac = std::array<std::byte, 32>;

/// HMAC-SHA256 (RFC 2104).
Mac hmac_sha256(std::string_view key, std::string_view text);
/// SHA-256 in lower-case hexadecimal.
std::string sha256_hex(std::string_view text);
/// Takes as long for every `given` of a size.
bool equals_in_constant_time(std::string_view given, std::string_view expected);
/// From the system's generator; without one, the process ends: nothing would be safe.
std::string random_bytes(std::size_t count);

/// Without padding (RFC 4648 section 5).
std::string to_base64url(Bytes bytes);
Result<std::string> from_base64url(std::string_view text);

}  // namespace fnimage::server

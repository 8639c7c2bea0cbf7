// Integers of an object's byte order. Private to elf. Thread-safety: pure functions.
#pragma once

#include <concepts>
#include <cstddef>

#include <fnimage/base/bytes.hpp>
#include <fnimage/elf/object.hpp>

namespace fnimage::elf::detail {

/// The integer at `offset`, which the caller has checked to be within.
template <std::unsigned_integral T>
T field(Bytes bytes, std::size_t offset, ByteOrder order) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    const std::size_t at = order == ByteOrder::little ? sizeof(T) - 1 - i : i;
    value = static_cast<T>(static_cast<T>(value << 8U) | std::to_integer<T>(bytes[offset + at]));
  }
  return value;
}

}  // namespace fnimage::elf::detail

// The bytes before an entry's content in a tar stream. Private to layer. Thread-safety: pure
// functions.
#pragma once

#include <string>

#include <fnimage/layer/entry.hpp>

namespace fnimage::layer::detail {

/// Headers are one block, contents end at the next one.
inline constexpr std::size_t tar_block_size = 512;

/// The 512-byte ustar header of an entry, after a pax header where one is needed (see
/// tar_writer.cpp). Error: invalid_input for what neither can say.
Result<std::string> tar_header(const Entry& entry);

}  // namespace fnimage::layer::detail

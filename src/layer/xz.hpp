// Decompression of xz by liblzma itself: libarchive would let a stream take a dictionary of 1 GiB
// (reliability A16). Private to layer. Thread-safety: one reader belongs to one thread at a time.
#pragma once

#include <memory>
#include <string>

#include <fnimage/base/stream.hpp>

namespace fnimage::layer::detail {

/// Any number of streams one after the other. Memory is bounded to what a dictionary of 128 MiB
/// needs; more is an error, as damage and anything behind the last stream is.
Result<std::unique_ptr<Reader>> xz_reader(std::unique_ptr<Reader> inner, std::string what);

}  // namespace fnimage::layer::detail

// write_tar() with a report of progress. Private to layer. Thread-safety: as write_tar().
#pragma once

#include <cstdint>
#include <functional>

#include <fnimage/layer/tar_writer.hpp>

namespace fnimage::layer::detail {

/// @param on_content gets the bytes of file content written so far.
Result<void> write_tar(const FileTree& tree, Writer& out,
                       const std::function<void(std::uint64_t)>& on_content);

}  // namespace fnimage::layer::detail

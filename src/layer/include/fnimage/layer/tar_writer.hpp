// Deterministic tar: ustar headers, pax records only where ustar cannot say it (path or link not
// ASCII or unsplittable, size >= 8 GiB, ids above 2097151, xattrs, mtime outside 0…2^33-1). Same
// entries, same bytes, on every machine, locale and time. See tar_writer.cpp for the canonical
// form; golden bytes in the tests pin it. libarchive is not used for writing: its pax output
// depends on the locale. Thread-safety: one writer belongs to one thread.
#pragma once

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::layer {

/// Writes the whole tree as a tar stream: parents before children, hard links after their targets,
/// two zero blocks at the end. Errors: those of `out`; io when a file's content is shorter or
/// longer than its size; invalid_input for a hard link to nothing.
Result<void> write_tar(const FileTree& tree, Writer& out);

}  // namespace fnimage::layer

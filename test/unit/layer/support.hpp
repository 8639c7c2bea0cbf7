// What the layer tests share. Thread-safety: none needed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fnimage/layer/file_tree.hpp>

namespace fnimage::layer::test {

Entry file(std::string path, std::string bytes);
Entry directory(std::string path);
Entry symlink(std::string path, std::string target);
Entry hardlink(std::string path, std::string target);

/// The tree's tar stream.
std::string tar_of(const FileTree& tree);

/// Text that compresses like program files do, the same on every run.
std::string sample(std::size_t size, std::uint64_t seed = 1);

/// Writes with pieces of the given size.
Result<void> write_in_pieces(Writer& out, std::string_view bytes, std::size_t piece);

/// Runs a shell command; its standard output. Fails the test when the command does.
std::string run(const std::string& command);

}  // namespace fnimage::layer::test

// The index beside a pack: the entries of an archive and where their bytes are in the pack. Private
// to layer. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/layer/entry.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::layer::detail {

struct PackedEntry {
  Entry entry;  ///< without content and content id
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::optional<manifest::Digest> digest{};  ///< of the bytes in the pack, when there are any
};

struct PackIndex {
  std::vector<PackedEntry> entries;
  std::uint64_t pack_size = 0;
};

std::string to_text(const PackIndex& index);

/// nullopt: damaged, cut, of another version, or not made by to_text().
std::optional<PackIndex> parse_pack_index(std::string_view text);

}  // namespace fnimage::layer::detail

// /etc/ld.so.cache: where glibc's dynamic loader looks for libraries before its default
// directories. The format that calls itself "glibc-ld.so.cache1.1", which glibc 2.2 and later read,
// in the byte order of the machine that it is for; with libraries of glibc-hwcaps subdirectories as
// glibc 2.33 and later know them (earlier ones pass those over). Sources: ldconfig(8), the
// description of the format in glibc's sysdeps/generic/dl-cache.h. Input is hostile: bounded.
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/elf/object.hpp>

namespace fnimage::elf {

struct CachedLibrary {
  std::string name;         ///< the soname that objects need
  std::string path;         ///< absolute, in the image
  std::uint32_t flags = 0;  ///< the kind of library: loader_flags()
  /// The subdirectory of glibc-hwcaps that it is in ("x86-64-v3"), whose processors alone take it;
  /// empty = for any processor.
  std::string processors{};
  std::uint64_t hwcap = 0;  ///< what glibc before 2.33 had for the same; 0 = for any processor

  friend bool operator==(const CachedLibrary&, const CachedLibrary&) = default;
};

/// The kind of library that the loader of a machine takes. nullopt for machines whose kind is not
/// known. (Where ldconfig has no kind of its own for a machine, as on i386, it marks a library that
/// needs no libc as 1, "ELF", which loaders take for the same.)
std::optional<std::uint32_t> loader_flags(const Identity& identity) noexcept;

/// How the loader orders library names: as bytes, but numbers by their value ("libc.so.9" before
/// "libc.so.10") and digits behind everything else. Negative when `a` is before `b`, 0 when the
/// loader does not tell them apart.
int compare_library_names(std::string_view a, std::string_view b) noexcept;

/// The libraries of a cache, in its order. Error: invalid_input, naming it by `what`.
Result<std::vector<CachedLibrary>> parse_loader_cache(std::string_view bytes,
                                                      std::string_view what);

/// A cache with these libraries, which are brought into the order that the loader searches by:
/// equal libraries give equal bytes. Of several that have the same name and are for the same
/// machine and processors, the loader takes the one that is first here.
std::string write_loader_cache(std::vector<CachedLibrary> libraries, ByteOrder order);

}  // namespace fnimage::elf

// ELF objects as the kernel and the dynamic loader see them: through the ELF header, the program
// headers and the dynamic section, for any machine and byte order. Sections and symbols are not
// read. Sources: System V ABI (gABI) ch. 4-5, Linux Standard Base "Symbol Versioning", the ABI
// supplements of the machines. Input is hostile: every offset, size and count is checked against
// the file and bounded. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::elf {

enum class ByteOrder : std::uint8_t { little, big };

/// Values of e_machine that platforms of Linux have.
enum class Machine : std::uint16_t {
  i386 = 3,
  mips = 8,
  ppc = 20,
  ppc64 = 21,
  s390 = 22,
  arm = 40,
  x86_64 = 62,
  aarch64 = 183,
  riscv = 243,
  loongarch = 258,
};

/// What says which processor an object is for.
struct Identity {
  std::uint8_t bits = 64;  ///< 32 or 64: EI_CLASS
  ByteOrder order = ByteOrder::little;
  Machine machine{};        ///< may be none of those named
  std::uint16_t type = 0;   ///< e_type
  std::uint32_t flags = 0;  ///< e_flags, whose meaning is the machine's

  /// Programs and shared objects, which a kernel or loader maps; relocatable objects are not.
  [[nodiscard]] bool is_loadable() const noexcept;
  /// "64-bit little-endian PowerPC, ELFv2"
  [[nodiscard]] std::string str() const;

  friend bool operator==(const Identity&, const Identity&) = default;
};

/// Bytes that parse_identity() wants to see.
inline constexpr std::size_t header_bytes = 64;

/// Reads the beginning of a file. nullopt for what is no ELF object, or one that is cut within its
/// header.
std::optional<Identity> parse_identity(Bytes head) noexcept;

/// Versions that an object wants of one library.
struct VersionNeed {
  std::string library;                  ///< as in needed
  std::vector<std::string> versions{};  ///< those that must be there (not marked weak)
};

struct Object {
  Identity identity;
  std::string interpreter{};            ///< the dynamic loader: PT_INTERP; empty = none
  bool dynamic = false;                 ///< has a dynamic section
  std::string soname{};                 ///< empty = none
  std::vector<std::string> needed{};    ///< DT_NEEDED, in order
  std::string rpath{};                  ///< DT_RPATH, not split; $ORIGIN and the like as they are
  std::string runpath{};                ///< DT_RUNPATH
  bool no_default_directories = false;  ///< DF_1_NODEFLIB
  std::vector<VersionNeed> version_needs{};
  std::vector<std::string> versions{};  ///< that it defines, its own name's left out
};

/// Reads an object. Errors: invalid_input for what is no ELF object or a broken one (`what` names
/// it), those of the content.
Result<Object> read_object(const Content& content, const std::string& what);

}  // namespace fnimage::elf

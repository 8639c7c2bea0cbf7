// The machines of platforms: Go's GOARCH names against the ABI supplements. See the header.
#include "machine.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace fnimage::check {

namespace {

using elf::ByteOrder;
using elf::Machine;

struct MachineOfPlatform {
  std::string_view architecture;
  Machine machine;
  std::uint8_t bits;
  ByteOrder order;
  Verdict verdict;
};

constexpr std::uint8_t wide = 64;
constexpr std::uint8_t narrow = 32;

constexpr std::array machines{
    MachineOfPlatform{"amd64", Machine::x86_64, wide, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"amd64", Machine::x86_64, narrow, ByteOrder::little, Verdict::compatible},
    MachineOfPlatform{"amd64", Machine::i386, narrow, ByteOrder::little, Verdict::compatible},
    MachineOfPlatform{"386", Machine::i386, narrow, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"arm64", Machine::aarch64, wide, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"arm64", Machine::arm, narrow, ByteOrder::little, Verdict::compatible},
    MachineOfPlatform{"arm", Machine::arm, narrow, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"ppc64le", Machine::ppc64, wide, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"ppc64", Machine::ppc64, wide, ByteOrder::big, Verdict::native},
    MachineOfPlatform{"ppc64", Machine::ppc, narrow, ByteOrder::big, Verdict::compatible},
    MachineOfPlatform{"s390x", Machine::s390, wide, ByteOrder::big, Verdict::native},
    MachineOfPlatform{"s390x", Machine::s390, narrow, ByteOrder::big, Verdict::compatible},
    MachineOfPlatform{"riscv64", Machine::riscv, wide, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"loong64", Machine::loongarch, wide, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"mips64le", Machine::mips, wide, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"mips64", Machine::mips, wide, ByteOrder::big, Verdict::native},
    MachineOfPlatform{"mipsle", Machine::mips, narrow, ByteOrder::little, Verdict::native},
    MachineOfPlatform{"mips", Machine::mips, narrow, ByteOrder::big, Verdict::native},
};

/// The ABI that e_flags name, where machine, class and byte order do not say enough.
bool is_of_abi(const elf::Identity& identity) noexcept {
  constexpr std::uint32_t ppc64_abi = 3;  // EF_PPC64_ABI: 0 = does not matter
  constexpr std::uint32_t elf_v1 = 1;
  return identity.machine != Machine::ppc64 || identity.order != ByteOrder::little ||
         (identity.flags & ppc64_abi) != elf_v1;
}

}  // namespace

Verdict judge(const elf::Identity& identity, const manifest::Platform& platform) noexcept {
  bool known = false;
  for (const MachineOfPlatform& one : machines) {
    if (one.architecture != platform.architecture) {
      continue;
    }
    known = true;
    if (one.machine == identity.machine && one.bits == identity.bits &&
        one.order == identity.order) {
      return is_of_abi(identity) ? one.verdict : Verdict::foreign;
    }
  }
  return known && platform.os == "linux" ? Verdict::foreign : Verdict::unknown;
}

}  // namespace fnimage::check

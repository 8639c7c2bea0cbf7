// Platform truth: which ELF objects the nodes of a platform can run. Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include <fnimage/elf/object.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::check {

enum class Verdict : std::uint8_t {
  native,      ///< what the platform's programs are
  compatible,  ///< of a processor mode that its nodes usually have too (x86 on amd64)
  foreign,     ///< ends in "exec format error"
  unknown      ///< nobody has told what this platform's objects are
};

Verdict judge(const elf::Identity& identity, const manifest::Platform& platform) noexcept;

}  // namespace fnimage::check

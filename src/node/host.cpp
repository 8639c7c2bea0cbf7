// See the header. The levels are those of the x86-64 psABI, "Micro-Architecture Levels".
#include <string>

#include <fnimage/node/host.hpp>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fnimage::node {

namespace {

#if defined(__x86_64__)
/// What the compilers' builtin does not know by name, from CPUID itself.
struct MoreFeatures {
  bool cmpxchg16b = false;
  bool movbe = false;
  bool f16c = false;
  bool lahf = false;
  bool lzcnt = false;
};

MoreFeatures more_features() noexcept {
  MoreFeatures features;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) != 0) {
    features.cmpxchg16b = (c & (1U << 13)) != 0;
    features.movbe = (c & (1U << 22)) != 0;
    features.f16c = (c & (1U << 29)) != 0;
  }
  constexpr unsigned extended = 0x80000001U;
  if (__get_cpuid(extended, &a, &b, &c, &d) != 0) {
    features.lahf = (c & 1U) != 0;
    features.lzcnt = (c & (1U << 5)) != 0;
  }
  return features;
}

std::string level_of_host() {
  __builtin_cpu_init();
  const auto has = [](int supported) { return supported != 0; };
  const MoreFeatures more = more_features();
  const bool v2 = more.cmpxchg16b && more.lahf && has(__builtin_cpu_supports("popcnt")) &&
                  has(__builtin_cpu_supports("sse3")) && has(__builtin_cpu_supports("ssse3")) &&
                  has(__builtin_cpu_supports("sse4.1")) && has(__builtin_cpu_supports("sse4.2"));
  // The builtin asks the kernel's part too: registers that are not saved do not count.
  const bool v3 = v2 && more.movbe && more.f16c && more.lzcnt &&
                  has(__builtin_cpu_supports("avx")) && has(__builtin_cpu_supports("avx2")) &&
                  has(__builtin_cpu_supports("bmi")) && has(__builtin_cpu_supports("bmi2")) &&
                  has(__builtin_cpu_supports("fma"));
  const bool v4 =
      v3 && has(__builtin_cpu_supports("avx512f")) && has(__builtin_cpu_supports("avx512bw")) &&
      has(__builtin_cpu_supports("avx512cd")) && has(__builtin_cpu_supports("avx512dq")) &&
      has(__builtin_cpu_supports("avx512vl"));
  if (v4) {
    return "v4";
  }
  if (v3) {
    return "v3";
  }
  return v2 ? "v2" : "";
}
#else
std::string level_of_host() {
  return {};
}
#endif

}  // namespace

manifest::NodeMachine this_machine() {
  return {.platform = manifest::host_platform(), .cpu_variant = level_of_host()};
}

}  // namespace fnimage::node

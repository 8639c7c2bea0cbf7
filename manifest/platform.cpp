// Platform names. The tables restate Go's GOOS and GOARCH values and containerd's normal form.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform.hpp>

#include "platform_names.hpp"

namespace fnimage::manifest {

namespace {

constexpr std::array<std::string_view, 17> known_systems{
    "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
    "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos"};

constexpr std::array<std::string_view, 24> known_architectures{
    "386",     "amd64",   "amd64p32", "arm",    "armbe",  "arm64",    "arm64be",   "ppc64",
    "ppc64le", "loong64", "mips",     "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le",
    "ppc",     "riscv",   "riscv64",  "s390",   "s390x",  "sparc",    "sparc64",   "wasm"};

template <class Table>
bool contains(const Table& table, std::string_view word) noexcept {
  return std::find(table.begin(), table.end(), word) != table.end();
}

struct DebianNames {
  std::string_view architecture;
  std::string_view variant;  ///< empty = any
  std::string_view debian;
  std::string_view triplet;
};

constexpr std::array debian_names{
    DebianNames{"amd64", "", "amd64", "x86_64-linux-gnu"},
    DebianNames{"386", "", "i386", "i386-linux-gnu"},
    DebianNames{"arm64", "", "arm64", "aarch64-linux-gnu"},
    DebianNames{"arm", "v5", "armel", "arm-linux-gnueabi"},
    DebianNames{"arm", "v6", "armel", "arm-linux-gnueabi"},
    DebianNames{"arm", "", "armhf", "arm-linux-gnueabihf"},
    DebianNames{"ppc64le", "", "ppc64el", "powerpc64le-linux-gnu"},
    DebianNames{"ppc64", "", "ppc64", "powerpc64-linux-gnu"},
    DebianNames{"s390x", "", "s390x", "s390x-linux-gnu"},
    DebianNames{"riscv64", "", "riscv64", "riscv64-linux-gnu"},
    DebianNames{"loong64", "", "loong64", "loongarch64-linux-gnu"},
    DebianNames{"mips64le", "", "mips64el", "mips64el-linux-gnuabi64"},
    DebianNames{"mipsle", "", "mipsel", "mipsel-linux-gnu"},
};

const DebianNames* find_debian(const Platform& platform) noexcept {
  if (platform.os != "linux") {
    return nullptr;
  }
  for (const DebianNames& names : debian_names) {
    if (names.architecture == platform.architecture &&
        (names.variant.empty() || names.variant == platform.variant)) {
      return &names;
    }
  }
  return nullptr;
}

tl::unexpected<Error> refuse_platform(std::string_view text, std::string_view why,
                                      std::string hint = {}) {
  if (hint.empty()) {
    hint = "write os/architecture with Go's names, for example linux/amd64 or linux/ppc64le";
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("platform \"{}\": {}", printable(text, 80), why), std::move(hint));
}

/// "ppc64le" alone: linux is meant.
Result<Platform> parse_single(std::string_view text, std::string_view word) {
  Platform platform = normalize(Platform{"linux", std::string(word), {}, {}, {}});
  if (is_known_architecture(platform.architecture)) {
    return platform;
  }
  if (is_known_os(to_lower(word)) || equals_ignoring_case(word, "macos")) {
    return refuse_platform(text, "names no architecture");
  }
  const auto near = nearest(to_lower(word), known_architectures);
  return refuse_platform(text, "is not a known architecture",
                         near ? fmt::format("did you mean {}?", *near) : std::string());
}

}  // namespace

bool is_known_os(std::string_view os) noexcept {
  return contains(known_systems, os);
}

bool is_known_architecture(std::string_view architecture) noexcept {
  return contains(known_architectures, architecture);
}

bool is_platform_word(std::string_view word) noexcept {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const auto allowed = [&](char c) { return alphanumeric(c) || c == '_' || c == '.' || c == '-'; };
  constexpr std::size_t longest = 64;
  return !word.empty() && word.size() <= longest && alphanumeric(word.front()) &&
         std::all_of(word.begin(), word.end(), allowed);
}

bool is_baseline_only(std::string_view architecture) noexcept {
  return architecture == "amd64" || architecture == "ppc64le";
}

std::string_view suggestion_for(std::string_view architecture) noexcept {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> mistakes{
      {{"ppc64el", "ppc64le"},
       {"powerpc64le", "ppc64le"},
       {"x64", "amd64"},
       {"x86", "386"},
       {"i686", "386"},
       {"armv7l", "arm/v7"},
       {"armv6l", "arm/v6"},
       {"mips64el", "mips64le"},
       {"loongarch64", "loong64"}}};
  for (const auto& [wrong, right] : mistakes) {
    if (architecture == wrong) {
      return right;
    }
  }
  return {};
}

Result<Platform> Platform::parse(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() > 3) {
    return refuse_platform(text, "has more than three parts");
  }
  for (const std::string_view part : parts) {
    if (!is_platform_word(part)) {
      return refuse_platform(
          text, part.empty() ? "has an empty part"
                             : "has characters other than letters, digits, '.', '_', '-'");
    }
  }
  const std::string_view architecture = parts.size() == 1 ? parts[0] : parts[1];
  if (const std::string_view right = suggestion_for(to_lower(architecture)); !right.empty()) {
    return refuse_platform(text,
                           fmt::format("\"{}\" is not Go's name of the architecture", architecture),
                           fmt::format("write {}", right));
  }
  if (parts.size() == 1) {
    return parse_single(text, parts[0]);
  }
  Platform platform{std::string(parts[0]),
                    std::string(parts[1]),
                    parts.size() == 3 ? std::string(parts[2]) : std::string(),
                    {},
                    {}};
  platform = normalize(std::move(platform));
  if (!is_known_os(platform.os)) {
    const auto near = nearest(platform.os, known_systems);
    return refuse_platform(text, fmt::format("\"{}\" is not a known operating system", platform.os),
                           near ? fmt::format("did you mean {}?", *near) : std::string());
  }
  return platform;
}

std::string Platform::str() const {
  std::string text = os + "/" + architecture;
  if (!variant.empty()) {
    text += "/" + variant;
  }
  return text;
}

std::string Platform::tag_suffix() const {
  std::string text = os == "linux" ? architecture : os + "-" + architecture;
  if (!variant.empty()) {
    text += "-" + variant;
  }
  return text;
}

namespace {

bool is_same_word(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && (a == b || equals_ignoring_case(a, b));
}

std::string_view normal_arm64_variant(std::string_view variant) noexcept {
  if (variant == "8" || is_same_word(variant, "v8") || is_same_word(variant, "v8.0")) {
    return {};
  }
  return variant == "9" || variant == "9.0" || is_same_word(variant, "v9.0") ? "v9" : variant;
}

std::string_view normal_arm_variant(std::string_view variant) noexcept {
  if (variant.empty() || variant == "7") {
    return "v7";
  }
  if (variant.size() != 1) {
    return variant;
  }
  switch (variant[0]) {
    case '5':
      return "v5";
    case '6':
      return "v6";
    case '8':
      return "v8";
    default:
      return variant;
  }
}

}  // namespace

PlatformWords normal_words(std::string_view os, std::string_view architecture,
                           std::string_view variant) noexcept {
  os = is_same_word(os, "macos") ? "darwin" : os;
  if (is_same_word(architecture, "amd64") || is_same_word(architecture, "x86_64") ||
      is_same_word(architecture, "x86-64")) {
    return {os, "amd64", is_same_word(variant, "v1") ? std::string_view() : variant};
  }
  if (is_same_word(architecture, "arm64") || is_same_word(architecture, "aarch64")) {
    return {os, "arm64", normal_arm64_variant(variant)};
  }
  if (is_same_word(architecture, "arm")) {
    return {os, "arm", normal_arm_variant(variant)};
  }
  if (is_same_word(architecture, "i386")) {
    return {os, "386", {}};
  }
  if (is_same_word(architecture, "armhf")) {
    return {os, "arm", "v7"};
  }
  if (is_same_word(architecture, "armel")) {
    return {os, "arm", "v6"};
  }
  return {os, architecture, variant};
}

Platform normalize(Platform platform) {
  const PlatformWords words = normal_words(platform.os, platform.architecture, platform.variant);
  platform.os = to_lower(words.os);
  platform.architecture = to_lower(words.architecture);
  platform.variant = to_lower(words.variant);
  std::sort(platform.os_features.begin(), platform.os_features.end());
  return platform;
}

namespace {

Result<void> check_word(std::string_view what, std::string_view word) {
  if (word.empty() || is_platform_word(word)) {
    return {};
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("\"{}\" cannot be {} of a platform", printable(word, 80), what),
              "write at most 64 letters, digits, '.', '_' and '-'");
}

}  // namespace

Result<void> check_words(const Platform& platform) {
  FNIMAGE_CHECK(check_word("the os", platform.os));
  FNIMAGE_CHECK(check_word("the architecture", platform.architecture));
  FNIMAGE_CHECK(check_word("the variant", platform.variant));
  FNIMAGE_CHECK(check_word("the os version", platform.os_version));
  for (const std::string& feature : platform.os_features) {
    FNIMAGE_CHECK(check_word("an os feature", feature));
  }
  const std::string_view right = suggestion_for(to_lower(platform.architecture));
  if (!right.empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is not Go's name of the architecture", platform.architecture),
                fmt::format("write {}", right));
  }
  return {};
}

Platform host_platform() {
  utsname names{};
  Platform platform{"linux", "unknown", {}, {}, {}};
  if (::uname(&names) != 0) {
    return platform;
  }
  platform.os = to_lower(static_cast<const char*>(names.sysname));
  platform.architecture = static_cast<const char*>(names.machine);
  std::string& architecture = platform.architecture;
  if (architecture.size() == 4 && architecture[0] == 'i' && architecture.ends_with("86")) {
    architecture = "386";  // i486 … i686
  } else if (architecture == "loongarch64") {
    architecture = "loong64";
  } else if (architecture.starts_with("armv")) {
    platform.variant = architecture.substr(3, 2);  // "armv7l" -> "v7"
    architecture = "arm";
  }
  return normalize(std::move(platform));
}

std::optional<std::string_view> debian_architecture(const Platform& platform) noexcept {
  const DebianNames* names = find_debian(platform);
  return names == nullptr ? std::nullopt : std::optional(names->debian);
}

std::optional<std::string_view> multiarch_triplet(const Platform& platform) noexcept {
  const DebianNames* names = find_debian(platform);
  return names == nullptr ? std::nullopt : std::optional(names->triplet);
}

}  // namespace fnimage::manifest

// What a build takes from the process environment; nothing else in the library looks there.
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/build/build.hpp>

namespace fnimage::build {

namespace {

constexpr std::int64_t last_second = 253'402'300'799;  // 9999-12-31T23:59:59Z, RFC 3339's last

std::optional<std::string_view> variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets variables
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string_view>(value);
}

}  // namespace

Result<std::optional<std::int64_t>> source_date_epoch_from_environment() {
  const auto text = variable("SOURCE_DATE_EPOCH");
  if (!text) {
    return std::optional<std::int64_t>();
  }
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (error != std::errc() || end != text->data() + text->size() || seconds < 0 ||
      seconds > last_second) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("SOURCE_DATE_EPOCH is \"{}\", not a number of seconds since 1970",
                            printable(*text, 40)),
                "unset it, or set it for example to $(git log -1 --format=%ct)");
  }
  return seconds;
}

Result<std::filesystem::path> default_cache_directory() {
  // The XDG specification has relative paths ignored.
  const auto cache = variable("XDG_CACHE_HOME");
  if (cache && cache->starts_with('/')) {
    return std::filesystem::path(*cache) / "fnimage";
  }
  if (const auto home = variable("HOME")) {
    return std::filesystem::path(*home) / ".cache" / "fnimage";
  }
  return fail(ErrorCode::invalid_argument, "there is no place for the cache",
              "set HOME or XDG_CACHE_HOME, or name a directory with --cache-dir");
}

}  // namespace fnimage::build

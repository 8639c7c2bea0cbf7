// InRelease from mirror or cache to a checked Release, see release.hpp. Thread-safety: no shared
// state; files of the cache are replaced atomically.
#include "debian/release.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <system_error>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/registry/transport.hpp>

#include "debian/deb822.hpp"
#include "debian/signature.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_release_file = std::uint64_t{16} << 20;
constexpr std::int64_t allowed_clock_error = std::int64_t{24} * 3600;

std::vector<std::string> strings(std::string_view text) {
  const auto views = words(text);
  return {views.begin(), views.end()};
}

Result<void> parse_files(std::string_view text, std::string_view what, Release& release) {
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = words(line);
    if (parts.empty()) {
      continue;
    }
    std::uint64_t size = 0;
    if (parts.size() != 3 ||
        std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), size).ec !=
            std::errc{}) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: not a hash, size and name: {}", what, printable(line, 120)));
    }
    FNIMAGE_TRY(const auto digest, manifest::Digest::parse(fmt::format("sha256:{}", parts[0])));
    release.files.insert_or_assign(std::string(parts[2]), IndexFile{digest, size});
  }
  return {};
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::filesystem::path cache_file(const std::filesystem::path& cache, const std::string& url) {
  return cache / "release" / std::string(manifest::Digest::of(url).hex());
}

Validators read_validators(const std::filesystem::path& file) {
  Validators validators;
  if (const auto text = read_file(file.string() + ".validators", 4096)) {
    const auto lines = split(*text, '\n');
    validators.etag = lines[0];
    validators.last_modified = lines.size() > 1 ? lines[1] : "";
  }
  return validators;
}

Result<void> store(const std::filesystem::path& file, const Fetched& fetched) {
  // The validators go first and come last, so that they never describe another text.
  std::error_code ignored;
  const std::string validators = file.string() + ".validators";
  std::filesystem::remove(validators, ignored);
  FNIMAGE_CHECK(write_file_atomically(file, fetched.body, /*durable=*/false));
  return write_file_atomically(
      validators,
      fmt::format("{}\n{}\n", fetched.validators.etag, fetched.validators.last_modified),
      /*durable=*/false);
}

struct ReleaseText {
  std::string raw{};
  std::optional<Fetched> fresh{};  ///< set when it came from the mirror and is not in the cache yet
};

Result<ReleaseText> fetch_text(const std::string& url, const std::filesystem::path& file,
                               const Downloader& downloader) {
  auto cached = read_file(file, max_release_file);
  if (downloader.offline()) {
    if (!cached) {
      return fail(ErrorCode::unavailable,
                  fmt::format("{} is not in the cache", registry::printable_url(url)),
                  "build once without --offline to fill the cache");
    }
    return ReleaseText{.raw = std::move(*cached)};
  }
  FNIMAGE_TRY(Fetched fetched,
              downloader.get(url, max_release_file, cached ? read_validators(file) : Validators{}));
  if (cached && (fetched.unchanged || *cached == fetched.body)) {
    return ReleaseText{.raw = std::move(*cached)};
  }
  std::string raw = fetched.body;
  return ReleaseText{.raw = std::move(raw), .fresh = std::move(fetched)};
}

Result<std::string> signed_text(const AptSource& source, const std::string& raw,
                                const std::string& shown, const ReleaseContext& context) {
  if (source.trusted) {
    context.diagnostics.report(
        Severity::warning,
        fmt::format("{}: not verified (the apt source says trusted=yes)", shown));
    return unverified_text(raw, shown);
  }
  FNIMAGE_TRY(const TrustedKeys keys,
              trusted_keys(source.signed_by, context.settings.apt_directory));
  return verify_clear_signed(raw, keys, shown);
}

std::string format_date(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm fields{};
  ::gmtime_r(&time, &fields);
  return fmt::format("{:04}-{:02}-{:02}", fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday);
}

std::int64_t clock_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A day of the calendar and a time of it, as seconds since 1970.
std::optional<std::int64_t> to_seconds(const std::chrono::year_month_day& date, int hour,
                                       int minute, int second) {
  if (!date.ok()) {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return std::int64_t{days} * 86400 + std::int64_t{hour} * 3600 + std::int64_t{minute} * 60 +
         second;
}

}  // namespace

bool Release::has_architecture(std::string_view name) const {
  return std::find(architectures.begin(), architectures.end(), name) != architectures.end();
}

std::optional<std::int64_t> parse_release_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto parts = words(text);
  if (parts.size() < 5) {
    return std::nullopt;
  }
  const auto month = std::find(months.begin(), months.end(), parts[2]);
  const auto day = number(parts[1]);
  const auto year = number(parts[3]);
  const auto clock = split(parts[4], ':');
  if (month == months.end() || !day || !year || clock.size() != 3) {
    return std::nullopt;
  }
  const auto hour = number(clock[0]);
  const auto minute = number(clock[1]);
  const auto second = number(clock[2]);
  const std::chrono::year_month_day date(
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1),
      std::chrono::day(static_cast<unsigned>(std::max(*day, 0))));
  if (!hour || !minute || !second) {
    return std::nullopt;
  }
  return to_seconds(date, *hour, *minute, *second);
}

Result<Release> parse_release(std::string_view text, std::string_view what) {
  FNIMAGE_TRY(const auto paragraphs, parse_paragraphs(text, what));
  if (paragraphs.size() != 1 || !paragraphs[0].has("SHA256")) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: not a release file with SHA-256 sums", what));
  }
  const Paragraph& fields = paragraphs[0];
  Release release;
  release.suite = fields.get("Suite");
  release.codename = fields.get("Codename");
  release.architectures = strings(fields.get("Architectures"));
  release.components = strings(fields.get("Components"));
  release.by_hash = equals_ignoring_case(fields.get("Acquire-By-Hash"), "yes");
  release.not_automatic = equals_ignoring_case(fields.get("NotAutomatic"), "yes");
  release.separate_all =
      release.has_architecture("all") &&
      fields.get("No-Support-for-Architecture-all").find("Packages") == std::string_view::npos;
  release.date = parse_release_date(fields.get("Date"));
  release.valid_until = parse_release_date(fields.get("Valid-Until"));
  if (fields.has("Valid-Until") && !release.valid_until) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: Valid-Until is not a date", what));
  }
  FNIMAGE_CHECK(parse_files(fields.get("SHA256"), what, release));
  return release;
}

Result<void> check_release(const Release& release, const AptSettings& settings, std::int64_t now) {
  const AptSource& source = release.source;
  if (source.suite != release.suite && source.suite != release.codename) {
    return fail(
        ErrorCode::verification,
        fmt::format("the mirror delivers the suite {} ({}) in place of {}",
                    printable(release.suite, 40), printable(release.codename, 40), source.suite),
        "check the mirror's address");
  }
  if (settings.check_date && release.date && *release.date > now + allowed_clock_error) {
    return fail(ErrorCode::verification,
                fmt::format("release file is of the future ({})", format_date(*release.date)),
                "set this machine's clock");
  }
  if (source.check_valid_until.value_or(settings.check_valid_until) && release.valid_until &&
      *release.valid_until < now) {
    return fail(
        ErrorCode::verification,
        fmt::format("release file expired on {}", format_date(*release.valid_until)),
        "the mirror is no longer updated (use another), or this machine's clock is wrong; for a "
        "snapshot, say its time in the build file (snapshot: 20260131T000000Z)");
  }
  return {};
}

Result<std::optional<Release>> load_release(const AptSource& source,
                                            const ReleaseContext& context) {
  FNIMAGE_TRY(const std::string url,
              join_url(source.uri, fmt::format("dists/{}/InRelease", source.suite)));
  const std::string shown = registry::printable_url(url);
  const auto file = cache_file(context.settings.cache_directory, url);
  auto fetched = fetch_text(url, file, context.downloader);
  if (!fetched) {
    const ErrorCode code = fetched.error().code();
    // Some object stores answer 403 for what is not there.
    const bool missing =
        code == ErrorCode::not_found ||
        (source.optional && (context.downloader.offline() || code == ErrorCode::unauthorized));
    if (missing && source.optional) {
      context.diagnostics.report(Severity::info, fmt::format("no {} at the mirror", source.suite));
      return std::nullopt;
    }
    if (missing) {
      return fail(ErrorCode::not_found,
                  fmt::format("no Debian release {}: {}", source.suite, fetched.error().message()),
                  "check the release's name and the mirror");
    }
    return fail(
        std::move(fetched).error().while_doing(fmt::format("read the release {}", source.suite)));
  }
  FNIMAGE_TRY(const std::string text, signed_text(source, fetched->raw, shown, context));
  FNIMAGE_TRY(Release release, parse_release(text, shown));
  release.source = source;
  // A host that does not care for dates has no say in what a snapshot of a given time is.
  const auto snapshot = parse_snapshot(context.settings.snapshot);
  const AptSettings apt = snapshot ? AptSettings{} : context.apt;
  if (auto checked = check_release(release, apt, snapshot.value_or(clock_now())); !checked) {
    return fail(std::move(checked).error().while_doing(shown));
  }
  if (fetched->fresh) {
    FNIMAGE_CHECK(store(file, *fetched->fresh));
  }
  return release;
}

}  // namespace fnimage::source::debian

namespace fnimage::source {

std::optional<std::int64_t> parse_snapshot(std::string_view text) {
  constexpr std::string_view shape = "00000000T000000Z";
  if (text.size() != shape.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (shape[i] == '0' ? !digit : text[i] != shape[i]) {
      return std::nullopt;
    }
  }
  const auto part = [&](std::size_t at, std::size_t size) {
    return *debian::number(text.substr(at, size));
  };
  const std::chrono::year_month_day date(std::chrono::year(part(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(part(4, 2))),
                                         std::chrono::day(static_cast<unsigned>(part(6, 2))));
  return debian::to_seconds(date, part(9, 2), part(11, 2), part(13, 2));
}

}  // namespace fnimage::source

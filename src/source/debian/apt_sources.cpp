// Parsers of sources.list(5) and the choice of a release's suites. Thread-safety: pure but for
// reading files.
#include "debian/apt_sources.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include <fmt/format.h>

#include <fnimage/base/os_release.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"
#include "debian/process.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_sources_file = std::uint64_t{1} << 20;

std::vector<std::string> to_strings(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view word : {"yes", "true", "with", "on", "enable", "1"}) {
    if (equals_ignoring_case(text, word)) {
      return true;
    }
  }
  if (text.empty()) {
    return std::nullopt;
  }
  return false;
}

std::string without_trailing_slash(std::string_view uri) {
  while (uri.ends_with('/')) {
    uri.remove_suffix(1);
  }
  return std::string(uri);
}

// Only what a Downloader can fetch; "cdrom:" and the like are for interactive use.
bool is_usable_uri(std::string_view uri) {
  return uri.starts_with("http://") || uri.starts_with("https://") || uri.starts_with("file:");
}

void apply_option(std::string_view option, AptSource& source) {
  const std::size_t equals = option.find('=');
  if (equals == std::string_view::npos) {
    return;
  }
  const std::string name = to_lower(option.substr(0, equals));
  const std::string_view value = option.substr(equals + 1);
  if (name == "signed-by") {
    source.signed_by.clear();
    for (const std::string_view part : split(value, ',')) {
      source.signed_by.emplace_back(part);
    }
  } else if (name == "arch") {
    for (const std::string_view part : split(value, ',')) {
      source.architectures.emplace_back(part);
    }
  } else if (name == "trusted") {
    source.trusted = parse_bool(value).value_or(false);
  } else if (name == "check-valid-until") {
    source.check_valid_until = parse_bool(value);
  }
}

// nullopt: a line that is not for us (comment, deb-src, flat repository).
Result<std::optional<AptSource>> parse_line(std::string_view line, std::string_view where) {
  line = trim(line.substr(0, line.find('#')));
  if (!line.starts_with("deb ") && !line.starts_with("deb\t")) {
    return std::nullopt;
  }
  line = trim(line.substr(3));
  AptSource source;
  if (line.starts_with('[')) {
    const std::size_t end = line.find(']');
    if (end == std::string_view::npos) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: '[' is not closed", where));
    }
    for (const std::string_view option : words(line.substr(1, end - 1))) {
      apply_option(option, source);
    }
    line = trim(line.substr(end + 1));
  }
  const std::vector<std::string_view> parts = words(line);
  if (parts.size() < 2) {
    return fail(ErrorCode::invalid_input, fmt::format("{}: no suite behind the address", where));
  }
  if (!is_usable_uri(parts[0]) || parts[1].ends_with('/')) {
    return std::nullopt;
  }
  source.uri = without_trailing_slash(parts[0]);
  source.suite = parts[1];
  source.components.assign(parts.begin() + 2, parts.end());
  return source;
}

// A Signed-By value is key files or fingerprints, or an armoured key whose empty lines are written
// as " .".
std::vector<std::string> parse_signed_by(std::string_view value) {
  if (value.find("-----BEGIN PGP PUBLIC KEY BLOCK-----") == std::string_view::npos) {
    std::string spaced(value);
    std::replace(spaced.begin(), spaced.end(), ',', ' ');
    return to_strings(words(spaced));
  }
  std::string armour;
  for (const std::string_view line : split(value, '\n')) {
    const std::string_view text = trim(line);
    armour += text == "." ? std::string_view() : text;
    armour += '\n';
  }
  return {armour};
}

AptSource source_of_paragraph(const Paragraph& paragraph) {
  AptSource source;
  source.components = to_strings(words(paragraph.get("Components")));
  source.architectures = to_strings(words(paragraph.get("Architectures")));
  source.signed_by = parse_signed_by(paragraph.get("Signed-By"));
  source.trusted = parse_bool(paragraph.get("Trusted")).value_or(false);
  source.check_valid_until = parse_bool(paragraph.get("Check-Valid-Until"));
  return source;
}

Result<void> append_file(const std::filesystem::path& path, std::vector<AptSource>& sources) {
  FNIMAGE_TRY(const std::string text, read_file(path, max_sources_file));
  FNIMAGE_TRY(auto parsed, path.extension() == ".sources"
                               ? parse_deb822_sources(text, path.string())
                               : parse_one_line_sources(text, path.string()));
  std::move(parsed.begin(), parsed.end(), std::back_inserter(sources));
  return {};
}

// By convention the security archive stands beside the main one: …/debian and …/debian-security,
// each with its snapshots below.
std::string security_uri(const std::string& uri) {
  const std::string tail = fmt::format("/{}", snapshot_placeholder);
  return uri.ends_with(tail) ? uri.substr(0, uri.size() - tail.size()) + "-security" + tail
                             : uri + "-security";
}

std::vector<AptSource> sources_of_mirror(const DebianSettings& settings) {
  const std::string uri = without_trailing_slash(settings.mirror);
  std::vector<AptSource> sources{
      {.uri = uri, .suite = settings.release, .components = settings.components}};
  for (const std::string& name : settings.suites) {
    AptSource source = sources.front();
    source.suite += "-" + name;
    source.optional = true;
    source.uri = name == "security" ? security_uri(uri) : uri;
    sources.push_back(std::move(source));
  }
  return sources;
}

bool is_wanted_suite(std::string_view suite, const std::string& release,
                     const std::vector<std::string>& suites) {
  return suite == release ||
         std::any_of(suites.begin(), suites.end(),
                     [&](const std::string& name) { return suite == release + "-" + name; });
}

std::string known_suites(const std::vector<AptSource>& sources) {
  std::vector<std::string> suites;
  suites.reserve(sources.size());
  for (const AptSource& source : sources) {
    suites.push_back(source.suite);
  }
  std::sort(suites.begin(), suites.end());
  suites.erase(std::unique(suites.begin(), suites.end()), suites.end());
  return suites.empty() ? "none" : join(suites, ", ");
}

void narrow_components(AptSource& source, const std::vector<std::string>& wanted) {
  std::erase_if(source.components, [&](const std::string& component) {
    return std::find(wanted.begin(), wanted.end(), component) == wanted.end();
  });
}

}  // namespace

Result<std::vector<AptSource>> parse_one_line_sources(std::string_view text,
                                                      std::string_view file_name) {
  std::vector<AptSource> sources;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    FNIMAGE_TRY(auto source, parse_line(line, fmt::format("{}:{}", file_name, ++number)));
    if (source) {
      sources.push_back(std::move(*source));
    }
  }
  return sources;
}

Result<std::vector<AptSource>> parse_deb822_sources(std::string_view text,
                                                    std::string_view file_name) {
  FNIMAGE_TRY(const auto paragraphs, parse_paragraphs(text, file_name));
  std::vector<AptSource> sources;
  for (const Paragraph& paragraph : paragraphs) {
    const auto types = words(paragraph.get("Types"));
    if (!parse_bool(paragraph.get("Enabled")).value_or(true) ||
        std::find(types.begin(), types.end(), "deb") == types.end()) {
      continue;
    }
    const AptSource common = source_of_paragraph(paragraph);
    for (const std::string_view uri : words(paragraph.get("URIs"))) {
      for (const std::string_view suite : words(paragraph.get("Suites"))) {
        if (is_usable_uri(uri) && !suite.ends_with('/')) {
          AptSource source = common;
          source.uri = without_trailing_slash(uri);
          source.suite = suite;
          sources.push_back(std::move(source));
        }
      }
    }
  }
  return sources;
}

Result<std::vector<AptSource>> load_apt_sources(const std::filesystem::path& apt_directory) {
  std::vector<AptSource> sources;
  std::error_code error;
  if (const auto list = apt_directory / "sources.list"; std::filesystem::exists(list, error)) {
    FNIMAGE_CHECK(append_file(list, sources));
  }
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator it(apt_directory / "sources.list.d", error), end;
       !error && it != end; it.increment(error)) {
    const std::filesystem::path extension = it->path().extension();
    if (extension == ".list" || extension == ".sources") {
      files.push_back(it->path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    FNIMAGE_CHECK(append_file(file, sources));
  }
  return sources;
}

namespace {

void fill_snapshot(std::string& uri, const std::string& snapshot) {
  if (const std::size_t at = uri.find(snapshot_placeholder); at != std::string::npos) {
    uri.replace(at, snapshot_placeholder.size(), snapshot);
  }
}

// The codename of the Debian that the host runs; empty on another system. Source: os-release(5),
// which stands beside apt's directory.
std::string host_release(const std::filesystem::path& apt_directory) {
  const auto text = read_file(apt_directory.parent_path() / "os-release", max_sources_file);
  const OsRelease release = text ? parse_os_release(*text) : OsRelease();
  return release.id == "debian" ? release.code_name : std::string();
}

// Those of a release that the settings ask for; none without the release's own suite.
std::vector<AptSource> sources_of_release(const std::vector<AptSource>& all,
                                          const std::string& release,
                                          const DebianSettings& settings) {
  std::vector<AptSource> chosen;
  bool has_release = false;
  for (AptSource source : all) {
    if (!is_wanted_suite(source.suite, release, settings.suites)) {
      continue;
    }
    narrow_components(source, settings.components);
    const bool seen = std::any_of(chosen.begin(), chosen.end(), [&](const AptSource& other) {
      return other.uri == source.uri && other.suite == source.suite &&
             other.components == source.components;
    });
    if (!source.components.empty() && !seen) {
      has_release = has_release || source.suite == release;
      chosen.push_back(std::move(source));
    }
  }
  return has_release ? chosen : std::vector<AptSource>();
}

// The sources of the release that the host's apt has. A Debian host has its own release there: the
// archive has the others at the same addresses.
Result<std::vector<AptSource>> host_sources(const DebianSettings& settings) {
  FNIMAGE_TRY(const auto all, load_apt_sources(settings.apt_directory));
  std::vector<AptSource> chosen = sources_of_release(all, settings.release, settings);
  if (!chosen.empty()) {
    return chosen;
  }
  const std::string host = host_release(settings.apt_directory);
  chosen = host.empty() ? chosen : sources_of_release(all, host, settings);
  if (chosen.empty()) {
    return fail(ErrorCode::not_found,
                fmt::format("{}: no package source for Debian {} ({}); suites there: {}",
                            settings.apt_directory.string(), settings.release,
                            join(settings.components, ", "), known_suites(all)),
                "name a mirror in the build file (base: {debian: …, mirror: URL}), or add the "
                "release to the host's apt sources");
  }
  for (AptSource& source : chosen) {
    source.suite.replace(0, host.size(), settings.release);
    source.optional = source.suite != settings.release;
  }
  return chosen;
}

}  // namespace

Result<std::vector<AptSource>> choose_sources(const DebianSettings& settings) {
  FNIMAGE_TRY(std::vector<AptSource> sources,
              settings.mirror.empty() ? host_sources(settings) : sources_of_mirror(settings));
  if (!settings.keyring.empty()) {
    for (AptSource& source : sources) {
      source.signed_by = {settings.keyring.string()};
    }
  }
  for (const DebianRepository& repository : settings.repositories) {
    sources.push_back({.uri = without_trailing_slash(repository.url),
                       .suite = repository.suite,
                       .components = repository.components});
    if (!repository.keyring.empty()) {
      sources.back().signed_by = {repository.keyring.string()};
    }
  }
  for (AptSource& source : sources) {
    fill_snapshot(source.uri, settings.snapshot);
    if (!is_usable_uri(source.uri)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("Debian mirror {}: not a http, https or file address",
                              printable(source.uri)));
    }
  }
  return sources;
}

AptSettings parse_apt_config(std::string_view text) {
  AptSettings settings;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t open = line.find('"');
    const std::size_t close = line.rfind('"');
    if (open == std::string_view::npos || close <= open) {
      continue;
    }
    const std::string_view key = trim(line.substr(0, open));
    const std::string_view value = line.substr(open + 1, close - open - 1);
    if (equals_ignoring_case(key, "Acquire::Check-Valid-Until")) {
      settings.check_valid_until = parse_bool(value).value_or(true);
    } else if (equals_ignoring_case(key, "Acquire::Check-Date")) {
      settings.check_date = parse_bool(value).value_or(true);
    } else if (equals_ignoring_case(key, "Acquire::http::Proxy")) {
      settings.http_proxy = value;
    }
  }
  return settings;
}

AptSettings load_apt_settings() {
  const std::array<std::string, 2> command{"apt-config", "dump"};
  const auto output = run_program(command);
  return output && output->exit_code == 0 ? parse_apt_config(output->standard_output)
                                          : AptSettings{};
}

}  // namespace fnimage::source::debian

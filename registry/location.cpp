// Parsing and opening of image locations.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/oci_layout.hpp>

namespace fnimage::registry {

namespace {

constexpr std::string_view registry_prefix = "docker://";  // as skopeo's users write it
constexpr std::array<std::string_view, 5> foreign_prefixes{"docker-daemon:", "dir:", "ocidir://",
                                                           "containers-storage:", "oci://"};
constexpr std::string_view known_forms =
    "write registry/repository:tag, oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG], "
    "docker-archive:FILE[:NAME:TAG], or a name in the local store";

/// A way to write a place in the file system.
struct PathForm {
  std::string_view prefix;
  Location::Kind kind;
  std::string_view spelling;
};
constexpr std::array<PathForm, 3> path_forms{
    {{"oci:", Location::Kind::layout, "oci:DIRECTORY or oci:DIRECTORY:TAG"},
     {"oci-archive:", Location::Kind::oci_archive, "oci-archive:FILE or oci-archive:FILE:TAG"},
     {"docker-archive:", Location::Kind::docker_archive,
      "docker-archive:FILE or docker-archive:FILE:NAME:TAG"}}};

Result<Location> parse_path(std::string_view text, const PathForm& form) {
  const std::string_view rest = text.substr(form.prefix.size());
  const std::size_t colon = rest.find(':');  // as skopeo: the tag may hold colons, the path may not
  Location location{.kind = form.kind};
  location.directory = std::string(rest.substr(0, colon));
  if (colon != std::string_view::npos) {
    location.tag = std::string(rest.substr(colon + 1));
  }
  if (location.directory.empty() || (colon != std::string_view::npos && location.tag.empty())) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" names no {}", printable(text),
                            form.kind == Location::Kind::layout ? "layout" : "archive"),
                fmt::format("write {}", form.spelling));
  }
  return location;
}

Result<OpenedImage> open_layout(const Location& location) {
  FNIMAGE_TRY(auto layout, OciLayout::open(location.directory, OciLayout::Mode::existing));
  if (!location.tag.empty()) {
    return OpenedImage{std::move(layout), location.tag};
  }
  FNIMAGE_TRY(Selector selector, only_image(layout->reader(), "oci:DIRECTORY:TAG"));
  return OpenedImage{std::move(layout), std::move(selector)};
}

}  // namespace

bool Location::is_path() const noexcept {
  return kind != Kind::registry && kind != Kind::local;
}

std::string Location::str() const {
  for (const PathForm& form : path_forms) {
    if (form.kind == kind) {
      return fmt::format("{}{}{}{}", form.prefix, directory.string(), tag.empty() ? "" : ":", tag);
    }
  }
  return reference ? reference->str() : std::string();
}

Result<Location> parse_location(std::string_view text) {
  const auto foreign = std::ranges::find_if(
      foreign_prefixes, [&](std::string_view prefix) { return text.starts_with(prefix); });
  if (foreign != foreign_prefixes.end()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\": \"{}\" is not known here", printable(text), *foreign),
                std::string(known_forms));
  }
  for (const PathForm& form : path_forms) {
    if (text.starts_with(form.prefix)) {
      return parse_path(text, form);
    }
  }
  const bool prefixed = text.starts_with(registry_prefix);
  FNIMAGE_TRY(auto reference,
              manifest::Reference::parse(text.substr(prefixed ? registry_prefix.size() : 0)));
  if (prefixed && reference.registry().empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" names no registry", printable(text)),
                "write docker://registry/repository:tag");
  }
  const auto kind = reference.registry().empty() ? Location::Kind::local : Location::Kind::registry;
  return Location{.kind = kind, .reference = std::move(reference)};
}

Result<OpenedImage> open_for_reading(const Location& location, Client& client,
                                     const std::filesystem::path& local_store) {
  if (location.kind == Location::Kind::layout) {
    return open_layout(location);
  }
  if (location.is_path()) {
    return fail(ErrorCode::unsupported,
                fmt::format("{} cannot be used here: it is an archive", printable(location.str())),
                "copy it into a layout or the local store first: fnimage copy ARCHIVE oci:DIR");
  }
  const manifest::Reference& reference = *location.reference;
  if (location.kind == Location::Kind::registry) {
    FNIMAGE_TRY(auto store, client.repository(reference));
    if (reference.digest()) {
      return OpenedImage{std::move(store), *reference.digest()};
    }
    return OpenedImage{std::move(store), reference.tag_or_latest()};
  }
  auto layout = OciLayout::open(local_store, OciLayout::Mode::existing);
  if (!layout) {
    if (layout.error().code() == ErrorCode::not_found) {
      return fail(
          ErrorCode::not_found,
          fmt::format("no {} in the local store, which is empty", reference.str()),
          "build it with `fnimage build`, or name an image of a registry: registry/repository:tag");
    }
    return fail(std::move(layout).error());
  }
  if (reference.digest()) {
    return OpenedImage{std::move(*layout), *reference.digest()};
  }
  return OpenedImage{std::move(*layout), reference.str()};
}

}  // namespace fnimage::registry

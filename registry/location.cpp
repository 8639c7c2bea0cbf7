// Parsing and opening of image locations.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/oci_layout.hpp>

namespace fnimage::registry {

namespace {

constexpr std::string_view layout_prefix = "oci:";
constexpr std::array<std::string_view, 8> foreign_prefixes{
    "docker://", "docker-archive:", "oci-archive:",        "docker-daemon:",
    "dir:",      "ocidir://",       "containers-storage:", "oci://"};

Result<Location> parse_layout(std::string_view text) {
  const std::string_view rest = text.substr(layout_prefix.size());
  const std::size_t colon = rest.find(':');  // as skopeo: the tag may hold colons, the path may not
  Location location{.kind = Location::Kind::layout};
  location.directory = std::string(rest.substr(0, colon));
  if (colon != std::string_view::npos) {
    location.tag = std::string(rest.substr(colon + 1));
  }
  if (location.directory.empty() || (colon != std::string_view::npos && location.tag.empty())) {
    return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" names no layout", printable(text)),
                "write oci:DIRECTORY or oci:DIRECTORY:TAG");
  }
  return location;
}

Result<OpenedImage> open_layout(const Location& location) {
  FNIMAGE_TRY(auto layout, OciLayout::open(location.directory, OciLayout::Mode::existing));
  if (!location.tag.empty()) {
    return OpenedImage{std::move(layout), location.tag};
  }
  FNIMAGE_TRY(const auto entries, layout->entries());
  if (entries.size() == 1) {
    const manifest::Digest digest = entries.front().digest;
    return OpenedImage{std::move(layout), digest};
  }
  FNIMAGE_TRY(const auto tags, layout->tags());
  if (entries.empty()) {
    return fail(ErrorCode::not_found, fmt::format("{} is empty", layout->describe()));
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("{} holds {} images: {}", layout->describe(), entries.size(),
                          printable(join(tags, ", "))),
              "name one: oci:DIRECTORY:TAG");
}

}  // namespace

std::string Location::str() const {
  if (kind == Kind::layout) {
    return fmt::format("oci:{}{}{}", directory.string(), tag.empty() ? "" : ":", tag);
  }
  return reference ? reference->str() : std::string();
}

Result<Location> parse_location(std::string_view text) {
  if (text.starts_with(layout_prefix) && !text.starts_with("oci://")) {
    return parse_layout(text);
  }
  const auto foreign =
      std::find_if(foreign_prefixes.begin(), foreign_prefixes.end(),
                   [&](std::string_view prefix) { return text.starts_with(prefix); });
  if (foreign != foreign_prefixes.end()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\": \"{}\" is not known here", printable(text), *foreign),
                "write registry/repository:tag, oci:DIRECTORY[:TAG], or a name in the local store");
  }
  FNIMAGE_TRY(auto reference, manifest::Reference::parse(text));
  const auto kind = reference.registry().empty() ? Location::Kind::local : Location::Kind::registry;
  return Location{.kind = kind, .reference = std::move(reference)};
}

Result<OpenedImage> open_for_reading(const Location& location, Client& client,
                                     const std::filesystem::path& local_store) {
  if (location.kind == Location::Kind::layout) {
    return open_layout(location);
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

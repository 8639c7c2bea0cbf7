// Reading image locations as people write them, and opening them.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "layout_index.hpp"

namespace fnimage::registry {

namespace {

constexpr std::string_view known_forms =
    "write registry/repository:tag, oci:DIR[:tag], or a name of the local store";

/// Transports of other tools that fnimage does not have.
constexpr std::array<std::string_view, 7> foreign_transports{
    "oci-archive", "docker-archive", "docker-daemon", "dir", "containers-storage", "docker", "sif"};

std::optional<std::string_view> transport_of(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view prefix = text.substr(0, colon);
  const std::string_view rest = text.substr(colon + 1);
  const bool is_foreign = std::ranges::find(foreign_transports, prefix) != foreign_transports.end();
  // "name:/path" and "scheme://…" cannot be references: no tag or port begins with a slash.
  return is_foreign || rest.starts_with('/') ? std::optional(prefix) : std::nullopt;
}

Result<Location> parse_layout(std::string_view text) {
  // As skopeo does: the first colon ends the directory, since tags of layouts may hold more.
  const std::size_t colon = text.find(':');
  Location location;
  location.kind = Location::Kind::layout;
  location.directory = std::filesystem::path(text.substr(0, colon));
  if (colon != std::string_view::npos) {
    location.tag = std::string(text.substr(colon + 1));
  }
  if (location.directory.empty() || (colon != std::string_view::npos && location.tag.empty())) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"oci:{}\" names no {}", printable(text, 160),
                            location.directory.empty() ? "directory" : "tag after the last colon"),
                "write oci:DIR or oci:DIR:tag");
  }
  return location;
}

/// The only entry of a layout, for those who wrote no tag.
Result<Selector> only_entry(OciLayout& layout) {
  FNIMAGE_TRY(const std::vector<manifest::Descriptor> entries, layout.entries());
  if (entries.empty()) {
    return fail(ErrorCode::not_found, layout.describe() + " holds no image");
  }
  const bool all_same = std::ranges::all_of(entries, [&](const manifest::Descriptor& entry) {
    return entry.digest == entries.front().digest;
  });
  if (!all_same) {
    std::vector<std::string> names;
    for (const manifest::Descriptor& entry : entries) {
      const std::string_view tag = detail::tag_of(entry);
      names.push_back(tag.empty() ? entry.digest.str() : std::string(tag));
    }
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("{} holds {} images: {}", layout.describe(), entries.size(),
                    printable(join(names, ", "))),
        fmt::format("add the tag: {}:{}", layout.describe(), printable(names.front(), 160)));
  }
  // By tag when it has one: index.json knows the media type of bytes that do not say it.
  const std::string_view tag = detail::tag_of(entries.front());
  return tag.empty() ? Selector(entries.front().digest) : Selector(std::string(tag));
}

Result<OpenedImage> open_layout(const Location& location) {
  FNIMAGE_TRY(std::unique_ptr<OciLayout> layout,
              OciLayout::open(location.directory, OciLayout::Mode::existing));
  if (!location.tag.empty()) {
    return OpenedImage{std::move(layout), location.tag};
  }
  FNIMAGE_TRY(Selector selector, only_entry(*layout));
  return OpenedImage{std::move(layout), std::move(selector)};
}

Result<OpenedImage> open_local(const manifest::Reference& reference,
                               const std::filesystem::path& directory) {
  Result<std::unique_ptr<OciLayout>> store = OciLayout::open(directory, OciLayout::Mode::existing);
  if (!store) {
    if (store.error().code() == ErrorCode::not_found) {
      return fail(ErrorCode::not_found,
                  fmt::format("no image \"{}\": the local store {} does not exist yet",
                              reference.str(), directory.string()),
                  fmt::format("build it first: fnimage build -t {}", reference.str()));
    }
    return fail(std::move(store.error()).while_doing("open the local store"));
  }
  Selector selector =
      reference.digest() ? Selector(*reference.digest()) : Selector(reference.str());
  return OpenedImage{std::move(*store), std::move(selector)};
}

}  // namespace

std::string Location::str() const {
  if (kind == Kind::layout) {
    return "oci:" + directory.string() + (tag.empty() ? "" : ":" + tag);
  }
  return reference ? reference->str() : std::string();
}

Result<Location> parse_location(std::string_view text) {
  constexpr std::string_view layout_prefix = "oci:";
  if (text.starts_with(layout_prefix)) {
    return parse_layout(text.substr(layout_prefix.size()));
  }
  if (const auto transport = transport_of(text)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}:\" in \"{}\" is not a transport that fnimage knows",
                            printable(*transport, 40), printable(text, 160)),
                std::string(known_forms));
  }
  FNIMAGE_TRY(manifest::Reference reference, manifest::Reference::parse(text));
  Location location;
  location.kind = reference.registry().empty() ? Location::Kind::local : Location::Kind::registry;
  location.reference = std::move(reference);
  return location;
}

Result<OpenedImage> open_for_reading(const Location& location, Client& client,
                                     const std::filesystem::path& local_store) {
  if (location.kind == Location::Kind::layout) {
    return open_layout(location);
  }
  if (!location.reference) {
    return fail(ErrorCode::invalid_argument, "the location names no image",
                std::string(known_forms));
  }
  const manifest::Reference& reference = *location.reference;
  if (location.kind == Location::Kind::local) {
    return open_local(reference, local_store);
  }
  FNIMAGE_TRY(std::unique_ptr<ImageStore> store, client.repository(reference));
  Selector selector =
      reference.digest() ? Selector(*reference.digest()) : Selector(reference.tag_or_latest());
  return OpenedImage{std::move(store), std::move(selector)};
}

}  // namespace fnimage::registry

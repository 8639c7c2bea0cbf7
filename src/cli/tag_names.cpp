// See the header.
#include "tag_names.hpp"

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>

namespace fnimage::cli {

Result<std::string> tag_in_store(const registry::Location& source, const std::string& text) {
  if (source.kind == registry::Location::Kind::layout) {
    return text;
  }
  const manifest::Reference& own = *source.reference;
  const bool local = source.kind == registry::Location::Kind::local;
  if (text.find_first_of("/:") == std::string::npos && !local) {
    FNIMAGE_TRY(const manifest::Reference tagged, own.with_tag(text));
    return *tagged.tag();
  }
  FNIMAGE_TRY(const manifest::Reference wanted, manifest::Reference::parse(text));
  if (wanted.digest()) {
    return fail(ErrorCode::invalid_argument, fmt::format("{} is a digest", printable(text)),
                "name a tag");
  }
  if (local) {
    return wanted.str();
  }
  if (wanted.name() != own.name()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is in another repository than {}", wanted.str(), own.str()),
                "use `fnimage copy`, which mounts or copies the content too");
  }
  return wanted.tag_or_latest();
}

std::string shown_name(const registry::Location& source, const std::string& tag) {
  if (source.kind == registry::Location::Kind::registry) {
    return fmt::format("{}:{}", source.reference->name(), tag);
  }
  return source.kind == registry::Location::Kind::layout
             ? fmt::format("oci:{}:{}", source.directory.string(), tag)
             : tag;
}

}  // namespace fnimage::cli

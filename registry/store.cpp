// What all stores share.
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

std::string to_string(const Selector& selector) {
  const auto* digest = std::get_if<manifest::Digest>(&selector);
  return digest != nullptr ? digest->str() : std::get<std::string>(selector);
}

Result<bool> ImageStore::put_manifest_if(const manifest::Document& document, const std::string& tag,
                                         const std::optional<manifest::Digest>& expected) {
  FNIMAGE_TRY(const auto found, resolve(tag));
  if (found.has_value() != expected.has_value() || (found && found->digest != *expected)) {
    return false;
  }
  FNIMAGE_CHECK(put_manifest(document, tag));
  return true;
}

Result<void> ImageStore::put_tags(const manifest::Document& document,
                                  const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    FNIMAGE_CHECK(put_manifest(document, tag));
  }
  return {};
}

Result<void> ImageStore::remove_manifest(const manifest::Digest& digest) {
  return fail(ErrorCode::unsupported,
              "cannot remove " + digest.str() + " from " + describe() + ": it is only for reading");
}

Result<std::string> read_config_bytes(ImageStore& store, const manifest::Descriptor& config) {
  constexpr std::uint64_t max_config_bytes = std::uint64_t{8} << 20;
  FNIMAGE_TRY(const ContentPtr blob, store.blob(config));
  FNIMAGE_TRY(const std::unique_ptr<Reader> reader, blob->open());
  auto bytes = read_all(*reader, max_config_bytes);
  if (!bytes) {
    return fail(
        std::move(bytes).error().while_doing("read the image config " + config.digest.str()));
  }
  return bytes;
}

Result<manifest::ImageConfig> read_config(ImageStore& store, const manifest::Descriptor& config) {
  FNIMAGE_TRY(const std::string bytes, read_config_bytes(store, config));
  return manifest::ImageConfig::parse(bytes);
}

}  // namespace fnimage::registry

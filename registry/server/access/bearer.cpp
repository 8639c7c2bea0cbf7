#include "access/bearer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

#include "access/secrets.hpp"
#include "access/watched_file.hpp"

namespace fnimage::server {

namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t longest_bearer = 32'768;
/// One key signs and marks, and neither result can be taken for the other.
constexpr std::string_view for_signing = "fnimage bearer 1\n";
constexpr std::string_view for_marking = "fnimage credential 1\n";

Result<void> make_key_file(const std::filesystem::path& path) {
  constexpr mode_t mode = 0600;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (descriptor < 0) {
    return fail(error_from_errno(errno, "make " + path.string()));
  }
  const std::string random = random_bytes(key_bytes);
  const std::string text = to_hex(as_bytes(random)) + "\n";
  const bool is_written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(descriptor) == 0;
  const int reason = errno;
  ::close(descriptor);
  if (!is_written) {
    ::unlink(path.c_str());
    return fail(error_from_errno(reason, "write " + path.string()));
  }
  return {};
}

std::optional<Claims> read_claims(std::string_view payload) {
  const auto text = from_base64url(payload);
  if (!text) {
    return std::nullopt;
  }
  const auto json = parse_json(*text, "token");
  const auto object = json ? JsonObject::of(*json, "token") : fail(json.error());
  if (!object) {
    return std::nullopt;
  }
  auto subject = object->string("sub");
  auto credential = object->string("crd");
  const auto scopes = object->string("scope");
  const auto expires = object->integer("exp");
  if (!subject || !credential || !scopes || !expires) {
    return std::nullopt;
  }
  return Claims{.subject = std::move(*subject),
                .credential = std::move(*credential),
                .scopes = Scopes::parse(*scopes),
                .expires = *expires};
}

}  // namespace

TokenKey TokenKey::random() {
  return TokenKey(random_bytes(key_bytes));
}

Result<TokenKey> TokenKey::from_file(const std::filesystem::path& path) {
  WatchedFile file(path);
  auto content = file.changed();
  if (!content && content.error().code() == ErrorCode::not_found) {
    FNIMAGE_CHECK(make_key_file(path));
    content = file.changed();
  }
  if (!content) {
    return fail(content.error());
  }
  const std::string key(trim(content->value_or("")));
  if (key.size() < key_bytes) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{} has fewer than {} bytes: no key", printable(path.string()), key_bytes),
        "remove it, and a good one is made; or: openssl rand -hex 32 > FILE");
  }
  return TokenKey(key);
}

std::string TokenKey::issue(const Claims& claims) const {
  const std::string text = to_json_text({{"sub", claims.subject},
                                         {"crd", claims.credential},
                                         {"scope", claims.scopes.str()},
                                         {"exp", claims.expires}});
  const std::string payload = to_base64url(as_bytes(text));
  return payload + "." + signature(payload);
}

std::optional<Claims> TokenKey::read(std::string_view token, std::int64_t now) const {
  const std::size_t point = token.find('.');
  if (point == std::string_view::npos || token.size() > longest_bearer) {
    return std::nullopt;
  }
  const std::string_view payload = token.substr(0, point);
  // Nothing of it is looked at before it is known to be ours.
  if (!equals_in_constant_time(token.substr(point + 1), signature(payload))) {
    return std::nullopt;
  }
  auto claims = read_claims(payload);
  return claims && now < claims->expires ? std::move(claims) : std::nullopt;
}

std::string TokenKey::mark(std::string_view credential) const {
  constexpr std::size_t enough = 12;
  const Mac mac = hmac_sha256(key_, std::string(for_marking) + std::string(credential));
  return to_base64url(Bytes(mac).first(enough));
}

std::string TokenKey::signature(std::string_view payload) const {
  const Mac mac = hmac_sha256(key_, std::string(for_signing) + std::string(payload));
  return to_base64url(mac);
}

}  // namespace fnimage::server

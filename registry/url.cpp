// http(s) URLs over libcurl's URL parser.
#include "url.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include <curl/curl.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

namespace {

constexpr std::size_t max_url_bytes = std::size_t{16} * 1024;

struct CurlUrlDeleter {
  void operator()(CURLU* handle) const noexcept { curl_url_cleanup(handle); }
};
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

struct CurlStringDeleter {
  void operator()(char* text) const noexcept { curl_free(text); }
};

std::optional<std::string> part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK || text == nullptr) {
    return std::nullopt;
  }
  const std::unique_ptr<char, CurlStringDeleter> owner(text);
  return std::string(text);
}

tl::unexpected<Error> malformed(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid_input,
              "malformed URL " + printable(printable_url(text)) + ": " + std::string(why));
}

bool has_forbidden_bytes(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) {
      return true;
    }
  }
  return false;
}

Result<CurlUrl> parse_handle(const char* base, std::string_view text) {
  if (text.size() > max_url_bytes) {
    return malformed(text.substr(0, 256), "too long");
  }
  if (text.empty() || has_forbidden_bytes(text)) {
    return malformed(text, "empty, or blanks or control characters in it");
  }
  CurlUrl handle(curl_url());
  if (!handle) {
    return fail(ErrorCode::internal, "out of memory while parsing a URL");
  }
  if (base != nullptr && curl_url_set(handle.get(), CURLUPART_URL, base, 0) != CURLUE_OK) {
    return malformed(base, "not a base URL");
  }
  const std::string copy(text);
  if (const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), 0);
      code != CURLUE_OK) {
    return malformed(text, to_lower(curl_url_strerror(code)));
  }
  return handle;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.find("://") == std::string_view::npos) {
    return malformed(text, "not an absolute http or https URL");
  }
  FNIMAGE_TRY(const CurlUrl handle, parse_handle(nullptr, text));
  Url url;
  url.scheme_ = part(handle.get(), CURLUPART_SCHEME).value_or("");
  if (url.scheme_ != "http" && url.scheme_ != "https") {
    return malformed(text, "not an http or https URL");
  }
  if (part(handle.get(), CURLUPART_USER) || part(handle.get(), CURLUPART_PASSWORD)) {
    return malformed(text, "user name or password inside a URL");
  }
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  url.host_ = to_lower(part(handle.get(), CURLUPART_HOST).value_or(""));
  const std::string port = part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT).value_or("");
  url.text_ = part(handle.get(), CURLUPART_URL).value_or("");
  if (url.host_.empty() || port.empty() || url.text_.empty()) {
    return malformed(text, "no host");
  }
  url.origin_ = url.scheme_ + "://" + url.host_ + ":" + port;
  return url;
}

Result<Url> Url::resolve(std::string_view reference) const {
  FNIMAGE_TRY(const CurlUrl handle, parse_handle(text_.c_str(), reference));
  return parse(part(handle.get(), CURLUPART_URL).value_or(""));
}

bool Url::has_default_port() const {
  return origin_.ends_with(is_https() ? ":443" : ":80");
}

Url Url::with_query(std::string_view key, std::string_view value) const {
  Url url = *this;
  url.text_ += text_.find('?') == std::string::npos ? '?' : '&';
  url.text_ += key;
  url.text_ += '=';
  url.text_ += percent_encode(value);
  return url;
}

bool is_named(const std::vector<std::string>& hosts, const Url& url) {
  const std::string with_port = url.origin().substr(url.scheme().size() + 3);
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& host) {
    return equals_ignoring_case(host, url.host()) || equals_ignoring_case(host, with_port);
  });
}

std::string percent_encode(std::string_view text) {
  constexpr std::array<char, 16> digits{'0', '1', '2', '3', '4', '5', '6', '7',
                                        '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += digits.at(byte >> 4U);
      result += digits.at(byte & 0xfU);
    }
  }
  return result;
}

std::string host_and_port(std::string_view url) {
  const auto handle = parse_handle(nullptr, url);
  if (!handle) {
    return {};
  }
  const auto host = part(handle->get(), CURLUPART_HOST);
  const auto port = part(handle->get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  return host && port ? to_lower(*host) + ":" + *port : std::string();
}

}  // namespace fnimage::registry

// URLs as the registry client needs them: an http(s) URL taken apart, the origin that credentials
// are bound to (reliability A1, A2), and RFC 3986 resolution of Location and Link values (C10, F12)
// by libcurl's own parser, so that what is checked is what is sent. Thread-safety: value type and
// pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::registry {

class Url {
 public:
  /// Error: invalid_input for anything that is not an absolute http or https URL, or that carries
  /// user info.
  static Result<Url> parse(std::string_view text);
  /// Resolves a reference found in an answer to this URL. A fragment is dropped. Errors as parse().
  [[nodiscard]] Result<Url> resolve(std::string_view reference) const;

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] const std::string& scheme() const noexcept { return scheme_; }
  /// Lower case; IPv6 addresses in brackets.
  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  /// "scheme://host:port", the port always written: equal texts are the same origin.
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  [[nodiscard]] bool has_default_port() const;
  [[nodiscard]] bool is_https() const noexcept { return scheme_ == "https"; }

  /// This URL with `key=value` added to the query; what is there already stays as it is. The value
  /// is escaped.
  [[nodiscard]] Url with_query(std::string_view key, std::string_view value) const;

 private:
  std::string text_;
  std::string scheme_;
  std::string host_;
  std::string origin_;
};

/// Whether a list of "host" and "host:port" holds that of the URL.
bool is_named(const std::vector<std::string>& hosts, const Url& url);

/// Percent-encodes everything but RFC 3986 unreserved characters.
std::string percent_encode(std::string_view text);

/// "host:port" of an http(s) URL, with the default port filled in; empty when the URL is malformed.
std::string host_and_port(std::string_view url);

}  // namespace fnimage::registry

// What a request of the registry's API is about: its path and query (distribution-spec, Endpoints).
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fnimage::server {

enum class Endpoint : std::uint8_t {
  base,
  catalog,
  tags,
  manifest,
  blob,
  uploads,
  upload,
  referrers
};

struct Target {
  Endpoint endpoint = Endpoint::base;
  std::string repository{};  ///< as written; it may be no valid name
  std::string reference{};   ///< a tag, digest or upload's id, as written
};

/// Nullopt: no path of the API.
std::optional<Target> parse_target(std::string_view path);

/// A query's parameters, decoded. '+' stands for itself: media types have it, and nothing that is
/// asked for has spaces.
class Query {
 public:
  explicit Query(std::string_view text);
  /// The first of this name; nullopt when there is none.
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

/// Percent-encodes what has a meaning in a query (RFC 3986 2.2).
std::string encode_query(std::string_view text);

}  // namespace fnimage::server

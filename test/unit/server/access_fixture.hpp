// Files of users, rules and tokens, and requests, for tests of who may do what.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include <fnimage/base/bytes.hpp>
#include <fnimage/server/access.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "http/exchange.hpp"

namespace fnimage::server {

/// Entries of htpasswd -B -C 4, with the passwords "ann-secret" and "bob-secret".
inline constexpr std::string_view ann_entry =
    "ann:$2y$04$XdhdObLSfNmUgQUXgF6j2eHWqR5SF4Iz03Kv4GEaX1.oiZ67lMibC\n";
inline constexpr std::string_view bob_entry =
    "bob:$2y$04$AkQN9UZ/n1l3kwbLUke21O.IRcJeQeo6jiLHEPPcBbBJIJCsUWaiy\n";
/// With the password "new-secret".
inline constexpr std::string_view new_ann_entry =
    "ann:$2y$04$cJsfxyyAwCx2uICOkdJ8AuEFtBstHqzDiS5V.iAIIYj844VR3aL76\n";

inline std::string both_users() {
  return std::string(ann_entry) + std::string(bob_entry);
}

/// Files of a server's access in a directory of their own.
class AccessFiles {
 public:
  void users(std::string_view text) { options.htpasswd = write("users", text); }
  void rules(std::string_view text) { options.rules = write("rules", text); }
  void tokens(std::string_view text) { options.tokens = write("tokens", text); }
  std::filesystem::path write(const std::string& name, std::string_view text) {
    const std::filesystem::path path = directory.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  test::TempDir directory{};
  AccessOptions options{};
};

inline Request make_request(std::string method, std::string path, std::string authorization = {}) {
  Request request;
  request.method = std::move(method);
  request.path = path.substr(0, path.find('?'));
  request.query = path.substr(std::min(path.size(), request.path.size() + 1));
  request.peer = "127.0.0.1:4711";
  request.headers.push_back({"Host", "registry.test:5000"});
  if (!authorization.empty()) {
    request.headers.push_back({"Authorization", std::move(authorization)});
  }
  return request;
}

inline std::string basic_of(std::string_view user, std::string_view password) {
  return "Basic " + to_base64(as_bytes(std::string(user) + ":" + std::string(password)));
}

inline std::string header_of(const Response& response, std::string_view name) {
  for (const HeaderField& field : response.headers) {
    if (field.name == name) {
      return field.value;
    }
  }
  return {};
}

}  // namespace fnimage::server

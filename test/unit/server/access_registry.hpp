// A registry's API in front of a store that is none, with users, rules and tokens.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/test/result_matchers.hpp>

#include "access/gate.hpp"
#include "access_fake_store.hpp"
#include "access_fixture.hpp"
#include "api/api.hpp"

namespace fnimage::server {

inline const std::string blob_digest = "sha256:" + std::string(64, 'b');

/// A registry with two teams and something public, and files about access that can be changed.
class Registry {
 public:
  explicit Registry(std::string_view rules =
                        "ann team/* pull,push,delete\n"
                        "bob other/* pull,push\n"
                        "* shared pull\n"
                        "anonymous public pull\n") {
    files.users(both_users());
    if (!rules.empty()) {
      files.rules(rules);
    }
    files.tokens("");
    for (const char* name : {"team/a", "other/a", "shared", "public"}) {
      store.add(name, *manifest::Digest::parse(blob_digest));
    }
  }

  Response send(const Request& request) {
    if (!api) {
      gate = test::unwrap(Gate::open(files.options, std::chrono::milliseconds(0)));
      api.emplace(store, ApiOptions{}, gate.get());
    }
    Response response = response_of(api->answer(request), body);
    api->complete(request, response);
    return response;
  }
  Response send(const std::string& method, const std::string& path,
                const std::string& authorization = {}) {
    return send(make_request(method, path, authorization));
  }
  int status(const std::string& method, const std::string& path,
             const std::string& authorization = {}) {
    return send(method, path, authorization).status;
  }
  /// Bearer and a token for these scopes, asked for by GET.
  std::string token(const std::string& authorization, const std::string& scope) {
    const Response response = send("GET", "/v2/token?service=x&scope=" + scope, authorization);
    EXPECT_EQ(response.status, 200) << scope;
    return response.status == 200 ? "Bearer " + json_of(response)["token"].get<std::string>() : "";
  }
  static nlohmann::json json_of(const Response& response) {
    return nlohmann::json::parse(std::get<std::string>(response.body));
  }

  AccessFiles files{};
  FakeStore store{};
  std::unique_ptr<Gate> gate{};
  std::optional<Api> api{};
  std::string body{};  ///< of the next requests

 private:
  static Response response_of(Answer answer, const std::string& content) {
    if (auto* response = std::get_if<Response>(&answer)) {
      return std::move(*response);
    }
    auto& receiver = *std::get<std::unique_ptr<BodyReceiver>>(answer);
    auto early = receiver.write(as_bytes(content));
    return early ? std::move(*early) : receiver.end();
  }
};

inline const std::string ann = basic_of("ann", "ann-secret");
inline const std::string bob = basic_of("bob", "bob-secret");

}  // namespace fnimage::server

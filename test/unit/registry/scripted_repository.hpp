// What the tests of rules, faults and attacks share: a repository of a scripted server, and a
// transport that plays a registry without any network, for what needs https.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/test/scripted_server.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {

/// A plain http client on the repository a/b of a server.
struct ScriptedRepository {
  ScriptedRepository() { store = client.repository(server.address() + "/a/b"); }
  explicit ScriptedRepository(test::ScriptedServer::Handler handler) : ScriptedRepository() {
    server.otherwise(std::move(handler));
  }
  test::ScriptedServer server;
  TestClient client{{.plain_http = true}};
  std::unique_ptr<ImageStore> store;
};

inline test::Reply reply_with(const manifest::Document& document) {
  return {.headers = {{"Content-Type", document.media_type()}}, .body = document.bytes()};
}

/// Answers by a function and keeps what was asked.
class PlayedTransport final : public Transport {
 public:
  using Play = std::function<Result<HttpResponse>(const HttpRequest&)>;
  explicit PlayedTransport(Play play) : play_(std::move(play)) {}
  Result<HttpResponse> perform(const HttpRequest& request) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back({.method = request.method,
                      .url = request.url,
                      .headers = request.headers,
                      .tls = request.tls,
                      .peers = request.peers});
    return play_(request);
  }
  [[nodiscard]] std::vector<HttpRequest> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  Play play_;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> asked_;
};

}  // namespace fnimage::registry

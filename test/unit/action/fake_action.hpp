// An action that keeps the contract, but for what a test has it do otherwise. It gives back its
// value, with the activation's id under "id".
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <fnimage/action/client.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>

namespace fnimage::action {

inline test::Reply json_reply(int status, const std::string& body) {
  return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = body};
}

class FakeAction {
 public:
  /// Asked first; nullopt = as the contract says.
  using Fault = std::function<std::optional<test::Reply>(const test::SeenRequest&)>;

  explicit FakeAction(Fault fault = {})
      : fault_(std::move(fault)),
        server_([this](const test::SeenRequest& request) { return answer(request); }) {}

  [[nodiscard]] const test::ScriptedServer& server() const { return server_; }

  [[nodiscard]] Client client(bool knative = false,
                              std::chrono::milliseconds timeout = std::chrono::minutes(1)) const {
    return {test::unwrap(make_transport(timeout, {})),
            {.url = "http://" + server_.address(), .knative = knative, .timeout = timeout}};
  }

 private:
  test::Reply answer(const test::SeenRequest& request) {
    if (fault_) {
      if (auto reply = fault_(request)) {
        return std::move(*reply);
      }
    }
    const std::lock_guard lock(mutex_);
    if (request.method != "POST" || (request.target != "/init" && request.target != "/run")) {
      return json_reply(404, R"({"error": "not found"})");
    }
    const auto body = nlohmann::json::parse(request.body, nullptr, false);
    if (!body.is_object()) {
      return json_reply(400, R"({"error": "malformed"})");
    }
    if (request.target == "/init") {
      const bool again = std::exchange(initialised_, true);
      return again ? json_reply(403, R"({"error": "Cannot initialize the action more than once."})")
                   : json_reply(200, R"({"ok": true})");
    }
    if (!initialised_) {
      return json_reply(500, R"({"error": "not initialised"})");
    }
    nlohmann::json value = body.value("value", nlohmann::json());
    if (!value.is_object() && !value.is_array()) {
      return json_reply(400, R"({"error": "neither object nor array"})");
    }
    if (value.is_object()) {
      value["id"] = body.value("activation_id", "");
    }
    return json_reply(200, value.dump());
  }

  Fault fault_;
  std::mutex mutex_;
  bool initialised_ = false;
  test::ScriptedServer server_;  // last: its threads use the rest
};

}  // namespace fnimage::action

// A cache in front of a scripted registry, asked as its HTTP server would ask it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>

#include "api/api.hpp"
#include "store_fixture.hpp"
#include "upstream/pull_through.hpp"

namespace fnimage::server {

/// An answer that may come later.
class Pending {
 public:
  explicit Pending(Answer answer) {
    if (auto* response = std::get_if<Response>(&answer)) {
      state_->response = std::move(*response);
      return;
    }
    std::get<LateAnswer>(answer)(Responder([state = state_](Response response) {
      const std::lock_guard lock(state->mutex);
      state->response = std::move(response);
      state->changed.notify_all();
    }));
  }
  Response& wait() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->response.has_value(); });
    return *state_->response;
  }
  int status() { return wait().status; }
  std::string header(std::string_view name) {
    for (const HeaderField& field : wait().headers) {
      if (field.name == name) {
        return field.value;
      }
    }
    return {};
  }
  /// What is there of the body in the end; nullopt = it was cut.
  std::optional<std::string> body() {
    Response& response = wait();
    if (const auto* text = std::get_if<std::string>(&response.body)) {
      return *text;
    }
    if (const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&response.body)) {
      return **shared;
    }
    if (const auto* slice = std::get_if<FileSlice>(&response.body)) {
      return read(*slice->file, slice->offset, slice->size);
    }
    const auto& growing = std::get<GrowingSlice>(response.body);
    const bool is_whole = wait_for_end(*growing.file);
    return is_whole ? std::optional(read(growing.file->file(), growing.offset, growing.size))
                    : std::nullopt;
  }
  /// The client goes away.
  void leave() { state_->response->body = std::string(); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Response> response;
  };
  static std::string read(const OpenFile& file, std::uint64_t offset, std::uint64_t size) {
    std::string text(size, '\0');
    const auto count = file.read(offset, std::as_writable_bytes(std::span(text)));
    text.resize(count.value_or(0));
    return text;
  }
  static bool wait_for_end(GrowingFile& file) {
    std::mutex mutex;
    std::condition_variable changed;
    std::unique_lock lock(mutex);
    for (;;) {
      const GrowingFile::Reach reach = file.reach();
      if (reach.standing != GrowingFile::Standing::growing) {
        return reach.standing == GrowingFile::Standing::whole;
      }
      auto woken = std::make_shared<bool>(false);
      const bool waits = file.when_more(reach, [&mutex, &changed, woken] {
        const std::lock_guard waking(mutex);
        *woken = true;
        changed.notify_all();
      });
      changed.wait(lock, [&] { return !waits || *woken; });
    }
  }
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class UpstreamTest : public StoreTest {
 protected:
  using Handler = std::function<test::Reply(const test::SeenRequest&)>;

  void SetUp() override { restart_cache(); }
  void TearDown() override { stop_cache(); }
  void stop_cache() {
    api.reset();
    cache.reset();
  }
  void restart_cache() {
    stop_cache();
    const std::string address = upstream.address();
    options.upstreams = {{.prefix = "hub", .registry = address}};
    options.client.hosts[address].plain_http = true;
    options.client.retry = {.attempts = 2,
                            .first_delay = std::chrono::milliseconds(1),
                            .max_wait = std::chrono::seconds(0)};
    options.warn = [this](const std::string& message) {
      const std::lock_guard lock(mutex_);
      warnings_.push_back(message);
    };
    cache = test::unwrap(PullThrough::open(options, store()));
    api.emplace(store(), ApiOptions{}, nullptr, cache.get());
  }
  Pending ask(const std::string& method, const std::string& path,
              std::vector<HeaderField> headers = {}) {
    const std::size_t question = std::min(path.find('?'), path.size());
    Request request;
    request.method = method;
    request.path = path.substr(0, question);
    request.query = path.substr(std::min(question + 1, path.size()));
    request.headers = std::move(headers);
    return Pending(api->answer(request));
  }
  Pending get(const std::string& path) { return ask("GET", path); }
  [[nodiscard]] std::size_t count(std::string_view method) const {
    const auto requests = upstream.requests();
    return static_cast<std::size_t>(std::ranges::count_if(
        requests, [&](const test::SeenRequest& request) { return request.method == method; }));
  }
  std::vector<std::string> warnings() {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }
  [[nodiscard]] bool has_uploads() const {
    return !std::filesystem::is_empty(path() / ".fnimage.uploads");
  }
  static std::string blob_path(std::string_view bytes) {
    return "/v2/hub/app/blobs/" + manifest::Digest::of(bytes).str();
  }

  test::ScriptedServer upstream{};
  UpstreamOptions options{};
  std::unique_ptr<PullThrough> cache{};
  std::optional<Api> api{};

 private:
  std::mutex mutex_;
  std::vector<std::string> warnings_{};
};

}  // namespace fnimage::server

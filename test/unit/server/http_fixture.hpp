// A client of raw bytes, and a handler whose paths name what is done. Thread-safety: of the
// handler, as the server needs it.
#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fnimage/manifest/digest.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "http/http_server.hpp"

namespace fnimage::server {

/// Of the first one in `text`; npos = its head has not ended.
inline std::size_t size_of_answer(const std::string& text, bool has_body = true) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) {
    return end;
  }
  const std::size_t field = text.find("Content-Length: ");
  return end + 4 + (has_body && field < end ? std::stoul(text.substr(field + 16)) : 0);
}
inline bool is_whole_answer(const std::string& text, bool has_body = true) {
  return text.size() >= size_of_answer(text, has_body);
}

/// A client that sends what it is told to, byte for byte.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what connect() takes
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ADD_FAILURE() << std::strerror(errno);
    }
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { close(); }

  [[nodiscard]] int descriptor() const { return socket_; }
  void close() {
    if (socket_ >= 0) {
      ::close(std::exchange(socket_, -1));
    }
  }
  /// False: the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  /// One more piece; empty at the end.
  std::string read_some() {
    std::string buffer(1 << 16, '\0');
    const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), 0);
    buffer.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return buffer;
  }
  std::string read_to_end() {
    std::string all;
    for (std::string piece = read_some(); !piece.empty(); piece = read_some()) {
      all += piece;
    }
    return all;
  }
  /// A head and so many bytes of body as it says.
  std::string read_answer(bool has_body = true) {
    while (!is_whole_answer(pending_, has_body)) {
      const std::string piece = read_some();
      if (piece.empty()) {
        return std::exchange(pending_, {});
      }
      pending_ += piece;
    }
    std::string answer = pending_.substr(0, size_of_answer(pending_, has_body));
    pending_.erase(0, answer.size());
    return answer;
  }

 private:
  int socket_;
  std::string pending_{};
};

/// Collects a body, or only its digest.
class Collector final : public BodyReceiver {
 public:
  explicit Collector(std::size_t limit) : limit_(limit) { ++living; }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  ~Collector() override { --living; }
  static inline std::atomic<int> living = 0;  ///< objects
  std::optional<Response> write(Bytes bytes) override {
    size_ += bytes.size();
    hasher_.update(bytes);
    if (size_ > limit_) {
      return Response{.status = 413, .body = std::string("too much")};
    }
    return std::nullopt;
  }
  Response end() override { return {.body = fmt::format("{} {}", size_, hasher_.finish().str())}; }

 private:
  std::size_t limit_;
  std::size_t size_ = 0;
  manifest::Hasher hasher_{};
};

/// A path names what is done.
class Probe final : public Handler {
 public:
  std::filesystem::path file{};
  bool shrinks = false;
  GrowingSlice growing{};

  [[nodiscard]] bool is_quick(const Request& request) const override {
    return request.path != "/slow" && request.path != "/throw-slowly";
  }
  Answer answer(const Request& request) override {
    if (request.path == "/take") {
      return std::make_unique<Collector>(std::size_t{1} << 40U);
    }
    if (request.path == "/take-little") {
      return std::make_unique<Collector>(100'000);
    }
    if (request.path == "/refuse") {
      return std::make_unique<Collector>(0);
    }
    if (request.path == "/file") {
      const auto opened = OpenFile::open(file);
      if (shrinks) {
        std::filesystem::resize_file(file, 1000);
      }
      return Response{.body = FileSlice{*opened, 10, (*opened)->size() - 10}};
    }
    if (request.path == "/growing") {
      return Response{.body = growing};
    }
    if (request.path == "/text") {
      return Response{.body = std::make_shared<const std::string>("shared text")};
    }
    if (request.path == "/bad-field") {
      return Response{.headers = {{"X-Odd", "a\r\nX-Made: up"}}};
    }
    if (request.path == "/nothing") {
      return Response{.status = 204};
    }
    if (request.path == "/throw" || request.path == "/throw-slowly") {
      throw std::bad_alloc();
    }
    if (request.path == "/slow") {
      wait();
    }
    return Response{.body = fmt::format("{} {}?{} {}", request.method, request.path, request.query,
                                        request.joined("X-Many"))};
  }
  void wait() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return go_on; });
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting >= count; });
  }
  void release() {
    const std::lock_guard lock(mutex);
    go_on = true;
    changed.notify_all();
  }

 private:
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool go_on = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(const HttpLimits& limits = {}, const std::optional<TlsFiles>& tls = {}) {
    auto listening = HttpServer::listen("127.0.0.1", 0, probe, tls, limits);
    ASSERT_TRUE(listening) << listening.error().describe();
    server = std::move(*listening);
    thread = std::jthread([this] { server->run(); });
  }
  void TearDown() override {
    probe.release();
    if (server) {
      server->stop();
      thread.join();
    }
  }
  RawClient client() { return RawClient(server->port()); }
  /// What is answered to bytes that are all that a client sends.
  std::string answer_to(std::string_view bytes) {
    RawClient one = client();
    one.send(bytes);
    return one.read_answer();
  }

  static void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }

  test::TempDir directory;
  Probe probe;
  std::unique_ptr<HttpServer> server;
  std::jthread thread;
};

inline std::string get(std::string_view path, std::string_view more = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", path, more);
}

inline std::string post(std::string_view path, std::string_view body, std::string_view more = {}) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{}", path,
                     body.size(), more, body);
}

}  // namespace fnimage::server

// A request body that goes from its file to the socket inside the kernel (sendfile): half the
// processor time of copying it through libcurl, which sends the request's head and reads the answer
// as ever. For plain http; TLS has to see the bytes. Thread-safety: belongs to one thread at a
// time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include <curl/curl.h>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

class FileBody {
 public:
  /// @param size bytes of the request's body from its offset. nullptr: this body has to go another
  /// way. Error: the file cannot be opened or is shorter than its content.
  static Result<std::unique_ptr<FileBody>> open(const HttpRequest& request, std::uint64_t size);
  FileBody(const FileBody&) = delete;
  FileBody& operator=(const FileBody&) = delete;
  ~FileBody();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  /// All is sent, or no more will be.
  [[nodiscard]] bool is_over() const noexcept { return over_; }
  [[nodiscard]] bool is_whole() const noexcept { return sent_ == size_; }

  /// Sends what the socket takes, a part of the body at most. A peer that takes no more ends the
  /// body, without an error: its answer says why.
  /// @return CURLE_OK, or CURLE_READ_ERROR when the file cannot be read.
  CURLcode send(curl_socket_t socket);

  /// The whole once more, on another connection.
  void restart() noexcept;

  using Time = std::chrono::steady_clock::time_point;
  /// Whether a whole `window` has gone by in which fewer than `min_speed` bytes a second went.
  bool stalls(std::chrono::seconds window, std::uint32_t min_speed,
              Time now = std::chrono::steady_clock::now());

 private:
  FileBody(int fd, std::uint64_t offset, std::uint64_t size)
      : fd_(fd), offset_(offset), size_(size) {}

  int fd_;
  std::uint64_t offset_;
  std::uint64_t size_;
  std::uint64_t sent_ = 0;
  bool over_ = false;
  Time window_begin_ = std::chrono::steady_clock::now();  ///< when enough had gone last
  std::uint64_t window_sent_ = 0;
};

}  // namespace fnimage::registry

// An answer's way to the client. Thread-safety: it belongs to the thread that runs the connection's
// loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "http/exchange.hpp"
#include "http/loop_door.hpp"
#include "http/pace.hpp"
#include "http/traffic.hpp"
#include "http/transport.hpp"

namespace fnimage::server {

/// Of the body, as Content-Length says it.
std::uint64_t length_of(const Response& response);

class AnswerWriter {
 public:
  /// Called once when all is out (true), or cannot be sent.
  using Done = std::function<void(bool is_complete)>;

  /// @param door to the loop whose thread it belongs to.
  AnswerWriter(Transport& transport, Pace& pace, Traffic& traffic, std::shared_ptr<LoopDoor> door)
      : transport_(transport), pace_(pace), traffic_(traffic), door_(std::move(door)) {}

  /// @param has_body false: only the head is sent.
  void send(std::string head, Response response, bool has_body, Done done);
  /// Of the body of the last answer; bytes.
  [[nodiscard]] std::uint64_t sent() const noexcept;
  /// The connection ends: nothing is waited for any more.
  void give_up();

 private:
  /// What of the body is in a file.
  struct FilePart {
    const OpenFile* file = nullptr;  ///< null = nothing
    std::uint64_t offset = 0;
    std::uint64_t size = 0;   ///< bytes
    std::uint64_t ready = 0;  ///< of them, what can be sent now
    bool is_broken = false;   ///< there will not be more
    GrowingFile::Reach reach{};
  };
  /// Waits for bytes that somebody else has to write.
  struct Waiting {
    AnswerWriter& writer;
    Done done;
  };

  [[nodiscard]] FilePart file_part() const;
  void send_text(Done done);
  void send_file(Done done);
  void wait_for_more(const FilePart& part, Done done);
  void go_on();
  void send_block(Done done);
  void write_block(std::size_t begin, std::size_t end, Done done);
  /// So many bytes have gone.
  void count_text(std::size_t count);
  void count_file(std::size_t count);
  void finish(bool is_complete, const Done& done);

  Transport& transport_;
  Pace& pace_;
  Traffic& traffic_;
  const std::shared_ptr<LoopDoor> door_;
  std::shared_ptr<Waiting> waiting_{};
  std::string head_{};
  Response response_{};
  bool has_body_ = false;
  std::uint64_t text_sent_ = 0;  ///< of the head and what is in memory of the body
  std::uint64_t file_sent_ = 0;
  std::uint64_t head_size_ = 0;
  std::unique_ptr<std::byte[]> block_{};  // NOLINT(cppcoreguidelines-avoid-c-arrays)
};

/// Reads a small file into memory, so that it goes out together with the head. False: it could not
/// be read, or is shorter than it was.
bool load_small_file(Response& response);

}  // namespace fnimage::server

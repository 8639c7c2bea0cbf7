#include "http/answer_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include <boost/asio/post.hpp>
#include <sys/sendfile.h>

namespace fnimage::server {

namespace {

using TcpSocket = boost::asio::ip::tcp::socket;

constexpr std::size_t file_block = std::size_t{128} << 10U;   // of a file over TLS
constexpr std::size_t small_file = std::size_t{32} << 10U;    // sent together with the head
constexpr std::size_t sendfile_turn = std::size_t{4} << 20U;  // before others have theirs

/// The bytes of a body that are in memory.
std::string_view text_of(const Response& response) {
  if (const auto* text = std::get_if<std::string>(&response.body)) {
    return *text;
  }
  const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&response.body);
  return shared == nullptr || *shared == nullptr ? std::string_view() : std::string_view(**shared);
}

boost::asio::const_buffer rest_of(std::string_view text, std::uint64_t done) {
  text.remove_prefix(std::min<std::uint64_t>(text.size(), done));
  return {text.data(), text.size()};
}

}  // namespace

std::uint64_t length_of(const Response& response) {
  if (const auto* growing = std::get_if<GrowingSlice>(&response.body)) {
    return growing->size;
  }
  const auto* slice = std::get_if<FileSlice>(&response.body);
  return slice != nullptr ? slice->size : text_of(response).size();
}

bool load_small_file(Response& response) {
  const auto* slice = std::get_if<FileSlice>(&response.body);
  if (slice == nullptr || slice->size > small_file) {
    return true;
  }
  auto text = slice->file->read_text(slice->offset, slice->size);
  if (!text || text->size() < slice->size) {
    return false;
  }
  response.body = std::move(*text);
  return true;
}

void AnswerWriter::send(std::string head, Response response, bool has_body, Done done) {
  head_ = std::move(head);
  head_size_ = head_.size();
  response_ = std::move(response);
  has_body_ = has_body;
  text_sent_ = 0;
  file_sent_ = 0;
  pace_.transfer();
  send_text(std::move(done));
}

std::uint64_t AnswerWriter::sent() const noexcept {
  return text_sent_ - std::min(text_sent_, head_size_) + file_sent_;
}

void AnswerWriter::send_text(Done done) {
  const std::string_view text = has_body_ ? text_of(response_) : std::string_view();
  if (text_sent_ == head_size_ + text.size()) {
    const bool is_file = has_body_ && file_part().file != nullptr;
    return is_file ? send_file(std::move(done)) : finish(true, done);
  }
  transport_.write_some(
      {rest_of(head_, text_sent_), rest_of(text, text_sent_ - std::min(text_sent_, head_size_))},
      [this, done = std::move(done)](const boost::system::error_code& error,
                                     std::size_t count) mutable {
        count_text(count);
        return error ? finish(false, done) : send_text(std::move(done));
      });
}

AnswerWriter::FilePart AnswerWriter::file_part() const {
  if (const auto* slice = std::get_if<FileSlice>(&response_.body)) {
    return {.file = slice->file.get(),
            .offset = slice->offset,
            .size = slice->size,
            .ready = slice->size};
  }
  const auto* slice = std::get_if<GrowingSlice>(&response_.body);
  if (slice == nullptr) {
    return {};
  }
  const GrowingFile::Reach reach = slice->file->reach();
  const std::uint64_t end = reach.sendable(slice->offset + slice->size);
  const std::uint64_t ready = end - std::min(end, slice->offset);
  return {.file = &slice->file->file(),
          .offset = slice->offset,
          .size = slice->size,
          .ready = ready,
          .is_broken = reach.standing == GrowingFile::Standing::broken ||
                       (reach.standing == GrowingFile::Standing::whole && ready < slice->size),
          .reach = reach};
}

/// Straight from the page cache to the socket, where nothing is encrypted.
void AnswerWriter::send_file(Done done) {
  if (transport_.is_secure()) {
    return send_block(std::move(done));
  }
  TcpSocket& socket = transport_.socket();
  const FilePart part = file_part();
  std::size_t turn = 0;
  while (file_sent_ < part.ready && turn < sendfile_turn) {
    auto offset = static_cast<off_t>(part.offset + file_sent_);
    const std::size_t most = std::min<std::uint64_t>(part.ready - file_sent_, sendfile_turn - turn);
    const ssize_t count =
        ::sendfile(socket.native_handle(), part.file->descriptor(), &offset, most);
    if (count > 0) {
      turn += static_cast<std::size_t>(count);
      count_file(static_cast<std::size_t>(count));
    } else if (count < 0 && (errno == EINVAL || errno == ENOSYS)) {
      return send_block(std::move(done));  // not from every file system
    } else if (count < 0 && errno == EAGAIN) {
      break;
    } else if (count == 0 || errno != EINTR) {
      return finish(false, done);  // the client has gone, or the file is shorter than it was
    }
  }
  if (file_sent_ == part.ready) {
    return file_sent_ == part.size ? finish(true, done) : wait_for_more(part, std::move(done));
  }
  socket.async_wait(TcpSocket::wait_write,
                    [this, done = std::move(done)](const boost::system::error_code& error) mutable {
                      return error ? finish(false, done) : send_file(std::move(done));
                    });
}

void AnswerWriter::wait_for_more(const FilePart& part, Done done) {
  if (part.is_broken) {
    return finish(false, done);
  }
  pace_.pause();  // it is not the client who is slow
  waiting_ = std::make_shared<Waiting>(Waiting{*this, std::move(done)});
  const auto wake = [door = door_, weak = std::weak_ptr(waiting_)] {
    door->post([weak] {
      const auto waiting = weak.lock();
      if (waiting && waiting->writer.waiting_ == waiting) {  // and has not been given up
        waiting->writer.go_on();
      }
    });
  };
  if (!std::get<GrowingSlice>(response_.body).file->when_more(part.reach, wake)) {
    wake();  // not from here: others have their turn
  }
}

void AnswerWriter::go_on() {
  Done done = std::move(waiting_->done);
  waiting_.reset();
  pace_.transfer();
  send_file(std::move(done));
}

void AnswerWriter::give_up() {
  if (waiting_ == nullptr) {
    return;
  }
  // On the loop, and later: what `done` owns may be in use just now, and ends with it.
  boost::asio::post(
      transport_.socket().get_executor(),
      [this, waiting = std::exchange(waiting_, nullptr)] { finish(false, waiting->done); });
}

void AnswerWriter::send_block(Done done) {
  const FilePart part = file_part();
  if (file_sent_ == part.ready) {
    return file_sent_ == part.size ? finish(true, done) : wait_for_more(part, std::move(done));
  }
  if (block_ == nullptr) {
    block_.reset(new std::byte[file_block]);  // not filled with zeros first
  }
  const std::size_t most = std::min<std::uint64_t>(part.ready - file_sent_, file_block);
  const auto count = part.file->read(part.offset + file_sent_, {block_.get(), most});
  if (!count || *count == 0) {
    return finish(false, done);
  }
  write_block(0, *count, std::move(done));
}

void AnswerWriter::write_block(std::size_t begin, std::size_t end, Done done) {
  transport_.write_some({boost::asio::const_buffer(block_.get() + begin, end - begin), {}},
                        [this, begin, end, done = std::move(done)](
                            const boost::system::error_code& error, std::size_t count) mutable {
                          count_file(count);
                          if (error) {
                            return finish(false, done);
                          }
                          return begin + count < end
                                     ? write_block(begin + count, end, std::move(done))
                                     : send_block(std::move(done));
                        });
}

void AnswerWriter::count_text(std::size_t count) {
  const std::uint64_t before = sent();
  text_sent_ += count;
  traffic_.sent.add(sent() - before);
  pace_.progress(count);
}

void AnswerWriter::count_file(std::size_t count) {
  file_sent_ += count;
  traffic_.sent.add(count);
  pace_.progress(count);
}

void AnswerWriter::finish(bool is_complete, const Done& done) {
  block_.reset();
  response_ = {};
  done(is_complete);
}

}  // namespace fnimage::server

// Reads the headers of a tar stream while it passes by, strictly, and refuses what readers of tar
// are known to read in different ways (reliability A15): sizes that contradict each other, links
// and directories with contents, pax records that are malformed or there twice, two names for one
// entry, types of one maker only, bytes behind the end. What it lets pass means one thing, and what
// it found is compared with what libarchive found, so that neither can be led elsewhere alone.
// Private to layer. Thread-safety: one scanner belongs to one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fnimage/base/stream.hpp>

namespace fnimage::layer::detail {

class TarScanner {
 public:
  /// @param what the archive's name for messages.
  explicit TarScanner(std::string what) : what_(std::move(what)) {}

  /// The next bytes of the stream. Error: invalid_input, and again with everything that follows.
  Result<void> feed(Bytes bytes);
  /// Passes over bytes that were not read. Error: invalid_input unless they are content.
  Result<void> skip(std::uint64_t count);

  /// The size that the next entry in order has. Error: invalid_input when there is none.
  Result<std::uint64_t> take_size();
  /// The stream has ended. Error: invalid_input when it ended within an entry, or has more entries
  /// than were taken.
  Result<void> finish();

 private:
  static constexpr std::size_t block_size = 512;
  using Block = std::array<char, block_size>;

  /// What belongs to the entry after it.
  enum class Extension : std::uint8_t { none, pax, global_pax, long_name, long_link };

  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view problem) const;
  Result<void> on_block();
  Result<void> on_header();
  Result<void> on_entry(char type, std::uint64_t size);
  Result<void> begin_extension(Extension kind, std::uint64_t size);
  Result<void> end_extension();
  Result<void> read_pax(bool is_global);
  Result<void> on_record(std::string_view key, std::string_view value, bool is_global);
  Result<std::uint64_t> entry_size(char type, std::uint64_t in_header) const;
  void begin_content(std::uint64_t size) noexcept;
  [[nodiscard]] std::string_view field(std::size_t offset, std::size_t size) const;

  std::string what_;
  Block block_{};
  std::size_t filled_ = 0;          ///< bytes of block_
  std::uint64_t content_left_ = 0;  ///< with its padding
  std::uint64_t extension_left_ = 0;
  Extension extension_ = Extension::none;
  std::string extension_text_;
  std::map<std::string, std::string, std::less<>> records_;  ///< pax, for the entry to come
  bool has_pax_ = false;
  bool has_long_name_ = false;
  bool has_long_link_ = false;
  bool ended_ = false;
  bool refused_ = false;
  std::deque<std::uint64_t> sizes_;  ///< of entries that were not taken
};

/// Passes a stream on, scanned. @param scanner must outlive it.
class ScannedReader final : public Reader {
 public:
  ScannedReader(std::unique_ptr<Reader> inner, TarScanner& scanner)
      : inner_(std::move(inner)), scanner_(scanner) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    FNIMAGE_TRY(const std::size_t got, inner_->read(buffer));
    FNIMAGE_CHECK(scanner_.feed(Bytes(buffer).first(got)));
    return got;
  }

 private:
  std::unique_ptr<Reader> inner_;
  TarScanner& scanner_;
};

}  // namespace fnimage::layer::detail

// The ar format of .deb files (deb(5), ar(5)): an eight-byte magic, then members of a 60-byte
// header and data padded to even length. Read by hand: libarchive would hold name tables of any
// size, and a .deb needs none. Names are the plain or GNU ("name/") short form; long-name tables
// are refused (reliability A18). Thread-safety: no shared state.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/archive.hpp>

namespace fnimage::layer {

namespace {

constexpr std::string_view magic = "!<arch>\n";
constexpr std::size_t header_size = 60;
constexpr std::size_t max_members = 1000;

/// Reads at most `left` bytes of the archive: one member.
class MemberReader final : public Reader {
 public:
  MemberReader(Reader& archive, std::string_view what, std::uint64_t size)
      : archive_(archive), what_(what), left_(size) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    buffer = buffer.first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_)));
    if (buffer.empty()) {
      return 0;
    }
    FNIMAGE_TRY(const std::size_t got, archive_.read(buffer));
    if (got == 0) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is damaged: it ends {} bytes early", what_, left_));
    }
    left_ -= got;
    return got;
  }

  /// Skips what the caller did not read.
  Result<void> finish() {
    std::array<std::byte, 16384> buffer{};
    while (left_ > 0) {
      FNIMAGE_CHECK(read(buffer));
    }
    return {};
  }

 private:
  Reader& archive_;
  std::string_view what_;
  std::uint64_t left_;
};

struct MemberHeader {
  std::string name;
  std::uint64_t size = 0;
};

Result<MemberHeader> parse_header(std::string_view text, std::string_view what) {
  const auto damaged = [&](std::string_view problem) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is damaged: {}", what, problem));
  };
  if (text.substr(58, 2) != "`\n") {
    return damaged("an ar member's header has no end mark");
  }
  MemberHeader header;
  std::string_view name = trim(text.substr(0, 16));
  if (name.ends_with('/')) {
    name.remove_suffix(1);
  }
  if (name.empty() || name.find('/') != std::string_view::npos || name.starts_with("#1")) {
    return damaged("an ar member's name is empty or of a kind that packages do not use");
  }
  header.name = std::string(name);
  const std::string_view size = trim(text.substr(48, 10));
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), header.size);
  if (error != std::errc{} || end != size.data() + size.size()) {
    return damaged(fmt::format("the size of ar member {} is not a number", printable(name)));
  }
  return header;
}

}  // namespace

Result<void> read_ar(Reader& archive, std::string_view what,
                     const std::function<Result<void>(std::string_view name, std::uint64_t size,
                                                      Reader& member)>& on_member) {
  std::array<std::byte, header_size> buffer{};
  const MutableBytes start = MutableBytes(buffer).first(magic.size());
  FNIMAGE_TRY(const std::size_t got_magic, read_full(archive, start));
  if (as_text(start.first(got_magic)) != magic) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is not an ar archive", what));
  }
  for (std::size_t members = 0;; ++members) {
    FNIMAGE_TRY(const std::size_t got, read_full(archive, buffer));
    if (got == 0) {
      return {};
    }
    if (got != header_size || members == max_members) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is damaged: {}", what,
                              got != header_size ? "it ends inside a member's header"
                                                 : "too many members"));
    }
    FNIMAGE_TRY(const MemberHeader header, parse_header(as_text(buffer), what));
    MemberReader member(archive, what, header.size);
    FNIMAGE_CHECK(on_member(header.name, header.size, member));
    FNIMAGE_CHECK(member.finish());
    if (header.size % 2 != 0) {
      // The last member's padding is missing in some archives, which then simply end.
      FNIMAGE_CHECK(read_full(archive, MutableBytes(buffer).first(1)));
    }
  }
}

}  // namespace fnimage::layer

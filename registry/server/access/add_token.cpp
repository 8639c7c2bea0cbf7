// New fixed tokens, and times in their file. See fnimage/server/access.hpp.
#include <array>
#include <charconv>
#include <chrono>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>
#include <fnimage/server/access.hpp>

#include "access/machine_tokens.hpp"
#include "access/secrets.hpp"

namespace fnimage::server {

namespace {

constexpr std::size_t secret_bytes = 32;

/// A file that lines are added to, locked.
class TokenFile {
 public:
  static Result<TokenFile> open(const std::filesystem::path& path) {
    constexpr mode_t mode = 0640;
    TokenFile file(path.string(),
                   ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, mode));
    if (file.descriptor_ < 0 || ::flock(file.descriptor_, LOCK_EX) != 0) {
      return fail(file.failure("open"));
    }
    return file;
  }
  TokenFile(TokenFile&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  TokenFile& operator=(TokenFile&&) = delete;
  ~TokenFile() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }

  Result<std::string> read() {
    std::string text;
    std::array<char, 65'536> buffer{};
    while (true) {
      const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
      if (count < 0) {
        return fail(failure("read"));
      }
      if (count == 0) {
        return text;
      }
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

  /// The file keeps its owner and mode, which a new one in its place would not have.
  Result<void> append(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(descriptor_, text.data(), text.size());
      if (count < 0) {
        return fail(failure("write"));
      }
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return ::fsync(descriptor_) == 0 ? Result<void>() : fail(failure("write"));
  }

 private:
  TokenFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  [[nodiscard]] Error failure(std::string_view what) const {
    return error_from_errno(errno, fmt::format("{} {}", what, path_));
  }
  std::string path_;
  int descriptor_;
};

Result<void> check_name(const std::string& name) {
  constexpr std::size_t longest = 100;
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (name.empty() || name.size() > longest || name.find_first_not_of(allowed) != name.npos) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no name of a token", printable(name, 80)),
                "use letters, digits and \"._-\"");
  }
  return {};
}

/// The lines of a token.
Result<std::string> lines_for(const NewToken& token, std::string_view secret) {
  FNIMAGE_CHECK(check_name(token.name));
  FNIMAGE_TRY(const Rights rights, parse_rights(token.rights));
  if (token.patterns.empty()) {
    return fail(ErrorCode::invalid_argument, "no repositories are named",
                "name a pattern of them, e.g. 'team/*', or '*' for all");
  }
  std::string lines;
  for (const std::string& pattern : token.patterns) {
    FNIMAGE_CHECK(check_pattern(pattern));
    lines += fmt::format("{} {} {} {}{}\n", token.name, sha256_hex(secret), to_string(rights),
                         pattern, token.expires ? " " + rfc3339(*token.expires) : std::string());
  }
  return lines;
}

/// A number of so many digits at a place of the text; nullopt when there is none.
std::optional<unsigned> number_at(std::string_view text, std::size_t at, std::size_t digits) {
  const std::string_view part = text.substr(std::min(at, text.size()), digits);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  const bool is_whole = part.size() == digits && end == part.data() + digits;
  return error == std::errc() && is_whole ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> read_time(std::string_view text) {
  constexpr std::string_view form = "0000-00-00T00:00:00Z";
  constexpr std::size_t date_size = 10;
  if (text.size() != date_size && text.size() != form.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (form[i] != '0' && form[i] != text[i]) {
      return std::nullopt;
    }
  }
  constexpr std::array<std::pair<std::size_t, std::size_t>, 6> places{
      {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}}};
  std::array<unsigned, 6> numbers{};
  const std::size_t count = text.size() == date_size ? 3 : places.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = number_at(text, places[i].first, places[i].second);
    if (!number) {
      return std::nullopt;
    }
    numbers[i] = *number;
  }
  const auto [year, month, day, hour, minute, second] = numbers;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day));
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  const auto time = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(hour) +
                    std::chrono::minutes(minute) + std::chrono::seconds(second);
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

}  // namespace

Result<std::string> add_token(const std::filesystem::path& file, const NewToken& token) {
  const std::string random = random_bytes(secret_bytes);
  std::string secret = std::string(secret_prefix) + to_base64url(as_bytes(random));
  auto lines = lines_for(token, secret);
  if (!lines) {
    return fail(Error(ErrorCode::invalid_argument, lines.error().message())
                    .with_hint(lines.error().hint()));
  }
  FNIMAGE_TRY(TokenFile tokens, TokenFile::open(file));
  FNIMAGE_TRY(const std::string text, tokens.read());
  FNIMAGE_TRY(const MachineTokens known, MachineTokens::parse(text, file.string()));
  if (known.find(token.name) != nullptr) {
    return fail(ErrorCode::already_exists,
                fmt::format("{} has a token {}", printable(file.string()), token.name),
                "choose another name, or remove its lines first: the old secret ends with them");
  }
  const bool is_open = !text.empty() && text.back() != '\n';
  FNIMAGE_CHECK(tokens.append((is_open ? "\n" : "") + *lines));
  return secret;
}

Result<std::int64_t> parse_time(std::string_view text) {
  if (const auto time = read_time(text)) {
    return *time;
  }
  return fail(ErrorCode::invalid_argument, fmt::format("\"{}\" is no time", printable(text, 80)),
              "write 2030-01-31 or 2030-01-31T12:00:00Z");
}

}  // namespace fnimage::server

// Sources: POSIX.1-2017 pax ("ustar Interchange Format", "pax Extended Header"), GNU tar's manual
// ("Basic Tar Format"). Thread-safety: see the header.
#include "tar_scanner.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::layer::detail {

namespace {

namespace place {
constexpr std::size_t size = 124;
constexpr std::size_t size_bytes = 12;
constexpr std::size_t checksum = 148;
constexpr std::size_t checksum_bytes = 8;
constexpr std::size_t type = 156;
}  // namespace place

constexpr std::uint64_t max_extension_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t max_header_size = 077777777777;  // eleven octal digits
constexpr std::uint64_t max_size = std::uint64_t{1} << 62U;
constexpr std::string_view sparse_prefix = "GNU.sparse.";

/// A number as old and new tars write it: octal with blanks around it. Empty counts as 0.
std::optional<std::uint64_t> parse_octal(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
  text = text.substr(begin, text.find('\0', begin) - begin);
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (text.empty()) {
    return 0;
  }
  constexpr int octal = 8;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, octal);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

/// The same, or GNU's binary form: a first byte of 0x80, then the number, highest byte first.
std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr unsigned char binary = 0x80;
  if (static_cast<unsigned char>(text.front()) < binary) {
    return parse_octal(text);
  }
  if (static_cast<unsigned char>(text.front()) != binary) {
    return std::nullopt;  // negative, or larger than anything
  }
  std::uint64_t value = 0;
  for (const char byte : text.substr(1)) {
    if (value > (max_size >> 8U)) {
      return std::nullopt;
    }
    value = value << 8U | static_cast<unsigned char>(byte);
  }
  return value;
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

/// The records that decide where an entry goes and how long it is.
bool matters(std::string_view key) noexcept {
  return key == "path" || key == "linkpath" || key == "size";
}

bool is_zero(std::string_view text) noexcept {
  return text.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

tl::unexpected<Error> TarScanner::refuse(std::string_view problem) const {
  return fail(ErrorCode::invalid_input, fmt::format("{} cannot be used: {}", what_, problem),
              "readers of tar archives do not agree on it; make it anew");
}

std::string_view TarScanner::field(std::size_t offset, std::size_t size) const {
  return std::string_view(block_.data(), block_.size()).substr(offset, size);
}

Result<void> TarScanner::feed(Bytes bytes) {
  if (refused_) {
    return refuse("it was refused already");
  }
  while (!bytes.empty()) {
    const std::uint64_t passed = std::min<std::uint64_t>(bytes.size(), content_left_);
    content_left_ -= passed;
    bytes = bytes.subspan(static_cast<std::size_t>(passed));
    const std::size_t count = std::min(bytes.size(), block_size - filled_);
    std::memcpy(block_.data() + filled_, bytes.data(), count);
    filled_ += count;
    bytes = bytes.subspan(count);
    if (filled_ == block_size) {
      filled_ = 0;
      Result<void> result = on_block();
      if (!result) {
        refused_ = true;
        return result;
      }
    }
  }
  return {};
}

Result<void> TarScanner::skip(std::uint64_t count) {
  if (count > content_left_) {
    return refuse("its contents are not where they should be");
  }
  content_left_ -= count;
  return {};
}

Result<std::uint64_t> TarScanner::take_size() {
  if (sizes_.empty()) {
    return refuse("an entry where there should be none");
  }
  const std::uint64_t size = sizes_.front();
  sizes_.pop_front();
  return size;
}

Result<void> TarScanner::finish() {
  if (content_left_ > 0 || extension_ != Extension::none || !is_zero(field(0, filled_))) {
    return refuse("it ends within an entry");
  }
  return sizes_.empty() ? Result<void>() : Result<void>(refuse("entries that were not found"));
}

Result<void> TarScanner::on_block() {
  if (extension_ != Extension::none) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(extension_left_, block_size));
    extension_text_ += field(0, count);
    extension_left_ -= count;
    return extension_left_ > 0 ? Result<void>() : end_extension();
  }
  const bool zero = is_zero(field(0, block_size));
  if (ended_ && !zero) {
    return refuse("something behind its end");
  }
  if (zero) {
    ended_ = true;
    return {};
  }
  return on_header();
}

Result<void> TarScanner::on_header() {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block_size; ++i) {
    const bool blank = i >= place::checksum && i < place::checksum + place::checksum_bytes;
    sum += blank ? static_cast<unsigned char>(' ') : static_cast<unsigned char>(block_[i]);
  }
  if (parse_octal(field(place::checksum, place::checksum_bytes)) != sum) {
    return refuse("a header whose checksum is wrong");
  }
  const std::optional<std::uint64_t> size = parse_size(field(place::size, place::size_bytes));
  if (!size || *size > max_size) {
    return refuse("a size that is no number");
  }
  switch (const char type = block_[place::type]; type) {
    case 'x':
      return begin_extension(Extension::pax, *size);
    case 'g':
      return begin_extension(Extension::global_pax, *size);
    case 'L':
      return begin_extension(Extension::long_name, *size);
    case 'K':
      return begin_extension(Extension::long_link, *size);
    default:
      return on_entry(type, *size);
  }
}

Result<void> TarScanner::begin_extension(Extension kind, std::uint64_t size) {
  bool* const seen = kind == Extension::pax         ? &has_pax_
                     : kind == Extension::long_name ? &has_long_name_
                     : kind == Extension::long_link ? &has_long_link_
                                                    : nullptr;
  if (seen != nullptr && std::exchange(*seen, true)) {
    return refuse("an entry with two headers of one kind");
  }
  if (kind == Extension::global_pax && (has_pax_ || has_long_name_ || has_long_link_)) {
    return refuse("a global header within an entry");
  }
  if (size > max_extension_bytes) {
    return refuse(fmt::format("a header larger than {}", human_size(max_extension_bytes)));
  }
  extension_ = kind;
  extension_left_ = size;
  extension_text_.clear();
  return size > 0 ? Result<void>() : end_extension();
}

Result<void> TarScanner::end_extension() {
  const Extension kind = std::exchange(extension_, Extension::none);
  if (kind == Extension::pax || kind == Extension::global_pax) {
    return read_pax(kind == Extension::global_pax);
  }
  const std::string_view text = extension_text_;
  if (text.find('\0') == 0 || text.empty() ||
      !is_zero(text.substr(std::min(text.find('\0'), text.size())))) {
    return refuse("a long name that is empty or goes on behind its end");
  }
  return {};
}

Result<void> TarScanner::read_pax(bool is_global) {
  std::string_view text = extension_text_;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    const auto size = parse_decimal(text.substr(0, std::min(blank, text.size())));
    if (blank == std::string_view::npos || !size || *size > text.size() || *size <= blank + 1) {
      return refuse("a malformed pax record");
    }
    const auto length = static_cast<std::size_t>(*size);
    const std::string_view record = text.substr(blank + 1, length - blank - 1);
    text.remove_prefix(length);
    const std::size_t equals = record.find('=');
    if (record.back() != '\n' || equals == std::string_view::npos || equals == 0) {
      return refuse("a malformed pax record");
    }
    FNIMAGE_CHECK(on_record(record.substr(0, equals),
                            record.substr(equals + 1, record.size() - equals - 2), is_global));
  }
  return {};
}

Result<void> TarScanner::on_record(std::string_view key, std::string_view value, bool is_global) {
  if (key.starts_with(sparse_prefix)) {
    return refuse("a sparse file");
  }
  if (!matters(key)) {
    return {};
  }
  if (is_global) {
    return refuse(fmt::format("a {} for all entries", key));
  }
  if (value.empty() || value.find('\0') != std::string_view::npos) {
    return refuse(fmt::format("a {} that is empty or contains a NUL byte", key));
  }
  if (!records_.emplace(key, value).second) {
    return refuse(fmt::format("an entry with two records of its {}", key));
  }
  return {};
}

Result<std::uint64_t> TarScanner::entry_size(char type, std::uint64_t in_header) const {
  std::uint64_t size = in_header;
  if (const auto record = records_.find("size"); record != records_.end()) {
    const auto said = parse_decimal(record->second);
    if (!said || *said > max_size) {
      return refuse("a size that is no number");
    }
    // What a header cannot say is said by the record alone.
    if (*said <= max_header_size && *said != in_header) {
      return refuse("two sizes for one entry");
    }
    size = *said;
  }
  const bool is_file = type == '0' || type == '\0' || type == '7';
  if (!is_file && size > 0) {
    return refuse("a link, directory or device with content");
  }
  return size;
}

Result<void> TarScanner::on_entry(char type, std::uint64_t size) {
  if (type == 'S') {
    return refuse("a sparse file");
  }
  if (type != '\0' && (type < '0' || type > '7')) {
    return refuse(fmt::format("an entry of the kind {}", printable(std::string(1, type))));
  }
  if ((has_long_name_ && records_.contains("path")) ||
      (has_long_link_ && records_.contains("linkpath"))) {
    return refuse("an entry with two names");
  }
  FNIMAGE_TRY(const std::uint64_t content, entry_size(type, size));
  records_.clear();
  has_pax_ = has_long_name_ = has_long_link_ = false;
  sizes_.push_back(content);
  begin_content(content);
  return {};
}

void TarScanner::begin_content(std::uint64_t size) noexcept {
  content_left_ = (size + block_size - 1) / block_size * block_size;
}

}  // namespace fnimage::layer::detail

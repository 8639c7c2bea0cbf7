// Encoding of headers as POSIX.1-2017 pax "pax Interchange Format" has it; the canonical form is at
// the top of tar_writer.cpp. Thread-safety: pure functions.
#include "tar_header.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::layer::detail {

namespace {

constexpr std::size_t name_size = 100;
constexpr std::size_t prefix_size = 155;
constexpr std::uint64_t max_seven_digits = 07777777;
constexpr std::uint64_t max_eleven_digits = 077777777777;

using Records = std::map<std::string, std::string>;

bool is_ascii(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

struct Utf8Lead {
  std::size_t more;         ///< continuation bytes; 0 for what cannot begin a character
  unsigned char low, high;  ///< bounds of the first of them
};

/// The Unicode standard's table 3-7: no overlong forms, no surrogates.
Utf8Lead utf8_lead(unsigned char lead) noexcept {
  if (lead < 0xC2 || lead > 0xF4) {
    return {0, 0, 0};
  }
  if (lead < 0xE0) {
    return {1, 0x80, 0xBF};
  }
  if (lead < 0xF0) {
    return {2, static_cast<unsigned char>(lead == 0xE0 ? 0xA0 : 0x80),
            static_cast<unsigned char>(lead == 0xED ? 0x9F : 0xBF)};
  }
  return {3, static_cast<unsigned char>(lead == 0xF0 ? 0x90 : 0x80),
          static_cast<unsigned char>(lead == 0xF4 ? 0x8F : 0xBF)};
}

bool is_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  while (at < text.size()) {
    const unsigned char first = byte(at++);
    if (first < 0x80) {
      continue;
    }
    const Utf8Lead lead = utf8_lead(first);
    if (lead.more == 0 || text.size() - at < lead.more || byte(at) < lead.low ||
        byte(at) > lead.high) {
      return false;
    }
    for (std::size_t i = 1; i < lead.more; ++i) {
      if ((byte(at + i) & 0xC0) != 0x80) {
        return false;
      }
    }
    at += lead.more;
  }
  return true;
}

/// What stands in a ustar field whose true value is in a pax record: for old readers only.
std::string ascii_stand_in(std::string_view text) {
  std::string plain(text.substr(0, name_size));
  std::replace_if(
      plain.begin(), plain.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; },
      '_');
  return plain;
}

struct NameFields {
  std::string_view prefix;
  std::string_view name;
};

/// The split with the longest prefix, as Go's archive/tar makes it; nullopt when there is none.
std::optional<NameFields> split_name(std::string_view path) {
  if (path.size() <= name_size) {
    return NameFields{{}, path};
  }
  std::size_t from = std::min(path.size() - 1, prefix_size);  // a directory's own '/' is no place
  if (path.ends_with('/') && from == path.size() - 1) {
    --from;
  }
  const std::size_t slash = path.rfind('/', from);
  if (slash == std::string_view::npos || slash == 0) {
    return std::nullopt;
  }
  const NameFields fields{path.substr(0, slash), path.substr(slash + 1)};
  if (fields.name.empty() || fields.name.size() > name_size) {
    return std::nullopt;
  }
  return fields;
}

char type_flag(EntryType type) noexcept {
  switch (type) {
    case EntryType::file:
      return '0';
    case EntryType::hardlink:
      return '1';
    case EntryType::symlink:
      return '2';
    case EntryType::char_device:
      return '3';
    case EntryType::block_device:
      return '4';
    case EntryType::directory:
      return '5';
    case EntryType::fifo:
      return '6';
  }
  return '0';
}

/// The fields of one ustar header, numbers already known to fit.
struct Fields {
  NameFields path;
  std::string_view link;
  char type = '0';
  std::uint64_t mode = 0;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::uint64_t size = 0;
  std::uint64_t mtime = 0;
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
};

std::string ustar_block(const Fields& fields) {
  std::string block(tar_block_size, '\0');
  const auto put = [&](std::size_t offset, std::string_view text) {
    std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  put(0, fields.path.name);
  put(100, fmt::format("{:07o}", fields.mode));
  put(108, fmt::format("{:07o}", fields.uid));
  put(116, fmt::format("{:07o}", fields.gid));
  put(124, fmt::format("{:011o}", fields.size));
  put(136, fmt::format("{:011o}", fields.mtime));
  put(148, "        ");  // counted as blanks in the checksum
  block[156] = fields.type;
  put(157, fields.link);
  put(257, std::string_view("ustar\0"
                            "00",
                            8));
  put(329, fmt::format("{:07o}", fields.major));
  put(337, fmt::format("{:07o}", fields.minor));
  put(345, fields.path.prefix);
  unsigned sum = 0;
  for (const char c : block) {
    sum += static_cast<unsigned char>(c);
  }
  put(148, std::string_view(fmt::format("{:06o}", sum)));
  block[154] = '\0';
  block[155] = ' ';
  return block;
}

/// "<length> <key>=<value>\n", where the length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // blank, '=', line end
  std::size_t length = rest + std::to_string(rest).size();
  length = rest + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}

std::string pax_header(std::string_view path, const Records& records) {
  std::string body;
  for (const auto& [key, value] : records) {
    body += pax_record(key, value);
  }
  while (path.ends_with('/')) {
    path.remove_suffix(1);
  }
  const std::string name =
      ascii_stand_in(fmt::format("PaxHeaders.0/{}", path.substr(path.rfind('/') + 1)));
  Fields fields;
  fields.path.name = name;
  fields.type = 'x';
  fields.mode = 0644;
  fields.size = body.size();
  std::string text = ustar_block(fields);
  text += body;
  text.append((tar_block_size - body.size() % tar_block_size) % tar_block_size, '\0');
  return text;
}

/// A number in its ustar field, or zero there and the value in a pax record.
std::uint64_t number_field(Records& records, const char* key, std::uint64_t value,
                           std::uint64_t limit) {
  if (value <= limit) {
    return value;
  }
  records[key] = std::to_string(value);
  return 0;
}

Result<void> add_xattrs(Records& records, const Entry& entry) {
  constexpr std::size_t max_bytes = std::size_t{512}
                                    << 10;  // readers refuse pax headers from 1 MiB on
  std::size_t bytes = 0;
  for (const auto& [name, value] : entry.xattrs) {
    bytes += name.size() + value.size();
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos ||
        bytes > max_bytes) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: extended attribute {} cannot be stored", printable(entry.path),
                              printable(name)));
    }
    records["SCHILY.xattr." + name] = value;
  }
  return {};
}

}  // namespace

Result<std::string> tar_header(const Entry& entry) {
  const std::string path = entry.type == EntryType::directory ? entry.path + '/' : entry.path;
  const bool is_link = entry.type == EntryType::symlink || entry.type == EntryType::hardlink;
  const std::string_view link = is_link ? std::string_view(entry.link) : std::string_view();
  const bool is_device =
      entry.type == EntryType::char_device || entry.type == EntryType::block_device;
  if (is_device &&
      (entry.device_major > max_seven_digits || entry.device_minor > max_seven_digits)) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: device number is out of range", printable(entry.path)));
  }
  Records records;
  FNIMAGE_CHECK(add_xattrs(records, entry));
  const std::string path_stand_in = ascii_stand_in(path);
  const std::string link_stand_in = ascii_stand_in(link);
  Fields fields;
  const std::optional<NameFields> split_path = split_name(path);
  if (split_path && is_ascii(path)) {
    fields.path = *split_path;
  } else {
    fields.path.name = path_stand_in;
    records["path"] = path;
  }
  if (link.size() <= name_size && is_ascii(link)) {
    fields.link = link;
  } else {
    fields.link = link_stand_in;
    records["linkpath"] = link;
  }
  if (!is_utf8(path) || !is_utf8(link)) {
    records["hdrcharset"] = "BINARY";
  }
  fields.type = type_flag(entry.type);
  fields.mode = entry.mode & 07777U;
  fields.uid = number_field(records, "uid", entry.uid, max_seven_digits);
  fields.gid = number_field(records, "gid", entry.gid, max_seven_digits);
  fields.size = number_field(records, "size", entry.type == EntryType::file ? entry.size() : 0,
                             max_eleven_digits);
  if (entry.mtime >= 0 && static_cast<std::uint64_t>(entry.mtime) <= max_eleven_digits) {
    fields.mtime = static_cast<std::uint64_t>(entry.mtime);
  } else {
    records["mtime"] = std::to_string(entry.mtime);
  }
  fields.major = is_device ? entry.device_major : 0;
  fields.minor = is_device ? entry.device_minor : 0;
  std::string text = records.empty() ? std::string() : pax_header(path, records);
  text += ustar_block(fields);
  return text;
}

}  // namespace fnimage::layer::detail

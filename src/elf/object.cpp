// Reading objects through their program headers, see the header. A file is opened anew for each
// piece that is read: pieces are few, and most files of an image are never looked at beyond their
// first bytes.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/elf/object.hpp>

#include "fields.hpp"

namespace fnimage::elf {

namespace {

using detail::field;

constexpr std::uint16_t type_executable = 2;
constexpr std::uint16_t type_shared = 3;

constexpr std::uint32_t segment_load = 1;
constexpr std::uint32_t segment_dynamic = 2;
constexpr std::uint32_t segment_interpreter = 3;
constexpr std::uint16_t too_many_segments = 0xffff;  // PN_XNUM: the number stands elsewhere

constexpr std::uint64_t max_dynamic_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t usual_version_bytes = std::uint64_t{16} << 10;
constexpr std::uint64_t max_version_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t max_string_bytes = 4096;
constexpr std::uint64_t whole_string_table = std::uint64_t{1} << 20;  // read at once up to this
constexpr std::size_t max_needed = 4096;
constexpr std::size_t max_versions = 65536;

namespace tag {
constexpr std::uint64_t end = 0;
constexpr std::uint64_t needed = 1;
constexpr std::uint64_t string_table = 5;
constexpr std::uint64_t string_bytes = 10;
constexpr std::uint64_t soname = 14;
constexpr std::uint64_t rpath = 15;
constexpr std::uint64_t runpath = 29;
constexpr std::uint64_t flags_1 = 0x6ffffffb;
constexpr std::uint64_t version_definitions = 0x6ffffffc;
constexpr std::uint64_t version_definition_count = 0x6ffffffd;
constexpr std::uint64_t version_needs = 0x6ffffffe;
constexpr std::uint64_t version_need_count = 0x6fffffff;
}  // namespace tag

constexpr std::uint64_t flag_no_default_directories = 0x800;
constexpr std::uint16_t version_is_base = 1;
constexpr std::uint16_t version_is_weak = 2;

struct Segment {
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::uint64_t address = 0;
  std::uint64_t size = 0;  ///< in the file
};

/// What the dynamic section says, by tag.
struct Dynamic {
  std::vector<std::uint64_t> needed{};
  std::optional<std::uint64_t> soname{};
  std::optional<std::uint64_t> rpath{};
  std::optional<std::uint64_t> runpath{};
  std::uint64_t string_table = 0;
  std::uint64_t string_bytes = 0;
  std::uint64_t flags_1 = 0;
  std::uint64_t version_needs = 0;
  std::uint64_t version_need_count = 0;
  std::uint64_t version_definitions = 0;
  std::uint64_t version_definition_count = 0;
};

class ObjectReader {
 public:
  ObjectReader(const Content& content, const std::string& what) : content_(content), what_(what) {}

  Result<Object> read() {
    FNIMAGE_TRY(const std::string head,
                read_at(0, std::min<std::uint64_t>(header_bytes, content_.size())));
    const std::optional<Identity> identity = parse_identity(as_bytes(head));
    if (!identity) {
      return broken("no ELF header");
    }
    object_.identity = *identity;
    wide_ = identity->bits == 64;
    order_ = identity->order;
    FNIMAGE_CHECK(read_segments(as_bytes(head)));
    for (const Segment& segment : segments_) {
      if (segment.type == segment_interpreter && object_.interpreter.empty()) {
        FNIMAGE_CHECK(read_interpreter(segment));
      } else if (segment.type == segment_dynamic && !object_.dynamic) {
        object_.dynamic = true;
        FNIMAGE_CHECK(read_dynamic(segment));
      }
    }
    return std::move(object_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> broken(std::string_view why) const {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is not an ELF object that can be read: {}", what_, why));
  }

  Result<std::string> read_at(std::uint64_t offset, std::uint64_t size) const {
    if (offset > content_.size() || size > content_.size() - offset) {
      return broken("it refers to bytes behind its end");
    }
    std::string bytes(static_cast<std::size_t>(size), '\0');
    FNIMAGE_TRY(const auto reader, content_.open(offset));
    FNIMAGE_TRY(const std::size_t got,
                read_full(*reader, std::as_writable_bytes(std::span(bytes.data(), bytes.size()))));
    if (got != bytes.size()) {
      return broken("it ends early");
    }
    return bytes;
  }

  /// A field that is as wide as an address.
  [[nodiscard]] std::uint64_t word(Bytes bytes, std::size_t offset) const noexcept {
    return wide_ ? field<std::uint64_t>(bytes, offset, order_)
                 : field<std::uint32_t>(bytes, offset, order_);
  }

  Result<void> read_segments(Bytes head) {
    const std::size_t offset_field = wide_ ? 32 : 28;
    const std::size_t entry_size_field = wide_ ? 54 : 42;
    const std::size_t entry_bytes = wide_ ? 56 : 32;
    const std::uint64_t table = word(head, offset_field);
    const auto entry_size = field<std::uint16_t>(head, entry_size_field, order_);
    const auto count = field<std::uint16_t>(head, entry_size_field + 2, order_);
    if (count == 0) {
      return {};
    }
    if (entry_size != entry_bytes || count == too_many_segments) {
      return broken("program headers of an unknown form");
    }
    FNIMAGE_TRY(const std::string text, read_at(table, std::uint64_t{count} * entry_bytes));
    const Bytes all = as_bytes(text);
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes entry = all.subspan(i * entry_bytes, entry_bytes);
      segments_.push_back({.type = field<std::uint32_t>(entry, 0, order_),
                           .offset = word(entry, wide_ ? 8 : 4),
                           .address = word(entry, wide_ ? 16 : 8),
                           .size = word(entry, wide_ ? 32 : 16)});
    }
    return {};
  }

  Result<void> read_interpreter(const Segment& segment) {
    if (segment.size > max_string_bytes) {
      return broken("the name of its loader is too long");
    }
    FNIMAGE_TRY(object_.interpreter, read_at(segment.offset, segment.size));
    object_.interpreter.resize(
        std::min(object_.interpreter.find('\0'), object_.interpreter.size()));
    return {};
  }

  /// Where the bytes of an address are in the file, and how many follow in its segment.
  [[nodiscard]] std::optional<Segment> place_of(std::uint64_t address) const noexcept {
    for (const Segment& segment : segments_) {
      if (segment.type == segment_load && address >= segment.address &&
          address - segment.address < segment.size) {
        const std::uint64_t into = address - segment.address;
        if (segment.offset > content_.size() || into > content_.size() - segment.offset) {
          return std::nullopt;
        }
        const std::uint64_t offset = segment.offset + into;
        return Segment{.type = segment_load,
                       .offset = offset,
                       .address = address,
                       .size = std::min(segment.size - into, content_.size() - offset)};
      }
    }
    return std::nullopt;
  }

  Result<void> read_dynamic(const Segment& segment) {
    if (segment.size > max_dynamic_bytes) {
      return broken("its dynamic section is too large");
    }
    FNIMAGE_TRY(const std::string text, read_at(segment.offset, segment.size));
    const Bytes bytes = as_bytes(text);
    const std::size_t entry_bytes = wide_ ? 16 : 8;
    Dynamic dynamic;
    for (std::size_t at = 0; at + entry_bytes <= bytes.size(); at += entry_bytes) {
      const std::uint64_t key = word(bytes, at);
      if (key == tag::end) {
        break;
      }
      take(dynamic, key, word(bytes, at + entry_bytes / 2));
    }
    return apply(dynamic);
  }

  static void take(Dynamic& dynamic, std::uint64_t key, std::uint64_t value) {
    switch (key) {
      case tag::needed:
        dynamic.needed.push_back(value);
        break;
      case tag::string_table:
        dynamic.string_table = value;
        break;
      case tag::string_bytes:
        dynamic.string_bytes = value;
        break;
      case tag::soname:
        dynamic.soname = value;
        break;
      case tag::rpath:
        dynamic.rpath = value;
        break;
      case tag::runpath:
        dynamic.runpath = value;
        break;
      case tag::flags_1:
        dynamic.flags_1 = value;
        break;
      case tag::version_definitions:
        dynamic.version_definitions = value;
        break;
      case tag::version_definition_count:
        dynamic.version_definition_count = value;
        break;
      case tag::version_needs:
        dynamic.version_needs = value;
        break;
      case tag::version_need_count:
        dynamic.version_need_count = value;
        break;
      default:
        break;
    }
  }

  Result<void> apply(const Dynamic& dynamic) {
    object_.no_default_directories = (dynamic.flags_1 & flag_no_default_directories) != 0;
    if (dynamic.needed.size() > max_needed) {
      return broken("it needs too many libraries");
    }
    FNIMAGE_CHECK(open_strings(dynamic));
    for (const std::uint64_t name : dynamic.needed) {
      FNIMAGE_TRY(object_.needed.emplace_back(), string_at(name));
    }
    for (const auto& [from, to] :
         {std::pair(dynamic.soname, &object_.soname), std::pair(dynamic.rpath, &object_.rpath),
          std::pair(dynamic.runpath, &object_.runpath)}) {
      if (from) {
        FNIMAGE_TRY(*to, string_at(*from));
      }
    }
    const Result<void> usual = read_versions(dynamic, usual_version_bytes);
    return usual ? usual : read_versions(dynamic, max_version_bytes);
  }

  Result<void> read_versions(const Dynamic& dynamic, std::uint64_t limit) {
    object_.version_needs.clear();
    object_.versions.clear();
    records_ = 0;
    FNIMAGE_CHECK(read_version_needs(dynamic, limit));
    return read_version_definitions(dynamic, limit);
  }

  Result<void> open_strings(const Dynamic& dynamic) {
    if (dynamic.string_table == 0) {
      return {};
    }
    const std::optional<Segment> place = place_of(dynamic.string_table);
    if (!place) {
      return broken("its strings are nowhere in it");
    }
    strings_ = *place;
    strings_.size = std::min(strings_.size, dynamic.string_bytes);
    if (strings_.size <= whole_string_table) {
      FNIMAGE_TRY(string_table_, read_at(strings_.offset, strings_.size));
    }
    return {};
  }

  Result<std::string> string_at(std::uint64_t index) const {
    if (index >= strings_.size) {
      return broken("a name behind its strings");
    }
    const std::uint64_t rest = std::min(strings_.size - index, max_string_bytes);
    std::string text;
    if (strings_.size <= whole_string_table) {
      text = string_table_.substr(static_cast<std::size_t>(index), static_cast<std::size_t>(rest));
    } else {
      FNIMAGE_TRY(text, read_at(strings_.offset + index, rest));
    }
    const std::size_t end = text.find('\0');
    if (end == std::string::npos) {
      return broken("a name without an end");
    }
    text.resize(end);
    return text;
  }

  /// The bytes of a version table. Nothing says where it ends, and its segment is mostly code.
  Result<std::string> version_table(std::uint64_t address, std::uint64_t limit) const {
    const std::optional<Segment> place = place_of(address);
    if (!place) {
      return broken("its versions are nowhere in it");
    }
    return read_at(place->offset, std::min(place->size, limit));
  }

  /// Follows a chain of records of `size` bytes: `visit` gets each one's offset and returns the
  /// distance to the next, 0 at the end.
  template <typename Visit>
  Result<void> follow(Bytes table, std::uint64_t at, std::uint64_t count, std::size_t size,
                      Visit visit) {
    for (std::uint64_t i = 0; i < count; ++i) {
      if (at > table.size() || size > table.size() - at || ++records_ > max_versions) {
        return broken("its versions do not fit");
      }
      FNIMAGE_TRY(const std::uint32_t next, visit(static_cast<std::size_t>(at)));
      if (next == 0) {
        break;
      }
      at += next;
    }
    return {};
  }

  Result<void> read_version_needs(const Dynamic& dynamic, std::uint64_t limit) {
    if (dynamic.version_needs == 0 || dynamic.version_need_count == 0) {
      return {};
    }
    constexpr std::size_t record_bytes = 16;  // of both kinds, in both classes
    FNIMAGE_TRY(const std::string text, version_table(dynamic.version_needs, limit));
    const Bytes table = as_bytes(text);
    const auto on_version = [&](std::size_t at) -> Result<std::uint32_t> {
      const auto flags = field<std::uint16_t>(table, at + 4, order_);
      if ((flags & version_is_weak) == 0) {
        FNIMAGE_TRY(object_.version_needs.back().versions.emplace_back(),
                    string_at(field<std::uint32_t>(table, at + 8, order_)));
      }
      return field<std::uint32_t>(table, at + 12, order_);
    };
    return follow(table, 0, dynamic.version_need_count, record_bytes,
                  [&](std::size_t at) -> Result<std::uint32_t> {
                    FNIMAGE_TRY(std::string library,
                                string_at(field<std::uint32_t>(table, at + 4, order_)));
                    object_.version_needs.push_back({.library = std::move(library)});
                    FNIMAGE_CHECK(follow(table, at + field<std::uint32_t>(table, at + 8, order_),
                                         field<std::uint16_t>(table, at + 2, order_), record_bytes,
                                         on_version));
                    return field<std::uint32_t>(table, at + 12, order_);
                  });
  }

  Result<void> read_version_definitions(const Dynamic& dynamic, std::uint64_t limit) {
    if (dynamic.version_definitions == 0 || dynamic.version_definition_count == 0) {
      return {};
    }
    constexpr std::size_t record_bytes = 20;
    constexpr std::size_t name_bytes = 8;
    FNIMAGE_TRY(const std::string text, version_table(dynamic.version_definitions, limit));
    const Bytes table = as_bytes(text);
    return follow(table, 0, dynamic.version_definition_count, record_bytes,
                  [&](std::size_t at) -> Result<std::uint32_t> {
                    const auto flags = field<std::uint16_t>(table, at + 2, order_);
                    const std::uint64_t name = at + field<std::uint32_t>(table, at + 12, order_);
                    if (name > table.size() || name_bytes > table.size() - name) {
                      return broken("its versions do not fit");
                    }
                    if ((flags & version_is_base) == 0) {
                      FNIMAGE_TRY(object_.versions.emplace_back(),
                                  string_at(field<std::uint32_t>(
                                      table, static_cast<std::size_t>(name), order_)));
                    }
                    return field<std::uint32_t>(table, at + 16, order_);
                  });
  }

  const Content& content_;
  const std::string& what_;
  Object object_;
  bool wide_ = true;
  ByteOrder order_ = ByteOrder::little;
  std::vector<Segment> segments_;
  Segment strings_;           ///< where the string table is
  std::string string_table_;  ///< its bytes, unless it is large
  std::size_t records_ = 0;
};

std::string_view name_of(Machine machine, std::uint8_t bits) noexcept {
  switch (machine) {
    case Machine::i386:
      return "x86";
    case Machine::mips:
      return "MIPS";
    case Machine::ppc:
    case Machine::ppc64:
      return "PowerPC";
    case Machine::s390:
      return "S/390";
    case Machine::arm:
      return "Arm";
    case Machine::x86_64:
      return bits == 32 ? "x86-64 (x32)" : "x86-64";
    case Machine::aarch64:
      return "AArch64";
    case Machine::riscv:
      return "RISC-V";
    case Machine::loongarch:
      return "LoongArch";
  }
  return {};
}

}  // namespace

bool Identity::is_loadable() const noexcept {
  return type == type_executable || type == type_shared;
}

std::string Identity::str() const {
  const std::string_view known = name_of(machine, bits);
  std::string text = fmt::format(
      "{}-bit {}-endian {}", bits, order == ByteOrder::little ? "little" : "big",
      known.empty() ? fmt::format("machine {}", static_cast<unsigned>(machine)) : known);
  constexpr std::uint32_t ppc64_abi = 3;
  if (machine == Machine::ppc64 && (flags & ppc64_abi) != 0) {
    text += fmt::format(", ELFv{}", flags & ppc64_abi);
  }
  return text;
}

std::optional<Identity> parse_identity(Bytes head) noexcept {
  constexpr std::string_view magic =
      "\x7f"
      "ELF";
  constexpr std::size_t narrow_header_bytes = 52;
  if (head.size() < narrow_header_bytes || as_text(head.first(magic.size())) != magic) {
    return std::nullopt;
  }
  const auto bits = std::to_integer<unsigned>(head[4]);
  const auto order = std::to_integer<unsigned>(head[5]);
  if (bits < 1 || bits > 2 || order < 1 || order > 2 || (bits == 2 && head.size() < header_bytes)) {
    return std::nullopt;
  }
  Identity identity{.bits = static_cast<std::uint8_t>(bits * 32),
                    .order = order == 1 ? ByteOrder::little : ByteOrder::big};
  identity.type = field<std::uint16_t>(head, 16, identity.order);
  identity.machine = Machine{field<std::uint16_t>(head, 18, identity.order)};
  identity.flags = field<std::uint32_t>(head, bits == 2 ? 48 : 36, identity.order);
  return identity;
}

Result<Object> read_object(const Content& content, const std::string& what) {
  return ObjectReader(content, what).read();
}

}  // namespace fnimage::elf

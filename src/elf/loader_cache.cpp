// The loader's cache, see the header. A file is a header, a table of entries, and the strings that
// entries refer to by their distance from the header; behind them may be a directory of extensions,
// of which the names of glibc-hwcaps subdirectories matter here.
#include <algorithm>
#include <bit>
#include <concepts>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/elf/loader_cache.hpp>

#include "fields.hpp"

namespace fnimage::elf {

namespace {

using detail::field;

constexpr std::string_view cache_magic = "glibc-ld.so.cache1.1";
constexpr std::size_t cache_header_bytes = 48;
constexpr std::size_t cache_entry_bytes = 24;
constexpr std::size_t reserved_bytes = 12;  // at the header's end

// The format of libc5 and glibc 2.0, which ldconfig before glibc 2.32 wrote in front of the other.
constexpr std::string_view old_cache_magic = "ld.so-1.7.0";
constexpr std::size_t old_header_bytes = 16;
constexpr std::size_t old_entry_bytes = 12;
constexpr std::size_t cache_alignment = 8;

namespace cache_field {
constexpr std::size_t count = 20;
constexpr std::size_t order = 28;
constexpr std::size_t extensions = 32;
constexpr std::size_t old_count = 12;
// In an entry:
constexpr std::size_t flags = 0;
constexpr std::size_t name = 4;
constexpr std::size_t path = 8;
constexpr std::size_t hwcap = 16;
}  // namespace cache_field

namespace order_mark {
constexpr unsigned mask = 3;
constexpr unsigned unknown = 0;  // glibc before 2.33
constexpr unsigned little = 2;
constexpr unsigned big = 3;
}  // namespace order_mark

constexpr std::uint32_t extension_magic = 0xeaa42174;
constexpr std::size_t extension_header_bytes = 8;
constexpr std::size_t extension_section_bytes = 16;
constexpr std::uint32_t processors_section = 1;

// An entry whose library is for certain processors: the low half is an index into their names, ten
// bits above it are the level of instructions that the object itself says it needs. That level is
// neither read nor written: the loader goes by the name of the directory first.
constexpr std::uint64_t hwcap_is_index = std::uint64_t{1} << 62U;
constexpr std::uint64_t hwcap_index_mask = 0xffffffff;
constexpr std::uint64_t hwcap_level_mask = std::uint64_t{0x3ff} << 32U;

constexpr std::size_t max_cached_text = 4096;                 // of a name or a path: PATH_MAX
constexpr std::size_t max_all_text = std::size_t{64} << 20U;  // entries may share their strings
constexpr std::size_t max_processor_names = 4096;

constexpr std::uint32_t kind_libc6 = 3;
constexpr std::uint32_t kind_x86_64 = 0x0300;
constexpr std::uint32_t kind_s390_64 = 0x0400;
constexpr std::uint32_t kind_powerpc_64 = 0x0500;
constexpr std::uint32_t kind_mips_n32 = 0x0600;
constexpr std::uint32_t kind_mips_n64 = 0x0700;
constexpr std::uint32_t kind_x86_x32 = 0x0800;
constexpr std::uint32_t kind_arm_hard_float = 0x0900;
constexpr std::uint32_t kind_aarch64 = 0x0a00;
constexpr std::uint32_t kind_arm_soft_float = 0x0b00;
constexpr std::uint32_t kind_mips_o32_nan2008 = 0x0c00;
constexpr std::uint32_t kind_mips_n32_nan2008 = 0x0d00;
constexpr std::uint32_t kind_mips_n64_nan2008 = 0x0e00;
constexpr std::uint32_t kind_riscv_soft_float = 0x0f00;
constexpr std::uint32_t kind_riscv_double_float = 0x1000;
constexpr std::uint32_t kind_loongarch_soft_float = 0x1100;
constexpr std::uint32_t kind_loongarch_double_float = 0x1200;

using Kind = std::optional<std::uint32_t>;

std::uint32_t arm_kind(std::uint32_t flags) noexcept {
  constexpr std::uint32_t eabi_mask = 0xff000000;
  constexpr std::uint32_t eabi_5 = 0x05000000;
  constexpr std::uint32_t soft_float = 0x200;
  constexpr std::uint32_t hard_float = 0x400;
  if ((flags & eabi_mask) != eabi_5) {
    return 0;
  }
  if ((flags & hard_float) != 0) {
    return kind_arm_hard_float;
  }
  return (flags & soft_float) != 0 ? kind_arm_soft_float : 0;
}

std::uint32_t mips_kind(bool wide, std::uint32_t flags) noexcept {
  constexpr std::uint32_t n32 = 0x20;
  constexpr std::uint32_t nan2008 = 0x400;
  const bool is_new = (flags & nan2008) != 0;
  if (wide) {
    return is_new ? kind_mips_n64_nan2008 : kind_mips_n64;
  }
  if ((flags & n32) != 0) {
    return is_new ? kind_mips_n32_nan2008 : kind_mips_n32;
  }
  return is_new ? kind_mips_o32_nan2008 : 0;
}

Kind riscv_kind(std::uint32_t flags) noexcept {
  constexpr std::uint32_t float_mask = 6;
  constexpr std::uint32_t double_float = 4;
  switch (flags & float_mask) {
    case 0:
      return kind_riscv_soft_float;
    case double_float:
      return kind_riscv_double_float;
    default:
      return std::nullopt;
  }
}

Kind loongarch_kind(std::uint32_t flags) noexcept {
  constexpr std::uint32_t float_mask = 7;
  constexpr std::uint32_t soft_float = 1;
  constexpr std::uint32_t double_float = 3;
  switch (flags & float_mask) {
    case soft_float:
      return kind_loongarch_soft_float;
    case double_float:
      return kind_loongarch_double_float;
    default:
      return std::nullopt;
  }
}

/// The kind among those of libc6.
Kind machine_kind(const Identity& identity) noexcept {
  const bool wide = identity.bits == 64;
  switch (identity.machine) {
    case Machine::i386:
    case Machine::ppc:
      return wide ? Kind() : Kind(0);
    case Machine::x86_64:
      return wide ? kind_x86_64 : kind_x86_x32;
    case Machine::aarch64:
      return wide ? Kind(kind_aarch64) : Kind();
    case Machine::ppc64:
      return wide ? Kind(kind_powerpc_64) : Kind();
    case Machine::s390:
      return wide ? kind_s390_64 : 0;
    case Machine::arm:
      return wide ? Kind() : Kind(arm_kind(identity.flags));
    case Machine::mips:
      return mips_kind(wide, identity.flags);
    case Machine::riscv:
      return riscv_kind(identity.flags);
    case Machine::loongarch:
      return loongarch_kind(identity.flags);
  }
  return std::nullopt;
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// The number at `at`, behind whose digits `at` is afterwards. The loader's int overflows silently;
/// here too, since both must find the same order.
std::int32_t take_number(std::string_view text, std::size_t& at) noexcept {
  constexpr std::uint32_t ten = 10;
  std::uint32_t value = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    value = value * ten + static_cast<std::uint32_t>(text[at] - '0');
  }
  return static_cast<std::int32_t>(value);
}

/// Whether a library is before another in the file: the loader searches names downwards, takes the
/// first library of a name that its processor can run, and asks for processors only until it meets
/// a library for any of them.
bool is_before(const CachedLibrary& a, const CachedLibrary& b) noexcept {
  if (const int names = compare_library_names(a.name, b.name); names != 0) {
    return names > 0;
  }
  const auto rank = [](const CachedLibrary& one) {
    return std::tuple(~one.flags, one.processors.empty(), std::string_view(one.processors),
                      -std::popcount(one.hwcap), ~one.hwcap);
  };
  return rank(a) < rank(b);
}

class CacheReader {
 public:
  CacheReader(std::string_view bytes, std::string_view what)
      : file_(as_bytes(bytes)), what_(what) {}

  Result<std::vector<CachedLibrary>> read() {
    if (!find_header()) {
      return broken("it does not begin like one");
    }
    FNIMAGE_CHECK(find_order());
    const std::size_t count = number(cache_field::count);
    if (count > (cache_.size() - cache_header_bytes) / cache_entry_bytes) {
      return broken("it has more entries than bytes");
    }
    FNIMAGE_CHECK(read_processors());
    std::vector<CachedLibrary> libraries;
    libraries.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      FNIMAGE_TRY(libraries.emplace_back(), library_at(cache_header_bytes + i * cache_entry_bytes));
    }
    return libraries;
  }

 private:
  [[nodiscard]] tl::unexpected<Error> broken(std::string_view why) const {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is not a loader cache that can be read: {}", what_, why));
  }

  [[nodiscard]] std::uint32_t number(std::size_t offset) const noexcept {
    return field<std::uint32_t>(cache_, offset, order_);
  }

  [[nodiscard]] static bool has_header(Bytes bytes) noexcept {
    return bytes.size() >= cache_header_bytes && as_text(bytes).starts_with(cache_magic);
  }

  /// Finds the header, behind a table of the old format if there is one. That table does not say
  /// its byte order; the one in which the header follows it is right.
  bool find_header() noexcept {
    cache_ = file_;
    if (has_header(cache_)) {
      return true;
    }
    if (file_.size() < old_header_bytes || !as_text(file_).starts_with(old_cache_magic)) {
      return false;
    }
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      const std::uint64_t count = field<std::uint32_t>(file_, cache_field::old_count, order);
      const std::uint64_t end = old_header_bytes + count * old_entry_bytes;
      const std::uint64_t begin = (end + cache_alignment - 1) / cache_alignment * cache_alignment;
      if (begin < file_.size() && has_header(file_.subspan(static_cast<std::size_t>(begin)))) {
        cache_ = file_.subspan(static_cast<std::size_t>(begin));
        return true;
      }
    }
    return false;
  }

  Result<void> find_order() {
    switch (std::to_integer<unsigned>(cache_[cache_field::order]) & order_mark::mask) {
      case order_mark::little:
        order_ = ByteOrder::little;
        return {};
      case order_mark::big:
        order_ = ByteOrder::big;
        return {};
      case order_mark::unknown:
        // Of the two readings of a number below 65536 the right one is the smaller.
        order_ = field<std::uint32_t>(cache_, cache_field::count, ByteOrder::little) <=
                         field<std::uint32_t>(cache_, cache_field::count, ByteOrder::big)
                     ? ByteOrder::little
                     : ByteOrder::big;
        return {};
      default:
        return broken("it is marked as invalid");
    }
  }

  Result<std::string> text_at(std::uint32_t offset) {
    const std::string_view all = as_text(cache_);
    if (offset >= all.size()) {
      return broken("a string behind its end");
    }
    const std::string_view rest = all.substr(offset, max_cached_text);
    const std::size_t size = rest.find('\0');
    if (size == std::string_view::npos) {
      return broken("a string without an end");
    }
    all_text_ += size;
    if (all_text_ > max_all_text) {
      return broken("it has too much text");
    }
    return std::string(rest.substr(0, size));
  }

  /// The names of processors, which are the only extension that matters here.
  Result<void> read_processors() {
    const std::uint32_t directory = number(cache_field::extensions);
    if (directory == 0) {
      return {};
    }
    // Offsets of extensions count from the file's beginning, unlike those of strings.
    if (directory > file_.size() || extension_header_bytes > file_.size() - directory ||
        in_file(directory) != extension_magic) {
      return broken("its extensions are nowhere in it");
    }
    const std::size_t sections = directory + extension_header_bytes;
    const std::size_t count = in_file(directory + 4);
    if (count > (file_.size() - sections) / extension_section_bytes) {
      return broken("it has more extensions than bytes");
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t section = sections + i * extension_section_bytes;
      if (in_file(section) == processors_section) {
        return read_processor_names(in_file(section + 8), in_file(section + 12));
      }
    }
    return {};
  }

  [[nodiscard]] std::uint32_t in_file(std::size_t offset) const noexcept {
    return field<std::uint32_t>(file_, offset, order_);
  }

  Result<void> read_processor_names(std::size_t begin, std::size_t size) {
    constexpr std::size_t name_bytes = sizeof(std::uint32_t);
    if (begin > file_.size() || size > file_.size() - begin ||
        size / name_bytes > max_processor_names) {
      return broken("its names of processors do not fit");
    }
    for (std::size_t i = 0; i < size / name_bytes; ++i) {
      FNIMAGE_TRY(processors_.emplace_back(), text_at(in_file(begin + i * name_bytes)));
    }
    return {};
  }

  Result<CachedLibrary> library_at(std::size_t entry) {
    CachedLibrary library;
    library.flags = number(entry + cache_field::flags);
    FNIMAGE_TRY(library.name, text_at(number(entry + cache_field::name)));
    FNIMAGE_TRY(library.path, text_at(number(entry + cache_field::path)));
    library.hwcap = field<std::uint64_t>(cache_, entry + cache_field::hwcap, order_);
    if ((library.hwcap & ~hwcap_index_mask & ~hwcap_level_mask) == hwcap_is_index) {
      const auto index = static_cast<std::size_t>(library.hwcap & hwcap_index_mask);
      if (index >= processors_.size()) {
        return broken("a library for processors without a name");
      }
      library.processors = processors_[index];
      library.hwcap = 0;
    }
    return library;
  }

  Bytes file_;
  Bytes cache_;  ///< from the header on
  std::string_view what_;
  ByteOrder order_ = ByteOrder::little;
  std::vector<std::string> processors_{};
  std::size_t all_text_ = 0;
};

class CacheWriter {
 public:
  explicit CacheWriter(ByteOrder order) : order_(order) {}

  std::string write(const std::vector<CachedLibrary>& libraries) {
    strings_begin_ = cache_header_bytes + libraries.size() * cache_entry_bytes;
    name_processors(libraries);
    for (const CachedLibrary& library : libraries) {
      put_entry(library);
    }
    const std::string entries = std::exchange(out_, {});
    const std::size_t strings_end = strings_begin_ + strings_.size();
    const std::size_t directory = (strings_end + 3) / 4 * 4;

    out_ = cache_magic;
    put(static_cast<std::uint32_t>(libraries.size()));
    put(static_cast<std::uint32_t>(strings_.size()));
    put(static_cast<std::uint8_t>(order_ == ByteOrder::little ? order_mark::little
                                                              : order_mark::big));
    out_.append(3, '\0');
    put(static_cast<std::uint32_t>(processors_.empty() ? 0 : directory));
    out_.append(reserved_bytes, '\0');
    out_ += entries;
    out_ += strings_;
    if (!processors_.empty()) {
      out_.append(directory - strings_end, '\0');
      put_extensions(directory);
    }
    return std::move(out_);
  }

 private:
  template <std::unsigned_integral T>
  void put(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      const std::size_t byte = order_ == ByteOrder::little ? i : sizeof(T) - 1 - i;
      out_ += static_cast<char>(static_cast<unsigned char>(value >> (8 * byte)));
    }
  }

  /// Where a string is from the header, after it was added.
  std::uint32_t add_text(std::string_view text) {
    const std::size_t begin = strings_begin_ + strings_.size();
    strings_ += text;
    strings_ += '\0';
    return static_cast<std::uint32_t>(begin);
  }

  /// Names must be in byte order: the loader relies on it.
  void name_processors(const std::vector<CachedLibrary>& libraries) {
    for (const CachedLibrary& library : libraries) {
      if (!library.processors.empty()) {
        processors_.try_emplace(library.processors);
      }
    }
    std::uint32_t index = 0;
    for (auto& [name, place] : processors_) {
      place = {.index = index++, .text = add_text(name)};
    }
  }

  void put_entry(const CachedLibrary& library) {
    const std::uint32_t path = add_text(library.path);
    // A path usually ends in the name, which then needs no string of its own.
    const std::uint32_t name =
        library.path.ends_with(library.name)
            ? path + static_cast<std::uint32_t>(library.path.size() - library.name.size())
            : add_text(library.name);
    put(library.flags);
    put(name);
    put(path);
    put(std::uint32_t{0});  // the kernel that it needs: any
    put(library.processors.empty() ? library.hwcap
                                   : hwcap_is_index | processors_.at(library.processors).index);
  }

  /// The directory of extensions, which is at `begin` in the file, and the names of processors.
  void put_extensions(std::size_t begin) {
    put(extension_magic);
    put(std::uint32_t{1});
    put(processors_section);
    put(std::uint32_t{0});
    put(static_cast<std::uint32_t>(begin + extension_header_bytes + extension_section_bytes));
    put(static_cast<std::uint32_t>(processors_.size() * sizeof(std::uint32_t)));
    for (const auto& [name, place] : processors_) {
      put(place.text);
    }
  }

  struct Place {
    std::uint32_t index = 0;
    std::uint32_t text = 0;  ///< of its name
  };

  ByteOrder order_;
  std::size_t strings_begin_ = 0;
  std::string strings_;
  std::string out_;
  std::map<std::string, Place> processors_;
};

}  // namespace

std::optional<std::uint32_t> loader_flags(const Identity& identity) noexcept {
  const Kind kind = machine_kind(identity);
  return kind ? Kind(kind_libc6 | *kind) : Kind();
}

int compare_library_names(std::string_view a, std::string_view b) noexcept {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    const bool digit = is_digit(a[i]);
    if (digit != is_digit(b[j])) {
      return digit ? 1 : -1;
    }
    if (digit) {
      const std::int32_t left = take_number(a, i);
      const std::int32_t right = take_number(b, j);
      if (left != right) {
        return left < right ? -1 : 1;
      }
    } else if (a[i] != b[j]) {
      return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]) ? -1 : 1;
    } else {
      ++i;
      ++j;
    }
  }
  if (i == a.size() && j == b.size()) {
    return 0;
  }
  return i < a.size() ? 1 : -1;
}

Result<std::vector<CachedLibrary>> parse_loader_cache(std::string_view bytes,
                                                      std::string_view what) {
  return CacheReader(bytes, what).read();
}

std::string write_loader_cache(std::vector<CachedLibrary> libraries, ByteOrder order) {
  std::stable_sort(libraries.begin(), libraries.end(), is_before);
  return CacheWriter(order).write(libraries);
}

}  // namespace fnimage::elf

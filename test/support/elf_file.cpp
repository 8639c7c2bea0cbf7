#include <cstddef>
#include <map>
#include <string_view>

#include <fnimage/test/elf_file.hpp>

namespace fnimage::test {

namespace {

/// The parts of a file, put together: header, program headers, then everything else, at addresses
/// that are the offsets.
class ElfWriter {
 public:
  explicit ElfWriter(const ElfFile& file) : file_(file), wide_(file.bits == 64) {}

  std::string write() {
    strings_.assign(1, '\0');
    const std::size_t head = (wide_ ? 64U : 52U) + segment_count * (wide_ ? 56U : 32U);
    at_ = head;
    const auto [interpreter, interpreter_size] = put(file_.interpreter + '\0');
    const std::string needs = version_needs();
    const std::string definitions = version_definitions();
    const auto needs_at = put(needs).first;
    const auto definitions_at = put(definitions).first;
    const std::string entries = dynamic_names();
    const auto strings_at = put(strings_).first;
    std::string dynamic = entries;
    dynamic += entry(5, strings_at) + entry(10, strings_.size());
    if (file_.no_default_directories) {
      dynamic += entry(0x6ffffffb, 0x800);
    }
    if (!file_.version_needs.empty()) {
      dynamic += entry(0x6ffffffe, needs_at) + entry(0x6fffffff, file_.version_needs.size());
    }
    if (!file_.versions.empty()) {
      dynamic += entry(0x6ffffffc, definitions_at) + entry(0x6ffffffd, file_.versions.size() + 1);
    }
    dynamic += entry(0, 0);
    const auto [dynamic_at, dynamic_size] = put(dynamic);
    put(file_.padding);
    std::string all = header() + segment(1, 0, at_) +
                      segment(file_.interpreter.empty() ? 0 : 3, interpreter, interpreter_size) +
                      segment(2, dynamic_at, dynamic_size);
    return all + body_;
  }

 private:
  static constexpr std::size_t segment_count = 3;

  std::pair<std::uint64_t, std::uint64_t> put(std::string_view bytes) {
    const std::uint64_t begin = at_;
    body_ += bytes;
    body_.append((8 - body_.size() % 8) % 8, '\0');
    at_ = begin + bytes.size() + (8 - bytes.size() % 8) % 8;
    return {begin, bytes.size()};
  }

  [[nodiscard]] std::string number(std::uint64_t value, std::size_t size) const {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
      bytes[file_.big_endian ? size - 1 - i : i] = static_cast<char>(value >> (8 * i) & 0xff);
    }
    return bytes;
  }
  [[nodiscard]] std::string half(std::uint64_t value) const { return number(value, 2); }
  [[nodiscard]] std::string word(std::uint64_t value) const { return number(value, 4); }
  [[nodiscard]] std::string address(std::uint64_t value) const {
    return number(value, wide_ ? 8 : 4);
  }
  [[nodiscard]] std::string entry(std::uint64_t tag, std::uint64_t value) const {
    return address(tag) + address(value);
  }

  std::uint64_t name(const std::string& text) {
    const std::uint64_t index = strings_.size();
    strings_ += text + '\0';
    return index;
  }

  [[nodiscard]] std::string header() const {
    std::string bytes =
        "\x7f"
        "ELF";
    bytes += static_cast<char>(wide_ ? 2 : 1);
    bytes += static_cast<char>(file_.big_endian ? 2 : 1);
    bytes += '\1';
    bytes.resize(16, '\0');
    bytes += half(file_.type) + half(file_.machine) + word(1) + address(0);
    bytes += address(wide_ ? 64 : 52) + address(0) + word(file_.flags);
    bytes += half(wide_ ? 64 : 52) + half(wide_ ? 56 : 32) + half(segment_count);
    return bytes + half(0) + half(0) + half(0);
  }

  [[nodiscard]] std::string segment(std::uint32_t type, std::uint64_t at,
                                    std::uint64_t size) const {
    std::string bytes = word(type);
    if (wide_) {
      bytes += word(4);
    }
    bytes += address(at) + address(at) + address(at) + address(size) + address(size);
    if (!wide_) {
      bytes += word(4);
    }
    return bytes + address(8);
  }

  std::string dynamic_names() {
    std::string entries;
    for (const std::string& needed : file_.needed) {
      entries += entry(1, name(needed));
    }
    for (const auto& [tag, text] : std::map<std::uint64_t, std::string>{
             {14, file_.soname}, {15, file_.rpath}, {29, file_.runpath}}) {
      if (!text.empty()) {
        entries += entry(tag, name(text));
      }
    }
    return entries;
  }

  std::string version_needs() {
    std::string table;
    for (std::size_t i = 0; i < file_.version_needs.size(); ++i) {
      const auto& [library, versions] = file_.version_needs[i];
      const std::size_t size = 16 * (1 + versions.size());
      table += half(1) + half(versions.size()) + word(name(library)) + word(16) +
               word(i + 1 == file_.version_needs.size() ? 0 : size);
      for (std::size_t v = 0; v < versions.size(); ++v) {
        const bool weak = versions[v].starts_with('?');
        table += word(0) + half(weak ? 2 : 0) + half(v + 2) +
                 word(name(versions[v].substr(weak ? 1 : 0))) +
                 word(v + 1 == versions.size() ? 0 : 16);
      }
    }
    return table;
  }

  std::string version_definitions() {
    if (file_.versions.empty()) {
      return {};
    }
    std::string table = definition(file_.soname, true, false);
    for (std::size_t i = 0; i < file_.versions.size(); ++i) {
      table += definition(file_.versions[i], false, i + 1 == file_.versions.size());
    }
    return table;
  }

  std::string definition(const std::string& text, bool base, bool last) {
    return half(1) + half(base ? 1 : 0) + half(1) + half(1) + word(0) + word(20) +
           word(last ? 0 : 28) + word(name(text)) + word(0);
  }

  const ElfFile& file_;
  bool wide_;
  std::uint64_t at_ = 0;
  std::string body_;
  std::string strings_;
};

}  // namespace

std::string ElfFile::bytes() const {
  return ElfWriter(*this).write();
}

}  // namespace fnimage::test

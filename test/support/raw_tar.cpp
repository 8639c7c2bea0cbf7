// See the header.
#include <algorithm>
#include <utility>

#include <fnimage/test/raw_tar.hpp>

namespace fnimage::test {

namespace {

constexpr std::size_t tar_block = 512;

std::string octal(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (auto digit = text.rbegin(); digit != text.rend() && value > 0; ++digit) {
    *digit = static_cast<char>('0' + value % 8);
    value /= 8;
  }
  return text;
}

void put(std::string& block, std::size_t offset, std::string_view text, std::size_t size) {
  text = text.substr(0, size);
  std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

std::string raw_tar_entry(const RawTarEntry& entry) {
  std::string block(tar_block, '\0');
  put(block, 0, entry.name, 100);
  put(block, 100, octal(entry.mode, 7), 7);
  put(block, 108, octal(0, 7), 7);
  put(block, 116, octal(0, 7), 7);
  put(block, 124, octal(entry.size.value_or(entry.content.size()), 11), 11);
  put(block, 136, octal(1'700'000'000, 11), 11);
  put(block, 148, "        ", 8);
  block[156] = entry.type;
  put(block, 157, entry.link, 100);
  put(block, 257, std::string("ustar\0", 6) + "00", 8);
  std::uint64_t sum = 0;
  for (const char byte : block) {
    sum += static_cast<unsigned char>(byte);
  }
  put(block, 148, octal(sum, 6) + std::string("\0 ", 2), 8);
  block += entry.content;
  block.resize((block.size() + tar_block - 1) / tar_block * tar_block, '\0');
  return block;
}

std::string raw_tar(const std::vector<RawTarEntry>& entries) {
  std::string tar;
  for (const RawTarEntry& entry : entries) {
    tar += raw_tar_entry(entry);
  }
  return tar + std::string(2 * tar_block, '\0');
}

RawTarEntry raw_pax(const std::vector<std::string>& records, char type) {
  std::string text;
  for (const std::string& record : records) {
    std::size_t size = record.size() + 3;
    while (std::to_string(size).size() + record.size() + 2 != size) {
      ++size;
    }
    text += std::to_string(size) + ' ' + record + '\n';
  }
  return {.type = type, .name = "pax", .content = std::move(text)};
}

RawTarEntry raw_long(char type, std::string text) {
  text += '\0';
  return {.type = type, .name = "././@LongLink", .content = std::move(text)};
}

RawTarEntry raw_file(std::string name, std::string content, std::uint32_t mode) {
  return {.name = std::move(name), .content = std::move(content), .mode = mode};
}

RawTarEntry raw_directory(std::string name, std::uint32_t mode) {
  return {.type = '5', .name = std::move(name), .mode = mode};
}

RawTarEntry raw_symlink(std::string name, std::string text) {
  return {.type = '2', .name = std::move(name), .link = std::move(text), .mode = 0777};
}

RawTarEntry raw_hardlink(std::string name, std::string target) {
  return {.type = '1', .name = std::move(name), .link = std::move(target)};
}

std::string raw_ar_member(std::string name, std::string_view data) {
  name.resize(16, ' ');
  std::string size = std::to_string(data.size());
  size.resize(10, ' ');
  std::string member = name + "0           0     0     100644  " + size + "`\n";
  member += data;
  return member + (data.size() % 2 != 0 ? "\n" : "");
}

std::string raw_deb(std::string_view control_tar, std::string_view data_tar,
                    std::string_view data_name) {
  return "!<arch>\n" + raw_ar_member("debian-binary", "2.0\n") +
         raw_ar_member("control.tar", control_tar) +
         raw_ar_member(std::string(data_name), data_tar);
}

}  // namespace fnimage::test

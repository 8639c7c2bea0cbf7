// The loader's cache: bytes, order, kinds, hostile input, and glibc's own ldconfig as the judge.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/elf/loader_cache.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::elf {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t x86_64 = 0x0303;
constexpr const char* machine_cache = "/etc/ld.so.cache";
constexpr const char* ldconfig = "/sbin/ldconfig";

CachedLibrary library(std::string name, const std::string& directory = "/lib",
                      std::uint32_t flags = x86_64, std::string processors = {}) {
  std::string path = directory + "/" + name;
  return {.name = std::move(name),
          .path = std::move(path),
          .flags = flags,
          .processors = std::move(processors)};
}

std::vector<std::string> paths(const std::vector<CachedLibrary>& libraries) {
  std::vector<std::string> result;
  for (const CachedLibrary& one : libraries) {
    result.push_back(one.path);
  }
  return result;
}

std::vector<std::string> paths_in_cache(std::vector<CachedLibrary> libraries) {
  return paths(unwrap(
      parse_loader_cache(write_loader_cache(std::move(libraries), ByteOrder::little), "cache")));
}

// All that a cache can say, in its order.
std::vector<CachedLibrary> variety() {
  return {
      library("libz.so.1", "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2", x86_64, "x86-64-v2"),
      library("libz.so.1", "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3", x86_64, "x86-64-v3"),
      {.name = "libz.so.1", .path = "/lib/tls/libz.so.1", .flags = x86_64, .hwcap = 1ULL << 63U},
      library("libz.so.1", "/lib/x86_64-linux-gnu"),
      library("libz.so.1", "/lib32", 3),
      {.name = "liba.so.1", .path = "/opt/another-name", .flags = x86_64}};
}

TEST(LoaderCache, IsReadAsItWasWritten) {
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
    const std::string bytes = write_loader_cache(variety(), order);
    EXPECT_EQ(unwrap(parse_loader_cache(bytes, "cache")), variety());
  }
  EXPECT_THAT(unwrap(parse_loader_cache(write_loader_cache({}, ByteOrder::big), "cache")),
              IsEmpty());
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  std::string digits;
  for (const char c : hex) {
    if (c != ' ') {
      digits += c;
    }
    if (digits.size() == 2) {
      bytes += static_cast<char>(std::stoi(digits, nullptr, 16));
      digits.clear();
    }
  }
  return bytes;
}

// Written by hand from the format's description.
TEST(LoaderCache, IsTheseBytes) {
  const std::vector<CachedLibrary> libraries{library("liba.so", "/l"),
                                             {.name = "libb.so", .path = "/l/b", .flags = x86_64}};
  const std::string magic = "glibc-ld.so.cache1.1";
  const std::string strings("/l/b\0libb.so\0/l/liba.so\0", 24);
  EXPECT_EQ(
      to_hex(as_bytes(write_loader_cache(libraries, ByteOrder::little))),
      to_hex(as_bytes(magic +
                      from_hex("02000000 18000000 02000000 00000000 00000000 00000000 00000000"
                               "03030000 65000000 60000000 00000000 0000000000000000"
                               "03030000 70000000 6d000000 00000000 0000000000000000") +
                      strings)));
  EXPECT_EQ(
      to_hex(as_bytes(write_loader_cache(libraries, ByteOrder::big))),
      to_hex(as_bytes(magic +
                      from_hex("00000002 00000018 03000000 00000000 00000000 00000000 00000000"
                               "00000303 00000065 00000060 00000000 0000000000000000"
                               "00000303 00000070 0000006d 00000000 0000000000000000") +
                      strings)));
}

TEST(LoaderCache, NamesOfProcessorsAreAnExtension) {
  const std::string bytes =
      write_loader_cache({library("l.so", "/p9", 0x503, "power9")}, ByteOrder::big);
  const std::string expected =
      "glibc-ld.so.cache1.1" +
      from_hex(
          "00000001 00000010 03000000 00000058 00000000 00000000 00000000"
          "00000503 00000053 0000004f 00000000 4000000000000000") +
      std::string("power9\0/p9/l.so\0", 16) +
      from_hex("eaa42174 00000001 00000001 00000000 00000070 00000004 00000048");
  EXPECT_EQ(to_hex(as_bytes(bytes)), to_hex(as_bytes(expected)));
}

TEST(LoaderCache, NumbersInNamesHaveTheirValue) {
  EXPECT_LT(compare_library_names("libfoo.so.9", "libfoo.so.10"), 0);
  EXPECT_GT(compare_library_names("libfoo.so.10", "libfoo.so.9"), 0);
  EXPECT_EQ(compare_library_names("libfoo.so.1", "libfoo.so.01"), 0);
  EXPECT_LT(compare_library_names("libfoo.so", "libfoo.so.1"), 0);
  EXPECT_LT(compare_library_names("libz.so.1", "libz3.so"), 0);
  EXPECT_LT(compare_library_names("lib-a", "lib0a"), 0);
  EXPECT_GT(compare_library_names("lib0", "libz"), 0);
  EXPECT_EQ(compare_library_names("", ""), 0);
  EXPECT_LT(compare_library_names("", "l"), 0);
  EXPECT_EQ(compare_library_names("lib4294967297", "lib1"), 0) << "as the loader's int wraps";
  EXPECT_LT(compare_library_names("lib4294967295", "lib0"), 0);
}

TEST(LoaderCache, IsInTheOrderThatTheLoaderSearches) {
  EXPECT_THAT(
      paths_in_cache({library("libfoo.so.9"), library("libfoo.so.10"), library("libfoo.so"),
                      library("libbar.so.2")}),
      ElementsAre("/lib/libfoo.so.10", "/lib/libfoo.so.9", "/lib/libfoo.so", "/lib/libbar.so.2"));
  // Directories in the order of their configuration, processors before any processor.
  EXPECT_THAT(paths_in_cache({library("l.so", "/b"), library("l.so", "/a"),
                              library("l.so", "/v3", x86_64, "v3"), library("l.so", "/32", 3),
                              library("l.so", "/v2", x86_64, "v2")}),
              ElementsAre("/v2/l.so", "/v3/l.so", "/b/l.so", "/a/l.so", "/32/l.so"));
}

std::optional<std::uint32_t> flags_of(Machine machine, std::uint8_t bits, std::uint32_t flags = 0) {
  return loader_flags({.bits = bits, .machine = machine, .type = 3, .flags = flags});
}

TEST(LoaderCache, KnowsTheKindsOfLibraries) {
  EXPECT_EQ(flags_of(Machine::x86_64, 64), 0x0303U);
  EXPECT_EQ(flags_of(Machine::x86_64, 32), 0x0803U);
  EXPECT_EQ(flags_of(Machine::i386, 32), 0x0003U);
  EXPECT_EQ(flags_of(Machine::aarch64, 64), 0x0a03U);
  EXPECT_EQ(flags_of(Machine::arm, 32, 0x05000400), 0x0903U);
  EXPECT_EQ(flags_of(Machine::arm, 32, 0x05000200), 0x0b03U);
  EXPECT_EQ(flags_of(Machine::arm, 32, 0x05000000), 0x0003U);
  EXPECT_EQ(flags_of(Machine::arm, 32, 0x04000400), 0x0003U);
  EXPECT_EQ(flags_of(Machine::ppc64, 64, 2), 0x0503U);
  EXPECT_EQ(flags_of(Machine::ppc, 32), 0x0003U);
  EXPECT_EQ(flags_of(Machine::s390, 64), 0x0403U);
  EXPECT_EQ(flags_of(Machine::s390, 32), 0x0003U);
  EXPECT_EQ(flags_of(Machine::riscv, 64, 5), 0x1003U);
  EXPECT_EQ(flags_of(Machine::riscv, 64, 1), 0x0f03U);
  EXPECT_EQ(flags_of(Machine::riscv, 64, 2), std::nullopt);
  EXPECT_EQ(flags_of(Machine::loongarch, 64, 0x43), 0x1203U);
  EXPECT_EQ(flags_of(Machine::loongarch, 64, 0x41), 0x1103U);
  EXPECT_EQ(flags_of(Machine::loongarch, 64, 0x42), std::nullopt);
  EXPECT_EQ(flags_of(Machine::mips, 64), 0x0703U);
  EXPECT_EQ(flags_of(Machine::mips, 64, 0x400), 0x0e03U);
  EXPECT_EQ(flags_of(Machine::mips, 32, 0x20), 0x0603U);
  EXPECT_EQ(flags_of(Machine::mips, 32, 0x420), 0x0d03U);
  EXPECT_EQ(flags_of(Machine::mips, 32), 0x0003U);
  EXPECT_EQ(flags_of(Machine::mips, 32, 0x400), 0x0c03U);
  EXPECT_EQ(flags_of(Machine::i386, 64), std::nullopt);
  EXPECT_EQ(flags_of(Machine{2}, 32), std::nullopt);
}

// In front of a cache, as ldconfig before glibc 2.32 wrote both.
std::string with_old_table(const std::string& cache, ByteOrder order) {
  std::string bytes("ld.so-1.7.0\0", 12);
  bytes += order == ByteOrder::little ? from_hex("03000000") : from_hex("00000003");
  bytes += std::string(3 * 12, 'x');
  bytes.resize((bytes.size() + 7) / 8 * 8);
  return bytes + cache;
}

TEST(LoaderCache, IsFoundBehindTheOldTable) {
  const std::vector<CachedLibrary> libraries{library("libz.so.1"), library("liba.so.1")};
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
    std::string cache = write_loader_cache(libraries, order);
    EXPECT_EQ(unwrap(parse_loader_cache(with_old_table(cache, order), "cache")), libraries);
    cache[28] = 0;  // glibc of that time did not say the byte order
    EXPECT_EQ(unwrap(parse_loader_cache(with_old_table(cache, order), "cache")), libraries);
    EXPECT_EQ(unwrap(parse_loader_cache(cache, "cache")), libraries);
  }
  EXPECT_THAT(parse_loader_cache(std::string("ld.so-1.7.0\0\xff\xff\xff\xff", 16), "cache"),
              fails_with(ErrorCode::invalid_input));
}

TEST(LoaderCache, NothingThatIsCutOffIsRead) {
  const std::string bytes = write_loader_cache(variety(), ByteOrder::little);
  ASSERT_THAT(parse_loader_cache(bytes, "cache"), is_ok());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(parse_loader_cache(bytes.substr(0, size), "the image's cache"),
                fails_with(ErrorCode::invalid_input, HasSubstr("the image's cache")))
        << size;
  }
}

TEST(LoaderCache, HostileNumbersAreRefused) {
  const std::string bytes = write_loader_cache(variety(), ByteOrder::little);
  const std::size_t directory = bytes.size() - 32;  // one section, two names
  const std::size_t last_entry = 48 + 5 * 24;
  ASSERT_EQ(bytes.substr(directory, 4), "\x74\x21\xa4\xea");
  struct Change {
    const char* what;
    std::size_t at;
    const char* to;
  };
  for (const Change& change :
       {Change{"entries", 20, "ffffffff"}, Change{"entries", 20, "07000000"},
        Change{"marked invalid", 28, "01"}, Change{"extensions' place", 32, "ffffffff"},
        Change{"extensions' place", 32, "30000000"},
        Change{"name's place", last_entry + 4, "ffffffff"},
        Change{"path's place", last_entry + 8, "ffffff7f"},
        Change{"processors", 48 + 16, "02000000"}, Change{"extensions", directory + 4, "ffffffff"},
        Change{"names' place", directory + 16, "ffffffff"},
        Change{"names' size", directory + 20, "0c000000"},
        Change{"names' size", directory + 20, "00000000"},
        Change{"name of processors", directory + 24, "ffffffff"}, Change{"version", 19, "32"},
        Change{"magic", 0, "00"}}) {
    std::string changed = bytes;
    const std::string to = from_hex(change.to);
    changed.replace(change.at, to.size(), to);
    EXPECT_THAT(parse_loader_cache(changed, "cache"), fails_with(ErrorCode::invalid_input))
        << change.what << " " << change.to;
  }
}

// 100,000 entries that share one long string would be 800 MB.
TEST(LoaderCache, SharedStringsDoNotMultiplyWithoutBound) {
  std::vector<CachedLibrary> libraries;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    libraries.push_back({.name = "l", .path = "l", .flags = i});
  }
  std::string bytes = write_loader_cache(libraries, ByteOrder::little);
  const std::size_t strings = 48 + libraries.size() * 24;
  const std::string place = {static_cast<char>(strings & 0xffU),
                             static_cast<char>((strings >> 8U) & 0xffU),
                             static_cast<char>((strings >> 16U) & 0xffU), 0};
  for (std::size_t entry = 48; entry < strings; entry += 24) {
    bytes.replace(entry + 4, 4, place);
    bytes.replace(entry + 8, 4, place);
  }
  bytes.replace(strings, 4000, std::string(4000, 'l'));
  EXPECT_THAT(parse_loader_cache(bytes, "cache"),
              fails_with(ErrorCode::invalid_input, HasSubstr("too much text")));
}

TEST(LoaderCache, EveryChangeOfAByteIsSurvived) {
  const std::string bytes = write_loader_cache(variety(), ByteOrder::little);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const char to : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
      std::string changed = bytes;
      changed[at] = to;
      static_cast<void>(parse_loader_cache(changed, "cache"));
    }
  }
}

TEST(LoaderCache, ThisMachinesOwnIsInOurOrder) {
  if (!std::filesystem::exists(machine_cache)) {
    GTEST_SKIP() << "there is no " << machine_cache;
  }
  const std::string bytes = unwrap(read_file(machine_cache, std::uint64_t{64} << 20));
  const auto libraries = unwrap(parse_loader_cache(bytes, machine_cache));
  EXPECT_FALSE(libraries.empty());
  EXPECT_EQ(unwrap(parse_loader_cache(write_loader_cache(libraries, ByteOrder::little), "ours")),
            libraries);
}

std::string listing(const std::filesystem::path& cache) {
  const std::string command = std::string(ldconfig) + " -p -C " + cache.string() + " 2>&1";
  struct Close {
    void operator()(FILE* file) const noexcept { static_cast<void>(::pclose(file)); }
  };
  const std::unique_ptr<FILE, Close> pipe(::popen(command.c_str(), "r"));  // NOLINT(cert-env33-c)
  std::string output;
  std::array<char, 4096> buffer{};
  for (std::size_t got = 1; pipe != nullptr && got > 0;) {
    got = std::fread(buffer.data(), 1, buffer.size(), pipe.get());
    output.append(buffer.data(), got);
  }
  return output;
}

TEST(LoaderCache, IsPrintedByLdconfig) {
  if (!std::filesystem::exists(ldconfig)) {
    GTEST_SKIP() << ldconfig << " is not there";
  }
  const std::uint16_t probe = 1;
  const bool is_little = *reinterpret_cast<const unsigned char*>(&probe) == 1;  // NOLINT
  const test::TempDir dir;
  const std::string bytes =
      write_loader_cache(variety(), is_little ? ByteOrder::little : ByteOrder::big);
  const std::string printed = listing(dir.write("cache", bytes));
  EXPECT_EQ(printed.substr(printed.find('\n') + 1),
            "\tlibz.so.1 (libc6,x86-64, hwcap: \"x86-64-v2\") => "
            "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2/libz.so.1\n"
            "\tlibz.so.1 (libc6,x86-64, hwcap: \"x86-64-v3\") => "
            "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1\n"
            "\tlibz.so.1 (libc6,x86-64, hwcap: 0x8000000000000000) => /lib/tls/libz.so.1\n"
            "\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1\n"
            "\tlibz.so.1 (libc6) => /lib32/libz.so.1\n"
            "\tliba.so.1 (libc6,x86-64) => /opt/another-name\n");
  EXPECT_THAT(printed, HasSubstr("6 libs found in cache"));
}

}  // namespace
}  // namespace fnimage::elf

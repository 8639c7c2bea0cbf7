// Hex, base64 (RFC 4648 test vectors) and sizes.
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage {
namespace {

TEST(Bytes, Hex) {
  EXPECT_EQ(to_hex(as_bytes(std::string_view("\x00\x0f\xf0\xff", 4))), "000ff0ff");
  EXPECT_EQ(to_hex({}), "");
}

struct Vector {
  std::string_view plain;
  std::string_view encoded;
};
constexpr Vector rfc4648[] = {{"", ""},
                              {"f", "Zg=="},
                              {"fo", "Zm8="},
                              {"foo", "Zm9v"},
                              {"foob", "Zm9vYg=="},
                              {"fooba", "Zm9vYmE="},
                              {"foobar", "Zm9vYmFy"}};

TEST(Bytes, Base64Vectors) {
  for (const Vector& vector : rfc4648) {
    EXPECT_EQ(to_base64(as_bytes(vector.plain)), vector.encoded);
    EXPECT_EQ(test::unwrap(from_base64(vector.encoded)), vector.plain);
    const std::string_view unpadded = vector.encoded.substr(0, vector.encoded.find('='));
    EXPECT_EQ(test::unwrap(from_base64(unpadded)), vector.plain);
  }
  EXPECT_EQ(test::unwrap(from_base64(" Zm9v\r\nYmFy\t")), "foobar");
}

TEST(Bytes, Base64RoundTripOfAllBytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
  }
  EXPECT_EQ(test::unwrap(from_base64(to_base64(as_bytes(all)))), all);
}

TEST(Bytes, Base64RefusesWhatIsNot) {
  for (const char* bad : {"Z", "Zg=", "Zg===", "Z===", "Zg==Zg==", "Zm9v!", "Zm_v", "=", "Zm9v="}) {
    EXPECT_THAT(from_base64(bad), test::fails_with(ErrorCode::invalid_input)) << bad;
  }
}

TEST(Bytes, HumanSize) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1024), "1.0 KiB");
  EXPECT_EQ(human_size(1536 * 1024), "1.5 MiB");
  EXPECT_EQ(human_size(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(human_size(std::numeric_limits<std::uint64_t>::max()), "16.0 EiB");
}

}  // namespace
}  // namespace fnimage

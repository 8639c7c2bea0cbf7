// Digests (V2, A12) and the reader that verifies (C7, C8).
#include <string>
#include <unordered_set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/digest.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::manifest {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

constexpr std::string_view abc_sha256 =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view abc_sha512 =
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

TEST(Digest, PublishedTestVectors) {
  EXPECT_EQ(Digest::of("abc").str(), abc_sha256);
  EXPECT_EQ(Digest::of("").str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Hasher hasher(Hasher::Algorithm::sha512);
  hasher.update(as_bytes("a"));
  hasher.update(as_bytes("bc"));
  EXPECT_EQ(hasher.finish().str(), abc_sha512);
}

TEST(Digest, ParsesBothAlgorithms) {
  const Digest digest = unwrap(Digest::parse(abc_sha256));
  EXPECT_EQ(digest.algorithm(), "sha256");
  EXPECT_EQ(digest.hex(), abc_sha256.substr(7));
  EXPECT_EQ(unwrap(Digest::parse(abc_sha512)).algorithm(), "sha512");
  EXPECT_EQ((std::unordered_set<Digest>{digest, Digest::of("abc")}.size()), 1U);
}

TEST(Digest, RefusesEverythingElse) {
  const std::string hex(abc_sha256.substr(7));
  std::string upper = hex;
  upper[0] = 'B';
  const std::string bad[] = {"",
                             "sha256",
                             "sha256:",
                             hex,
                             "sha256:" + upper,
                             "SHA256:" + hex,
                             "sha256:" + hex + "0",
                             "sha256:" + hex.substr(1),
                             "sha512:" + hex,
                             "sha1:" + hex.substr(0, 40),
                             "md5:" + hex,
                             "blake3:" + hex,
                             " sha256:" + hex,
                             "sha256:" + hex + " ",
                             "sha256:" + hex + "\n",
                             "sha256:../../../../etc/passwd",
                             "sha256:" + hex.substr(0, 61) + "/..",
                             "sha256:" + std::string(64, '.'),
                             "sha256:" + hex.substr(0, 63) + std::string(1, '\0'),
                             "sha256+b64:" + hex,
                             std::string(100'000, 'a')};
  for (const std::string& text : bad) {
    const auto result = Digest::parse(text);
    EXPECT_THAT(result, fails_with(ErrorCode::invalid_input)) << text.substr(0, 100);
    if (!result) {
      EXPECT_LT(result.error().message().size(), 400U);
    }
  }
}

/// Gives its text in pieces, as a network does.
class Trickle final : public Reader {
 public:
  Trickle(std::string text, std::size_t piece) : text_(std::move(text)), piece_(piece) {}
  Result<std::size_t> read(MutableBytes buffer) override {
    const std::size_t count = std::min({piece_, buffer.size(), text_.size() - at_});
    std::copy_n(as_bytes(text_).begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }

 private:
  std::string text_;
  std::size_t piece_;
  std::size_t at_ = 0;
};

Result<std::string> read_verified(const std::string& sent, std::string_view expected,
                                  std::uint64_t size, std::size_t piece = 3) {
  const auto reader =
      verifying_reader(std::make_unique<Trickle>(sent, piece), Digest::of(expected), size, "blob");
  return read_all(*reader, 1000);
}

TEST(VerifyingReader, PassesWhatIsRight) {
  EXPECT_EQ(unwrap(read_verified("hello world", "hello world", 11)), "hello world");
  EXPECT_EQ(unwrap(read_verified("", "", 0)), "");
}

TEST(VerifyingReader, RefusesShortLongAndOther) {
  EXPECT_THAT(read_verified("hello", "hello world", 11),
              fails_with(ErrorCode::verification, HasSubstr("5 of 11")));
  EXPECT_THAT(read_verified("hello world!", "hello world", 11),
              fails_with(ErrorCode::verification, HasSubstr("longer")));
  EXPECT_THAT(read_verified("hello_world", "hello world", 11),
              fails_with(ErrorCode::verification, HasSubstr("has digest")));
  EXPECT_THAT(read_verified("x", "", 0), fails_with(ErrorCode::verification));
  EXPECT_THAT(read_verified("", "x", 0), fails_with(ErrorCode::verification));
}

TEST(VerifyingReader, HoldsTheLastBytesBackUntilTheDigestIsRight) {
  const auto reader =
      verifying_reader(std::make_unique<Trickle>("abX", 3), Digest::of("abc"), 3, "blob");
  std::array<std::byte, 3> buffer{};
  EXPECT_THAT(reader->read(buffer), fails_with(ErrorCode::verification));
}

TEST(VerifyingReader, VerifiesSha512Too) {
  const auto reader = verifying_reader(std::make_unique<Trickle>("abc", 1),
                                       unwrap(Digest::parse(abc_sha512)), 3, "blob");
  EXPECT_EQ(unwrap(read_all(*reader, 10)), "abc");
}

}  // namespace
}  // namespace fnimage::manifest

// Quantities: what Kubernetes' own quantity_test.go holds for valid and invalid, in whole units.
#include <fnimage/node/quantity.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::node {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

TEST(Quantity, KnowsEverySuffix) {
  const std::vector<std::pair<std::string, std::uint64_t>> values{
      {"4", 4},
      {"0", 0},
      {"+7", 7},
      {"128974848", 128974848},
      {"1e3", 1000},
      {"1E3", 1000},
      {"12e+2", 1200},
      {"1200e-2", 12},
      {"1.5e1", 15},
      {"1k", 1000},
      {"5M", 5'000'000},
      {"2G", 2'000'000'000},
      {"3T", 3'000'000'000'000},
      {"1P", 1'000'000'000'000'000},
      {"1E", 1'000'000'000'000'000'000},
      {"1Ki", 1024},
      {"16Gi", std::uint64_t{16} << 30},
      {"2.5Gi", std::uint64_t{5} << 29},
      {".5Mi", 524288},
      {"5.", 5},
      {"3Ti", std::uint64_t{3} << 40},
      {"2Pi", std::uint64_t{2} << 50},
      {"7Ei", std::uint64_t{7} << 60},
      {"65586508Ki", std::uint64_t{65586508} << 10},
  };
  for (const auto& [text, value] : values) {
    EXPECT_EQ(unwrap(parse_quantity(text)), value) << text;
  }
}

TEST(Quantity, CountsPartsOfAUnitAndRoundsUp) {
  EXPECT_EQ(unwrap(parse_quantity("500m", 1000)), 500U);
  EXPECT_EQ(unwrap(parse_quantity("4", 1000)), 4000U);
  EXPECT_EQ(unwrap(parse_quantity("0.1", 1000)), 100U);
  EXPECT_EQ(unwrap(parse_quantity("3920m", 1000)), 3920U);
  EXPECT_EQ(unwrap(parse_quantity("1500m")), 2U);
  EXPECT_EQ(unwrap(parse_quantity("1n", 1000)), 1U);
  EXPECT_EQ(unwrap(parse_quantity("100u", 1000)), 1U);
  EXPECT_EQ(unwrap(parse_quantity("0.0000001")), 1U);
  EXPECT_EQ(unwrap(parse_quantity("0n")), 0U);
}

TEST(Quantity, RefusesWhatIsNone) {
  for (const std::string text :
       {"",    " ",    "m",    ".",         "1.2.3", "1 Gi",  "1gi",   "1KI",
        "1K",  "four", "0x10", "1e",        "1e+",   "1e+-2", "1e1.5", "1e99999999999",
        "--1", "1Gi ", "1Mii", "\x1b[31m1", "1e61"}) {
    EXPECT_THAT(parse_quantity(text), fails_with(ErrorCode::invalid_input)) << text;
  }
  EXPECT_THAT(parse_quantity("-1"), fails_with(ErrorCode::invalid_input, HasSubstr("negative")));
}

TEST(Quantity, RefusesWhatDoesNotFit) {
  EXPECT_EQ(unwrap(parse_quantity("9223372036854775807")), 9223372036854775807U);
  EXPECT_THAT(parse_quantity("9223372036854775808"),
              fails_with(ErrorCode::invalid_input, HasSubstr("too large")));
  EXPECT_THAT(parse_quantity("8Ei"), fails_with(ErrorCode::invalid_input, HasSubstr("too large")));
  EXPECT_THAT(parse_quantity("1e60", 1000), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(parse_quantity(std::string(1000, '9')), fails_with(ErrorCode::invalid_input));
}

TEST(Quantity, HasAShortestText) {
  const std::vector<std::pair<std::uint64_t, std::string>> texts{
      {0, "0"},
      {1, "1"},
      {999, "999"},
      {1000, "1k"},
      {1024, "1Ki"},
      {1500, "1500"},
      {16'000'000, "16M"},
      {std::uint64_t{16} << 30, "16Gi"},
      {std::uint64_t{5} << 29, "2560Mi"},
      {(std::uint64_t{16} << 30) + 1, "17179869185"},
      {1'024'000, "1024k"},
      {10'240'000, "10240k"},
      {10'000 * std::uint64_t{1024}, "10240k"},
      {std::uint64_t{7} << 60, "7Ei"},
      {9223372036854775807U, "9223372036854775807"}};
  for (const auto& [value, text] : texts) {
    EXPECT_EQ(quantity_text(value), text);
    EXPECT_EQ(unwrap(parse_quantity(text)), value);
  }
  EXPECT_EQ(millis_text(4000), "4");
  EXPECT_EQ(millis_text(500), "500m");
  EXPECT_EQ(millis_text(0), "0");
  EXPECT_EQ(millis_text(2'000'000), "2k");
}

}  // namespace
}  // namespace fnimage::node

// Error values: exit codes are a contract, and errno must end in the right class.
#include <cerrno>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/error.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage {
namespace {

using ::testing::HasSubstr;

struct Contract {
  ErrorCode code;
  const char* name;
  int exit;
};

constexpr Contract contract[] = {
    {ErrorCode::invalid_argument, "invalid_argument", 2},
    {ErrorCode::invalid_input, "invalid_input", 3},
    {ErrorCode::not_found, "not_found", 4},
    {ErrorCode::already_exists, "already_exists", 5},
    {ErrorCode::permission_denied, "permission_denied", 6},
    {ErrorCode::unauthorized, "unauthorized", 7},
    {ErrorCode::unavailable, "unavailable", 8},
    {ErrorCode::tls, "tls", 9},
    {ErrorCode::protocol, "protocol", 10},
    {ErrorCode::rate_limited, "rate_limited", 11},
    {ErrorCode::verification, "verification", 12},
    {ErrorCode::platform_mismatch, "platform_mismatch", 13},
    {ErrorCode::no_space, "no_space", 14},
    {ErrorCode::unsupported, "unsupported", 15},
    {ErrorCode::io, "io", 16},
    {ErrorCode::cancelled, "cancelled", 130},
    {ErrorCode::internal, "internal", 1},
};

TEST(ErrorCode, NamesAndExitCodesAreTheContract) {
  std::set<int> exits;
  for (const Contract& row : contract) {
    EXPECT_EQ(to_string(row.code), row.name);
    EXPECT_EQ(exit_code(row.code), row.exit);
    EXPECT_TRUE(exits.insert(row.exit).second) << row.exit << " is used twice";
  }
  EXPECT_EQ(exits.size(), static_cast<std::size_t>(ErrorCode::internal) + 1);
}

TEST(Error, DescribesOutermostFirst) {
  const Error error = Error(ErrorCode::not_found, "no such tag")
                          .while_doing("read manifest")
                          .while_doing("push serverless:30501/action:latest");
  EXPECT_EQ(error.describe(), "push serverless:30501/action:latest: read manifest: no such tag");
}

TEST(Error, KeepsTheHintNearestToTheCause) {
  const Error error = Error(ErrorCode::io, "m").with_hint("").with_hint("near").with_hint("far");
  EXPECT_EQ(error.hint(), "near");
}

TEST(Error, CarriesRetryabilityAndStatus) {
  const Error error = Error(ErrorCode::unavailable, "m").retryable().with_http_status(503);
  EXPECT_TRUE(error.is_retryable());
  EXPECT_EQ(error.http_status(), 503);
  EXPECT_FALSE(Error(ErrorCode::io, "m").is_retryable());
}

TEST(Error, ErrnoBecomesClassMessageAndHint) {
  const Error missing = error_from_errno(ENOENT, "open /no/such");
  EXPECT_EQ(missing.code(), ErrorCode::not_found);
  EXPECT_THAT(missing.message(), HasSubstr("open /no/such"));
  EXPECT_FALSE(missing.hint().empty());
  EXPECT_EQ(error_from_errno(EACCES, "x").code(), ErrorCode::permission_denied);
  EXPECT_EQ(error_from_errno(ENOSPC, "x").code(), ErrorCode::no_space);
  EXPECT_EQ(error_from_errno(EDQUOT, "x").code(), ErrorCode::no_space);
  EXPECT_EQ(error_from_errno(EIO, "x").code(), ErrorCode::io);
}

Result<int> twice(Result<int> input) {
  FNIMAGE_TRY(const int value, std::move(input));
  return value * 2;
}

Result<void> checked(Result<int> input) {
  FNIMAGE_CHECK(std::move(input));
  return {};
}

TEST(Result, TryPassesValuesAndErrors) {
  EXPECT_EQ(test::unwrap(twice(21)), 42);
  EXPECT_THAT(twice(fail(ErrorCode::tls, "bad")), test::fails_with(ErrorCode::tls, "bad"));
  EXPECT_THAT(checked(1), test::is_ok());
  EXPECT_THAT(checked(fail(ErrorCode::tls, "bad")), test::fails_with(ErrorCode::tls));
}

}  // namespace
}  // namespace fnimage

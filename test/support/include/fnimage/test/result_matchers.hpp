// Matchers and printing for Result<T>:
//   EXPECT_THAT(parse("x"), is_ok());
//   EXPECT_THAT(parse("?"), fails_with(ErrorCode::invalid_input));
//   EXPECT_THAT(parse("?"), fails_with(ErrorCode::invalid_input, HasSubstr("line 3")));
//   const Digest digest = unwrap(Digest::parse(text));
#pragma once

#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/result.hpp>

namespace fnimage {

// In the namespace of Error, where googletest looks for them.
void PrintTo(const Error& error, std::ostream* out);  // NOLINT(readability-identifier-naming)

template <class T>
void PrintTo(const Result<T>& result, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  if (result) {
    *out << "a value";
  } else {
    PrintTo(result.error(), out);
  }
}

}  // namespace fnimage

namespace fnimage::test {

/// The value, or a failed test that shows the error (thrown, which googletest reports and
/// survives).
template <class T>
T unwrap(Result<T> result) {
  if (!result) {
    throw std::runtime_error(::testing::PrintToString(result.error()));
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

MATCHER(is_ok, negation ? "fails" : "succeeds") {
  if (!arg) {
    *result_listener << "which is " << ::testing::PrintToString(arg.error());
  }
  return arg.has_value();
}

MATCHER_P(fails_with, code, "fails with " + std::string(to_string(code))) {
  return !arg.has_value() && arg.error().code() == code;
}

/// @param message a string or a matcher of Error::describe().
MATCHER_P2(fails_with, code, message,
           "fails with " + std::string(to_string(code)) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message)) {
  return !arg.has_value() && arg.error().code() == code &&
         ::testing::ExplainMatchResult(message, arg.error().describe(), result_listener);
}

}  // namespace fnimage::test

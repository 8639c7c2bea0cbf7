// The one alias for "a value or an Error", and the two macros that pass errors up. Written over
// tl::expected because Debian 12's compilers have no std::expected in C++20; swapping it later is a
// change to this file.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

#include <fnimage/base/error.hpp>

namespace fnimage {

/// A value of type T, or the Error that says why there is none.
template <class T>
using Result = tl::expected<T, Error>;

/// `return fail(ErrorCode::not_found, "no such tag");`
inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error(code, std::move(message)).with_hint(std::move(hint)));
}

/// `return fail(std::move(error).while_doing("…"));`
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace fnimage

#define FNIMAGE_CONCAT_IMPL(a, b) a##b
#define FNIMAGE_CONCAT(a, b) FNIMAGE_CONCAT_IMPL(a, b)

// A declaration cannot stand in parentheses, so the macro check is off for it.
// NOLINTBEGIN(bugprone-macro-parentheses)

/// FNIMAGE_TRY(auto value, expression); binds the value or returns the error from the enclosing
/// function.
#define FNIMAGE_TRY(declaration, expression)                                           \
  auto FNIMAGE_CONCAT(fnimage_try_, __LINE__) = (expression);                          \
  if (!FNIMAGE_CONCAT(fnimage_try_, __LINE__)) {                                       \
    return ::fnimage::fail(std::move(FNIMAGE_CONCAT(fnimage_try_, __LINE__)).error()); \
  }                                                                                    \
  declaration = std::move(*FNIMAGE_CONCAT(fnimage_try_, __LINE__))

// NOLINTEND(bugprone-macro-parentheses)

/// FNIMAGE_CHECK(expression); returns the error of a Result, dropping its value.
#define FNIMAGE_CHECK(expression)                               \
  do {                                                          \
    if (auto fnimage_check = (expression); !fnimage_check) {    \
      return ::fnimage::fail(std::move(fnimage_check).error()); \
    }                                                           \
  } while (false)

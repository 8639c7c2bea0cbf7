// The border that no exception crosses: what the libraries below throw, or the standard library for
// want of memory or threads, becomes an Error. Thread-safety: a pure function.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include <fnimage/base/result.hpp>

namespace fnimage {

/// What `work` returns, which is some Result; an exception is an internal error.
template <class Work>
std::invoke_result_t<Work> caught(Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::internal, "out of memory", "give the process more memory");
  } catch (const std::exception& exception) {
    return fail(ErrorCode::internal, std::string("unexpected exception: ") + exception.what());
  }
}

}  // namespace fnimage

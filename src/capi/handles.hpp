// What stands behind the handles of fnimage.h, and the border itself: how results and errors get
// out. Private to capi. Thread-safety: as fnimage.h says of each.
#pragma once

#include <memory>
#include <new>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <fnimage.h>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/build/environment.hpp>

/// Texts are kept as they are handed out.
struct fnimage_error {
  int code;
  std::string name;
  std::string message;
  std::string hint;
  bool is_retryable;
  int http_status;
};

struct fnimage_cancel {
  std::stop_source source;
};

namespace fnimage::capi {

/// What a context has made of its options; shared with what is made from the context.
struct ContextState {
  std::unique_ptr<Diagnostics> events{};  ///< null = nobody is told
  build::EnvironmentOptions options{};    ///< of every job; without its stop token

  [[nodiscard]] Diagnostics& diagnostics() const { return events ? *events : null_diagnostics(); }
};

}  // namespace fnimage::capi

struct fnimage_context {
  std::shared_ptr<const fnimage::capi::ContextState> state;
};

namespace fnimage::capi {

/// Stores the error where the caller wants it; without memory a static one. Returns its class.
int deliver(const Error& error, fnimage_error** out) noexcept;
/// The same for want of memory, and for an exception that nobody expected.
int deliver_no_memory(fnimage_error** out) noexcept;
int deliver_unexpected(const char* what, fnimage_error** out) noexcept;

/// A text for the caller, who frees it. Error: internal without memory.
Result<char*> copied(std::string_view text);

/// Error: invalid_argument that names the parameter.
Result<void> require_given(const void* argument, std::string_view name);

std::stop_token token_of(const fnimage_cancel* cancel);

/// Runs `work`, a function that returns Result<void>, and turns whatever comes out into a status.
template <class Work>
int at_border(fnimage_error** error, const Work& work) noexcept {
  if (error != nullptr) {
    *error = nullptr;
  }
  try {
    const Result<void> result = work();
    return result ? FNIMAGE_OK : deliver(result.error(), error);
  } catch (const std::bad_alloc&) {
    return deliver_no_memory(error);
  } catch (const std::exception& exception) {
    return deliver_unexpected(exception.what(), error);
  } catch (...) {
    return deliver_unexpected("of unknown type", error);
  }
}

/// The same for work that returns a Result<std::string> for the caller.
template <class Work>
int text_at_border(char** text, fnimage_error** error, const Work& work) noexcept {
  if (text != nullptr) {
    *text = nullptr;
  }
  return at_border(error, [&]() -> Result<void> {
    FNIMAGE_TRY(const std::string result, work());
    if (text != nullptr) {
      FNIMAGE_TRY(*text, copied(result));
    }
    return {};
  });
}

/// The same for work that returns a Result<std::unique_ptr<Handle>>.
template <class Handle, class Work>
int handle_at_border(Handle** handle, fnimage_error** error, const Work& work) noexcept {
  if (handle != nullptr) {
    *handle = nullptr;
  }
  return at_border(error, [&]() -> Result<void> {
    FNIMAGE_CHECK(require_given(handle, "the place for the new object"));
    FNIMAGE_TRY(std::unique_ptr<Handle> made, work());
    *handle = made.release();
    return {};
  });
}

}  // namespace fnimage::capi

// See handles.hpp; the functions of fnimage.h about errors, strings, cancelling and versions.
#include "handles.hpp"

#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace fnimage::capi {

namespace {

/// What is handed out when there is no memory for anything else; never freed. Not constexpr: the
/// interface gives it out by a pointer to what is not const, and nothing changes it.
fnimage_error* no_memory() noexcept {
  // Short texts need no allocation.
  static fnimage_error error{FNIMAGE_ERROR_INTERNAL, "internal", "out of memory", "", false, 0};
  return &error;
}

}  // namespace

int deliver_no_memory(fnimage_error** out) noexcept {
  if (out != nullptr) {
    *out = no_memory();
  }
  return FNIMAGE_ERROR_INTERNAL;
}

int deliver(const Error& error, fnimage_error** out) noexcept {
  const int code = exit_code(error.code());
  if (out == nullptr) {
    return code;
  }
  try {
    *out = new fnimage_error{code,
                             std::string(to_string(error.code())),
                             error.describe(),
                             error.hint(),
                             error.is_retryable(),
                             error.http_status()};
  } catch (...) {
    return deliver_no_memory(out);  // the status is that of the error which the caller gets
  }
  return code;
}

int deliver_unexpected(const char* what, fnimage_error** out) noexcept {
  try {
    return deliver(Error(ErrorCode::internal, fmt::format("unexpected exception: {}", what)), out);
  } catch (...) {
    return deliver_no_memory(out);
  }
}

Result<char*> copied(std::string_view text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) {
    return fail(ErrorCode::internal, "out of memory");
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

Result<void> require_given(const void* argument, std::string_view name) {
  return argument != nullptr ? Result<void>()
                             : fail(ErrorCode::invalid_argument, fmt::format("{} is null", name),
                                    "see fnimage.h for what this function takes");
}

std::stop_token token_of(const fnimage_cancel* cancel) {
  return cancel == nullptr ? std::stop_token() : cancel->source.get_token();
}

}  // namespace fnimage::capi

int fnimage_abi_version() {
  return FNIMAGE_ABI_VERSION;
}

const char* fnimage_version() {
  return FNIMAGE_VERSION;
}

void fnimage_string_free(char* text) {
  std::free(text);
}

int fnimage_error_code(const fnimage_error* error) {
  return error == nullptr ? FNIMAGE_OK : error->code;
}

const char* fnimage_error_name(const fnimage_error* error) {
  return error == nullptr ? "ok" : error->name.c_str();
}

const char* fnimage_error_message(const fnimage_error* error) {
  return error == nullptr ? "" : error->message.c_str();
}

const char* fnimage_error_hint(const fnimage_error* error) {
  return error == nullptr ? "" : error->hint.c_str();
}

int fnimage_error_is_retryable(const fnimage_error* error) {
  return error != nullptr && error->is_retryable ? 1 : 0;
}

int fnimage_error_http_status(const fnimage_error* error) {
  return error == nullptr ? 0 : error->http_status;
}

void fnimage_error_free(fnimage_error* error) {
  if (error != fnimage::capi::no_memory()) {
    delete error;
  }
}

fnimage_cancel* fnimage_cancel_new() {
  try {
    return new fnimage_cancel();
  } catch (...) {
    return nullptr;
  }
}

void fnimage_cancel_request(fnimage_cancel* cancel) {
  if (cancel != nullptr) {
    cancel->source.request_stop();
  }
}

int fnimage_cancel_is_requested(const fnimage_cancel* cancel) {
  return cancel != nullptr && cancel->source.stop_requested() ? 1 : 0;
}

void fnimage_cancel_free(fnimage_cancel* cancel) {
  delete cancel;
}

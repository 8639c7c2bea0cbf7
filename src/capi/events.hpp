// Diagnostics for a callback of C. Private to capi. Thread-safety: calls come from any thread, and
// reach the callback one after the other.
#pragma once

#include <memory>

#include <fnimage.h>

#include <fnimage/base/diagnostics.hpp>

namespace fnimage::capi {

/// @param callback must not be null.
std::unique_ptr<Diagnostics> callback_diagnostics(fnimage_event_callback callback, void* user_data);

}  // namespace fnimage::capi

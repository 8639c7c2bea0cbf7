// How the end of a failed transfer becomes an Error: class, words and way out (reliability F1, F17,
// F33). Thread-safety: a pure function.
#pragma once

#include <string_view>

#include <fnimage/base/error.hpp>

#include "curl_transfer.hpp"

namespace fnimage::registry {

/// @param method, url name the request; the URL is redacted here.
Error transfer_error(const TransferEnd& end, std::string_view method, std::string_view url,
                     const TlsOptions& tls);

}  // namespace fnimage::registry

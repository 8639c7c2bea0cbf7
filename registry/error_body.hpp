// Error answers of registries and token servers: distribution-spec "Error Codes" (C29), and
// whatever else a proxy puts in the way (F34). Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include <fnimage/base/error.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

/// "CODE: message; CODE: message" of errors[], else the beginning of the body; safe for a terminal.
std::string error_text(const HttpResponse& response);

/// True when errors[] holds this code.
bool has_error_code(const HttpResponse& response, std::string_view code);

/// True when a manifest was refused because the registry does not find what it names.
bool is_content_unknown(const HttpResponse& response);

/// The error that an answer means. @param url names the request; it is redacted here.
Error response_error(const HttpResponse& response, std::string_view method, std::string_view url);

}  // namespace fnimage::registry

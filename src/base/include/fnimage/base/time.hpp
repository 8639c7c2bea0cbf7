// Times as text. Thread-safety: a pure function.
#pragma once

#include <cstdint>
#include <string>

namespace fnimage {

/// A time as RFC 3339 writes it: "1970-01-01T00:00:00Z".
/// @param seconds since 1970, at most those of the year 9999
std::string rfc3339(std::int64_t seconds);

}  // namespace fnimage

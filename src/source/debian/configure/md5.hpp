// MD5, as dpkg and ucf name what they have installed. Thread-safety: pure function.
#pragma once

#include <string>
#include <string_view>

namespace fnimage::source::debian {

/// In hexadecimal; empty when the library refuses to compute it.
std::string md5_of(std::string_view text);

}  // namespace fnimage::source::debian

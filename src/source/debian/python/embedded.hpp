// The script that runs in the interpreter, compiled in.
#pragma once

#include <string_view>

namespace fnimage::source::debian {

extern const std::string_view python_compile;

}  // namespace fnimage::source::debian

// The files of the runtimes as they are compiled into the library (cmake/EmbedFile.cmake).
#pragma once

#include <string_view>

namespace fnimage::runtime {

extern const std::string_view python_action_proxy;  ///< python/action_proxy.py

}  // namespace fnimage::runtime

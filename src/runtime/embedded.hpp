// The files of the runtimes as they are compiled into the library (cmake/EmbedFile.cmake).
#pragma once

#include <string_view>

namespace fnimage::runtime {

extern const std::string_view action_proxy_py;   ///< proxy/action_proxy.py
extern const std::string_view python_action_py;  ///< python/python_action.py
extern const std::string_view exec_action_py;    ///< exec/exec_action.py
extern const std::string_view action_proxy_js;   ///< nodejs/action_proxy.js

}  // namespace fnimage::runtime

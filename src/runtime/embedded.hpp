// The files of the runtimes as they are compiled into the library (cmake/EmbedFile.cmake).
#pragma once

#include <string_view>

namespace fnimage::runtime {

extern const std::string_view action_proxy_py;   ///< proxy/action_proxy.py
extern const std::string_view python_action_py;  ///< python/python_action.py
extern const std::string_view exec_action_py;    ///< exec/exec_action.py
extern const std::string_view action_proxy_js;   ///< nodejs/action_proxy.js
extern const std::string_view notebook_action_py;
extern const std::string_view notebook_cells_py;
extern const std::string_view notebook_compiled_py;
extern const std::string_view notebook_kernel_py;
extern const std::string_view notebook_parameters_py;
extern const std::string_view notebook_results_py;
extern const std::string_view notebook_run_py;

}  // namespace fnimage::runtime

// The exec runtime. The contract is served by Python (see python.cpp), which is on every
// architecture and needs no compiler for it; the executable may be in any language.
#include "exec.hpp"

#include "action_files.hpp"
#include "embedded.hpp"

namespace fnimage::runtime {

Result<Runtime> make_exec(const Request& request) {
  return make_python_action(request, {{"exec_action.py", exec_action_py}});
}

Starter exec_starter() {
  return {.file_name = "handler.sh",
          .text = R"sh(#!/bin/sh
# Started for each activation with its parameters as JSON on standard input. The last line that it
# prints is the result, a JSON object or array; what it prints before goes to the log.
echo "parameters: $(cat)"
echo "{\"machine\": \"$(uname -m)\"}"
)sh",
          .executable = true,
          .debian_packages = {"coreutils", "dash"}};
}

}  // namespace fnimage::runtime

// The python runtime. What python_action.py and action_proxy.py need of the image is stated at
// their tops: any Python from 3.9 with its standard library, and the variables set here.
#include "python.hpp"

#include <fmt/format.h>

#include "action_files.hpp"
#include "embedded.hpp"

namespace fnimage::runtime {

Result<Runtime> make_python(const Request& request) {
  if (!request.main.ends_with(".py")) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("source.main \"{}\" is not a Python source file (.py)", request.main),
                "name the file that has `def main(args)`, or choose another runtime");
  }
  return make_python_action(request, {{"python_action.py", python_action_py}});
}

Starter python_starter() {
  return {.file_name = "handler.py", .text = R"(import os


def main(args):
    """Called with the parameters of each activation; returns a dictionary or a list."""
    name = args.get("name", "stranger")
    return {"greeting": f"Hello, {name}!", "machine": os.uname().machine}
)"};
}

}  // namespace fnimage::runtime

// The python runtime. What the proxy needs of the image is stated at the top of
// python/action_proxy.py: any Python from 3.9 with its standard library, and the environment
// variables set here. The interpreter is named without a directory, since Debian's is in /usr/bin
// and the one of a python:3 base image in /usr/local/bin; every container runtime looks it up in
// the image's PATH.
#include "python.hpp"

#include <fmt/format.h>

#include "embedded.hpp"

namespace fnimage::runtime {

namespace {

constexpr std::string_view proxy_path = "usr/lib/fnimage/action_proxy.py";

}  // namespace

Result<Runtime> make_python(const Request& request) {
  if (!request.main.ends_with(".py")) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("source.main \"{}\" is not a Python source file (.py)", request.main),
                "name the file that has `def main(args)`, or choose another runtime");
  }
  Runtime runtime;
  runtime.debian_packages = {"python3-minimal", "libpython3-stdlib"};
  for (const std::string_view directory : {"usr", "usr/lib", "usr/lib/fnimage"}) {
    FNIMAGE_CHECK(runtime.files.add({.path = std::string(directory),
                                     .type = layer::EntryType::directory,
                                     .mode = 0755,
                                     .mtime = request.mtime}));
  }
  FNIMAGE_CHECK(runtime.files.add(
      {.path = std::string(proxy_path),
       .mode = 0644,
       .mtime = request.mtime,
       .content = memory_content(std::string(python_action_proxy),
                                 manifest::Digest::of(python_action_proxy).str())}));
  runtime.entrypoint = {"python3", fmt::format("/{}", proxy_path)};
  runtime.env = {{"FNIMAGE_ACTION_MAIN", fmt::format("{}/{}", action_directory, request.main)}};
  runtime.exposed_ports = {"8080/tcp"};
  return runtime;
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

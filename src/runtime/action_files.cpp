// See the header.
#include "action_files.hpp"

#include <fmt/format.h>

#include "embedded.hpp"

namespace fnimage::runtime {

Result<Runtime> make_action(const Request& request, std::string_view interpreter,
                            const std::vector<ActionFile>& files) {
  Runtime runtime;
  for (const std::string_view directory : {"usr", "usr/lib", "usr/lib/fnimage"}) {
    FNIMAGE_CHECK(runtime.files.add({.path = std::string(directory),
                                     .type = layer::EntryType::directory,
                                     .mode = 0755,
                                     .mtime = request.mtime}));
  }
  for (const ActionFile& file : files) {
    FNIMAGE_CHECK(
        runtime.files.add({.path = fmt::format("{}/{}", runtime_directory.substr(1), file.name),
                           .mode = 0644,
                           .mtime = request.mtime,
                           .content = memory_content(std::string(file.text),
                                                     manifest::Digest::of(file.text).str())}));
  }
  runtime.entrypoint = {std::string(interpreter),
                        fmt::format("{}/{}", runtime_directory, files.front().name)};
  const bool is_of_image = request.main.starts_with('/');
  runtime.env = {
      {"FNIMAGE_ACTION_MAIN",
       is_of_image ? request.main : fmt::format("{}/{}", action_directory, request.main)}};
  runtime.exposed_ports = {"8080/tcp"};
  return runtime;
}

Result<Runtime> make_python_action(const Request& request, std::vector<ActionFile> files) {
  files.push_back({"action_proxy.py", action_proxy_py});
  FNIMAGE_TRY(Runtime runtime, make_action(request, "python3", files));
  runtime.debian_packages = {"python3-minimal", "libpython3-stdlib"};
  return runtime;
}

}  // namespace fnimage::runtime

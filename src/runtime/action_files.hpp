// What the runtimes put into an image beside the user's code.
#pragma once

#include <string_view>
#include <vector>

#include <fnimage/runtime/runtime.hpp>

namespace fnimage::runtime {

/// Where a runtime's own files are.
inline constexpr std::string_view runtime_directory = "/usr/lib/fnimage";

struct ActionFile {
  std::string_view name;
  std::string_view text;  ///< of static storage: compiled into the library
};

/// A runtime that listens on port 8080 and serves the main file, with its files in
/// runtime_directory. The interpreter is named without a directory, since Debian's is in /usr/bin
/// and that of a language's own base image in /usr/local/bin; every container runtime looks it up
/// in the image's PATH. @param files the first is what the interpreter starts.
Result<Runtime> make_action(const Request& request, std::string_view interpreter,
                            const std::vector<ActionFile>& files);

/// The same of a runtime that is Python's and serves its action by action_proxy.py, which is added.
Result<Runtime> make_python_action(const Request& request, std::vector<ActionFile> files);

}  // namespace fnimage::runtime

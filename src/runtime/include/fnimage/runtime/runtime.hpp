// Runtimes: what runs inside an image so that it is an action (port 8080, POST /init and /run).
// Each runtime is a folder with the files that go into the image, compiled into the library, and
// one function here that says what else it needs. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::runtime {

/// Where the user's code is in every image.
inline constexpr std::string_view action_directory = "/action";

struct Request {
  std::string name;    ///< one of runtime_names()
  std::string main{};  ///< the user's main file, relative to action_directory; empty for "none"
  std::int64_t mtime = 0;
  bool compiled = false;  ///< of a notebook: run by Python itself, without a Jupyter kernel
};

/// What a runtime adds to an image.
struct Runtime {
  std::vector<std::string> debian_packages;  ///< asked for when the base is assembled from packages
  layer::FileTree files;                     ///< the same on every platform
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::map<std::string, std::string> env;
  std::vector<std::string> exposed_ports;  ///< "8080/tcp"
};

/// Error: invalid_argument for an unknown runtime (names the known ones), or when main is missing.
Result<Runtime> make_runtime(const Request& request);

/// Whether the main file is not one of the user's source but a path of the image, which only an
/// executable can be: "/usr/local/bin/solver".
bool is_path_of_image(const Request& request);

/// The known runtimes.
std::vector<std::string_view> runtime_names();

/// The handler that `init` writes for a runtime: file name and text.
struct Starter {
  std::string file_name;
  std::string text;
  bool executable = false;
  std::vector<std::string> debian_packages{};  ///< what it needs besides the runtime's
};
Result<Starter> starter_handler(std::string_view runtime);

}  // namespace fnimage::runtime

#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/runtime/runtime.hpp>

#include "spec_values.hpp"

namespace fnimage::build {

namespace {

constexpr std::string_view build_file_text = R"(# Build and publish with
#   fnimage build --push -t registry.example/{name}:latest {where}
name: {name}
platforms: [linux/amd64, linux/ppc64le]
base:
  debian: bookworm            # or image: registry/repo:tag, or scratch: true
  # suites: [updates]         # without security, where a mirror lacks that for an architecture
{packages:<29} # Debian packages, for example [python3-numpy]
runtime: {runtime}
source: {{main: {main}}}      # more files: files: ["lib/**"]
config:
  user: "1000:1000"
)";

/// The nearest allowed name: lower case, whatever else is not allowed becomes '-'.
std::string name_of_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::path full = std::filesystem::absolute(directory, error).lexically_normal();
  if (!full.has_filename()) {
    full = full.parent_path();  // "dir/" and "dir/."
  }
  std::string name = to_lower(full.filename().string());
  for (char& c : name) {
    if (!is_layer_name(std::string_view(&c, 1))) {
      c = '-';
    }
  }
  const std::size_t begin = std::min(name.find_first_not_of('-'), name.size());
  name = name.substr(begin, name.find_last_not_of('-') + 1 - begin);
  return is_function_name(name) ? name : "function";
}

Result<void> expect_absent(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(file, error))) {
    return fail(ErrorCode::already_exists,
                fmt::format("{} exists already", printable(file.string())),
                "remove it, or choose another directory");
  }
  return {};
}

}  // namespace

Result<InitResult> init(const InitOptions& options) {
  const std::string name =
      options.name.empty() ? name_of_directory(options.directory) : options.name;
  if (!is_function_name(name)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("'{}' cannot be the name of a function", printable(name, 80)),
                "use lower-case letters and digits, with '.', '_' or '-' between them");
  }
  FNIMAGE_TRY(const runtime::Starter starter, runtime::starter_handler(options.runtime));
  const std::filesystem::path build_file = options.directory / build_file_name;
  const std::filesystem::path handler = options.directory / starter.file_name;
  FNIMAGE_CHECK(expect_absent(build_file));
  FNIMAGE_CHECK(expect_absent(handler));
  FNIMAGE_CHECK(make_directories(options.directory));
  FNIMAGE_CHECK(write_file_atomically(handler, starter.text));
  if (starter.executable) {
    std::error_code error;
    std::filesystem::permissions(handler, std::filesystem::perms(0755), error);
    if (error) {
      return fail(error_from_errno(error.value(), "make " + handler.string() + " executable"));
    }
  }
  const std::string packages = fmt::format("packages: [{}]", join(starter.debian_packages, ", "));
  FNIMAGE_CHECK(write_file_atomically(
      build_file, fmt::format(build_file_text, fmt::arg("name", name),
                              fmt::arg("where", printable(options.directory.string())),
                              fmt::arg("packages", packages), fmt::arg("runtime", options.runtime),
                              fmt::arg("main", starter.file_name))));
  return InitResult{.name = name, .files = {build_file, handler}};
}

}  // namespace fnimage::build

// See interpreter.hpp.
#include "debian/python/interpreter.hpp"

#include <set>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/elf/object.hpp>

#include "debian/process.hpp"
#include "debian/python/embedded.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_file = std::uint64_t{256} << 20;
constexpr std::uint64_t max_memory = std::uint64_t{2} << 30;
constexpr std::uint64_t max_seconds = 900;
constexpr std::size_t max_libraries = 100;
constexpr const char* loader_name = "python-loader";
constexpr const char* script_name = "compile.py";
constexpr std::string_view without_hint =
    "base: {bytecode: false} leaves byte-code out of the image";

Result<void> write(const layer::Entry& entry, const std::filesystem::path& to) {
  std::string bytes;
  if (entry.content != nullptr) {
    FNIMAGE_TRY(const auto reader, entry.content->open());
    FNIMAGE_TRY(bytes, read_all(*reader, max_file));
  }
  return write_file_atomically(to, bytes, /*durable=*/false);
}

/// A part of the image on disk, whatever links lead to it: no link is made.
Result<void> copy_file(const ImageView& image, const std::string& path,
                       const std::filesystem::path& to) {
  const layer::Entry* entry = image.file(path);
  if (entry == nullptr) {
    return fail(ErrorCode::not_found, fmt::format("no file /{} in the packages", path));
  }
  FNIMAGE_CHECK(make_directories(to.parent_path()));
  return write(*entry, to);
}

}  // namespace

Result<std::unique_ptr<PythonInterpreter>> PythonInterpreter::lay_down(
    const ImageView& image, const std::string& version, const std::string& triplet,
    const std::filesystem::path& directory) {
  FNIMAGE_TRY(TemporaryDirectory place, TemporaryDirectory::create_in(directory));
  std::unique_ptr<PythonInterpreter> python(new PythonInterpreter(std::move(place), version));
  FNIMAGE_CHECK(python->copy_parts(image, triplet));
  FNIMAGE_CHECK(python->warm_up());
  return python;
}

Result<void> PythonInterpreter::copy_parts(const ImageView& image, const std::string& triplet) {
  const std::filesystem::path& root = directory_.path();
  const std::string program = "usr/bin/python" + version_;
  FNIMAGE_CHECK(copy_file(image, program, root / program));
  FNIMAGE_CHECK(copy_libraries(image, triplet, *image.file(program)));
  const std::string library = fmt::format("usr/lib/python{}", version_);
  for (const std::string& path : image.files_below(library)) {
    if (path.ends_with(".py")) {
      FNIMAGE_CHECK(copy_file(image, path, root / path));
    }
  }
  std::error_code error;
  for (const std::string& executable : {std::string(loader_name), program}) {
    std::filesystem::permissions(root / executable, std::filesystem::perms::owner_all, error);
  }
  return write_file_atomically(root / script_name, python_compile, /*durable=*/false);
}

Result<void> PythonInterpreter::copy_libraries(const ImageView& image, const std::string& triplet,
                                               const layer::Entry& program) {
  std::vector<const layer::Entry*> objects{&program};
  std::set<std::string> known;
  for (std::size_t next = 0; next < objects.size() && next < max_libraries; ++next) {
    FNIMAGE_TRY(const elf::Object object,
                elf::read_object(*objects[next]->content, "/" + objects[next]->path));
    if (next == 0) {
      FNIMAGE_CHECK(copy_file(image, object.interpreter, directory_.path() / loader_name));
    }
    for (const std::string& name : object.needed) {
      const std::string path = fmt::format("usr/lib/{}/{}", triplet, name);
      if (name.find('/') != std::string::npos || !known.insert(name).second) {
        continue;
      }
      // What is not there is the loader itself, or missed when the interpreter starts.
      if (const layer::Entry* library = image.file(path); library != nullptr && library->content) {
        FNIMAGE_CHECK(copy_file(image, path, directory_.path() / "lib" / name));
        objects.push_back(library);
      }
    }
  }
  return {};
}

Result<void> PythonInterpreter::warm_up() const {
  const auto input = directory_.path() / "nothing";
  FNIMAGE_CHECK(write_file_atomically(input, {}, /*durable=*/false));
  return run(input, directory_.path() / "nothing.tar", /*keeps_bytecode=*/true);
}

Result<void> PythonInterpreter::compile(const std::filesystem::path& input,
                                        const std::filesystem::path& output) const {
  return run(input, output, /*keeps_bytecode=*/false);
}

Result<void> PythonInterpreter::run(const std::filesystem::path& input,
                                    const std::filesystem::path& output,
                                    bool keeps_bytecode) const {
  const std::filesystem::path& root = directory_.path();
  std::vector<std::string> command{root / loader_name, "--library-path", root / "lib",
                                   root / "usr/bin" / ("python" + version_)};
  if (!keeps_bytecode) {
    command.emplace_back("-B");
  }
  command.insert(command.end(), {"-S", "-s", "-Wignore", root / script_name, input, output});
  const ProgramOptions options{
      .environment = {{"LC_ALL=C.UTF-8", "PYTHONHASHSEED=0",
                       "PYTHONHOME=" + (root / "usr").string()}},
      .max_memory = max_memory,
      .max_seconds = max_seconds,
      .confinement = Confinement{.readable = {root, input.parent_path()},
                                 .writable = {keeps_bytecode ? root : output.parent_path()}}};
  FNIMAGE_TRY(const ProgramOutput result, run_program(command, options));
  if (result.exit_code != 0) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("python{} of the packages, which makes byte-code, ended with {}: {}", version_,
                    result.exit_code, printable(trim(result.standard_error), 500)),
        std::string(without_hint));
  }
  return {};
}

}  // namespace fnimage::source::debian

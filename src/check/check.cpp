// The rules, and how much each finding matters: an error where the image cannot do what it is there
// for, a warning where something in it cannot work that perhaps nobody needs. See the header.
#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/check/check.hpp>

#include "libraries.hpp"
#include "machine.hpp"
#include "notebooks.hpp"
#include "owners.hpp"
#include "paths.hpp"
#include "programs.hpp"
#include "python.hpp"
#include "survey.hpp"

namespace fnimage::check {

namespace {

constexpr std::string_view action_directory = "action";  // where functions are
constexpr const char* default_kernel = "python3";        // of notebooks that name none
constexpr std::size_t max_loaders = 64;                  // that hand their DT_RPATH down
constexpr int max_interpreters = 5;  // of interpreters; the kernel follows as many

/// What cross compilers bring for the machines that they compile for, in directories of their own.
bool is_of_cross_toolchain(std::string_view path) {
  const std::vector<std::string_view> parts = split(path, '/');
  return parts.size() > 2 && parts[0] == "usr" &&
         (parts[1].find("-linux-gnu") != std::string_view::npos || parts[2] == "gcc-cross");
}

/// What debuggers read beside the object that it is of.
bool is_debug_information(std::string_view path) {
  return path.starts_with("usr/lib/debug/");
}

/// Where programs and boot loaders keep objects as data.
bool is_data(std::string_view path) {
  return path.starts_with("usr/share/") || path.starts_with("usr/lib/firmware/") ||
         path.starts_with("lib/firmware/");
}

/// Platform truth.
void find_foreign(const Survey& seen, const manifest::Platform& platform, Owners& owners,
                  std::vector<Finding>& findings) {
  for (const auto& [path, identity] : seen.objects) {
    if (judge(identity, platform) != Verdict::foreign || is_of_cross_toolchain(path)) {
      continue;
    }
    const bool data = is_data(path);
    if (data && !owners.package_of(path).empty()) {
      continue;
    }
    findings.push_back(
        {.level = data ? Level::warning : Level::error,
         .rule = "machine",
         .path = "/" + path,
         .origin = owners.origin_of(path),
         .message = fmt::format("is {}, which {} cannot run", identity.str(), platform.str()),
         .fix = fmt::format("take the one for {}", platform.architecture)});
  }
}

class Checker {
 public:
  Checker(const ImageFiles& files, const manifest::ImageConfig& config,
          const manifest::Platform& platform, const Survey& seen)
      : files_(files),
        config_(config),
        platform_(platform),
        seen_(seen),
        owners_(files),
        libraries_(files, seen, config) {
    for (const std::string& directory : path_directories(config)) {
      if (const auto found = files.resolve(directory)) {
        path_.insert(found->path);
      }
    }
  }

  std::vector<Finding> run() {
    find_foreign(seen_, platform_, owners_, findings_);
    for (const std::string& path : files_.broken_links()) {
      add(Level::error, "hard-link", path, "is a hard link to nothing: no runtime unpacks it");
    }
    for (const std::string& path : files_.bad_whiteouts()) {
      add(Level::error, "whiteout", path, "is a whiteout of nothing: no runtime unpacks it");
    }
    if (files_.has_too_deep()) {
      add(Level::warning, "limits", "",
          "has files below more directories than are looked at, which were not checked");
    }
    check_command();
    check_python();
    check_notebooks();
    for (const auto& [path, identity] : seen_.objects) {
      if (judge(identity, platform_) == Verdict::native && !is_debug_information(path)) {
        check_object(path);
      }
    }
    if (libraries_.is_exhausted()) {
      add(Level::warning, "limits", "",
          "has more library names and directories than are looked up: not all was checked");
    }
    for (const auto& [path, words] : seen_.scripts) {
      // Scripts of packages may rely on what every Debian system has, /bin/sh first of all.
      if (path_.contains(directory_of(path)) && !started_.contains(path) &&
          owners_.package_of(path).empty()) {
        check_script(Level::warning, path, words, 0);
      }
    }
    return std::move(findings_);
  }

 private:
  void add(Level level, std::string rule, std::string_view path, std::string message,
           std::string fix = {}) {
    findings_.push_back({.level = level,
                         .rule = std::move(rule),
                         .path = path.empty() ? std::string() : fmt::format("/{}", path),
                         .origin = path.empty() ? std::string() : owners_.origin_of(path),
                         .message = std::move(message),
                         .fix = std::move(fix)});
  }

  // --- what the image starts ---

  void check_command() {
    const std::optional<User> user = user_of(files_, config_);
    if (!user) {
      add(Level::error, "user", "",
          fmt::format("runs as {}, whom its /etc/passwd and /etc/group do not know",
                      printable(config_.user)),
          "use numbers, like 1000:1000");
    }
    const std::vector<std::string>& words =
        config_.entrypoint.empty() ? config_.cmd : config_.entrypoint;
    if (words.empty()) {
      add(Level::warning, "command", "", "says no entrypoint and no command");
      return;
    }
    const auto program = find_program(files_, words.front(), config_);
    if (!program || program->node->entry.type != layer::EntryType::file) {
      add(Level::error, "command", "",
          fmt::format("starts {}, which is {}", printable(words.front()),
                      program ? "no file" : "not in it"),
          "name a program of the image, with its whole path");
      return;
    }
    if (user && !may_execute(program->node->entry, *user)) {
      add(Level::error, "command", program->path,
          fmt::format("is what the image starts, and user {}:{} may not execute it (mode {:04o})",
                      user->uid, user->gid, program->node->entry.mode),
          "set its mode to 0755");
    }
    start(program->path, 0);
    check_function(user);
  }

  /// The file that an action's runtime serves; that of exec is a program.
  void check_function(const std::optional<User>& user) {
    const auto main = config_.env_value("FNIMAGE_ACTION_MAIN");
    if (!main) {
      return;
    }
    const auto found = find_program(files_, *main, config_);
    if (!found) {
      add(Level::error, "function", "",
          fmt::format("serves {}, which is not in it", printable(*main)),
          "name a file of the image in source.main");
      return;
    }
    const bool is_program =
        config_.entrypoint.size() > 1 && config_.entrypoint[1].ends_with("/exec_action.py");
    if (!is_program) {
      return;
    }
    if (user && !may_execute(found->node->entry, *user)) {
      add(Level::error, "function", found->path,
          fmt::format("is the function, and user {}:{} may not execute it (mode {:04o})", user->uid,
                      user->gid, found->node->entry.mode),
          "set its mode to 0755");
      return;
    }
    start(found->path, 0);
  }

  /// A program that has to work.
  void start(const std::string& path, int depth) {
    if (!started_.insert(path).second || depth > max_interpreters) {
      return;
    }
    if (const auto script = seen_.scripts.find(path); script != seen_.scripts.end()) {
      check_script(Level::error, path, script->second, depth);
    } else if (const auto object = seen_.objects.find(path); object == seen_.objects.end()) {
      add(Level::error, "format", path, "is started, and is neither a program nor a script",
          "scripts begin with #! and the path of their interpreter, and may be executed");
    } else if (judge(object->second, platform_) == Verdict::native) {
      load(path);
    }
  }

  /// What the scripts and modules that Python is started with import.
  void check_python() {
    const PythonStart start = python_start(files_, config_);
    if (start.scripts.empty() && start.modules.empty()) {
      return;
    }
    for (const std::string& program : std::set<std::string>(started_.begin(), started_.end())) {
      const auto imports = follow_imports(files_, config_, platform_, program, start);
      if (!imports) {
        continue;
      }
      imports_known_ = true;
      for (const MissingImport& one : imports->missing) {
        add(Level::error, "python-import", one.path,
            one.other_abi.empty()
                ? fmt::format("imports {}, which is not in the image", printable(one.module))
                : fmt::format("imports {}, of which there is only /{}, for another Python",
                              printable(one.module), one.other_abi),
            "add the package that has it");
      }
      for (const std::string& extension : imports->extensions) {
        load(extension);
      }
    }
  }

  void check_notebooks() {
    std::set<std::string> names;
    for (const Kernel& kernel : kernels_in(files_)) {
      const bool starts =
          !kernel.program.empty() && find_program(files_, kernel.program, config_).has_value();
      if (starts) {
        names.insert(kernel.name);
      } else {
        add(Level::warning, "kernel", kernel.path,
            kernel.program.empty()
                ? "says no program to start"
                : fmt::format("starts {}, which is not in the image", printable(kernel.program)));
      }
    }
    const std::string mode = config_.env_value("FNIMAGE_NOTEBOOK_MODE").value_or("");
    const auto function =
        find_program(files_, config_.env_value("FNIMAGE_ACTION_MAIN").value_or(""), config_);
    for (const Notebook& notebook : notebooks_below(files_, action_directory)) {
      const bool is_function = !mode.empty() && function && function->path == notebook.path;
      if (is_function && mode == "compiled") {
        continue;
      }
      const std::string kernel =
          is_function && notebook.kernel.empty() ? default_kernel : notebook.kernel;
      if (!kernel.empty() && !names.contains(kernel)) {
        // One that is not the function may lie there to be read.
        add(is_function ? Level::error : Level::warning, "kernel", notebook.path,
            fmt::format("wants the kernel {}, which is not in the image", printable(kernel)),
            "add the package that has it (python3-ipykernel for python3)");
      }
    }
  }

  /// A program with all that is loaded with it, as the loader goes through it.
  void load(const std::string& path) {
    struct Loading {
      const LoadedObject* object;
      std::vector<const LoadedObject*> loaders;
    };
    std::deque<Loading> queue;
    required_.insert(path);
    if (const LoadedObject* program = libraries_.object(path)) {
      queue.push_back({.object = program, .loaders = {}});
    }
    for (; !queue.empty(); queue.pop_front()) {
      const Loading& loading = queue.front();
      std::vector<const LoadedObject*> loaders = loading.loaders;
      if (!loading.object->rpath.empty() && loaders.size() < max_loaders) {
        loaders.insert(loaders.begin(), loading.object);
      }
      for (const std::string& name : loading.object->object.needed) {
        const LoadedObject* found = libraries_.find(name, *loading.object, loading.loaders);
        if (found == nullptr) {
          missing(Level::error, *loading.object, name);
        } else if (required_.insert(found->path).second) {
          queue.push_back({.object = found, .loaders = loaders});
        }
      }
    }
  }

  // --- everything else ---

  static bool is_python_directory(std::string_view directory) {
    return directory.find("/dist-packages") != std::string_view::npos ||
           directory.find("/site-packages") != std::string_view::npos ||
           directory.ends_with("/lib-dynload");
  }

  /// How bad it is when an object does not work: one that is found by its name alone is there to be
  /// used.
  Level level_of(const LoadedObject& loaded) {
    const std::string_view directory = directory_of(loaded.path);
    const bool python = is_python_directory(directory);
    return required_.contains(loaded.path) || path_.contains(directory) ||
                   (python && !imports_known_) ||
                   libraries_.is_searched(directory, loaded.object.identity)
               ? Level::error
               : Level::warning;
  }

  void check_object(const std::string& path) {
    const LoadedObject* loaded = libraries_.object(path);
    if (loaded == nullptr) {
      add(required_.contains(path) ? Level::error : Level::warning, "object", path,
          libraries_.why(path));
      return;
    }
    const Level level = level_of(*loaded);
    const std::string& interpreter = loaded->object.interpreter;
    if (!interpreter.empty() && !files_.resolve(interpreter)) {
      add(level, "interpreter", path,
          fmt::format("needs the loader {}, which is not in the image", printable(interpreter)),
          "add the C library that it was built for");
    }
    for (const std::string& name : loaded->object.needed) {
      const LoadedObject* found = libraries_.find(name, *loaded);
      // Whoever loads a plugin may have loaded what the plugin needs, from directories of its own.
      if (found == nullptr &&
          (!interpreter.empty() || libraries_.anywhere(name, loaded->object.identity).empty())) {
        missing(level, *loaded, name);
      } else if (found != nullptr) {
        check_versions(level, *loaded, name, *found);
      }
    }
  }

  void missing(Level level, const LoadedObject& loaded, const std::string& name) {
    if (libraries_.is_exhausted() || !missing_.emplace(loaded.path, name).second) {
      return;
    }
    // A package may have plugins for those who install what it only suggests.
    if (level == Level::warning && !is_python_directory(directory_of(loaded.path)) &&
        !owners_.package_of(loaded.path).empty()) {
      return;
    }
    const std::string& elsewhere = libraries_.anywhere(name, loaded.object.identity);
    add(level, "library", loaded.path,
        elsewhere.empty()
            ? fmt::format("needs {}, which is not in the image", printable(name))
            : fmt::format("needs {}, which is only at /{}, where the loader does not look",
                          printable(name), elsewhere),
        elsewhere.empty() ? "add the package or file that has it"
                          : "put it into a directory of the loader, or set LD_LIBRARY_PATH");
  }

  void check_versions(Level level, const LoadedObject& loaded, const std::string& name,
                      const LoadedObject& library) {
    if (library.versions.empty()) {
      return;  // the loader only warns
    }
    for (const elf::VersionNeed& need : loaded.object.version_needs) {
      if (need.library != name) {
        continue;
      }
      for (const std::string& version : need.versions) {
        if (!library.versions.contains(version)) {
          add(level, "symbol-version", loaded.path,
              fmt::format("needs version {} of {}, which the image's does not have",
                          printable(version), printable(name)),
              "take it from the release that the library is of, or a newer library");
        }
      }
    }
  }

  /// A script and what runs it; with level error that has to work too.
  void check_script(Level level, const std::string& path, const std::vector<std::string>& words,
                    int depth) {
    std::vector<std::string> interpreters;
    if (!words.empty()) {
      interpreters.push_back(words.front());
    }
    if (const std::optional<std::string> program = program_of_env(words)) {
      interpreters.push_back(*program);
    }
    for (const std::string& interpreter : interpreters) {
      const auto found = find_program(files_, interpreter, config_);
      if (!found) {
        add(level, "interpreter", path,
            fmt::format("needs the interpreter {}, which is not in the image",
                        printable(interpreter)),
            "add it, or change the script's first line");
        return;
      }
      if (level == Level::error) {
        start(found->path, depth + 1);
      }
    }
    if (interpreters.empty()) {
      add(level, "interpreter", path, "names no interpreter in its first line");
    }
  }

  const ImageFiles& files_;
  const manifest::ImageConfig& config_;
  const manifest::Platform& platform_;
  const Survey& seen_;
  Owners owners_;
  Libraries libraries_;
  std::set<std::string, std::less<>> path_;      ///< real directories of PATH
  std::set<std::string, std::less<>> started_;   ///< by the image's command
  std::set<std::string, std::less<>> required_;  ///< objects that are loaded by them
  bool imports_known_ = false;                   ///< which extension modules are used
  std::set<std::pair<std::string, std::string>> missing_;
  std::vector<Finding> findings_;
};

Report report_of(const Survey& seen, const manifest::Platform& platform) {
  return {.platform = platform, .files = seen.files, .objects = seen.objects.size()};
}

}  // namespace

std::string_view to_string(Level level) noexcept {
  return level == Level::error ? "error" : "warning";
}

std::size_t Report::errors() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [](const Finding& finding) { return finding.level == Level::error; }));
}

void Report::sort() {
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return a.level != b.level ? a.level == Level::error : a.path < b.path;
  });
}

Result<Report> check_machines(const ImageFiles& files, const manifest::Platform& platform) {
  FNIMAGE_TRY(const Survey seen, survey(files));
  Report report = report_of(seen, platform);
  Owners owners(files);
  find_foreign(seen, platform, owners, report.findings);
  report.sort();
  return report;
}

Result<Report> check_image(const ImageFiles& files, const manifest::ImageConfig& config,
                           const manifest::Platform& platform) {
  FNIMAGE_TRY(const Survey seen, survey(files));
  Report report = report_of(seen, platform);
  report.findings = Checker(files, config, platform, seen).run();
  report.sort();
  return report;
}

Result<void> require_no_errors(const std::vector<Report>& reports) {
  constexpr std::size_t shown = 3;
  std::vector<std::string> lines;
  std::size_t errors = 0;
  bool foreign = false;
  for (const Report& report : reports) {
    for (const Finding& finding : report.findings) {
      if (finding.level != Level::error) {
        continue;
      }
      foreign = foreign || finding.rule == "machine" || finding.rule == "platform";
      if (++errors <= shown) {
        lines.push_back(fmt::format(
            "{}: {}{} {}", report.platform.str(),
            finding.path.empty() ? "the image" : printable(finding.path),
            finding.origin.empty() ? "" : fmt::format(" ({})", finding.origin), finding.message));
      }
    }
  }
  if (errors == 0) {
    return {};
  }
  const std::string more = errors > shown ? fmt::format("; and {} more", errors - shown) : "";
  return fail(foreign ? ErrorCode::platform_mismatch : ErrorCode::invalid_input,
              fmt::format("the image cannot work: {}{}", join(lines, "; "), more));
}

}  // namespace fnimage::check

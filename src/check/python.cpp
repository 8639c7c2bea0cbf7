// Following imports, see the header.
#include "python.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <deque>
#include <functional>
#include <map>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "notebooks.hpp"
#include "paths.hpp"
#include "programs.hpp"
#include "python_source.hpp"

namespace fnimage::check {

namespace {

constexpr std::uint64_t max_source_bytes = std::uint64_t{8} << 20;
constexpr std::uint64_t max_interpreter_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t max_path_file_bytes = 65536;
constexpr std::size_t max_unknown_names = 2000;  // each costs a search of the whole interpreter
constexpr std::size_t max_modules = 50'000;
constexpr std::string_view notebook_suffix = ".ipynb";

/// "3.11" of "python3.11"; empty for other names.
std::string version_of(std::string_view program) {
  constexpr std::string_view prefix = "python";
  const std::string_view rest =
      program.starts_with(prefix) ? program.substr(prefix.size()) : std::string_view();
  const bool whole = rest.find('.') != std::string_view::npos &&
                     std::all_of(rest.begin(), rest.end(),
                                 [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; });
  return whole ? std::string(rest) : std::string();
}

/// How a module is imported, for what follows from it.
enum class Reach : std::uint8_t { optional, certain };

/// A module, and the package that relative imports in it start from.
struct Module {
  std::string path;     ///< of its file; empty for a namespace package
  std::string package;  ///< "a.b"
  bool source = false;
};

/// The root of the virtual environment that the command's program is in, if it is in one.
std::optional<std::string> virtual_environment(const ImageFiles& files,
                                               const manifest::ImageConfig& config) {
  const std::vector<std::string>& words =
      config.entrypoint.empty() ? config.cmd : config.entrypoint;
  if (words.empty()) {
    return std::nullopt;
  }
  std::vector<std::string> directories = path_directories(config);
  if (words.front().find('/') != std::string::npos) {
    directories = {std::string(directory_of(words.front()))};
  }
  for (const std::string& directory : directories) {
    if (files.resolve(fmt::format("{}/{}", directory, name_of(words.front())))) {
      std::string root(directory_of(directory));
      return files.resolve(root + "/pyvenv.cfg") ? std::optional(std::move(root)) : std::nullopt;
    }
  }
  return std::nullopt;
}

class Follower {
 public:
  Follower(const ImageFiles& files, const manifest::ImageConfig& config,
           const manifest::Platform& platform, const std::string& interpreter, std::string version)
      : files_(files), interpreter_(interpreter), version_(std::move(version)) {
    tag_ = "cpython-" + version_;
    std::erase(tag_, '.');
    triplet_ = manifest::multiarch_triplet(platform).value_or("");
    set_search_path(config);
  }

  PythonImports run(const PythonStart& start, const std::string& working_directory) {
    for (const std::string& script : start.scripts) {
      begin(directory_of(script));
      enter({.path = script, .package = {}, .source = true}, Reach::certain);
      follow_all();
    }
    for (const std::string& module : start.modules) {
      begin(working_directory);
      if (!import_chain(module, Reach::certain)) {
        add_missing(interpreter_, module.substr(0, module.find('.')));
      }
      import_chain(module + ".__main__", Reach::certain);
      follow_all();
    }
    return std::move(found_);
  }

 private:
  /// Modules may be others from here: the directory comes first.
  void begin(std::string_view directory) {
    search_path_.front() = directory;
    imported_.clear();
  }

  void follow_all() {
    while (!queue_.empty() && seen_.size() < max_modules) {
      const auto [module, reach] = std::move(queue_.front());
      queue_.pop_front();
      follow(module, reach);
    }
  }

  void set_search_path(const manifest::ImageConfig& config) {
    search_path_ = {""};  // the script's directory
    const std::string python_path = config.env_value("PYTHONPATH").value_or("");
    for (const std::string_view part : split(python_path, ':')) {
      if (!part.empty()) {
        search_path_.emplace_back(part);
      }
    }
    const std::string prefix(directory_of(directory_of(interpreter_)));
    const std::string own = fmt::format("{}/lib/python{}", prefix, version_);
    search_path_.push_back(own);
    search_path_.push_back(own + "/lib-dynload");
    if (const auto environment = virtual_environment(files_, config)) {
      add_site(fmt::format("{}/lib/python{}/site-packages", *environment, version_));
    }
    for (const std::string& directory :
         {fmt::format("usr/local/lib/python{}/dist-packages", version_),
          fmt::format("usr/local/lib/python{}/site-packages", version_), own + "/site-packages",
          own + "/dist-packages", prefix + "/lib/python3/dist-packages"}) {
      add_site(directory);
    }
  }

  /// A directory of packages, with those that its .pth files name.
  void add_site(const std::string& directory) {
    search_path_.push_back(directory);
    const std::string prefix = directory.substr(directory.starts_with('/') ? 1 : 0) + "/";
    const ImageFiles::Map& nodes = files_.nodes();
    for (auto at = nodes.lower_bound(prefix); at != nodes.end() && at->first.starts_with(prefix);
         ++at) {
      if (!at->first.ends_with(".pth") || at->first.find('/', prefix.size()) != std::string::npos) {
        continue;
      }
      const std::string text = text_of(at->second.entry, max_path_file_bytes).value_or("");
      for (const std::string_view line : split(text, '\n')) {
        const std::string_view entry = trim(line);
        if (!entry.empty() && !entry.starts_with('#') && !entry.starts_with("import")) {
          search_path_.push_back(entry.starts_with('/') ? std::string(entry)
                                                        : fmt::format("{}/{}", directory, entry));
        }
      }
    }
  }

  void enter(const Module& module, Reach reach) {
    const std::string key = module.path.empty() ? module.package + "/" : module.path;
    const auto [known, is_new] = seen_.emplace(key, reach);
    if (!is_new && known->second >= reach) {
      return;
    }
    known->second = reach;
    if (module.source) {
      queue_.emplace_back(module, reach);
    } else if (!module.path.empty() && reach == Reach::certain) {
      found_.extensions.insert(module.path);
    }
  }

  static std::string source_of(const ImageFiles::Node& node, std::string_view path) {
    if (!path.ends_with(notebook_suffix)) {
      return text_of(node.entry, max_source_bytes).value_or("");
    }
    auto read = read_notebook(path, node.entry);
    return read ? std::move(read->code) : std::string();
  }

  void follow(const Module& module, Reach reach) {
    const ImageFiles::Node* node = files_.find(module.path);
    if (node == nullptr) {
      return;
    }
    const std::string text = source_of(*node, module.path);
    const bool moves_path = text.find("sys.path") != std::string::npos ||
                            text.find("meta_path") != std::string::npos ||
                            text.find("sys.modules") != std::string::npos;
    for (const Import& import : imports_of(text)) {
      const Reach further = import.kind == ImportKind::optional ? Reach::optional : reach;
      const std::string name = absolute_name(import, module.package);
      if (name.empty() || name == "__future__") {
        continue;
      }
      const bool found = import_chain(name, further);
      if (!found && import.level == 0 && import.kind == ImportKind::required &&
          reach == Reach::certain && !moves_path) {
        add_missing(module.path, name.substr(0, name.find('.')));
      }
      for (const std::string& submodule : import.names) {
        import_chain(fmt::format("{}.{}", name, submodule), further);
      }
    }
  }

  static std::string absolute_name(const Import& import, const std::string& package) {
    if (import.level == 0) {
      return import.module;
    }
    std::string base = package;
    for (std::size_t up = 1; up < import.level; ++up) {
      base.resize(std::min(base.rfind('.'), base.size()));
    }
    if (base.empty()) {
      return {};
    }
    return import.module.empty() ? base : fmt::format("{}.{}", base, import.module);
  }

  /// Imports a name and the packages that it is in, once. False when its first part is nowhere.
  bool import_chain(const std::string& name, Reach reach) {
    const auto known = imported_.find(name);
    if (known != imported_.end() && known->second.reach >= reach) {
      return known->second.found;
    }
    const bool found = import_parts(name, reach);
    imported_.insert_or_assign(name, Imported{.found = found, .reach = reach});
    return found;
  }

  bool import_parts(const std::string& name, Reach reach) {
    std::vector<std::string> directories = search_path_;
    std::string package;
    bool first = true;
    for (const std::string_view part : split(name, '.')) {
      const auto module = find_in(directories, std::string(part), package);
      if (!module) {
        return !first || is_built_in(std::string(part));
      }
      enter(*module, reach);
      first = false;
      const bool is_package = module->path.empty() || name_of(module->path) == "__init__.py";
      if (!is_package) {
        return true;
      }
      package = package.empty() ? std::string(part) : fmt::format("{}.{}", package, part);
      directories = portions_of(directories, std::string(part));
    }
    return true;
  }

  /// The directories of a package.
  std::vector<std::string> portions_of(const std::vector<std::string>& directories,
                                       const std::string& name) const {
    std::vector<std::string> portions;
    for (const std::string& directory : directories) {
      const auto found = files_.resolve(fmt::format("{}/{}", directory, name));
      if (found && found->node->entry.type == layer::EntryType::directory) {
        portions.push_back(found->path);
      }
    }
    return portions;
  }

  std::optional<Module> find_in(const std::vector<std::string>& directories,
                                const std::string& name, const std::string& package) const {
    const std::string full = package.empty() ? name : fmt::format("{}.{}", package, name);
    bool is_namespace = false;
    for (const std::string& directory : directories) {
      const std::string base = fmt::format("{}/{}", directory, name);
      if (const auto init = file_at(base + "/__init__.py")) {
        return Module{.path = *init, .package = full, .source = true};
      }
      if (const auto extension = extension_at(directory, name)) {
        return Module{.path = *extension, .package = package, .source = false};
      }
      if (const auto source = file_at(base + ".py")) {
        return Module{.path = *source, .package = package, .source = true};
      }
      if (const auto compiled = file_at(base + ".pyc")) {
        return Module{.path = *compiled, .package = package, .source = false};
      }
      const auto found = files_.resolve(base);
      is_namespace =
          is_namespace || (found && found->node->entry.type == layer::EntryType::directory);
    }
    return is_namespace ? std::optional(Module{.path = {}, .package = full}) : std::nullopt;
  }

  std::optional<std::string> file_at(const std::string& path) const {
    const auto found = files_.resolve(path);
    return found && found->node->entry.type == layer::EntryType::file ? std::optional(found->path)
                                                                      : std::nullopt;
  }

  /// Extension modules of a name, whatever Python they are for: calls `visit` with the path and
  /// what stands between name and ".so".
  template <typename Visit>
  void each_extension(const std::string& directory, const std::string& name, Visit visit) const {
    const auto found = files_.resolve(directory.empty() ? "/." : directory);
    if (!found) {
      return;
    }
    constexpr std::string_view suffix = ".so";
    const std::string prefix = fmt::format("{}/{}.", found->path, name);
    const ImageFiles::Map& nodes = files_.nodes();
    for (auto at = nodes.lower_bound(prefix); at != nodes.end() && at->first.starts_with(prefix);
         ++at) {
      const std::string_view rest = std::string_view(at->first).substr(prefix.size() - 1);
      if (rest.ends_with(suffix) && rest.find('/') == std::string_view::npos) {
        visit(at->first, rest.substr(0, rest.size() - suffix.size()));
      }
    }
  }

  /// Whether this interpreter loads modules with such a tag: ".cpython-311-x86_64-linux-gnu".
  bool takes(std::string_view tag) const {
    if (tag.empty() || tag == ".abi3") {
      return true;
    }
    const std::string own = "." + tag_;
    return tag == own || tag == fmt::format("{}-{}", own, triplet_) ||
           (triplet_.empty() && tag.starts_with(own + "-")) ||
           // musl's have the machine's name and their own ending.
           (tag.starts_with(own + "-") && tag.ends_with("-linux-musl"));
  }

  std::optional<std::string> extension_at(const std::string& directory,
                                          const std::string& name) const {
    std::optional<std::string> extension;
    each_extension(directory, name, [&](const std::string& path, std::string_view tag) {
      if (!extension && takes(tag)) {
        extension = file_at(path);
      }
    });
    return extension;
  }

  void add_missing(const std::string& path, const std::string& module) {
    MissingImport missing{.path = path, .module = module};
    for (const std::string& directory : search_path_) {
      each_extension(directory, module, [&](const std::string& other, std::string_view /*tag*/) {
        missing.other_abi = other;
      });
    }
    found_.missing.push_back(std::move(missing));
  }

  /// Modules that are compiled into the interpreter have their names in it, and nowhere else. The
  /// linker lets "math" be the end of "cmath".
  bool is_built_in(const std::string& name) {
    if (const auto known = built_in_.find(name); known != built_in_.end()) {
      return known->second;
    }
    if (built_in_.size() >= max_unknown_names) {
      return true;  // nobody's program imports so much that is not there
    }
    if (!interpreter_text_) {
      interpreter_text_.emplace();
      const std::string library = fmt::format("libpython{}.so.1.0", version_);
      for (const auto& [path, node] : files_.nodes()) {
        if (path == interpreter_ || name_of(path) == library) {
          *interpreter_text_ += text_of(node.entry, max_interpreter_bytes).value_or("");
        }
      }
    }
    // With its end; memmem() reads these megabytes five times as fast as the standard's searchers.
    const bool found = ::memmem(interpreter_text_->data(), interpreter_text_->size(), name.c_str(),
                                name.size() + 1) != nullptr;
    return built_in_.emplace(name, found).first->second;
  }

  const ImageFiles& files_;
  std::string interpreter_;
  std::string version_;  ///< "3.11"
  std::string tag_;      ///< "cpython-311"
  std::string triplet_;
  std::vector<std::string> search_path_;
  std::map<std::string, Reach> seen_;
  std::deque<std::pair<Module, Reach>> queue_;
  std::optional<std::string> interpreter_text_;
  std::map<std::string, bool> built_in_;
  struct Imported {
    bool found = false;
    Reach reach = Reach::optional;
  };
  std::map<std::string, Imported, std::less<>> imported_;  ///< by the whole name
  PythonImports found_;
};

}  // namespace

PythonStart python_start(const ImageFiles& files, const manifest::ImageConfig& config) {
  std::vector<std::string> words = config.entrypoint;
  words.insert(words.end(), config.cmd.begin(), config.cmd.end());
  PythonStart start;
  if (words.size() > 2 && words[1] == "-m" && name_of(words[0]).starts_with("python")) {
    start.modules.push_back(words[2]);
  }
  if (const auto main = config.env_value("FNIMAGE_ACTION_MAIN")) {
    words.push_back(*main);
  }
  if (config.env_value("FNIMAGE_NOTEBOOK_MODE") == "kernel") {
    start.modules.emplace_back("nbclient");
  }
  for (const std::string& word : words) {
    const auto found = files.resolve(
        word.starts_with('/') ? word : fmt::format("{}/{}", config.working_dir, word));
    if ((word.ends_with(".py") || word.ends_with(notebook_suffix)) && found &&
        found->node->entry.type == layer::EntryType::file) {
      start.scripts.push_back(found->path);
    }
  }
  return start;
}

std::optional<PythonImports> follow_imports(const ImageFiles& files,
                                            const manifest::ImageConfig& config,
                                            const manifest::Platform& platform,
                                            const std::string& interpreter,
                                            const PythonStart& start) {
  std::string version = version_of(name_of(interpreter));
  if (version.empty()) {
    return std::nullopt;
  }
  return Follower(files, config, platform, interpreter, std::move(version))
      .run(start, config.working_dir);
}

}  // namespace fnimage::check

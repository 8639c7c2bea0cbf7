// See the header.
#include "inventory.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

namespace controller {

namespace {

using fnimage::ErrorCode;
using fnimage::fail;
using fnimage::Result;
using nlohmann::json;

constexpr std::size_t max_functions_bytes = std::size_t{4} << 20;

bool has_ending(const std::filesystem::path& file, bool yaml_too) {
  const std::string ending = file.extension().string();
  return ending == ".json" || (yaml_too && (ending == ".yaml" || ending == ".yml"));
}

Result<Function> read_function(const json& value, const std::string& name) {
  FNIMAGE_TRY(const fnimage::JsonObject object, fnimage::JsonObject::of(value, name + ": "));
  for (const auto& [key, member] : value.items()) {
    constexpr std::array<std::string_view, 4> known{"images", "pin", "fail", "runtimes"};
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: unknown key {}", name, fnimage::printable(key, 80)),
                  "keys are images, pin, fail and runtimes");
    }
  }
  Function function;
  FNIMAGE_TRY(function.images, object.string("images"));
  if (const json* pin = object.find("pin")) {
    if (!pin->is_boolean()) {
      return fail(ErrorCode::invalid_input, name + ": pin is not true or false");
    }
    function.pin = pin->get<bool>();
  }
  FNIMAGE_TRY(const std::string failing, object.string_or("fail", {}));
  if (failing != "open" && failing != "closed" && !failing.empty()) {
    return fail(ErrorCode::invalid_input, name + ": fail is neither open nor closed");
  }
  if (!failing.empty()) {
    function.fail_closed = failing == "closed";
  }
  if (const json* runtimes = object.find("runtimes")) {
    for (const json& runtime : runtimes->is_array() ? *runtimes : json::array({nullptr})) {
      if (!runtime.is_string()) {
        return fail(ErrorCode::invalid_input, name + ": runtimes is not a list of texts");
      }
      FNIMAGE_TRY(function.runtimes.emplace_back(),
                  fnimage::manifest::parse_runtime(runtime.get_ref<const std::string&>()));
    }
  }
  return function;
}

}  // namespace

Result<std::vector<Function>> read_functions(const std::string& text, const std::string& name) {
  FNIMAGE_TRY(const json document,
              fnimage::parse_json(text, name, {.max_bytes = max_functions_bytes}));
  std::vector<Function> functions;
  for (const json& value : document.is_array() ? document : json::array({document})) {
    FNIMAGE_TRY(functions.emplace_back(), read_function(value, name));
  }
  return functions;
}

const Function* State::function_of(const std::string& image_name) const {
  for (const Function& function : functions) {
    if (::fnmatch(function.images.c_str(), image_name.c_str(), 0) == 0) {
      return &function;
    }
  }
  return nullptr;
}

Inventory::Inventory(std::filesystem::path nodes, std::filesystem::path functions)
    : nodes_directory_(std::move(nodes)),
      functions_directory_(std::move(functions)),
      state_(std::make_shared<const State>()) {
  refresh();
}

std::shared_ptr<const State> Inventory::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

/// @return whether anything is another.
template <class Item, class Reader>
bool Inventory::refresh_files(const std::filesystem::path& directory, Files<Item>& files,
                              std::string& problem, Reader read) {
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error) {
    const std::string now = fmt::format("{}: {}", directory.string(), error.message());
    return std::exchange(problem, now) != now;
  }
  bool is_changed = !std::exchange(problem, {}).empty();
  Files<Item> found;
  for (const auto end = std::filesystem::directory_iterator(); entries != end && !error;
       entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    struct stat status {};
    // A ConfigMap's files are links, and what is behind them begins with a dot.
    if (name.starts_with('.') ||
        !has_ending(entries->path(), std::is_same_v<Item, fnimage::node::Node>) ||
        ::stat(entries->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
      continue;
    }
    const Stamp stamp{status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                      static_cast<std::uintmax_t>(status.st_size), status.st_ino};
    const auto known = files.find(name);
    if (known != files.end() && known->second.stamp == stamp) {
      found.insert(files.extract(known));
      continue;
    }
    is_changed = true;
    File<Item> file{.stamp = stamp};
    auto items = read(entries->path());
    if (items) {
      file.items = std::move(*items);
    } else {
      file.problem = items.error().describe();
      file.items = known == files.end() ? std::vector<Item>() : std::move(known->second.items);
    }
    found.insert_or_assign(name, std::move(file));
  }
  if (error) {  // what was not seen is not gone
    problem = fmt::format("{}: {}", directory.string(), error.message());
    found.merge(files);
  }
  for (const auto& [name, file] : files) {
    is_changed = is_changed || !found.contains(name);
  }
  files = std::move(found);
  return is_changed;
}

void Inventory::refresh() {
  const auto read_nodes =
      [](const std::filesystem::path& file) -> Result<std::vector<fnimage::node::Node>> {
    FNIMAGE_TRY(const std::string text, fnimage::read_file(file, fnimage::node::max_nodes_bytes));
    return fnimage::node::read_nodes(text, file.filename().string());
  };
  const auto read_function_file =
      [](const std::filesystem::path& file) -> Result<std::vector<Function>> {
    FNIMAGE_TRY(const std::string text, fnimage::read_file(file, max_functions_bytes));
    return read_functions(text, file.filename().string());
  };
  const bool nodes_changed = refresh_files(nodes_directory_, nodes_, nodes_problem_, read_nodes);
  const bool functions_changed =
      refresh_files(functions_directory_, functions_, functions_problem_, read_function_file);
  if (!nodes_changed && !functions_changed) {
    return;
  }
  auto state = std::make_shared<State>();
  const auto collect = [&](const auto& files, auto& items, const std::string& problem) {
    for (const auto& [name, file] : files) {
      items.insert(items.end(), file.items.begin(), file.items.end());
      if (!file.problem.empty()) {
        state->problems.push_back(file.problem);
      }
    }
    if (!problem.empty()) {
      state->problems.push_back(problem);
    }
  };
  collect(nodes_, state->nodes, nodes_problem_);
  collect(functions_, state->functions, functions_problem_);
  state->runtimes = state->nodes.empty() ? fnimage::place::usual_runtimes()
                                         : fnimage::place::runtimes_of(state->nodes);
  const std::lock_guard lock(mutex_);
  state_ = std::move(state);
}

}  // namespace controller

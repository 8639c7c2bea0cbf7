// The table of runtimes. A new one is a file like python.cpp and a line here.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/runtime/runtime.hpp>

#include "exec.hpp"
#include "nodejs.hpp"
#include "notebook.hpp"
#include "python.hpp"

namespace fnimage::runtime {

namespace {

/// An image that is no action: the user's files and whatever entry point the build file says.
Result<Runtime> make_none(const Request& /*request*/) {
  return Runtime{};
}

struct Kind {
  std::string_view name;
  Result<Runtime> (*make)(const Request&);
  Starter (*starter)();  ///< null: there is nothing to start from
  bool needs_main;
};

constexpr std::array kinds{
    Kind{.name = "python", .make = make_python, .starter = python_starter, .needs_main = true},
    Kind{
        .name = "notebook", .make = make_notebook, .starter = notebook_starter, .needs_main = true},
    Kind{.name = "nodejs", .make = make_nodejs, .starter = nodejs_starter, .needs_main = true},
    Kind{.name = "exec", .make = make_exec, .starter = exec_starter, .needs_main = true},
    Kind{.name = "none", .make = make_none, .starter = nullptr, .needs_main = false},
};

Result<const Kind*> find_kind(std::string_view name, const std::vector<std::string_view>& choices) {
  const auto* const found = std::ranges::find(kinds, name, &Kind::name);
  if (found != kinds.end()) {
    return found;
  }
  return fail(ErrorCode::invalid_argument, fmt::format("there is no runtime '{}'", name),
              fmt::format("choose one of: {}", fmt::join(choices, ", ")));
}

}  // namespace

Result<Runtime> make_runtime(const Request& request) {
  FNIMAGE_TRY(const Kind* kind, find_kind(request.name, runtime_names()));
  if (!kind->needs_main) {
    return kind->make(request);
  }
  FNIMAGE_TRY(std::string main, layer::clean_path(request.main));
  if (main.empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("runtime '{}' needs the function's main file", request.name),
                "set source.main in the build file");
  }
  if (is_path_of_image(request)) {
    main.insert(0, "/");
  }
  Request cleaned = request;
  cleaned.main = std::move(main);
  return kind->make(cleaned);
}

bool is_path_of_image(const Request& request) {
  return request.name == "exec" && request.main.starts_with('/');
}

std::vector<std::string_view> runtime_names() {
  std::vector<std::string_view> names;
  names.reserve(kinds.size());
  for (const Kind& kind : kinds) {
    names.push_back(kind.name);
  }
  return names;
}

Result<Starter> starter_handler(std::string_view runtime) {
  std::vector<std::string_view> choices;
  for (const Kind& kind : kinds) {
    if (kind.starter != nullptr) {
      choices.push_back(kind.name);
    }
  }
  FNIMAGE_TRY(const Kind* kind, find_kind(runtime, choices));
  if (kind->starter == nullptr) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("runtime '{}' has no starter handler", runtime),
                fmt::format("choose one of: {}", fmt::join(choices, ", ")));
  }
  return kind->starter();
}

}  // namespace fnimage::runtime

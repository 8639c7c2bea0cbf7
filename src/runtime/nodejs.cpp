// The nodejs runtime. action_proxy.js needs Node.js from 12 up and the variables set here.
#include "nodejs.hpp"

#include <fmt/format.h>

#include "action_files.hpp"
#include "embedded.hpp"

namespace fnimage::runtime {

Result<Runtime> make_nodejs(const Request& request) {
  if (!request.main.ends_with(".js") && !request.main.ends_with(".mjs") &&
      !request.main.ends_with(".cjs")) {
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("source.main \"{}\" is not a JavaScript file (.js, .mjs, .cjs)", request.main),
        "name the file that has `function main(params)`, or choose another runtime");
  }
  FNIMAGE_TRY(Runtime runtime,
              make_action(request, "node", {{"action_proxy.js", action_proxy_js}}));
  runtime.debian_packages = {"nodejs"};
  return runtime;
}

Starter nodejs_starter() {
  return {.file_name = "handler.js", .text = R"(const os = require("os");

/** Called with the parameters of each activation; returns an object, an array or a promise. */
function main(params) {
  const name = params.name || "stranger";
  return { greeting: `Hello, ${name}!`, machine: os.machine ? os.machine() : os.arch() };
}

exports.main = main;
)"};
}

}  // namespace fnimage::runtime

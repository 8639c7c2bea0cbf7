// Runtimes: what they add to an image, and that the embedded files are the files.
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/stream.hpp>
#include <fnimage/runtime/runtime.hpp>
#include <fnimage/test/golden.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::runtime {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Runtime, PythonServesTheMainFile) {
  const Runtime runtime =
      unwrap(make_runtime({.name = "python", .main = "./app//handler.py", .mtime = 7}));
  EXPECT_THAT(runtime.entrypoint, ElementsAre("python3", "/usr/lib/fnimage/python_action.py"));
  EXPECT_EQ(runtime.env.at("FNIMAGE_ACTION_MAIN"), "/action/app/handler.py");
  EXPECT_THAT(runtime.exposed_ports, ElementsAre("8080/tcp"));
  EXPECT_THAT(runtime.debian_packages, ElementsAre("python3-minimal", "libpython3-stdlib"));
  for (const auto& [path, entry] : runtime.files.entries()) {
    EXPECT_EQ(entry.mtime, 7) << path;
  }
}

TEST(Runtime, ExecServesAnExecutableOfSourceOrImage) {
  const Runtime source = unwrap(make_runtime({.name = "exec", .main = "bin/run"}));
  EXPECT_THAT(source.entrypoint, ElementsAre("python3", "/usr/lib/fnimage/exec_action.py"));
  EXPECT_EQ(source.env.at("FNIMAGE_ACTION_MAIN"), "/action/bin/run");
  const Request of_image{.name = "exec", .main = "/usr/local//bin/solver"};
  EXPECT_TRUE(is_path_of_image(of_image));
  EXPECT_EQ(unwrap(make_runtime(of_image)).env.at("FNIMAGE_ACTION_MAIN"), "/usr/local/bin/solver");
  EXPECT_FALSE(is_path_of_image({.name = "python", .main = "/handler.py"}));
}

TEST(Runtime, NodejsServesTheMainFile) {
  for (const char* main : {"handler.js", "handler.mjs", "handler.cjs"}) {
    const Runtime runtime = unwrap(make_runtime({.name = "nodejs", .main = main}));
    EXPECT_THAT(runtime.entrypoint, ElementsAre("node", "/usr/lib/fnimage/action_proxy.js"));
    EXPECT_THAT(runtime.debian_packages, ElementsAre("nodejs"));
  }
}

TEST(Runtime, NotebookIsRunInAKernelOrCompiled) {
  const Runtime kernel = unwrap(make_runtime({.name = "notebook", .main = "train.ipynb"}));
  EXPECT_THAT(kernel.entrypoint, ElementsAre("python3", "/usr/lib/fnimage/notebook_action.py"));
  EXPECT_EQ(kernel.env.at("FNIMAGE_ACTION_MAIN"), "/action/train.ipynb");
  EXPECT_EQ(kernel.env.at("FNIMAGE_NOTEBOOK_MODE"), "kernel");
  EXPECT_THAT(kernel.debian_packages, ElementsAre("python3-minimal", "libpython3-stdlib",
                                                  "python3-ipykernel", "python3-nbclient"));
  const Runtime compiled =
      unwrap(make_runtime({.name = "notebook", .main = "train.ipynb", .compiled = true}));
  EXPECT_EQ(compiled.env.at("FNIMAGE_NOTEBOOK_MODE"), "compiled");
  EXPECT_THAT(compiled.debian_packages, ElementsAre("python3-minimal", "libpython3-stdlib"));
}

TEST(Runtime, EmbeddedFilesAreTheFilesByteForByte) {
  const std::vector<std::pair<Request, std::vector<std::string>>> runtimes{
      {{.name = "python", .main = "a.py"}, {"proxy/action_proxy.py", "python/python_action.py"}},
      {{.name = "exec", .main = "a"}, {"proxy/action_proxy.py", "exec/exec_action.py"}},
      {{.name = "notebook", .main = "a.ipynb"},
       {"proxy/action_proxy.py", "notebook/notebook_action.py", "notebook/notebook_cells.py",
        "notebook/notebook_compiled.py", "notebook/notebook_kernel.py",
        "notebook/notebook_parameters.py", "notebook/notebook_results.py",
        "notebook/notebook_run.py"}},
      {{.name = "nodejs", .main = "a.js"}, {"nodejs/action_proxy.js"}}};
  for (const auto& [request, files] : runtimes) {
    const Runtime runtime = unwrap(make_runtime(request));
    // The directories above them, too.
    EXPECT_EQ(runtime.files.entries().size(), files.size() + 3);
    for (const std::string& file : files) {
      const layer::Entry* entry =
          runtime.files.find("usr/lib/fnimage/" + file.substr(file.find('/') + 1));
      ASSERT_NE(entry, nullptr) << file;
      const auto reader = unwrap(entry->content->open());
      const std::string embedded = unwrap(read_all(*reader, 1 << 20));
      EXPECT_EQ(embedded, unwrap(read_file(test::data("../src/runtime/" + file), 1 << 20)));
      EXPECT_EQ(entry->content->id(), manifest::Digest::of(embedded).str());
    }
  }
}

TEST(Runtime, RefusesWhatCannotBe) {
  EXPECT_THAT(make_runtime({.name = "python"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("needs the function's main file")));
  EXPECT_THAT(make_runtime({.name = "python", .main = "model.h5"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("not a Python source file")));
  EXPECT_THAT(make_runtime({.name = "nodejs", .main = "handler.py"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("not a JavaScript file")));
  EXPECT_THAT(make_runtime({.name = "python", .main = "../handler.py"}),
              fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(make_runtime({.name = "notebook", .main = "a.py"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("not a notebook")));
  EXPECT_THAT(make_runtime({.name = "cobol"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("no runtime 'cobol'")));
}

TEST(Runtime, NoneAddsNothing) {
  const Runtime runtime = unwrap(make_runtime({.name = "none"}));
  EXPECT_TRUE(runtime.files.empty());
  EXPECT_TRUE(runtime.entrypoint.empty());
}

TEST(Runtime, StarterIsAHandler) {
  const Starter python = unwrap(starter_handler("python"));
  EXPECT_EQ(python.file_name, "handler.py");
  EXPECT_THAT(python.text, HasSubstr("def main(args):"));
  EXPECT_FALSE(python.executable);
  EXPECT_THAT(unwrap(starter_handler("nodejs")).text, HasSubstr("function main(params)"));
  EXPECT_THAT(unwrap(starter_handler("notebook")).text, HasSubstr("\"nbformat\": 4"));
  const Starter exec = unwrap(starter_handler("exec"));
  EXPECT_THAT(exec.text, StartsWith("#!/bin/sh\n"));
  EXPECT_TRUE(exec.executable);
  EXPECT_THAT(exec.debian_packages, ElementsAre("coreutils", "dash"));
  EXPECT_THAT(starter_handler("none"), fails_with(ErrorCode::invalid_argument));
}

}  // namespace
}  // namespace fnimage::runtime

// Runtimes: what they add to an image, and that the embedded files are the files.
#include <fstream>
#include <iterator>

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

TEST(Runtime, PythonServesTheMainFile) {
  const Runtime runtime =
      unwrap(make_runtime({.name = "python", .main = "./app//handler.py", .mtime = 7}));
  EXPECT_THAT(runtime.entrypoint, ElementsAre("python3", "/usr/lib/fnimage/action_proxy.py"));
  EXPECT_EQ(runtime.env.at("FNIMAGE_ACTION_MAIN"), "/action/app/handler.py");
  EXPECT_THAT(runtime.exposed_ports, ElementsAre("8080/tcp"));
  EXPECT_THAT(runtime.debian_packages, ElementsAre("python3-minimal", "libpython3-stdlib"));
  for (const auto& [path, entry] : runtime.files.entries()) {
    EXPECT_EQ(entry.mtime, 7) << path;
  }
}

TEST(Runtime, EmbeddedProxyIsTheFileByteForByte) {
  const Runtime runtime = unwrap(make_runtime({.name = "python", .main = "handler.py"}));
  const layer::Entry* entry = runtime.files.find("usr/lib/fnimage/action_proxy.py");
  ASSERT_NE(entry, nullptr);
  const auto reader = unwrap(entry->content->open());
  const std::string embedded = unwrap(read_all(*reader, 1 << 20));
  const auto source = test::data("../src/runtime/python/action_proxy.py");
  EXPECT_EQ(embedded, unwrap(read_file(source, 1 << 20)));
  EXPECT_EQ(entry->content->id(), manifest::Digest::of(embedded).str());
}

TEST(Runtime, RefusesWhatCannotBe) {
  EXPECT_THAT(make_runtime({.name = "python"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("needs the function's main file")));
  EXPECT_THAT(make_runtime({.name = "python", .main = "model.h5"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("not a Python source file")));
  EXPECT_THAT(make_runtime({.name = "python", .main = "../handler.py"}),
              fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(make_runtime({.name = "notebook", .main = "a.ipynb"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("not available in this version")));
  EXPECT_THAT(make_runtime({.name = "cobol"}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("no runtime 'cobol'")));
}

TEST(Runtime, NoneAddsNothing) {
  const Runtime runtime = unwrap(make_runtime({.name = "none"}));
  EXPECT_TRUE(runtime.files.empty());
  EXPECT_TRUE(runtime.entrypoint.empty());
}

TEST(Runtime, StarterIsAHandler) {
  const Starter starter = unwrap(starter_handler("python"));
  EXPECT_EQ(starter.file_name, "handler.py");
  EXPECT_THAT(starter.text, HasSubstr("def main(args):"));
  EXPECT_THAT(starter_handler("none"), fails_with(ErrorCode::invalid_argument));
}

}  // namespace
}  // namespace fnimage::runtime

// Programs that a build starts, and what is taken from them.
#include <thread>

#include <gmock/gmock.h>

#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/confinement.hpp"
#include "debian/process.hpp"

namespace fnimage::source::debian {
namespace {

using test::unwrap;
using ::testing::HasSubstr;

ProgramOutput shell(const std::string& script, const ProgramOptions& options) {
  const std::vector<std::string> command{"/bin/sh", "-c", script};
  return unwrap(run_program(command, options));
}

bool can_confine() {
  bool can = false;
  std::jthread([&] { can = confine_this_thread({.readable = {"/"}}); }).join();
  return can;
}

TEST(Process, GetsTheEnvironmentThatItIsGivenAndNoOther) {
  const ProgramOutput output =
      shell("echo $A-$HOME-", {.environment = std::vector<std::string>{"A=1"}});
  EXPECT_EQ(output.standard_output, "1--\n");
}

TEST(Process, IsKilledPastItsLimits) {
  // Long enough for the limits to be there, endless without them.
  EXPECT_NE(shell("while :; do :; done", {.max_seconds = 1}).exit_code, 0);
  EXPECT_EQ(shell("exit 3", {.max_memory = std::uint64_t{1} << 30}).exit_code, 3);
}

TEST(Process, ConfinedReadsAndWritesOnlyWhatItMay) {
  if (!can_confine()) {
    GTEST_SKIP() << "this kernel has no Landlock";
  }
  const test::TempDir dir;
  dir.write("in/a", "read me");
  dir.write("secret", "not me");
  dir.write("out/old", "");
  const ProgramOptions options{
      .confinement = Confinement{.readable = {"/usr", dir / "in"}, .writable = {dir / "out"}}};
  const std::string here = dir.path().string();
  EXPECT_EQ(shell("cat " + here + "/in/a", options).standard_output, "read me");
  EXPECT_EQ(shell("echo x >" + here + "/out/new", options).exit_code, 0);
  EXPECT_EQ(dir.read("out/new"), "x\n");
  for (const std::string& refused :
       {"cat " + here + "/secret", "echo x >" + here + "/in/a", "echo x >" + here + "/secret",
        "rm " + here + "/secret", "ln -s /etc " + here + "/in/link", std::string("cat /etc/passwd"),
        "cp /bin/true " + here + "/out/run && chmod +x " + here + "/out/run && " + here +
            "/out/run"}) {
    const ProgramOutput output = shell(refused, options);
    EXPECT_NE(output.exit_code, 0) << refused;
    EXPECT_THAT(output.standard_error, HasSubstr("ermission denied")) << refused;
  }
  EXPECT_EQ(dir.read("secret"), "not me");
  EXPECT_EQ(dir.read("in/a"), "read me");
  // This process is as free as before.
  EXPECT_EQ(shell("cat " + here + "/secret", {}).standard_output, "not me");
}

}  // namespace
}  // namespace fnimage::source::debian

// What a terminal gets, byte for byte where it matters.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>

#include "program.hpp"

namespace fnimage::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

void write_project(const Program& program) {
  program.directory().write("fnimage.yaml",
                            "name: probe\nplatforms: [linux/amd64]\nbase: {scratch: true}\n"
                            "layers: [{name: model, from: model.bin, to: /model.bin}]\n");
  program.directory().write("model.bin", std::string(std::size_t{24} << 20U, 'x'));
}

TEST(Progress, IsBarsOnATerminal) {
  Program program;
  write_project(program);
  const Outcome outcome = program.run_on_terminal({"build"}, 80);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
  // A bar was drawn, taken away again, and the result stands alone.
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("model"), HasSubstr("\x1b[1A\r\x1b[J"),
                    HasSubstr("built probe:latest@sha256:"), Not(HasSubstr(": done"))));
}

TEST(Progress, FitsTheTerminal) {
  Program program;
  write_project(program);
  program.set("NO_COLOR", "1");
  const Outcome outcome = program.run_on_terminal({"build", "--quiet", "--json"}, 24);
  EXPECT_EQ(outcome.exit_code, 0);
  const Outcome bars = program.run_on_terminal({"build", "--cache-dir", "fresh"}, 24);
  const std::size_t result = bars.out.find("linux/amd64");
  for (std::string_view line : split(std::string_view(bars.out).substr(0, result), '\n')) {
    while (!line.empty() && (line.front() == '\x1b' || line.front() == '\r')) {
      // An escape sequence ends in a letter; one that was cut off takes the rest of the line.
      const std::size_t end = line.front() == '\r' ? 0 : line.find_first_of("ABCDGHJKhlm");
      line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
    }
    EXPECT_LT(trim(line).size(), 24U) << line;
  }
}

TEST(Progress, IsLinesElsewhere) {
  Program program;
  write_project(program);
  const Outcome outcome = program.run({"build"});
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("model: "), Not(HasSubstr("\x1b"))));
}

TEST(Progress, IsNothingWhenNotWanted) {
  Program program;
  write_project(program);
  EXPECT_EQ(program.run({"build", "--progress=none"}).err, "");
  EXPECT_THAT(program.run({"build", "--progress=tty", "--cache-dir", "fresh"}).err,
              HasSubstr("\x1b[J"));
}

TEST(Color, IsForTerminalsThatWantIt) {
  Program program;
  EXPECT_THAT(program.run_on_terminal({"push", "x:y"}, 80).out, HasSubstr("\x1b[1;31merror:"));
  EXPECT_THAT(program.run({"push", "x:y"}).err, Not(HasSubstr("\x1b")));
  program.set("NO_COLOR", "1");
  EXPECT_THAT(program.run_on_terminal({"push", "x:y"}, 80).out, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace fnimage::test

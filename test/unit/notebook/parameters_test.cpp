// What a cell of parameters declares. The cells of notebook_parameters.json are also read by the
// notebook runtime's Python, which has to say the same (notebook_conformance_test.py).
#include "parameters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/test/golden.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::notebook {
namespace {

using test::unwrap;
using OrderedJson = nlohmann::ordered_json;

OrderedJson properties(std::string_view cell) {
  OrderedJson schema = parameter_schema(cell);
  EXPECT_EQ(schema["type"], "object");
  EXPECT_EQ(schema["additionalProperties"], false);
  return schema["properties"];
}

/// The schema of the parameter "x".
std::string declared(std::string_view cell) {
  const OrderedJson all = properties(cell);
  return all.contains("x") ? all["x"].dump() : "none";
}

TEST(Parameters, AreAssignmentsAtTheTopLevel) {
  const OrderedJson all = properties(R"(import os
"""A text: x = 1"""
a = 1
b: int = 2; c = "3"  # counted
_hidden = 4
d = e = 5
f, g = 6, 7
h[0] = 8
os.environ = 9
i += 10
j == 11
k: int
for l in (12,): m = 13; n = 14
if True:
    o = 15
print("p = 16")
lambda q=17: q
class R: s = 18
t = (
    19,  # t
    20,
) # two
def u(v=21): w = 22
z = lambda y=23: y
%time x1 = 24
!x2 = 25
ü = 26
a = "last"
)");
  std::vector<std::string> names;
  for (const auto& item : all.items()) {
    names.push_back(item.key());
  }
  EXPECT_THAT(names, ::testing::ElementsAre("a", "b", "c", "t", "z", "ü"));
  EXPECT_EQ(all["a"].dump(), R"({"type":"string","default":"last"})");
  EXPECT_EQ(all["b"].dump(), R"({"type":"integer","default":2,"description":"counted"})");
  EXPECT_EQ(all["t"].dump(), R"({"type":"array","default":[19,20],"description":"two"})");
  EXPECT_EQ(all["z"].dump(), "{}");
}

TEST(Parameters, KindsFollowFromLiterals) {
  EXPECT_EQ(declared("x = True"), R"({"type":"boolean","default":true})");
  EXPECT_EQ(declared("x = None"), R"({"default":null})");
  EXPECT_EQ(declared("x = 1_000"), R"({"type":"number","default":1000})");
  EXPECT_EQ(declared("x = -0x1F"), R"({"type":"number","default":-31})");
  EXPECT_EQ(declared("x = 0b101"), R"({"type":"number","default":5})");
  EXPECT_EQ(declared("x = -9223372036854775808"),
            R"({"type":"number","default":-9223372036854775808})");
  EXPECT_EQ(declared("x = 36893488147419103232"),
            R"({"type":"number","default":3.6893488147419103e+19})");
  EXPECT_EQ(declared("x = .5e-1"), R"({"type":"number","default":0.05})");
  EXPECT_EQ(declared("x = 1."), R"({"type":"number","default":1.0})");
  EXPECT_EQ(declared("x = (1)"), R"({"type":"number","default":1})");
  EXPECT_EQ(declared("x = (1,)"), R"({"type":"array","default":[1]})");
  EXPECT_EQ(declared("x = ()"), R"({"type":"array","default":[]})");
  EXPECT_EQ(declared("x = 1, 'b', [None]"), R"({"type":"array","default":[1,"b",[null]]})");
  EXPECT_EQ(declared("x = {'a': [1.5, True], 2: {}}"),
            R"({"type":"object","default":{"a":[1.5,true],"2":{}}})");
  EXPECT_EQ(declared("x = 'a' \"b\""), R"({"type":"string","default":"ab"})");
  EXPECT_EQ(declared(R"(x = "\x41\u2603\n\101\q")"),
            "{\"type\":\"string\",\"default\":\"A\u2603\\nA\\\\q\"}");
  EXPECT_EQ(declared(R"(x = r'\n')"), R"({"type":"string","default":"\\n"})");
  EXPECT_EQ(declared("x = '''a\n'b'''"), R"({"type":"string","default":"a\n'b"})");
  EXPECT_EQ(declared("x = 1 \\\n  # not this\n"),
            R"({"type":"number","default":1,"description":"not this"})");
}

TEST(Parameters, AreThoseThatTheRuntimeAccepts) {
  const auto cases = nlohmann::json::parse(
      unwrap(read_file(test::data("e2e/notebook_parameters.json"), std::size_t{1} << 20)));
  ASSERT_GT(cases.size(), 10U);
  for (const auto& one : cases) {
    const std::string cell = one["cell"];
    std::map<std::string, std::string> kinds;
    const OrderedJson all = properties(cell);
    for (const auto& [name, schema] : all.items()) {
      const auto type = schema.value("type", OrderedJson("any"));
      kinds[name] = type.is_array() ? type[0].get<std::string>() + " or null" : std::string(type);
    }
    EXPECT_EQ(kinds, (one["parameters"].get<std::map<std::string, std::string>>())) << cell;
  }
}

TEST(Parameters, WhatIsNoLiteralMayBeAnything) {
  for (const char* value : {"f(a=1)",
                            "1 + 1",
                            "2 ** 8",
                            "1j",
                            "b'bytes'",
                            "f'{1}'",
                            "{1, 2}",
                            "[*range(3)]",
                            "[f()]",
                            "y",
                            "-y",
                            "not True",
                            "[1 2]",
                            "(1",
                            "'a' + 'b'",
                            "'unended",
                            "1 if 2 else 3",
                            "--1",
                            "{**y}",
                            "{[1]: 2}",
                            "0x",
                            "1e999",
                            "\"\\ud800\"",
                            "lambda z=1, *a: z"}) {
    EXPECT_EQ(declared(std::string("x = ") + value), "{}") << value;
  }
  EXPECT_EQ(declared("x = " + std::string(10'000, '[')), "{}");
  EXPECT_EQ(declared("x ="), "none");
}

TEST(Parameters, AnnotationsSayTheKind) {
  EXPECT_EQ(declared("x: int = 1"), R"({"type":"integer","default":1})");
  EXPECT_EQ(declared("x: float = 1"), R"({"type":"number","default":1})");
  EXPECT_EQ(declared("x: str = None"), R"({"type":["string","null"],"default":null})");
  EXPECT_EQ(declared("x: typing.List[int] = f()"), R"({"type":"array"})");
  EXPECT_EQ(declared("x: dict[str, int] = {}"), R"({"type":"object","default":{}})");
  EXPECT_EQ(declared("x: Optional[int] = 1"), R"({"default":1})");
  EXPECT_EQ(declared("x: 'int' = 1"), R"({"default":1})");
  EXPECT_EQ(declared("x: int[str] = 1"), R"({"default":1})");
  EXPECT_EQ(declared("x: np.float = 1"), R"({"default":1})");
}

}  // namespace
}  // namespace fnimage::notebook

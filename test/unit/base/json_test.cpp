// Bounded JSON: V10, V11 and everything a hostile document could try.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

TEST(ParseJson, BuildsTheDocument) {
  const std::string text =
      R"({"a":[1,-2,3.5,true,false,null,"x",{"b":{}},[]],"c":18446744073709551615})";
  EXPECT_EQ(unwrap(parse_json(text, "doc")), nlohmann::json::parse(text));
  EXPECT_EQ(unwrap(parse_json("7", "doc")), 7);
}

TEST(ParseJson, RefusesDuplicateKeysAtEveryLevel) {
  EXPECT_THAT(parse_json(R"({"a":1,"b":2,"a":3})", "doc"),
              fails_with(ErrorCode::invalid_input, "doc: duplicate key \"a\""));
  EXPECT_THAT(parse_json(R"([{"x":{"y":1,"\u0079":2}}])", "doc"),
              fails_with(ErrorCode::invalid_input, HasSubstr("duplicate key \"y\"")));
  EXPECT_THAT(parse_json(R"([{"a":1},{"a":1}])", "doc"), is_ok());
}

TEST(ParseJson, RefusesDepth) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_THAT(parse_json(nested(64), "doc"), is_ok());
  EXPECT_THAT(parse_json(nested(65), "doc"),
              fails_with(ErrorCode::invalid_input, HasSubstr("deeper than 64")));
  EXPECT_THAT(parse_json(std::string(1'000'000, '['), "doc"), fails_with(ErrorCode::invalid_input));
}

TEST(ParseJson, RefusesSize) {
  EXPECT_THAT(parse_json("[1,2,3]", "doc", {.max_bytes = 6}), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(parse_json("[1,2,3]", "doc", {.max_bytes = 7}), is_ok());
}

TEST(ParseJson, RefusesManyValues) {
  const JsonLimits five{.max_values = 5};
  EXPECT_THAT(parse_json(R"([{"a":1,"b":[null]}])", "x", five), test::is_ok());
  for (const std::string_view text :
       {R"([{"a":1,"b":[null,2]}])", "[1,2,3,4,5]", "[[],[],{},{},{}]", R"(["","",true,1.5,{}])"}) {
    EXPECT_THAT(parse_json(text, "x", five),
                fails_with(ErrorCode::invalid_input, HasSubstr("x: more than 5 values")));
  }
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "[1] 2", "nul", "NaN",
                          "01", "\"\xff\"", "\"\xed\xa0\x80\"", "// c\n1", "{\"a\" 1}", "1e999"}) {
    EXPECT_THAT(parse_json(bad, "doc"),
                fails_with(ErrorCode::invalid_input, HasSubstr("doc: not valid JSON")))
        << bad;
  }
  EXPECT_THAT(parse_json("[1,x]", "doc"),
              fails_with(ErrorCode::invalid_input, HasSubstr("at byte 4")));
}

TEST(ParseJson, ErrorsArePrintable) {
  const auto result = parse_json("[\x1b]", "doc");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message().find('\x1b'), std::string::npos);
}

TEST(ToJsonText, ReplacesInvalidUtf8) {
  nlohmann::ordered_json value;
  value["b"] = "x\xff";
  value["a"] = 1;
  EXPECT_EQ(to_json_text(value), "{\"b\":\"x\xef\xbf\xbd\",\"a\":1}");
}

class Fields : public ::testing::Test {
 protected:
  nlohmann::json value_ = nlohmann::json::parse(
      R"({"text":"t","number":5,"float":5.0,"big":9223372036854775808,"null":null,"a/b~":{"in":1}})");
  JsonObject object_ = unwrap(JsonObject::of(value_, "manifest"));
};

TEST_F(Fields, ReadsTypes) {
  EXPECT_EQ(unwrap(object_.string("text")), "t");
  EXPECT_EQ(unwrap(object_.string_or("other", "f")), "f");
  EXPECT_EQ(unwrap(object_.integer("number")), 5);
  EXPECT_EQ(unwrap(object_.integer_or("other", 9)), 9);
}

TEST_F(Fields, NullIsAbsent) {
  EXPECT_FALSE(object_.has("null"));
  EXPECT_EQ(object_.find("null"), nullptr);
  EXPECT_EQ(unwrap(object_.string_or("null", "f")), "f");
  EXPECT_THAT(object_.string("null"),
              fails_with(ErrorCode::invalid_input, "manifest: /null: missing"));
}

TEST_F(Fields, WrongTypesNameThePath) {
  EXPECT_THAT(object_.string("number"),
              fails_with(ErrorCode::invalid_input, "manifest: /number: not a string"));
  EXPECT_THAT(object_.integer("text"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(object_.integer("float"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(object_.integer("big"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(object_.string_or("number", ""), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(object_.integer_or("text", 0), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(JsonObject::of(value_["text"], "manifest"), fails_with(ErrorCode::invalid_input));
}

TEST_F(Fields, PathsGrowAndAreEscaped) {
  EXPECT_EQ(object_.path_of("a/b~"), "manifest: /a~1b~0");
  const JsonObject inner = unwrap(JsonObject::of(*object_.find("a/b~"), object_.path_of("a/b~")));
  EXPECT_EQ(inner.path_of("in"), "manifest: /a~1b~0/in");
  const JsonObject in_array = unwrap(JsonObject::of(*object_.find("a/b~"), "/layers/3"));
  EXPECT_EQ(in_array.path_of("size"), "/layers/3/size");
}

}  // namespace
}  // namespace fnimage

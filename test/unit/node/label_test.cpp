// What Kubernetes accepts as labels: the cases of apimachinery's validation_test.go.
#include <fnimage/node/label.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::node {
namespace {

using test::fails_with;
using test::is_ok;
using ::testing::StartsWith;

TEST(LabelKeys, MayHaveAPrefix) {
  const std::string name(63, 'a');
  const std::string prefix = std::string(253, 'a');
  for (const std::string& key :
       {std::string("simple"), std::string("now-with-dashes"), std::string("1-num.2-num/3-num"),
        std::string("1234/5678"), std::string("Uppercase_Is.OK-123"), std::string("0"),
        std::string("example.com/Uppercase"), name, prefix + "/" + name}) {
    EXPECT_THAT(check_label_key(key), is_ok()) << key;
  }
  for (const std::string& key :
       {std::string(""), std::string("nospecialchars%^=@"), std::string("-a"), std::string("a-"),
        std::string("a/"), std::string("/a"), std::string("a/b/c"), std::string("Upper.com/a"),
        std::string("a..b/c"), std::string(".a/c"), std::string("a_b/c"), std::string("-a.b/c"),
        std::string("a.b-/c"), std::string("a b"), std::string("a\n"), std::string("\xc3\xa4"),
        name + "a", prefix + "a/b"}) {
    EXPECT_THAT(check_label_key(key),
                fails_with(ErrorCode::invalid_argument, StartsWith("is no label key: \"")))
        << key;
  }
}

TEST(LabelValues, MayBeEmpty) {
  for (const std::string& value :
       {std::string(), std::string("a"), std::string("1_2.3-4"), std::string(63, 'a')}) {
    EXPECT_THAT(check_label_value(value), is_ok()) << value;
  }
  for (const std::string& value : {std::string(64, 'a'), std::string(" "), std::string("a/b"),
                                   std::string("_a"), std::string("a."), std::string("\x1b")}) {
    EXPECT_THAT(check_label_value(value),
                fails_with(ErrorCode::invalid_argument, StartsWith("is no label value: \"")))
        << value;
  }
}

}  // namespace
}  // namespace fnimage::node

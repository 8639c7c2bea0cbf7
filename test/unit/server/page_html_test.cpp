// Text in pages: escaped wherever it comes from.
#include <string>

#include <gtest/gtest.h>

#include "page/html.hpp"
#include "page/views.hpp"

namespace fnimage::server {

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_escaped(out, text);
  return out;
}

constexpr MarkupScan scanned(std::string_view markup) {
  MarkupScan scan;
  for (const char c : markup) {
    scan.take(c);
  }
  return scan;
}

// What the compiler refuses.
static_assert(scanned("<p>{}</p>").is_safe());
static_assert(scanned(R"(<a href="{}">{}</a>)").is_safe());
static_assert(scanned(R"(<a href="{}">{}</a>)").places() == 2);
static_assert(!scanned("<a href={}>x</a>").is_safe());
static_assert(!scanned("<{}>").is_safe());
static_assert(!scanned(R"(<a title="x" {}>)").is_safe());
static_assert(!scanned(R"(<a title="x)").is_safe());
static_assert(!scanned("<a <b>").is_safe());
static_assert(scanned("say \"{}\"").is_safe());

TEST(PageHtml, MarkupInTextIsText) {
  EXPECT_EQ(escaped("<script>alert('1')</script> & \"x\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;");
  EXPECT_EQ(html(R"(<a title="{}">{}</a>)", std::string("\"><b>"), "&amp;").str(),
            R"(<a title="&quot;&gt;&lt;b&gt;">&amp;amp;</a>)");
}

TEST(PageHtml, WhatDoesNotShowIsShown) {
  EXPECT_EQ(escaped(std::string("a\0b\x1b[31m\r\t\x7f", 11)), "a\\x00b\\x1B[31m\\x0D\\x09\\x7F");
  EXPECT_EQ(escaped("a\u202Eb\u2066c\u200Fd\uFEFFe\u2028f"),
            "a\\u202Eb\\u2066c\\u200Fd\\uFEFFe\\u2028f");
  EXPECT_EQ(escaped("\xC2\x85"), "\\x85");  // a control character of two bytes
  EXPECT_EQ(escaped("line\nline"), "line\nline");
  EXPECT_EQ(escaped("caf\u00e9 \u4e2d \U0001F600 \u05d0"), "caf\u00e9 \u4e2d \U0001F600 \u05d0");
}

TEST(PageHtml, BytesThatAreNoTextAreNamed) {
  EXPECT_EQ(escaped("\xff<"), "\\xFF&lt;");
  EXPECT_EQ(escaped("\xC0\xBC"), "\\xC0\\xBC");  // '<' in too many bytes
  EXPECT_EQ(escaped("\xE0\x80\xBC"), "\\xE0\\x80\\xBC");
  EXPECT_EQ(escaped("\xED\xA0\x80"), "\\xED\\xA0\\x80");  // half of a pair
  EXPECT_EQ(escaped("\xF4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80");
  EXPECT_EQ(escaped("\xE4\xB8"), "\\xE4\\xB8");     // cut off
  EXPECT_EQ(escaped("\xC3<b>"), "\\xC3&lt;b&gt;");  // must not swallow what follows
}

TEST(PageHtml, NumbersAndHtmlStayAsTheyAre) {
  const Html inner = html("<b>{}</b>", 7);
  EXPECT_EQ(html("<p>{}{}</p>", inner, "<").str(), "<p><b>7</b>&lt;</p>");
  EXPECT_EQ(Html().add("<i></i>").add(inner).str(), "<i></i><b>7</b>");
  EXPECT_TRUE(Html().empty());
}

TEST(PageHtml, NumbersAndDigestsAsPeopleReadThem) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(count_of(1, "tag"), "1 tag");
  EXPECT_EQ(count_of(0, "tag"), "0 tags");
  EXPECT_EQ(short_digest("sha256:0123456789abcdef"), "sha256:0123456789ab");
}

TEST(PageHtml, ThePolicyAllowsTheDocumentsOwnParts) {
  const std::string policy = content_policy();
  EXPECT_TRUE(policy.starts_with("default-src 'none'; style-src 'sha256-"));
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
}

}  // namespace

}  // namespace fnimage::server

// Names of packages, images and documents. The purls are those of the specification's own tests
// where it has some.
#include "identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.hpp"

namespace fnimage::sbom {
namespace {

std::string deb_purl(const std::string& name, const std::string& version,
                     const std::string& architecture, const Distribution& distribution) {
  return purl_of({.name = name,
                  .version = version,
                  .architecture = architecture,
                  .source = name,
                  .source_version = version},
                 distribution);
}

TEST(Purl, OfDebianPackages) {
  EXPECT_EQ(deb_purl("curl", "7.50.3-1", "i386", {.id = "debian", .version = "12"}),
            "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=debian-12");
  EXPECT_EQ(deb_purl("attr", "1:2.4.47-2+b1", "amd64", {}),
            "pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=amd64")
      << "the colon is never encoded";
  EXPECT_EQ(deb_purl("libstdc++6", "12~rc1", "ppc64el", {.id = "Ubuntu", .version = "22.04"}),
            "pkg:deb/ubuntu/libstdc%2B%2B6@12~rc1?arch=ppc64el&distro=Ubuntu-22.04");
  EXPECT_EQ(deb_purl("Old", "1", "all", {.id = "debian"}), "pkg:deb/debian/old@1?arch=all");
}

TEST(Purl, HostileNamesCannotLeaveTheirPlace) {
  EXPECT_EQ(deb_purl("a/b@1?c#d", "1&arch=x", "a%b", {.id = "x/y", .version = "\xff\n"}),
            "pkg:deb/x%2Fy/a%2Fb%401%3Fc%23d@1%26arch%3Dx?arch=a%25b&distro=x%2Fy-%FF%0A");
}

TEST(Purl, OfImages) {
  const Contents contents = small_contents();
  EXPECT_EQ(purl_of(contents), "pkg:oci/hello@" + contents.image.digest.str() + "?arch=ppc64le");
}

TEST(Uuid, FollowsFromWhatItIsAbout) {
  Contents contents = small_contents();
  const std::string uuid = uuid_of(contents, Format::spdx);
  EXPECT_THAT(uuid, ::testing::MatchesRegex(
                        "[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(uuid_of(small_contents(), Format::spdx), uuid);
  EXPECT_NE(uuid_of(contents, Format::cyclonedx), uuid);
  contents.name = "other";
  EXPECT_NE(uuid_of(contents, Format::spdx), uuid);
}

TEST(Time, IsInUtcWithWholeSeconds) {
  EXPECT_EQ(utc_time("2023-06-10T12:00:00Z"), "2023-06-10T12:00:00Z");
  EXPECT_EQ(utc_time("2023-06-10T12:00:00.123456789Z"), "2023-06-10T12:00:00Z");
  EXPECT_EQ(utc_time("2023-12-31T23:30:00-02:00"), "2024-01-01T01:30:00Z");
  EXPECT_EQ(utc_time("2024-03-01T00:15:00.5+00:30"), "2024-02-29T23:45:00Z");
  for (const std::string_view wrong :
       {"", "yesterday", "2023-02-30T00:00:00Z", "2023-06-10T12:00:00", "2023-06-10 12:00:00Z",
        "2023-06-10T25:00:00Z", "0000-01-01T00:00:00Z", "2023-06-10T12:00:00+2:00",
        "99999-01-01T00:00:00Z", "2023-06-10T12:00:00.Zjunk", "-023-06-10T12:00:00Z",
        "2023-00-10T12:00:00Z"}) {
    EXPECT_EQ(utc_time(wrong), "1970-01-01T00:00:00Z") << wrong;
  }
}

TEST(Person, NameAndAddress) {
  const auto check = [](std::string_view text, std::string_view name, std::string_view address) {
    const Person person = parse_person(text);
    EXPECT_EQ(person.name, name) << text;
    EXPECT_EQ(person.address, address) << text;
  };
  check("A Team <team@example.org>", "A Team", "team@example.org");
  check("nobody", "nobody", "");
  check("<only@example.org>", "only@example.org", "only@example.org");
  check("Odd <no address>", "Odd", "");
  check("", "", "");
  check("<", "<", "");
  check("<>", "", "");
}

TEST(WebAddress, OnlyWhatEveryReaderTakes) {
  EXPECT_TRUE(is_web_address("https://www.debian.org/a?b=c#d"));
  for (const std::string_view wrong :
       {"", "ftp://x", "javascript:x", "http://a b", "http://\xc3\xbc", "http://<x>"}) {
    EXPECT_FALSE(is_web_address(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace fnimage::sbom

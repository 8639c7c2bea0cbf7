// The host's apt configuration, and release files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/apt_sources.hpp"
#include "debian/release.hpp"
#include "debian/signature.hpp"

namespace fnimage::source::debian {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view deb822_sources = R"(# the distribution
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Check-Valid-Until: no

Enabled: no
Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main

Types: deb
URIs: http://vendor.example/apt
Suites: nodistro
Components: main
)";

TEST(AptSources, ReadsOneLineStyle) {
  const auto sources =
      unwrap(parse_one_line_sources("# remark\n"
                                    "deb [arch=amd64,ppc64el signed-by=/k.gpg trusted=yes] "
                                    "http://mirror.example/debian/ bookworm main contrib # x\n"
                                    "deb-src http://mirror.example/debian bookworm main\n"
                                    "deb http://mirror.example/flat ./\n"
                                    "deb cdrom:[Debian] bookworm main\n",
                                    "sources.list"));
  ASSERT_EQ(sources.size(), 1U);
  EXPECT_EQ(sources[0].uri, "http://mirror.example/debian");
  EXPECT_EQ(sources[0].suite, "bookworm");
  EXPECT_THAT(sources[0].components, ElementsAre("main", "contrib"));
  EXPECT_THAT(sources[0].architectures, ElementsAre("amd64", "ppc64el"));
  EXPECT_THAT(sources[0].signed_by, ElementsAre("/k.gpg"));
  EXPECT_TRUE(sources[0].trusted);
  EXPECT_THAT(parse_one_line_sources("deb [arch=x http://a b", "list"),
              fails_with(ErrorCode::invalid_input, HasSubstr("list:1")));
}

TEST(AptSources, ChoosesTheSuitesOfTheRelease) {
  const test::TempDir apt;
  apt.write("sources.list.d/debian.sources", deb822_sources);
  const DebianSettings settings{
      .release = "bookworm", .cache_directory = {}, .apt_directory = apt.path()};
  const auto sources = unwrap(choose_sources(settings));
  ASSERT_EQ(sources.size(), 3U);
  EXPECT_EQ(sources[0].suite, "bookworm");
  EXPECT_THAT(sources[0].components, ElementsAre("main"));
  EXPECT_EQ(sources[1].suite, "bookworm-updates");
  EXPECT_EQ(sources[2].suite, "bookworm-security");
  EXPECT_EQ(sources[2].check_valid_until, false);

  DebianSettings other = settings;
  other.release = "trixie";
  EXPECT_THAT(choose_sources(other),
              fails_with(ErrorCode::not_found, HasSubstr("bookworm, bookworm-security")));
  other.release = "bookworm";
  other.suites = {};
  EXPECT_EQ(unwrap(choose_sources(other)).size(), 1U);
}

// A workstation with trixie builds for bookworm, from the mirror that it has.
TEST(AptSources, ADebianHostHasOtherReleasesAtTheSameAddresses) {
  const test::TempDir etc;
  etc.write("apt/sources.list.d/debian.sources", deb822_sources);
  etc.write("os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=\"debian\"\n");
  const DebianSettings settings{
      .release = "trixie", .cache_directory = {}, .apt_directory = etc.path() / "apt"};
  DebianSettings host = settings;
  host.release = "bookworm";
  const auto own = unwrap(choose_sources(host));
  const auto sources = unwrap(choose_sources(settings));
  ASSERT_EQ(sources.size(), own.size());
  const std::vector<std::string> suites{"trixie", "trixie-updates", "trixie-security"};
  for (std::size_t at = 0; at < sources.size(); ++at) {
    EXPECT_EQ(sources[at].suite, suites.at(at));
    EXPECT_EQ(sources[at].uri, own[at].uri);
    EXPECT_EQ(sources[at].signed_by, own[at].signed_by);
    EXPECT_EQ(sources[at].optional, at > 0) << "an old release has no updates any more";
    EXPECT_FALSE(own[at].optional);
  }
}

TEST(AptSources, OtherSystemsHaveNoReleaseOfDebian) {
  const test::TempDir etc;
  etc.write("apt/sources.list.d/debian.sources", deb822_sources);
  const DebianSettings settings{
      .release = "trixie", .cache_directory = {}, .apt_directory = etc.path() / "apt"};
  for (const char* text : {"ID=ubuntu\nVERSION_CODENAME=bookworm\n", "ID=debian\n", "ID\n=\n\"",
                           "ID=debian\nVERSION_CODENAME=sid\n", "VERSION_CODENAME=bookworm\n"}) {
    etc.write("os-release", text);
    EXPECT_THAT(choose_sources(settings),
                fails_with(ErrorCode::not_found, HasSubstr("no package source for Debian trixie")))
        << text;
  }
}

TEST(AptSources, TakesAKeyFromTheStanza) {
  const auto sources = unwrap(parse_deb822_sources(
      "Types: deb\nURIs: http://m.example/d\nSuites: s\nComponents: c\nSigned-By:\n"
      " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n aGVs\n bG8=\n =abcd\n"
      " -----END PGP PUBLIC KEY BLOCK-----\n",
      "x.sources"));
  ASSERT_EQ(sources.size(), 1U);
  ASSERT_EQ(sources[0].signed_by.size(), 1U);
  EXPECT_EQ(unwrap(remove_armour(sources[0].signed_by[0])), "hello");
}

TEST(AptSettings, ReadsTheDump) {
  const AptSettings settings = parse_apt_config(
      "APT \"\";\nAcquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy "
      "\"http://proxy.example:3128\";\n");
  EXPECT_FALSE(settings.check_valid_until);
  EXPECT_TRUE(settings.check_date);
  EXPECT_EQ(settings.http_proxy, "http://proxy.example:3128");
}

TEST(Release, ReadsDates) {
  EXPECT_EQ(parse_release_date("Sat, 28 Nov 2026 00:53:02 UTC"), 1795827182);
  EXPECT_EQ(parse_release_date("Thu, 01 Jan 1970 00:00:01 UTC"), 1);
  EXPECT_EQ(parse_release_date("Sat, 31 Feb 2026 00:00:00 UTC"), std::nullopt);
  EXPECT_EQ(parse_release_date("yesterday"), std::nullopt);
}

TEST(Release, IsCheckedForSuiteAndAge) {
  Release release = unwrap(parse_release(
      "Suite: oldstable\nCodename: bookworm\nArchitectures: all amd64 ppc64el\nComponents: main\n"
      "Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n"
      "Date: Sat, 21 Nov 2026 00:53:02 UTC\nValid-Until: Sat, 28 Nov 2026 00:53:02 UTC\nSHA256:\n"
      " e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 "
      "main/binary-amd64/Packages\n",
      "InRelease"));
  release.source.suite = "bookworm";
  EXPECT_FALSE(release.separate_all);
  EXPECT_EQ(release.files.at("main/binary-amd64/Packages").size, 0U);
  const std::int64_t within = *release.valid_until - 1;
  EXPECT_THAT(check_release(release, {}, within), is_ok());
  EXPECT_THAT(check_release(release, {}, within + 2),
              fails_with(ErrorCode::verification, HasSubstr("expired on 2026-11-28")));
  EXPECT_THAT(check_release(release, {.check_valid_until = false}, within + 2), is_ok());
  EXPECT_THAT(check_release(release, {}, *release.date - 3 * 86400),
              fails_with(ErrorCode::verification, HasSubstr("future")));
  release.source.suite = "trixie";
  EXPECT_THAT(check_release(release, {}, within),
              fails_with(ErrorCode::verification, HasSubstr("in place of trixie")));
}

TEST(Signatures, AreJudgedByStatusLines) {
  const std::string good =
      "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AAAA Archive Key\n"
      "[GNUPG:] VALIDSIG FFFF 2026-07-11 1783765000 0 4 0 1 8 01 EEEE\n";
  const std::string unknown =
      "[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG BBBB 1 8 01 1 9\n[GNUPG:] NO_PUBKEY BBBB\n";
  EXPECT_THAT(judge_signatures(good + unknown, {}, "x"), is_ok());
  EXPECT_THAT(judge_signatures(unknown, {}, "x"),
              fails_with(ErrorCode::verification, HasSubstr("BBBB")));
  EXPECT_THAT(judge_signatures(good + "[GNUPG:] BADSIG CCCC x\n", {}, "x"),
              fails_with(ErrorCode::verification, HasSubstr("changed")));
  EXPECT_THAT(judge_signatures(good, {.fingerprints = {"eeee"}}, "x"), is_ok());
  EXPECT_THAT(judge_signatures(good, {.fingerprints = {"EEEE!"}}, "x"),
              fails_with(ErrorCode::verification));
  EXPECT_THAT(
      judge_signatures("[GNUPG:] EXPKEYSIG A B\n[GNUPG:] VALIDSIG FFFF d t 0 4 0 1 8 01 EEEE\n", {},
                       "x"),
      fails_with(ErrorCode::verification, HasSubstr("expired key")));
  EXPECT_THAT(judge_signatures(
                  "[GNUPG:] GOODSIG A B\n[GNUPG:] VALIDSIG FFFF d t 0 4 0 1 2 01 EEEE\n", {}, "x"),
              fails_with(ErrorCode::verification, HasSubstr("weak hash")));
}

TEST(Signatures, NeedOneWholeMessage) {
  EXPECT_THAT(verify_clear_signed("<html>sign in</html>", {}, "x"),
              fails_with(ErrorCode::verification, HasSubstr("not one clear-signed message")));
}

}  // namespace
}  // namespace fnimage::source::debian

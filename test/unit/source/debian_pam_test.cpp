// The stacks of /etc/pam.d/common-*, made of the profiles of packages.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scripted_image.hpp"

namespace fnimage::source::debian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view package_call = R"sh(#!/bin/sh
set -e
if [ "$1" = configure ]; then
  pam-auth-update --package
fi
)sh";

// As libpam-runtime's: whether there were stacks before decides.
constexpr std::string_view first_call = R"sh(#!/bin/sh -e
force=
if [ -z "$2" ]; then
  force=--force
  if [ -f "$DPKG_ROOT"/etc/pam.d/common-auth ] && ! fgrep -q "$(ask)" /usr/share/pam/sums; then
    force=
  fi
fi
pam-auth-update --root "$DPKG_ROOT" --package $force
)sh";

std::string stack_template(std::string_view type) {
  return fmt::format(
      "# before\n"
      "# here are the per-package modules (the \"Primary\" block)\n"
      "$primary\n"
      "# here's the fallback if no module succeeds\n"
      "{0}\trequisite\tpam_deny.so\n"
      "# and here are more per-package modules (the \"Additional\" block)\n"
      "$additional\n"
      "# end of pam-auth-update config\n"
      "# after\n",
      type);
}

/// An image with the templates and the program.
struct PamImage : ScriptedImage {
  PamImage() {
    add("usr/sbin/pam-auth-update", "P", 0755);
    for (const std::string_view kind :
         {"account", "auth", "password", "session", "session-noninteractive"}) {
      add(fmt::format("usr/share/pam/common-{}", kind),
          stack_template(kind.substr(0, kind.find('-'))));
    }
  }
  void add_profile(const std::string& name, const std::string& text) {
    add("usr/share/pam-configs/" + name, text);
  }
  /// The lines of a stack that its template does not have, those of the second block after "--".
  std::string lines(const std::string& kind) {
    std::string result;
    bool outside = false;
    const std::string stack = text("etc/pam.d/common-" + kind);
    for (const std::string_view line : split(stack, '\n')) {
      if (line.starts_with("# and here")) {
        result += "--\n";
      } else if (!line.starts_with('#') && line.find("pam_deny") == std::string_view::npos &&
                 !line.empty()) {
        EXPECT_FALSE(outside) << line;
        result += std::string(line) + "\n";
      }
      outside = line.starts_with("# end");
    }
    return result;
  }
};

constexpr const char* unix_profile =
    "Name: Accounts of files\nDefault: yes\nPriority: 256\n"
    "Auth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_files.so try_first\n"
    "Auth-Initial:\n\t[success=end default=ignore]\tpam_files.so\n"
    "Session-Type: Additional\nSession:\n\trequired\tpam_files.so\n";

TEST(PamStacks, OneProfileFillsTheTemplates) {
  PamImage image;
  image.add_profile("files", unix_profile);
  image.add_package("runtime", {{"postinst", std::string(first_call)}});
  EXPECT_THAT(image.run(), IsEmpty());
  EXPECT_EQ(image.text("etc/pam.d/common-auth"),
            "# before\n"
            "# here are the per-package modules (the \"Primary\" block)\n"
            "auth\t[success=1 default=ignore]\tpam_files.so \n"
            "# here's the fallback if no module succeeds\n"
            "auth\trequisite\tpam_deny.so\n"
            "# and here are more per-package modules (the \"Additional\" block)\n"
            "# end of pam-auth-update config\n"
            "# after\n");
  EXPECT_EQ(image.entry("etc/pam.d/common-auth").mode, 0644U);
  // Nothing in the first block: a line that jumps over the denial.
  EXPECT_EQ(image.lines("account"), "account\t[default=1]\t\t\tpam_permit.so\n--\n");
  EXPECT_EQ(image.lines("session"),
            "session\t[default=1]\t\t\tpam_permit.so\n--\nsession\trequired\tpam_files.so \n");
  EXPECT_EQ(image.lines("session-noninteractive"), image.lines("session"));
  EXPECT_EQ(image.text("var/lib/pam/auth"),
            "Module: files\n[success=end default=ignore]\tpam_files.so\n");
  EXPECT_EQ(image.text("var/lib/pam/session"),
            "Module: null\n[default=1]\t\t\tpam_permit.so\n"
            "Module: files\nrequired\tpam_files.so\n");
  EXPECT_EQ(image.text("var/lib/pam/seen"), "files\n");
}

TEST(PamStacks, PrioritiesOrderThemAndJumpsReachTheEnd) {
  PamImage image;
  image.add_profile("files", unix_profile);
  image.add_profile("directory",
                    "Name: D\nDefault: yes\nPriority: 900\n"
                    "Auth-Type: Primary\n"
                    "Auth:\n\trequired\tpam_check.so   a  b\n"
                    "\t[success=end default=ignore] pam_directory.so\n"
                    "Session-Type: Additional\nSession-Interactive-Only: yes\n"
                    "Session:\n\t[success=end]\tpam_first.so\n\toptional\tpam_second.so\n");
  image.add_profile("never",
                    "Name: N\nDefault: no\nPriority: 1000\nAuth-Type: Primary\n"
                    "Auth:\n\trequired\tpam_never.so\n");
  image.add_profile("last",
                    "Name: L\nDefault: yes\nPriority: 0\nAuth-Type: Additional\n"
                    "Auth-Final:\n\toptional\t\tpam_last.so\n");
  image.add_profile("later",
                    "Name: L\nDefault: yes\nPriority: 0\nAuth-Type: Additional\n"
                    "Auth:\n\toptional\t\tpam_later.so\n");
  image.add_profile("gone",
                    "Name: G\nDefault: yes\nAuth-Type: Primary\n"
                    "Auth:\n\trequired\tpam_tally.so\n");
  image.add_profile("saved~", "Name: S\nDefault: yes\nAuth-Type: Primary\nAuth:\n\tx y\n");
  image.add_package("runtime", {{"postinst", std::string(first_call)}});
  EXPECT_THAT(image.run(), IsEmpty());
  // Not the first one: what it has for others. Equal priorities: the last name first.
  EXPECT_EQ(image.lines("auth"),
            "auth\trequired\tpam_check.so a b\n"
            "auth\t[success=2 default=ignore] pam_directory.so \n"
            "auth\t[success=1 default=ignore]\tpam_files.so try_first\n"
            "--\n"
            "auth\toptional\t\tpam_later.so \n"
            "auth\toptional\t\tpam_last.so \n");
  EXPECT_EQ(image.lines("session"),
            "session\t[default=1]\t\t\tpam_permit.so\n--\n"
            "session\t[success=2]\tpam_first.so \n"
            "session\toptional\tpam_second.so \n"
            "session\trequired\tpam_files.so \n");
  EXPECT_EQ(image.lines("session-noninteractive"),
            "session\t[default=1]\t\t\tpam_permit.so\n--\nsession\trequired\tpam_files.so \n");
  EXPECT_EQ(image.text("var/lib/pam/seen"), "never\ndirectory\nfiles\nlater\nlast\n");
  EXPECT_EQ(image.text("var/lib/pam/auth"),
            "Module: directory\nrequired\tpam_check.so   a  b\n"
            "[success=end default=ignore] pam_directory.so\n"
            "Module: files\n[success=end default=ignore]\tpam_files.so try_first\n"
            "Module: later\noptional\t\tpam_later.so\n"
            "Module: last\noptional\t\tpam_last.so\n");
}

TEST(PamStacks, TheLowerOfAConflictIsLeftOut) {
  const auto profile = [](int priority, const std::string& name, const std::string& more = {}) {
    return fmt::format(
        "Name: {0}\nDefault: yes\nPriority: {1}\n{2}Auth-Type: Additional\n"
        "Auth:\n\toptional\tpam_{0}.so\n",
        name, priority, more);
  };
  PamImage image;
  image.add_profile("high", profile(3, "high", "Conflicts: middle, other\n"));
  image.add_profile("middle", profile(2, "middle", "Conflicts: low\n"));
  image.add_profile("low", profile(1, "low"));
  image.add_profile("lowest", profile(0, "lowest"));
  EXPECT_THAT(image.run("pam-auth-update --package"), IsEmpty());
  // What is out does not put others out.
  EXPECT_EQ(image.lines("auth"),
            "auth\t[default=1]\t\t\tpam_permit.so\n--\nauth\toptional\tpam_high.so \n"
            "auth\toptional\tpam_low.so \nauth\toptional\tpam_lowest.so \n");
}

TEST(PamStacks, TheOrderOfPackagesDoesNotMatter) {
  const auto stack_of = [](const std::string& caller) {
    PamImage image;
    image.add_profile("files", unix_profile);
    image.add_profile("extra",
                      "Name: E\nDefault: yes\nPriority: 0\nSession-Type: Additional\n"
                      "Session:\n\toptional\tpam_extra.so\n");
    image.add_package(caller, {{"postinst", std::string(package_call)}});
    image.add_package("m-runtime", {{"postinst", std::string(first_call)}});
    EXPECT_THAT(image.run(), IsEmpty()) << caller;
    return image.lines("session");
  };
  EXPECT_EQ(stack_of("a-before"), stack_of("z-after"));
}

TEST(PamStacks, ScriptsMayChooseProfiles) {
  PamImage image;
  image.add_profile("files", unix_profile);
  image.add_profile("homes",
                    "Name: H\nDefault: no\nSession-Type: Additional\n"
                    "Session:\n\toptional\tpam_homes.so\n");
  image.add_profile("other",
                    "Name: O\nDefault: yes\nSession-Type: Additional\n"
                    "Session:\n\toptional\tpam_other.so\n");
  EXPECT_THAT(image.run("pam-auth-update --enable homes absent\n"
                        "pam-auth-update --package --disable other\n"),
              IsEmpty());
  EXPECT_EQ(image.lines("session"),
            "session\t[default=1]\t\t\tpam_permit.so\n--\nsession\trequired\tpam_files.so \n"
            "session\toptional\tpam_homes.so \n");
}

TEST(PamStacks, WithoutTheProgramNothingIsDone) {
  ScriptedImage image;
  EXPECT_THAT(image.run("pam-auth-update --package || true"), IsEmpty());
  EXPECT_EQ(image.layout.tree.find("var/lib/pam/seen"), nullptr);
}

TEST(PamStacks, WhatIsNotUnderstoodIsNamed) {
  const std::string call = "pam-auth-update --package";
  const auto uncovered_with = [&](const std::string& path, const std::string& text) {
    PamImage image;
    image.add_profile("files", unix_profile);
    image.add(path, text);
    const auto lines = image.run(call);
    EXPECT_EQ(image.layout.tree.find("var/lib/pam/seen"), nullptr) << path;
    return lines;
  };
  for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{
           {"etc/pam.d/common-password", "of a package\n"},
           {"usr/share/pam/common-account", "no marks\n"},
           {"usr/share/pam-configs/odd",
            "Name: O\nDefault: yes\nAuth-Type: Primary\n"
            "Auth:\n\t[open pam_odd.so\n"},
           {"usr/share/pam-configs/odd",
            "Name: O\nDefault: yes\nAuth-Type: Primary\n"
            "Auth:\n\t@include other\n"},
           {"usr/share/pam-configs/odd",
            "Name: O\nDefault: yes\nAuth-Type: Primary\n"
            "Auth:\n\trequired\n"},
           {"usr/share/pam-configs/odd",
            "Name: O\nDefault: yes\nPriority: 999\nConflicts: odd, files\n"}}) {
    EXPECT_THAT(uncovered_with(path, text), ElementsAre("probe: " + call)) << text;
  }
  for (const std::string other :
       {"pam-auth-update --remove files", "pam-auth-update --root /target",
        "pam-auth-update --root", "pam-auth-update --new-option"}) {
    PamImage image;
    image.add_profile("files", unix_profile);
    EXPECT_THAT(image.run(other), ElementsAre("probe: " + other));
  }
}

TEST(PamStacks, TooManyProfilesAreNamed) {
  PamImage image;
  for (int i = 0; i <= 1000; ++i) {
    image.add_profile(fmt::format("p{}", i),
                      "Default: yes\nAuth-Type: Primary\nAuth:\n required a.so\n");
  }
  EXPECT_THAT(image.run(std::string(package_call)),
              ElementsAre("probe: pam-auth-update --package"));
}

}  // namespace
}  // namespace fnimage::source::debian

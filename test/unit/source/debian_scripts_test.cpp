// Maintainer scripts, interpreted: the language, what a first installation decides, what is done to
// the files of an image, and what is named because no rule covers it.
#include <array>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "debian/configure/capabilities.hpp"
#include "debian/configure/configure.hpp"
#include "debian/configure/file_mode.hpp"
#include "debian/configure/script_effects.hpp"
#include "debian/configure/shell.hpp"
#include "debian/configure/shell_expansion.hpp"
#include "debian/configure/stream_edits.hpp"
#include "scripted_image.hpp"

namespace fnimage::source::debian {
namespace {

using layer::EntryType;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

/// Answers to `known-true` and `known-false` only, and collects the rest.
class Recorder final : public ShellHost {
 public:
  ShellAnswer run(const ShellCommand& command) override {
    const std::string& name = command.words.front();
    if (name == "known-true" || name == "known-false") {
      return {.success = name == "known-true"};
    }
    lines.push_back((command.sure ? "" : "?") + join(command.words, " "));
    return {};
  }
  std::vector<std::string> lines{};
};

std::vector<std::string> commands_of(std::string_view script, std::string first = "configure") {
  Recorder recorder;
  EXPECT_TRUE(run_script(script, shell_values("amd64", "x86_64-linux-gnu"), {std::move(first), ""},
                         recorder))
      << script;
  return recorder.lines;
}

TEST(Shell, DecidesWhatAFirstInstallationKnows) {
  EXPECT_THAT(commands_of(R"sh(
set -e
case "$1" in
  configure|reconfigure) a ;;
  abort-*) b ;;
  *) echo "unknown" >&2; exit 1 ;;
esac
if [ "$1" = configure ] && [ -z "$2" ]; then c; else d; fi
if [ -n "$2" ] || known-false; then e; elif known-true; then f; fi
[ "$1" != configure ] || g
)sh"),
              ElementsAre("a", "c", "f", "g"));
  EXPECT_THAT(commands_of("if [ \"$1\" = install ]; then a; fi; exit 0; b", "install"),
              ElementsAre("a"));
}

TEST(Shell, TakesEveryBranchOfWhatIsNotKnown) {
  EXPECT_THAT(commands_of("if ask; then X=1; a; else X=2; b; fi; c $X"),
              ElementsAre("ask", "?a", "?b", "c ?"));
  EXPECT_THAT(commands_of("case $(ask) in x) a;; y) b;; esac; c"),
              ElementsAre("ask", "?a", "?b", "c"));
  EXPECT_THAT(commands_of("ask && a || b; c"), ElementsAre("ask", "?a", "?b", "c"));
}

TEST(Shell, KnowsThatAnInstalledPackageHasNotFailed) {
  EXPECT_THAT(commands_of("ask || exit 1; a"), ElementsAre("ask", "a"));
  EXPECT_THAT(commands_of("if ask; then echo no >&2; exit 2; fi; a"), ElementsAre("ask", "a"));
  EXPECT_THAT(commands_of("if ask; then exit 0; fi; a"), ElementsAre("ask", "?a"));
}

TEST(Shell, FollowsFunctionsLoopsAndWhatTheyPrint) {
  EXPECT_THAT(commands_of(R"sh(
never() { update-foo; }
default_of() { [ -n "$2" ] && return 1; install-default "/usr/share/$1"; }
slave() { echo "--slave $1/$2"; }
default_of profile
use $(slave /usr/bin xz)
for name in "a b" c; do one "$name" || true; done
while read line; do set -- $line; make "$1" "$2"; done <<DATA
/x 755
/y 700
DATA
echo "/z 711" | while read path mode; do make $path $mode; done
)sh"),
              ElementsAre("install-default /usr/share/profile", "use --slave /usr/bin/xz",
                          "one a b", "one c", "make /x 755", "make /y 700", "make /z 711"));
}

TEST(Shell, ExpandsParameters) {
  EXPECT_THAT(commands_of(R"sh(
F=/usr/lib/x.tar.gz
a ${F##*/} ${F%/*} ${F%%.*} ${F#/} ${#F} "${NONE:-d e}" ${NONE:+no} ${DPKG_ROOT:+--root="$DPKG_ROOT"}
b "$(echo one two)" `echo three` '$F' "\$F" $F/*.x
unset F; c "$F" $F d
)sh"),
              ElementsAre("a x.tar.gz /usr/lib /usr/lib/x usr/lib/x.tar.gz 17 d e",
                          "b one two three $F $F /usr/lib/x.tar.gz/*.x", "c  d"));
}

TEST(Shell, PatternsAreThoseOfCase) {
  EXPECT_TRUE(matches_pattern("lib64", "lib*"));
  EXPECT_TRUE(matches_pattern("abc", "a[a-c]?"));
  EXPECT_TRUE(matches_pattern("a*c", "a\\*c"));
  EXPECT_FALSE(matches_pattern("abc", "a\\*c"));
  EXPECT_FALSE(matches_pattern("x", "[!x]"));
  EXPECT_FALSE(matches_pattern(std::string(100'000, 'a'), "*a*a*a*a*a*a*b"));
}

TEST(Shell, HostileScriptsEndSoon) {
  Recorder recorder;
  const ShellValues none;
  std::string nested;
  for (int i = 0; i < 100'000; ++i) {
    nested += "$(\"";
  }
  std::string doubling = "A=xxxxxxxxxxxxxxxx;";
  for (int i = 0; i < 200; ++i) {
    doubling += "A=$A$A$A$A; for i in $A $A; do b $i; done;";
  }
  std::string braces;
  for (int i = 0; i < 100'000; ++i) {
    braces += "{ ( if a; then ";
  }
  const std::string many = "for a in 1 2 3 4 5 6 7 8 9; do ";
  std::string loops;
  for (int i = 0; i < 20; ++i) {
    loops += many;
  }
  loops += "x; ";
  for (int i = 0; i < 20; ++i) {
    loops += "done;";
  }
  for (const std::string& script :
       {std::string("while true; do x; done"), std::string("f() { f; f; }; f"), doubling, braces,
        loops, std::string(2'000'000, 'a')}) {
    EXPECT_FALSE(run_script(script, none, {"configure", ""}, recorder)) << script.substr(0, 40);
  }
  EXPECT_THAT(recorder.lines, SizeIs(Le(200'000U)));
  for (const std::string& script :
       {nested, "x=$(" + std::string(1'000'000, '(') + ")", std::string("f() { x=$(f; f); }; f")}) {
    run_script(script, none, {"configure", ""}, recorder);  // ends
  }
  for (const std::string_view script : {"'",
                                        "\"",
                                        "$(",
                                        "${",
                                        "`",
                                        "for",
                                        "for a in",
                                        "for a in b; do",
                                        "\\",
                                        "<<",
                                        "<<X",
                                        "a=",
                                        "case x in",
                                        "case x in a",
                                        "()",
                                        "$",
                                        ")",
                                        "f(",
                                        "f()",
                                        "if",
                                        "a |",
                                        "a &&",
                                        "! ",
                                        "> ",
                                        "2>",
                                        "${x#",
                                        "${#}",
                                        "[",
                                        "[ ]",
                                        "[ ! ]",
                                        "[ a = ]",
                                        "read",
                                        "set --",
                                        "shift",
                                        "return",
                                        "break",
                                        "echo \"${x:-\"}\"",
                                        "cat <<-E\n\tx"}) {
    run_script(script, none, {}, recorder);
  }
}

TEST(FileModes, AreThoseOfChmod) {
  EXPECT_EQ(changed_mode("4755", 0644, false), 04755U);
  EXPECT_EQ(changed_mode("755", 02775, true), 02755U);
  EXPECT_EQ(changed_mode("u+s", 0755, false), 04755U);
  EXPECT_EQ(changed_mode("go-rwx,g+r", 0755, false), 0740U);
  EXPECT_EQ(changed_mode("a+X", 0644, false), 0644U);
  EXPECT_EQ(changed_mode("a+X", 0644, true), 0755U);
  EXPECT_EQ(changed_mode("+t", 0755, true), 01755U);
  EXPECT_EQ(changed_mode("u=rw,go=r", 0777, false), 0644U);
  for (const char* wrong : {"", "8", "u", "u+q", "77777777777", "x+r"}) {
    EXPECT_EQ(changed_mode(wrong, 0, false), std::nullopt) << wrong;
  }
}

TEST(Capabilities, AreStoredAsTheKernelReadsThem) {
  using namespace std::string_literals;
  EXPECT_EQ(capability_attribute("cap_net_raw+ep"),
            "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"s);
  EXPECT_EQ(capability_attribute("cap_chown,cap_bpf=i"),
            "\0\0\0\x02\0\0\0\0\x01\0\0\0\0\0\0\0\x80\0\0\0"s);
  for (const char* wrong : {"", "cap_net_raw", "net_raw+ep", "cap_none+ep", "cap_chown+q"}) {
    EXPECT_EQ(capability_attribute(wrong), std::nullopt) << wrong;
  }
}

TEST(StreamEdits, AreDoneWhereTheyArePlain) {
  EXPECT_EQ(substitute_fixed("s/^a.b/c/", true, "a.b\n"), std::nullopt);
  EXPECT_EQ(substitute_fixed("s/^a\\.b/c/", true, "a.b a.b\nx a.b"), "c a.b\nx a.b");
  EXPECT_EQ(substitute_fixed("s|a|/|g", false, "aba"), "/b/");
  EXPECT_EQ(substitute_fixed("s/a$/b/", false, "aa\nab\n"), "ab\nab\n");
  EXPECT_EQ(substitute_fixed("s/^P=\\$\\{Q\\}/P=\\$\\{Q-'a4'\\}/", true, "P=${Q}\n"),
            "P=${Q-'a4'}\n");
  for (const char* other :
       {"", "s", "s/a", "s/a/b", "s/a/&/", "s/(a)/\\1/", "s/a/b/I", "d", "s/\\w/x/"}) {
    EXPECT_EQ(substitute_fixed(other, true, "a"), std::nullopt) << other;
  }
  EXPECT_EQ(print_field("{ print $2 }", "a b c\nd\n"), "b\n\n");
  EXPECT_EQ(print_field("/x/ {print $1}", "a"), std::nullopt);
  EXPECT_EQ(cut_field(":", "2", "a:b:c\nd\n:\n"), "b\nd\n\n");
  EXPECT_EQ(cut_field(":", "1", "a:b"), "a\n");
  EXPECT_EQ(cut_field(":", "1-2", "a:b"), std::nullopt);
  EXPECT_EQ(cut_field("::", "1", "a:b"), std::nullopt);
  EXPECT_EQ(cut_field(":", "", "a:b"), std::nullopt);
}

TEST(ScriptEffects, TemporaryFilesOfScriptsDoNotStay) {
  ScriptedImage image;
  image.add("usr/lib/probe.ucf", "SIZE=${SIZE}\n");
  EXPECT_THAT(image.run(R"sh(
tmp=$(mktemp)
chmod 0644 "$tmp"
cat /usr/lib/probe.ucf > "$tmp"
size=`paperconf`
sed -E -i -e 's/^SIZE=\$\{SIZE\}/SIZE=\$\{SIZE-'"'$size'\}/" "$tmp"
ucf "$tmp" /etc/probe
rm -f "$tmp"
)sh"),
              IsEmpty());
  EXPECT_EQ(image.text("etc/probe"), "SIZE=${SIZE-'a4'}\n");
  EXPECT_EQ(image.entry("etc/probe").mode, 0644U);
  for (const auto& [path, entry] : image.layout.tree.entries()) {
    EXPECT_FALSE(path.starts_with("tmp/")) << path;
  }
}

TEST(JavaKeystore, HoldsEveryCertificateAndItsDigest) {
  ScriptedImage image;
  ImageView view(image.layout, 86400);
  const ConfigureContext context{image.packages,     image.unpacked, "amd64",
                                 "x86_64-linux-gnu", 86400,          null_diagnostics()};
  ASSERT_THAT(configure_java_keystore(view, context), is_ok());
  EXPECT_EQ(image.layout.tree.find("etc/ssl/certs/java/cacerts"), nullptr);
  image.add("usr/share/ca-certificates-java/ca-certificates-java.jar", "J");
  ASSERT_THAT(configure_java_keystore(view, context), is_ok());
  const std::string empty = image.text("etc/ssl/certs/java/cacerts");
  ASSERT_EQ(empty.size(), 32U);
  EXPECT_EQ(empty.substr(0, 12), std::string("\xFE\xED\xFE\xED\0\0\0\x02\0\0\0\0", 12));
  // SHA-1 of "changeit" in UTF-16, "Mighty Aphrodite" and what is before it.
  EXPECT_EQ(to_hex(Bytes(reinterpret_cast<const std::byte*>(empty.data()) + 12, 20)),
            "e2686e45fb43dfa4d992dd41ceb6b21c6330d792");
  image.add("etc/ssl/certs/bad.pem", "no certificate");
  EXPECT_FALSE(configure_java_keystore(view, context));
}

TEST(ScriptEffects, FilesAreMadeAndChanged) {
  ScriptedImage image;
  image.add("usr/bin/tool", "T", 0755);
  image.add("usr/share/probe/default.conf", "D", 0640);
  EXPECT_THAT(image.layout.tree.add(plain_file("usr/share/data/x", "X")), is_ok());
  EXPECT_THAT(image.run(R"sh(set -e
mkdir -p -m 2750 /var/lib/probe/sub
chown own:shadow /var/lib/probe/sub
install -d -o own -g shadow -m 0700 /var/cache/probe
install -m 600 /dev/null /etc/probe.key
[ -e /etc/probe.conf ] || cp -p /usr/share/probe/default.conf /etc/probe.conf
cp /none /etc/none
touch /var/lib/probe/state
ln -s /usr/bin/tool /usr/bin/tool-link
ln -s /other /usr/bin/tool
ln -sf probe.conf /etc/probe.link
chmod u+s /usr/bin/tool
chgrp -R shadow /usr/share/data
cat > /etc/probe.d <<'EOF'
one $two
EOF
echo three >> /etc/probe.d
mv /etc/probe.d /etc/probe.text
rm -f /etc/probe.key /none
)sh"),
              IsEmpty());
  EXPECT_EQ(image.entry("var/lib/probe/sub").mode, 02750U);
  EXPECT_EQ(image.entry("var/lib/probe/sub").uid, 300U);
  EXPECT_EQ(image.entry("var/lib/probe/sub").gid, 42U);
  EXPECT_EQ(image.entry("var/cache/probe").mode, 0700U);
  EXPECT_EQ(image.entry("var/cache/probe").uid, 300U);
  EXPECT_EQ(image.layout.tree.find("etc/probe.key"), nullptr);
  EXPECT_EQ(image.entry("etc/probe.conf").mode, 0640U);
  EXPECT_EQ(image.text("etc/probe.conf"), "D");
  EXPECT_EQ(image.layout.tree.find("etc/none"), nullptr);
  EXPECT_EQ(image.entry("var/lib/probe/state").size(), 0U);
  EXPECT_EQ(image.entry("usr/bin/tool-link").link, "/usr/bin/tool");
  EXPECT_EQ(image.entry("usr/bin/tool").mode, 04755U);
  EXPECT_EQ(image.entry("usr/bin/tool").type, EntryType::file);
  EXPECT_EQ(image.entry("usr/share/data/x").gid, 42U);
  EXPECT_EQ(image.text("etc/probe.text"), "one $two\nthree\n");
  EXPECT_EQ(image.text("etc/probe.link"), "D");
}

TEST(ScriptEffects, TheUmaskIsKept) {
  ScriptedImage image;
  EXPECT_THAT(image.run("(umask 077; echo secret > /etc/secret; mkdir /etc/secrets)\n"
                        "touch /etc/open\numask 066\ntouch /etc/opasswd\n"),
              IsEmpty());
  EXPECT_EQ(image.entry("etc/secret").mode, 0600U);
  EXPECT_EQ(image.entry("etc/secrets").mode, 0700U);
  EXPECT_EQ(image.entry("etc/open").mode, 0644U);
  EXPECT_EQ(image.entry("etc/opasswd").mode, 0600U);
}

TEST(ScriptEffects, DebiansProgramsAreRules) {
  ScriptedImage image;
  image.add("usr/bin/ping", "P", 0755);
  image.add("usr/sbin/setcap", "S", 0755);
  image.add("usr/lib/helper", "H", 0755);
  image.add("usr/share/probe/probe.conf", "D");
  image.add("usr/share/debianutils/shells", "# shells\n/bin/sh\n");
  image.add("usr/share/debianutils/shells.d/bash", "/bin/bash\n");
  image.add("usr/lib/tmpfiles.d/probe.conf",
            "d /run/probe 2755 own shadow - -\nL /var/probe - - - - /run/probe\nf /etc/made 0600 - "
            "- - a b\nd! /run/boot\nx /tmp/y\n");
  EXPECT_THAT(image.run(R"sh(
dpkg-statoverride --list /usr/lib/helper >/dev/null ||
  dpkg-statoverride --update --add root shadow 4754 /usr/lib/helper
dpkg-divert --package probe --no-rename --divert /bin/sh.distrib --add /bin/sh
ucf --three-way /usr/share/probe/probe.conf /etc/probe.conf
ucfr probe /etc/probe.conf
update-shells
add-shell /usr/bin/tmux
if setcap cap_net_raw+ep /usr/bin/ping; then :; else chmod u+s /usr/bin/ping; fi
systemd-tmpfiles ${DPKG_ROOT:+--root="$DPKG_ROOT"} --create probe.conf >/dev/null || true
)sh"),
              IsEmpty());
  EXPECT_EQ(image.entry("usr/lib/helper").mode, 04754U);
  EXPECT_EQ(image.entry("usr/lib/helper").gid, 42U);
  EXPECT_EQ(image.text("var/lib/dpkg/statoverride"), "root shadow 4754 /usr/lib/helper\n");
  EXPECT_EQ(image.text("var/lib/dpkg/diversions"), "/bin/sh\n/bin/sh.distrib\nprobe\n");
  EXPECT_EQ(image.text("etc/probe.conf"), "D");
  EXPECT_EQ(image.text("var/lib/ucf/hashfile"),
            "f623e75af30e62bbd73d6df5b50bb7b5  /etc/probe.conf\n");
  EXPECT_EQ(image.text("var/lib/ucf/registry"), "probe \t /etc/probe.conf\n");
  EXPECT_EQ(image.text("etc/shells"),
            "# shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/usr/bin/tmux\n");
  EXPECT_EQ(image.entry("usr/bin/ping").mode, 0755U);
  EXPECT_EQ(image.entry("usr/bin/ping").xattrs.count("security.capability"), 1U);
  EXPECT_EQ(image.entry("run/probe").mode, 02755U);
  EXPECT_EQ(image.entry("var/probe").link, "/run/probe");
  EXPECT_EQ(image.text("etc/made"), "a b\n");
  EXPECT_EQ(image.layout.tree.find("run/boot"), nullptr);
}

/// Two packages that may have the same files.
struct DivertedImage : ScriptedImage {
  DivertedImage() {
    add_package("diverts", {});
    add_package("other", {});
  }
  void lay_out_files(std::vector<layer::Entry> own, std::vector<layer::Entry> others) {
    unpacked[0].entries = std::move(own);
    unpacked[1].entries = std::move(others);
    constexpr std::array<std::size_t, 2> one_layer{};
    layout = unwrap(lay_out(packages, unpacked, one_layer, {}));
    ImageView image(layout, 0);
    EXPECT_THAT(link_merged_usr(image), is_ok());
  }
  std::vector<std::string> run_preinst(const std::string& script) {
    unpacked[0].control = {{"preinst", "#!/bin/sh\nset -e\n" + script}};
    return run();
  }
  /// What is at a path, and whose: "text of package".
  std::string owned(const std::string& path) {
    if (layout.tree.find(path) == nullptr) {
      return "nothing";
    }
    const auto owner = layout.owners.find(path);
    return fmt::format("{} of {}", text(path),
                       owner == layout.owners.end() ? "none" : packages[owner->second].name);
  }
  std::size_t conflicts() {
    struct Counter final : Diagnostics {
      void report(Severity /*severity*/, std::string_view /*message*/) noexcept override {
        ++count;
      }
      std::unique_ptr<ProgressTask> begin(std::string_view label,
                                          std::uint64_t total) noexcept override {
        return null_diagnostics().begin(label, total);
      }
      std::size_t count = 0;
    } counter;
    report_conflicts(layout, packages, counter);
    return counter.count;
  }
};

constexpr const char* plain_diversion =
    "dpkg-divert --package diverts --divert /lib/diverts/tool --rename /sbin/tool\n";

TEST(Diversions, TheOwnFileHasThePathAndOthersTheDivertedOne) {
  // Whoever of them the layout has preferred.
  for (const char* replaces : {"", "Package: diverts\nReplaces: other\n"}) {
    DivertedImage image;
    image.unpacked[0].control["control"] = replaces;
    image.lay_out_files({plain_file("sbin/tool", "own")}, {plain_file("sbin/tool", "others")});
    EXPECT_THAT(image.run_preinst(plain_diversion), IsEmpty());
    EXPECT_EQ(image.owned("usr/sbin/tool"), "own of diverts");
    EXPECT_EQ(image.owned("usr/lib/diverts/tool"), "others of other");
    EXPECT_EQ(image.text("var/lib/dpkg/diversions"), "/sbin/tool\n/lib/diverts/tool\ndiverts\n");
    EXPECT_EQ(image.conflicts(), 0U);
  }
  DivertedImage swapped;
  swapped.lay_out_files({plain_file("sbin/tool", "own")}, {plain_file("sbin/tool", "others")});
  EXPECT_THAT(swapped.run_preinst("dpkg-divert --package other --rename /sbin/tool"), IsEmpty());
  EXPECT_EQ(swapped.owned("usr/sbin/tool"), "others of other");
  EXPECT_EQ(swapped.owned("usr/sbin/tool.distrib"), "own of diverts");
}

TEST(Diversions, WithoutAFileOfItsOwnThePathIsFree) {
  DivertedImage image;
  image.lay_out_files({}, {plain_file("sbin/tool", "others"),
                           {.path = "sbin/name", .type = EntryType::hardlink, .link = "sbin/tool"},
                           {.path = "sbin/link", .type = EntryType::symlink, .link = "tool"}});
  EXPECT_THAT(image.run_preinst("dpkg-divert --rename --add /sbin/tool\n"
                                "dpkg-divert --rename --add /sbin/link\n"
                                "dpkg-divert --rename --add /sbin/absent\n"
                                "ln -s \"$(dpkg-divert --truename /sbin/tool)\" /sbin/tool\n"),
              IsEmpty());
  EXPECT_EQ(image.entry("usr/sbin/tool").link, "/sbin/tool.distrib");
  EXPECT_EQ(image.owned("usr/sbin/tool.distrib"), "others of other");
  EXPECT_EQ(image.owned("usr/sbin/name"), "others of other");
  EXPECT_EQ(image.owned("usr/sbin/link"), "nothing");
  EXPECT_EQ(image.entry("usr/sbin/link.distrib").link, "tool");
}

TEST(Diversions, ThoseOfTheOwnFileMoveNothing) {
  DivertedImage image;
  image.lay_out_files({plain_file("sbin/tool", "own")}, {});
  EXPECT_THAT(image.run_preinst(plain_diversion), IsEmpty());
  EXPECT_EQ(image.owned("usr/sbin/tool"), "own of diverts");
  EXPECT_EQ(image.owned("usr/lib/diverts/tool"), "nothing");
}

TEST(Diversions, MayBeTakenBack) {
  DivertedImage image;
  image.lay_out_files({}, {plain_file("sbin/tool", "others")});
  EXPECT_THAT(image.run_preinst("dpkg-divert --rename --remove /sbin/absent\n" +
                                std::string(plain_diversion) +
                                "dpkg-divert --package other --rename --remove /sbin/tool\n"
                                "dpkg-divert --rename --remove /sbin/tool\n"),
              IsEmpty());
  EXPECT_EQ(image.owned("usr/sbin/tool"), "others of other");
  EXPECT_EQ(image.owned("usr/lib/diverts/tool"), "nothing");
  EXPECT_EQ(image.text("var/lib/dpkg/diversions"), "");
}

TEST(Diversions, WhatIsNotSureIsNamedAndStays) {
  const auto uncovered = [](const std::string& script, std::vector<layer::Entry> others) {
    DivertedImage image;
    image.lay_out_files({plain_file("sbin/tool", "own")}, std::move(others));
    const auto lines = image.run_preinst(script);
    EXPECT_EQ(image.owned("usr/sbin/tool"), "own of diverts");
    EXPECT_EQ(image.conflicts(), 1U);
    return lines;
  };
  // Taken, unknown, a file that another script has made.
  EXPECT_THAT(uncovered(plain_diversion, {plain_file("sbin/tool", "others"),
                                          plain_file("lib/diverts/tool", "taken")}),
              SizeIs(1));
  EXPECT_THAT(uncovered("dpkg-divert --rename --divert \"$(ask)\" /sbin/tool\n",
                        {plain_file("sbin/tool", "others")}),
              SizeIs(1));
  EXPECT_THAT(uncovered("touch /etc/made\ndpkg-divert --rename /etc/made\n",
                        {plain_file("sbin/tool", "others")}),
              SizeIs(1));
}

TEST(ScriptEffects, TemporaryFilesAreThoseOfANewMachine) {
  ScriptedImage image;
  image.add(
      "usr/lib/tmpfiles.d/probe.conf",
      "f^ /etc/made-of-a-credential - - - - a.credential\n"
      "d- /srv/kept :0711 own :shadow -\nd /srv/new :0711 own :shadow -\n"
      "z /srv/tool 2755 - shadow - -\nz /srv/absent 0700 - - - -\n"
      "h /srv/tool - - - - +C\na+ /srv/%m - - - - group:own:r--\n"
      "a+ /srv/absent - - - - group:own:r--\na+ /var/log/own - - - - group:own:r--\n"
      "x /tmp/of-%b-*\nL+ /srv/mounts - - - - ../proc/self/mounts\nC /srv/copy - - - - /absent\n");
  image.add("srv/tool", "T", 0700);
  image.add("srv/mounts", "M");
  image.add("var/log/own/log", "L");
  EXPECT_THAT(image.layout.tree.add(
                  {.path = "srv/kept", .type = EntryType::directory, .mode = 0750, .gid = 5}),
              is_ok());
  EXPECT_THAT(image.run("systemd-tmpfiles --create probe.conf"), IsEmpty());
  EXPECT_EQ(image.layout.tree.find("etc/made-of-a-credential"), nullptr);
  EXPECT_EQ(image.entry("srv/kept").mode, 0750U);
  EXPECT_EQ(image.entry("srv/kept").uid, 300U);
  EXPECT_EQ(image.entry("srv/kept").gid, 5U);
  EXPECT_EQ(image.entry("srv/new").mode, 0711U);
  EXPECT_EQ(image.entry("srv/new").gid, 42U);
  EXPECT_EQ(image.entry("srv/tool").mode, 02755U);
  EXPECT_EQ(image.entry("srv/tool").gid, 42U);
  EXPECT_EQ(image.entry("srv/mounts").link, "../proc/self/mounts");
  for (const std::string line :
       {"a+ /srv/tool - - - - group:own:r--", "p /srv/pipe", "d /srv/%m 0755", "f+ /srv/tool",
        "d /srv/x 0755 nobody-knows", "C /srv/copy - - - - /srv/tool", "L+ /srv/kept - - - - x"}) {
    ScriptedImage other;
    other.add("usr/lib/tmpfiles.d/probe.conf", line + "\n");
    other.add("srv/tool", "T");
    other.add("srv/kept/file", "K");
    EXPECT_THAT(other.run("systemd-tmpfiles --create probe.conf"), SizeIs(1)) << line;
  }
}

TEST(ScriptEffects, WithoutSetcapThePackagesOtherWayIsTaken) {
  ScriptedImage image;
  image.add("usr/bin/ping", "P", 0755);
  EXPECT_THAT(image.run("if command -v setcap > /dev/null; then\n  setcap cap_net_raw+ep "
                        "/bin/ping || chmod u+s /usr/bin/ping\nelse chmod u+s /usr/bin/ping\nfi\n"),
              IsEmpty());
  EXPECT_EQ(image.entry("usr/bin/ping").mode, 04755U);
}

TEST(ScriptEffects, DebconfAnswersWhatTheTemplatesSay) {
  ScriptedImage image;
  image.add_package("probe", {{"templates",
                               "Template: probe/suid\nType: boolean\nDefault: false\n\nTemplate: "
                               "probe/style\nType: select\nDefault: none\n"},
                              {"config",
                               "#!/bin/sh\ndb_get probe/style\n[ \"$RET\" = none ] && "
                               "db_set probe/style slight\n"},
                              {"postinst",
                               "#!/bin/sh\n. /usr/share/debconf/confmodule\ndb_get probe/suid\n"
                               "if [ \"$RET\" = true ]; then chmod u+s /x; fi\n"
                               "db_get probe/style\nln -s /avail/$RET /etc/style\n"
                               "db_get other/question && ln -s $RET /etc/other || true\n"}});
  EXPECT_THAT(image.run(), ElementsAre("probe: ln -s ? /etc/other"));
  EXPECT_EQ(image.entry("etc/style").link, "/avail/slight");
}

TEST(ScriptEffects, WhatNoRuleCoversIsNamed) {
  ScriptedImage image;
  image.add("usr/sbin/make-key", "", 0755);
  image.add("usr/sbin/other", "", 0755);
  image.add_package("b", {{"postinst", R"sh(#!/bin/sh
unused() { other --never; }
make-key --new /etc/key
make-key --new /etc/key
if grep -q "a.*b" /etc/passwd; then other "$(date)"; fi
not-in-the-image --at all
systemctl enable b.service; invoke-rc.d b start || true
py3compile -p b
sed -e s/a/b/ /etc/passwd | sort > /etc/sorted
grep -q x /etc/passwd
rm -f "$(mktemp)"
cat <<EOF
other --in a document
EOF
)sh"}});
  image.add_package("a", {{"preinst", "#!/bin/sh\n[ $1 = upgrade ] && make-key old\ntrue\n"},
                          {"postinst", "#!/usr/bin/perl\nsystem('make-key');\n"}});
  EXPECT_THAT(image.run(), ElementsAre("a: postinst, which is no shell script",
                                       "b: make-key --new /etc/key; other ?; sort > /etc/sorted"));
}

TEST(ScriptEffects, UpgradesAreNotReplayed) {
  ScriptedImage image;
  image.add("usr/sbin/migrate", "", 0755);
  EXPECT_THAT(image.run(R"sh(
if [ "$1" = configure ] && dpkg --compare-versions -- "$2" lt-nl 2.0; then migrate; fi
if dpkg --compare-versions "$2" lt 2.0; then touch /etc/older-than-2; fi
if [ -n "$2" ]; then migrate; fi
)sh"),
              IsEmpty());
  EXPECT_NE(image.layout.tree.find("etc/older-than-2"), nullptr);  // no version is older than any
}

// The first of them is how libc6 of Debian 13 asks.
TEST(ScriptEffects, PackagesOfTheImageAreAskedFor) {
  ScriptedImage image;
  image.add_package("base", {});
  image.packages.back().version = "13.8";
  image.unpacked.back().file_list = "/.\n/lib64\n/usr/libx64\n";
  EXPECT_THAT(image.run(R"sh(
if dpkg --compare-versions "$(dpkg-query -f '${Version}' -W base)" le 13 ||
  ! dpkg-query -L base | grep -qxF "/lib64"; then
  touch /etc/wrong
fi
dpkg -L base | grep -qxF /.ib64 && touch /etc/wrong
dpkg -s base >/dev/null 2>&1 && touch /etc/installed
dpkg-query -s absent || dpkg-query -W absent || dpkg -L absent || touch /etc/absent
dpkg-query -W -f='${Package}:${Version}\n' base:amd64 >/etc/base
dpkg-query -W base >>/etc/base
)sh"),
              IsEmpty());
  EXPECT_EQ(image.layout.tree.find("etc/wrong"), nullptr);
  EXPECT_NE(image.layout.tree.find("etc/installed"), nullptr);
  EXPECT_NE(image.layout.tree.find("etc/absent"), nullptr);
  EXPECT_EQ(image.text("etc/base"), "base:13.8\nbase\t13.8\n");
  ScriptedImage unknown;
  unknown.add_package("base", {});
  unknown.run(
      "dpkg-query -W -f='${Maintainer}' base >/etc/what\n"
      "dpkg-query -s probe && touch /etc/own\n");
  EXPECT_EQ(unknown.layout.tree.find("etc/what"), nullptr);
}

// How modules of nginx are enabled, and what screen asks for.
TEST(ScriptEffects, FieldsAndModesAreAskedFor) {
  ScriptedImage image;
  image.add("usr/bin/screen", "", 02755);
  EXPECT_THAT(image.run(R"sh(
for pair in a.conf:50-a.conf; do
  from=$(echo $pair | cut -d: -f1)
  ln -sf /usr/share/modules/$from /etc/modules/$(echo $pair | cut -f 2 -d ':')
done
perms="`stat -c%a /usr/bin/screen`"
if [ $perms -eq 2755 ]; then
  echo "# by $0" > /etc/screen
elif [ "$(stat --format=%u /usr/bin/screen)" != 0 ]; then
  touch /etc/wrong
fi
stat -c %a /usr/bin/absent >/dev/null 2>&1 || touch /etc/absent
)sh"),
              IsEmpty());
  EXPECT_EQ(image.entry("etc/modules/50-a.conf").link, "/usr/share/modules/a.conf");
  EXPECT_EQ(image.text("etc/screen"), "# by /var/lib/dpkg/info/probe.postinst\n");
  EXPECT_EQ(image.layout.tree.find("etc/wrong"), nullptr);
  EXPECT_NE(image.layout.tree.find("etc/absent"), nullptr);
}

TEST(ScriptEffects, TriggersRunTheirHandlerWhenTheImageHasWhatTheyAreAbout) {
  const ControlFiles handler{
      {"triggers", "interest-noawait /usr/share/things\ninterest named\ninterest other\n"},
      {"postinst",
       "#!/bin/sh\nif [ \"$1\" = triggered ]; then\n  for t in $2; do "
       "compile-things $t; done\nfi\n"}};
  ScriptedImage without;
  without.add("usr/bin/compile-things", "", 0755);
  without.add_package("handler", handler);
  EXPECT_THAT(without.run(), IsEmpty());
  ScriptedImage with;
  with.add("usr/bin/compile-things", "", 0755);
  with.add("usr/share/things/one", "1");
  with.add_package("activates", {{"triggers", "activate-noawait named\n"}});
  with.add_package("handler", handler);
  EXPECT_THAT(with.run(),
              ElementsAre("handler: compile-things /usr/share/things; compile-things named"));
}

TEST(ScriptEffects, HostileScriptsStayInTheImage) {
  ScriptedImage image;
  EXPECT_THAT(
      image.layout.tree.add({.path = "out", .type = EntryType::symlink, .link = "../../etc"}),
      is_ok());
  image.add("usr/bin/evil", "", 0755);
  std::string script =
      "mkdir -p /a/../../b ../c\ntouch /out/here\nchmod 777 /../../etc/passwd\n"
      "rm -rf / /..\necho x > /etc\ninstall -d /etc/passwd/sub\n"
      "cp -r /etc /etc/etc\nln -s x /\nchown 99999999999 /etc/passwd\n"
      "evil $'\\x1b[31m' \"a\nb\"\n";
  for (int i = 0; i < 50; ++i) {
    script += fmt::format("evil {}{}\n", i, std::string(5000, 'x'));
  }
  const auto lines = image.run(std::move(script));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines, Each(AllOf(HasSubstr("and "), HasSubstr(" more"))));
  EXPECT_LE(lines[0].size(), 2000U);
  EXPECT_EQ(lines[0].find('\x1b'), std::string::npos);
  EXPECT_EQ(lines[0].find('\n'), std::string::npos);
  EXPECT_NE(image.layout.tree.find("etc/here"), nullptr);
  EXPECT_EQ(image.entry("etc").type, EntryType::directory);
  for (const auto& [path, entry] : image.layout.tree.entries()) {
    EXPECT_EQ(path.find(".."), std::string::npos) << path;
  }
}

TEST(ScriptEffects, TheOrderOfPackagesIsByName) {
  ScriptedImage one;
  one.add_package("a", {{"postinst", "#!/bin/sh\n[ -e /etc/x ] || echo a > /etc/x\n"}});
  one.add_package("b", {{"postinst", "#!/bin/sh\n[ -e /etc/x ] || echo b > /etc/x\n"}});
  EXPECT_THAT(one.run(), IsEmpty());
  EXPECT_EQ(one.text("etc/x"), "a\n");
}

}  // namespace
}  // namespace fnimage::source::debian

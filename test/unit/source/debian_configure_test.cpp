// Maintainer scripts as data, the layout rules, and the files that configuration makes.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "debian/configure/alternatives.hpp"
#include "debian/configure/configure.hpp"
#include "debian/layout.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const ShellValues ppc64el = shell_values("ppc64el", "powerpc64le-linux-gnu");

struct Nothing {
  Layout layout{};
  ImageView view{layout, 0};
};

TEST(Scripts, FindAlternativesAcrossLinesCommentsAndSlaves) {
  const auto alternatives = read_alternatives(R"sh(#!/bin/sh
set -e
case "$1" in
  configure|abort-upgrade)
    update-alternatives --quiet --install /usr/bin/awk awk /usr/bin/mawk 5 \
      --slave /usr/bin/nawk nawk \
        /usr/bin/mawk # the old name
    ;;
  *) echo "update-alternatives --install /not a /command 1" ;;
esac
cat <<EOF2
update-alternatives --install /in/a here /document 1
EOF2
exit 0
)sh",
                                              ppc64el, Nothing().view);
  ASSERT_EQ(alternatives.size(), 1U);
  const AlternativeInstall& awk = alternatives[0];
  EXPECT_EQ(awk.link, "/usr/bin/awk");
  EXPECT_EQ(awk.name, "awk");
  EXPECT_EQ(awk.path, "/usr/bin/mawk");
  EXPECT_EQ(awk.priority, 5);
  ASSERT_EQ(awk.slaves.size(), 1U);
  EXPECT_EQ(awk.slaves[0].link, "/usr/bin/nawk");
  EXPECT_EQ(awk.slaves[0].path, "/usr/bin/mawk");
}

TEST(Scripts, KnowTheArchitectureVariablesAndLoops) {
  const auto alternatives = read_alternatives(R"sh(
DIR="/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)"; prio=-100
for tool in jar "javac"; do
  if known-to-nobody $DIR/$tool; then
    update-alternatives --install /usr/bin/${tool} ${tool} "$DIR"/$tool $prio
  fi
done
)sh",
                                              ppc64el, Nothing().view);
  ASSERT_EQ(alternatives.size(), 2U);
  EXPECT_EQ(alternatives[0].path, "/usr/lib/powerpc64le-linux-gnu/jar");
  EXPECT_EQ(alternatives[1].link, "/usr/bin/javac");
  EXPECT_EQ(alternatives[1].priority, -100);
}

TEST(Scripts, NeverFailOnBrokenOnes) {
  for (const std::string_view script :
       {"'", "\"", "$(", "${", "`", "for", "for a in", "for a in b; do", "\\", "<<", "<<X",
        "a=", "case x in", "()", "$", ")", "for a in 1 2; do for b in 1 2; do"}) {
    read_alternatives(script, ppc64el, Nothing().view);
  }
}

TEST(Layout, MergesUsr) {
  EXPECT_EQ(merged_path("lib/x/y"), "usr/lib/x/y");
  EXPECT_EQ(merged_path("lib64"), "usr/lib64");
  EXPECT_EQ(merged_path("library/x"), "library/x");
  EXPECT_EQ(merged_path("usr/bin"), "usr/bin");
}

TEST(Layout, LeavesDocumentationOutButNotCopyrights) {
  EXPECT_TRUE(is_left_out("usr/share/doc/a/changelog.gz", EntryType::file));
  EXPECT_TRUE(is_left_out("usr/share/man/man1/a.1.gz", EntryType::file));
  EXPECT_FALSE(is_left_out("usr/share/doc/a/copyright", EntryType::file));
  EXPECT_FALSE(is_left_out("usr/share/doc/a", EntryType::symlink));
  EXPECT_FALSE(is_left_out("usr/share/doc", EntryType::directory));
  EXPECT_FALSE(is_left_out("usr/share/mandatory/a", EntryType::file));
}

Entry file(std::string path, std::string text, std::uint32_t mode = 0644) {
  std::string id = "test:" + text;
  return {.path = std::move(path),
          .mode = mode,
          .mtime = 2000,
          .content = memory_content(std::move(text), std::move(id))};
}

DebianPackage described(std::string name, std::string architecture) {
  return {.name = std::move(name),
          .version = "1",
          .architecture = std::move(architecture),
          .suite = "",
          .file = "",
          .sha256 = manifest::Digest::of("x"),
          .size = 1};
}

class Sink final : public Diagnostics {
 public:
  void report(Severity severity, std::string_view message) noexcept override {
    if (severity == Severity::warning) {
      warnings.emplace_back(message);
    }
  }
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override {
    return null_diagnostics().begin(label, total);
  }
  std::vector<std::string> warnings;
};

TEST(Layout, MapsHardLinksAndClampsTimes) {
  const std::vector<DebianPackage> packages{described("tool", "amd64"), described("data", "all")};
  std::vector<UnpackedPackage> unpacked(2);
  unpacked[0].entries = {file("lib/x", "X"),
                         {.path = "sbin/y", .type = EntryType::hardlink, .link = "lib/x"}};
  unpacked[1].entries = {file("lib/data", "D")};
  const std::vector<std::size_t> layers{1, 0};
  const Layout layout =
      unwrap(lay_out(packages, unpacked, layers, {.max_mtime = 1000, .made_mtime = 1000}));
  ASSERT_NE(layout.tree.find("usr/sbin/y"), nullptr);
  EXPECT_EQ(layout.tree.find("usr/sbin/y")->link, "usr/lib/x");
  EXPECT_EQ(layout.tree.find("usr/lib/x")->mtime, 1000);
  EXPECT_EQ(layout.owners.at("usr/lib/data"), 1U);
  EXPECT_EQ(layout.owners.at("usr/lib/x"), 0U);
}

constexpr std::array<std::size_t, 3> one_layer{};

TEST(Layout, HasDocumentationOnlyWhenItIsAskedFor) {
  const std::vector<DebianPackage> packages{described("tool", "amd64")};
  std::vector<UnpackedPackage> unpacked(1);
  unpacked[0].entries = {file("usr/share/man/man1/tool.1.gz", "M"),
                         file("usr/share/doc/tool/copyright", "C"),
                         {.path = "usr/share/doc/tool/licence",
                          .type = EntryType::hardlink,
                          .link = "usr/share/man/man1/tool.1.gz"}};
  std::vector<UnpackedPackage> again = unpacked;
  const Layout without = unwrap(lay_out(packages, again, one_layer, {}));
  EXPECT_EQ(without.tree.find("usr/share/man/man1/tool.1.gz"), nullptr);
  EXPECT_NE(without.tree.find("usr/share/doc/tool/copyright"), nullptr);
  const Layout with = unwrap(lay_out(packages, unpacked, one_layer, {.documentation = true}));
  EXPECT_NE(with.tree.find("usr/share/man/man1/tool.1.gz"), nullptr);
  EXPECT_EQ(with.tree.find("usr/share/doc/tool/licence")->type, EntryType::hardlink);
}

TEST(Layout, ReplacesDecidesAboutFilesOfTwoPackages) {
  const std::vector<DebianPackage> packages{described("a", "amd64"), described("b", "amd64"),
                                            described("c", "amd64")};
  std::vector<UnpackedPackage> unpacked(3);
  unpacked[0].entries = {file("usr/x", "A"), file("usr/z", "A")};
  unpacked[1].entries = {file("usr/x", "B")};
  unpacked[1].control["control"] = "Package: b\nReplaces: a (<< 2)\n";
  unpacked[2].entries = {file("usr/z", "C")};
  Sink sink;
  const Layout layout = unwrap(lay_out(packages, unpacked, one_layer, {}));
  report_conflicts(layout, packages, sink);
  EXPECT_EQ(layout.tree.find("usr/x")->content->id(), "test:B");
  EXPECT_EQ(layout.tree.find("usr/z")->content->id(), "test:A");
  EXPECT_THAT(sink.warnings, ElementsAre(HasSubstr("/usr/z")));
}

// As base-files of Debian 13 does.
TEST(Layout, TopLinksOfMergedUsrThatAPackageShipsAreNotFollowed) {
  const auto link = [](std::string path, std::string text) {
    return Entry{.path = std::move(path), .type = EntryType::symlink, .link = std::move(text)};
  };
  std::vector<UnpackedPackage> unpacked{
      {.entries = {link("bin", "usr/bin"),
                   link("lib", "/usr/lib"),
                   {.path = "usr/bin", .type = EntryType::directory, .mode = 0755}}},
      {.entries = {{.path = "usr/bin", .type = EntryType::directory, .mode = 0755},
                   file("usr/bin/python3", "p"),
                   file("bin/sh", "s"),
                   file("lib/x/y", "y")}}};
  const std::vector<DebianPackage> packages{described("base-files", "amd64"),
                                            described("other", "amd64")};
  const Layout layout = unwrap(lay_out(packages, unpacked, std::vector<std::size_t>{0, 0}, {}));
  for (const char* path : {"usr/bin/python3", "usr/bin/sh", "usr/lib/x/y"}) {
    EXPECT_NE(layout.tree.find(path), nullptr) << path;
  }
  EXPECT_EQ(layout.tree.find("bin"), nullptr) << "made for every image";
}

TEST(Layout, FollowsALinkThatIsADirectoryElsewhere) {
  const std::vector<DebianPackage> packages{described("a", "amd64"), described("b", "amd64")};
  std::vector<UnpackedPackage> unpacked(2);
  unpacked[0].entries = {{.path = "usr/share/old", .type = EntryType::symlink, .link = "new"}};
  unpacked[1].entries = {{.path = "usr/share/old", .type = EntryType::directory, .mode = 0755},
                         file("usr/share/old/x", "X")};
  const Layout layout = unwrap(lay_out(packages, unpacked, one_layer, {}));
  EXPECT_EQ(layout.tree.find("usr/share/old")->type, EntryType::symlink);
  EXPECT_NE(layout.tree.find("usr/share/new/x"), nullptr);
}

struct Configured {
  Layout layout{};
  std::vector<DebianPackage> packages{};
  std::vector<UnpackedPackage> unpacked{};

  std::string text(std::string_view path) {
    return unwrap(ImageView(layout, 0).read(path, 1U << 20U));
  }
  Result<void> run(Result<void> (*step)(ImageView&, const ConfigureContext&),
                   Diagnostics& diagnostics) {
    ImageView image(layout, 86400);
    FNIMAGE_CHECK(link_merged_usr(image));
    return step(image, {packages, unpacked, "amd64", "x86_64-linux-gnu", 86400, diagnostics});
  }
};

TEST(Alternatives, TheHighestPriorityIsLinked) {
  Configured image;
  EXPECT_THAT(image.layout.tree.add(file("usr/lib/t/blas/libblas.so.3", "reference")), is_ok());
  EXPECT_THAT(image.layout.tree.add(file("usr/lib/t/openblas/libblas.so.3", "fast")), is_ok());
  image.packages = {described("libblas3", "amd64"), described("libopenblas0", "amd64")};
  image.unpacked.resize(2);
  image.unpacked[0].control["postinst"] =
      "update-alternatives --install /usr/lib/t/libblas.so.3 blas /usr/lib/t/blas/libblas.so.3 "
      "10\n";
  image.unpacked[1].control["postinst"] =
      "update-alternatives --install /lib/t/libblas.so.3 blas /usr/lib/t/openblas/libblas.so.3 "
      "100\n"
      "update-alternatives --install /usr/bin/none none /usr/bin/missing 1\n";
  ASSERT_THAT(image.run(configure_alternatives, null_diagnostics()), is_ok());
  EXPECT_EQ(image.text("lib/t/libblas.so.3"), "fast");
  EXPECT_EQ(image.layout.tree.find("usr/bin/none"), nullptr);
  EXPECT_EQ(image.text("var/lib/dpkg/alternatives/blas"),
            "auto\n/usr/lib/t/libblas.so.3\n\n/usr/lib/t/blas/libblas.so.3\n10\n"
            "/usr/lib/t/openblas/libblas.so.3\n100\n\n");
}

TEST(Alternatives, AFileOfAPackageIsNotReplaced) {
  Configured image;
  EXPECT_THAT(image.layout.tree.add(file("usr/bin/vi", "real")), is_ok());
  EXPECT_THAT(image.layout.tree.add(file("usr/bin/vim", "vim")), is_ok());
  image.packages = {described("vim", "amd64")};
  image.unpacked.resize(1);
  image.unpacked[0].control["postinst"] =
      "update-alternatives --install /usr/bin/vi vi /usr/bin/vim 1";
  Sink sink;
  ASSERT_THAT(image.run(configure_alternatives, sink), is_ok());
  EXPECT_EQ(image.text("usr/bin/vi"), "real");
  EXPECT_EQ(sink.warnings.size(), 1U);
}

TEST(Accounts, PasswordsAreLockedInShadow) {
  Configured image;
  EXPECT_THAT(image.layout.tree.add(
                  file("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n")),
              is_ok());
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  EXPECT_EQ(image.text("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n");
  EXPECT_EQ(image.text("etc/shadow"), "root:*:1:0:99999:7:::\n");
  EXPECT_EQ(image.layout.tree.find("etc/shadow")->mode, 0640U);
  EXPECT_EQ(image.layout.tree.find("etc/shadow")->gid, 42U);
  EXPECT_THAT(image.text("etc/group"), HasSubstr("nogroup"));
}

/// The line of a file that begins with a name; empty when there is none.
std::string line_of(const std::string& text, std::string_view name) {
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with(fmt::format("{}:", name))) {
      return std::string(line);
    }
  }
  return {};
}

TEST(Accounts, UsersThatScriptsMakeAreThere) {
  Configured image;
  image.packages = {described("a", "amd64"), described("b", "amd64")};
  image.unpacked.resize(2);
  image.unpacked[0].control["postinst"] = R"sh(
if ! getent passwd postgres >/dev/null; then
  adduser --system $quiet --home /var/lib/postgresql --no-create-home \
      --shell /bin/bash --group --gecos "PostgreSQL administrator" postgres
fi
adduser $quiet postgres ssl-cert
addgroup --system --gid 121 ssl-cert || true
GROUP=memcache
addgroup --system $GROUP >/dev/null
adduser --system --disabled-login --ingroup $GROUP --home /var/cache/m memcache
adduser --force-badname --system --home /nonexistent --no-create-home --quiet _apt || true
adduser --system "$(computed)" || true
)sh";
  image.unpacked[1].control["postinst"] =
      "/usr/sbin/groupadd -r solver\n/usr/sbin/useradd -r -g solver -u 321 -d /srv -s /bin/sh -c "
      "'The: solver' solver\nadduser postgres solver\n";
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  const std::string passwd = image.text("etc/passwd");
  const std::string group = image.text("etc/group");
  EXPECT_THAT(line_of(passwd, "postgres"),
              ::testing::MatchesRegex("postgres:x:([0-9]+):[0-9]+:PostgreSQL "
                                      "administrator,,,:/var/lib/postgresql:/bin/bash"));
  EXPECT_THAT(line_of(passwd, "_apt"),
              ::testing::MatchesRegex("_apt:x:[0-9]+:65534::/nonexistent:/usr/sbin/nologin"));
  // A colon would begin another field.
  EXPECT_THAT(line_of(passwd, "solver"),
              ::testing::MatchesRegex("solver:x:321:[0-9]+::/srv:/bin/sh"));
  EXPECT_THAT(line_of(group, "ssl-cert"), ::testing::EndsWith(":121:postgres"));
  EXPECT_THAT(line_of(group, "solver"), ::testing::EndsWith(":postgres"));
  EXPECT_THAT(line_of(image.text("etc/shadow"), "postgres"), HasSubstr("postgres:!:1::::::"));
  const layer::Entry* home = image.layout.tree.find("var/cache/m");
  ASSERT_NE(home, nullptr);
  EXPECT_GE(home->uid, 100U);
  EXPECT_EQ(image.layout.tree.find("var/lib/postgresql"), nullptr);
}

TEST(Accounts, EveryToolLocksAndDescribesThemInItsWay) {
  Configured image;
  EXPECT_THAT(image.layout.tree.add(file("usr/sbin/grpconv", "G")), is_ok());
  EXPECT_THAT(image.layout.tree.add(file("usr/share/base-passwd/group.master",
                                         "root:*:0:\nusers:*:100:\nnogroup:*:65534:\n")),
              is_ok());
  EXPECT_THAT(image.layout.tree.add(file("usr/lib/sysusers.d/named.conf",
                                         "u by-sysusers - \"A user\" /run/it\n"
                                         "u of-users -:users\nu of-100 4:100\ng a-group -\n")),
              is_ok());
  EXPECT_THAT(image.layout.tree.add(file("usr/lib/sysusers.d/other.conf", "u by-script - Other\n")),
              is_ok());
  EXPECT_THAT(image.layout.tree.add(file("usr/bin/systemd-sysusers", "S")), is_ok());
  image.packages = {described("a", "amd64")};
  image.unpacked.resize(1);
  image.unpacked[0].control["postinst"] = R"sh(
adduser --system --group --home /nonexistent by-script
adduser --system --group --gecos "Name,Room" --no-create-home --home /run/x described
adduser --disabled-password --gecos "" person
useradd -rM -G users,absent plain
useradd -N grouped
if command -v systemd-sysusers; then systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} named.conf
else adduser --system --group by-sysusers; fi
if ! id -Gn plain | grep -qw plain; then adduser plain plain; fi
gpasswd -a described plain
usermod -a -G a-group described
usermod -d /srv/plain -s /bin/false plain
if dpkg --compare-versions "$2" gt 1.0; then usermod -d /srv/old grouped; fi
)sh";
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  const std::string passwd = image.text("etc/passwd");
  const std::string shadow = image.text("etc/shadow");
  const std::string group = image.text("etc/group");
  const std::string gshadow = image.text("etc/gshadow");
  const auto without_numbers = [&](std::string_view name) {
    const std::string line = line_of(passwd, name);
    const auto fields = split(line, ':');
    return fields.size() == 7 ? fmt::format("{}:{}:{}", fields[4], fields[5], fields[6]) : line;
  };
  EXPECT_EQ(without_numbers("by-script"), ":/nonexistent:/usr/sbin/nologin");
  EXPECT_EQ(without_numbers("described"), "Name,Room,,:/run/x:/usr/sbin/nologin");
  EXPECT_EQ(without_numbers("person"), ",,,:/home/person:/bin/bash");
  EXPECT_EQ(without_numbers("plain"), ":/srv/plain:/bin/false");
  EXPECT_EQ(without_numbers("grouped"), ":/home/grouped:/bin/sh");
  EXPECT_EQ(without_numbers("by-sysusers"), "A user:/run/it:/usr/sbin/nologin");
  EXPECT_THAT(line_of(passwd, "grouped"), HasSubstr(":100::"));
  EXPECT_THAT(line_of(passwd, "of-users"), HasSubstr(":100::"));
  EXPECT_THAT(line_of(passwd, "of-100"), HasSubstr(":4:100::"));
  EXPECT_EQ(line_of(shadow, "root"), "root:*:1:0:99999:7:::");
  EXPECT_EQ(line_of(shadow, "by-script"), "by-script:!:1::::::");
  EXPECT_EQ(line_of(shadow, "by-sysusers"), "by-sysusers:!*:1::::::");
  EXPECT_EQ(line_of(shadow, "person"), "person:*:1:0:99999:7:::");
  EXPECT_EQ(line_of(shadow, "grouped"), "grouped:!:1:0:99999:7:::");
  EXPECT_EQ(line_of(group, "users"), "users:x:100:plain");
  EXPECT_EQ(line_of(group, "of-100"), "");
  EXPECT_THAT(line_of(group, "plain"), ::testing::EndsWith(":described"));
  EXPECT_EQ(line_of(gshadow, "users"), "users:*::plain");
  EXPECT_EQ(line_of(gshadow, "plain"), "plain:!::described");
  EXPECT_EQ(line_of(gshadow, "a-group"), "a-group:!*::described");
  EXPECT_EQ(image.layout.tree.find("etc/gshadow")->mode, 0640U);
  EXPECT_EQ(image.layout.tree.find("etc/gshadow")->gid, 42U);
}

TEST(Accounts, DebconfAndChfnNameThem) {
  Configured image;
  image.packages = {described("a", "amd64"), described("b", "amd64")};
  image.unpacked.resize(2);
  image.unpacked[0].control["templates"] =
      "Template: a/user\nType: string\nDefault: server\n\nTemplate: a/homes\nType: string\n"
      "Default: /srv/one /srv/two\n\nTemplate: a/name\nType: string\nDefault: none\n";
  image.unpacked[0].control["config"] =
      "#!/bin/sh\nif [ -e /etc/default/a ]; then . /etc/default/a; db_set a/user \"$USER\"; fi\n"
      "db_set a/name 'A server'\n";
  image.unpacked[0].control["postinst"] = R"sh(#!/bin/sh
. /usr/share/debconf/confmodule
db_get a/user
USER="${RET:-other}"
db_get a/homes
HOMES="$RET"
db_get a/name
getent passwd "$USER" || adduser --system --home $(echo $HOMES | awk '{ print $1 }') --no-create-home \
  --gecos "$RET" --group "$USER"
adduser --system nameless
if [ -z "$(getent passwd nameless | cut -d: -f5)" ]; then chfn -f 'A name' nameless; fi
if [ -z "$(getent passwd $USER | cut -d: -f5)" ]; then chfn -f 'Another' $USER; fi
)sh";
  // The answers are those of one package.
  image.unpacked[1].control["postinst"] = "db_get a/user && adduser --system \"x$RET\"\n";
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  const std::string passwd = image.text("etc/passwd");
  EXPECT_THAT(line_of(passwd, "server"),
              ::testing::EndsWith(":A server,,,:/srv/one:/usr/sbin/nologin"));
  EXPECT_THAT(line_of(passwd, "nameless"), HasSubstr(":A name,,,:"));
  EXPECT_EQ(line_of(passwd, "xserver"), "");
}

TEST(Accounts, WithoutThePackagePasswdGroupsHaveNoShadow) {
  Configured image;
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  EXPECT_EQ(line_of(image.text("etc/group"), "shadow"), "shadow:*:42:");
  EXPECT_EQ(image.layout.tree.find("etc/gshadow"), nullptr);
}

TEST(Accounts, NumbersDoNotDependOnWhatElseIsThere) {
  const auto line = [](const std::string& others) {
    Configured image;
    image.packages = {described("a", "amd64")};
    image.unpacked.resize(1);
    image.unpacked[0].control["postinst"] = others + "adduser --system --group redis\n";
    EXPECT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
    return line_of(image.text("etc/passwd"), "redis");
  };
  EXPECT_EQ(line(""), line("adduser --system --group munge\nadduser --system aaa\n"));
  // Two that want the same number get two.
  Configured image;
  image.packages = {described("a", "amd64")};
  image.unpacked.resize(1);
  image.unpacked[0].control["postinst"] =
      "adduser --system --uid 200 one\nadduser --system --uid 200 two\n";
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  EXPECT_THAT(line_of(image.text("etc/passwd"), "one"), HasSubstr(":x:200:"));
  EXPECT_THAT(line_of(image.text("etc/passwd"), "two"), ::testing::Not(HasSubstr(":x:200:")));
}

TEST(Accounts, FilesOfSysusersAreRead) {
  Configured image;
  EXPECT_THAT(image.layout.tree.add(file("usr/lib/sysusers.d/dbus.conf",
                                         "# comment\nu messagebus - \"System bus\" /run/dbus\n"
                                         "g kvm 104 -\nm messagebus kvm\nu bad:name 5\nu\n")),
              is_ok());
  ASSERT_THAT(image.run(configure_accounts, null_diagnostics()), is_ok());
  EXPECT_THAT(
      line_of(image.text("etc/passwd"), "messagebus"),
      ::testing::MatchesRegex("messagebus:x:[0-9]+:[0-9]+:System bus:/run/dbus:/usr/sbin/nologin"));
  EXPECT_EQ(line_of(image.text("etc/group"), "kvm"), "kvm:*:104:messagebus");
}

TEST(DpkgStatus, IsWhatDpkgWrites) {
  Configured image;
  EXPECT_THAT(image.layout.tree.add(file("etc/a.conf", "hello")), is_ok());
  image.packages = {described("a", "amd64")};
  image.unpacked.resize(1);
  image.unpacked[0].control = {
      {"control", "Package: a\nVersion: 1\nMulti-Arch: same\nDescription: x\n y\n"},
      {"conffiles", "/etc/a.conf\n"},
      {"md5sums", "0  usr/a\n"}};
  image.unpacked[0].file_list = "/.\n/etc/a.conf\n";
  ASSERT_THAT(image.run(write_dpkg_status, null_diagnostics()), is_ok());
  EXPECT_EQ(
      image.text("var/lib/dpkg/status"),
      "Package: a\nStatus: install ok installed\nVersion: 1\nMulti-Arch: same\nDescription: x\n y\n"
      "Conffiles:\n /etc/a.conf 5d41402abc4b2a76b9719d911017c592\n\n");
  EXPECT_EQ(image.text("var/lib/dpkg/info/a:amd64.list"), "/.\n/etc/a.conf\n");
  EXPECT_EQ(image.text("var/lib/dpkg/info/a:amd64.md5sums"), "0  usr/a\n");
}

}  // namespace
}  // namespace fnimage::source::debian

// /etc/mailcap, made of what packages register.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scripted_image.hpp"

namespace fnimage::source::debian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct MailImage : ScriptedImage {
  MailImage() {
    add("usr/sbin/update-mime", "U", 0755);
    add("usr/lib/mime/mailcap",
        "# made by install-mime\n"
        "# ----- User Section Begins ----- #\n"
        "mine; show %s\n"
        "# -----  User Section Ends  ----- #\n"
        "old/entry; show %s\n");
  }
  /// The entries of the file.
  std::string entries() {
    const std::string whole = text("etc/mailcap");
    const std::string start =
        "# made by update-mime\n# ----- User Section Begins ----- #\nmine; show %s\n"
        "# -----  User Section Ends  ----- #\n\n" +
        std::string(79, '#') + "\n\n";
    EXPECT_TRUE(whole.starts_with(start)) << whole;
    return whole.substr(std::min(start.size(), whole.size()));
  }
};

constexpr const char* mime_call = "if command -v update-mime; then update-mime --triggered; fi";

TEST(MailCapabilities, AreOrderedByPriorityAndHowGeneralTheyAre) {
  MailImage image;
  image.add("usr/lib/mime/packages/beta",
            "# comment\n\n  # another\n"
            "text/*; any %s; needsterminal ;\n"
            "*/*; all %s\n"
            "text/plain; plain %s; priority=7\n"
            "text/html; html %s; priority = 2; nametemplate=%s.html\n"
            "image/png; png %s; priority=77\n");
  image.add("usr/lib/mime/packages/Alpha", "text/css; css %s\n");
  image.add("usr/lib/mime/packages/old~", "text/old; old %s\n");
  image.add("usr/lib/mime/packages/.hidden", "text/old; old %s\n");
  EXPECT_THAT(image.run(mime_call), IsEmpty());
  EXPECT_EQ(image.entries(),
            "text/plain; plain %s\n"
            "text/css; css %s\n"
            "image/png; png %s\n"
            "text/*; any %s; needsterminal\n"
            "*/*; all %s\n"
            "text/html; html %s; nametemplate=%s.html\n");
}

TEST(MailCapabilities, ApplicationsOfDesktopsComeAfterwards) {
  MailImage image;
  image.add("usr/lib/mime/packages/viewer", "text/plain; view %s\n");
  image.add("usr/share/applications/viewer.desktop",
            "[Desktop Entry]\nExec=never\nMimeType=text/never;\n");
  image.add("usr/share/applications/Editor.desktop",
            "[Other]\nExec=never\n[Desktop Entry]\nName=An Editor\nName[de]=Ein Editor\n"
            "Icon=pen\nTryExec=edit\nExec=edit %i -n %c %U\nMimeType=text/x; text/y;;\n"
            "[Desktop Action new]\nExec=never\n");
  image.add("usr/share/applications/kde/term.desktop",
            "[Desktop Entry]\nTerminal=true\nExec=term\nMimeType=text/z\n");
  image.add("usr/share/applications/none.desktop", "[Desktop Entry]\nExec=none\n");
  EXPECT_THAT(image.run(mime_call), IsEmpty());
  EXPECT_EQ(image.entries(),
            "text/plain; view %s\n"
            "text/z; term %s; needsterminal\n"
            "text/x; edit --icon pen -n An Editor %s; test=test -n \"$DISPLAY\"\n"
            "text/y; edit --icon pen -n An Editor %s; test=test -n \"$DISPLAY\"\n");
}

TEST(MailCapabilities, AreMadeByTheTriggerAndOnlyThere) {
  MailImage image;
  image.add("usr/lib/mime/packages/viewer", "text/plain; view %s\n");
  EXPECT_THAT(image.run("update-mime --no-trigger"), IsEmpty());
  EXPECT_EQ(image.layout.tree.find("etc/mailcap"), nullptr);
  image.add_package("mailcap", {{"triggers", "interest-noawait /usr/lib/mime/packages\n"},
                                {"postinst",
                                 "#!/bin/sh\nif [ \"$1\" = triggered ]; then\n"
                                 "update-mime --triggered\nfi\n"}});
  EXPECT_THAT(image.run(), IsEmpty());
  EXPECT_EQ(image.entries(), "text/plain; view %s\n");
}

TEST(MailCapabilities, AnOrderOfOnesOwnIsNamed) {
  for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{
           {"etc/mailcap.order", "# comment\nviewer:text/*\n"},
           {"etc/update-mime.conf", "1;\n"},
           {"etc/mailcap", "no sections\n"}}) {
    MailImage image;
    image.add(path, text);
    EXPECT_THAT(image.run("update-mime --triggered"), ElementsAre("probe: update-mime --triggered"))
        << path;
  }
  MailImage plain;
  plain.add("etc/mailcap.order", "# only comments\n");
  EXPECT_THAT(plain.run("update-mime --triggered"), IsEmpty());
}

TEST(Locales, NoneIsSelectedWhenNobodyIsAsked) {
  ScriptedImage image;
  const auto configure = [&] {
    ImageView view(image.layout, 86400);
    EXPECT_THAT(configure_locales(view, {image.packages, image.unpacked, "amd64",
                                         "x86_64-linux-gnu", 86400, null_diagnostics()}),
                test::is_ok());
  };
  image.add("usr/share/i18n/SUPPORTED",
            "# comment\nbb_BB UTF-8  \naa_AA ISO-8859-1\nbb_BB UTF-8\n");
  configure();
  EXPECT_EQ(image.layout.tree.find("etc/locale.gen"), nullptr);
  image.add_package("locales", {{"postinst", "#!/bin/sh\nlocale-gen\n"}});
  configure();
  const std::string list = image.text("etc/locale.gen");
  EXPECT_TRUE(list.ends_with("locale-gen.\n\n\n# aa_AA ISO-8859-1\n# bb_BB UTF-8\n")) << list;
  EXPECT_EQ(image.text("etc/default/locale"), "#  File generated by update-locale\n");
  image.add("usr/sbin/locale-gen", "L", 0755);
  EXPECT_THAT(image.run(), IsEmpty());
}

// An application's name is in its command, and that in each of its types.
TEST(MailCapabilities, WhatGrowsWithoutBoundsIsNamed) {
  std::string names;
  std::string types;
  for (int i = 0; i < 100'000; ++i) {
    names += "%c";
    types += "a/b;";
  }
  for (const std::string& text :
       {"Name=" + std::string(100'000, 'n') + "\nExec=show " + names + "\nMimeType=a/b\n",
        "Exec=show " + std::string(100'000, 'x') + "\nMimeType=" + types + "\n"}) {
    MailImage image;
    image.add("usr/share/applications/a.desktop", "[Desktop Entry]\n" + text);
    EXPECT_THAT(image.run(mime_call), ElementsAre("probe: update-mime --triggered"));
    EXPECT_EQ(image.layout.tree.find("etc/mailcap"), nullptr);
  }
}

}  // namespace
}  // namespace fnimage::source::debian

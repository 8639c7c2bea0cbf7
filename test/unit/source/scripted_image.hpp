// An image of packages with maintainer scripts, for tests of what these do to it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "debian/configure/configure.hpp"
#include "debian/configure/script_effects.hpp"

namespace fnimage::source::debian {

inline layer::Entry plain_file(std::string path, std::string text, std::uint32_t mode = 0644) {
  std::string id = "test:" + text;
  return {.path = std::move(path),
          .mode = mode,
          .content = memory_content(std::move(text), std::move(id))};
}

/// An image of packages with scripts, and what comes of them.
struct ScriptedImage {
  ScriptedImage() {
    add("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nman:x:6:12:man:/x:/x\nown:x:300:300::/:/x\n");
    add("etc/group", "root:*:0:\nshadow:*:42:\nown:*:300:\n");
    add("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/sh\nman:*:6:12:::\n");
    add("usr/share/base-passwd/group.master", "root:*:0:\nshadow:*:42:\n");
  }
  void add(const std::string& path, const std::string& text, std::uint32_t mode = 0644) {
    EXPECT_THAT(layout.tree.add(plain_file(path, text, mode)), test::is_ok());
  }
  void add_package(const std::string& name, ControlFiles control) {
    packages.push_back({.name = name,
                        .version = "1",
                        .architecture = "amd64",
                        .suite = "",
                        .file = "",
                        .sha256 = manifest::Digest::of("x"),
                        .size = 1});
    unpacked.push_back({.control = std::move(control)});
  }
  /// Package and commands that were not done, "package: command; command".
  std::vector<std::string> run() {
    ImageView image(layout, 86400);
    std::vector<std::string> lines;
    const auto uncovered = configure_by_scripts(
        image, {packages, unpacked, "amd64", "x86_64-linux-gnu", 86400, null_diagnostics()});
    EXPECT_THAT(uncovered, test::is_ok());
    for (const UncoveredScript& script : test::unwrap(uncovered)) {
      lines.push_back(fmt::format("{}: {}", script.package, join(script.commands, "; ")));
    }
    return lines;
  }
  std::vector<std::string> run(std::string postinst) {
    add_package("probe", {{"postinst", "#!/bin/sh\n" + std::move(postinst)}});
    return run();
  }
  const layer::Entry& entry(std::string_view path) {
    const layer::Entry* found = layout.tree.find(path);
    EXPECT_NE(found, nullptr) << path;
    static const layer::Entry none{};
    return found != nullptr ? *found : none;
  }
  std::string text(std::string_view path) {
    return test::unwrap(ImageView(layout, 0).read(path, 1U << 20U));
  }

  Layout layout{};
  std::vector<DebianPackage> packages{};
  std::vector<UnpackedPackage> unpacked{};
};

}  // namespace fnimage::source::debian

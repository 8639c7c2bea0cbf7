// Broken images of every kind, made on purpose, and whole ones that must not be complained about.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/check/check.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "support.hpp"

namespace fnimage::check {
namespace {

using test::ElfFile;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string libraries = "usr/lib/x86_64-linux-gnu/";

ElfFile program_of(std::vector<std::string> needed) {
  return {.interpreter = "/lib64/ld-linux-x86-64.so.2", .needed = std::move(needed)};
}

TEST(Check, GoodImageHasNoFindings) {
  const Report report = check_layers({good_layer()});
  EXPECT_THAT(briefly(report), IsEmpty());
  EXPECT_EQ(report.files, 4U);
  EXPECT_EQ(report.objects, 4U);
  EXPECT_THAT(require_no_errors({report}), is_ok());
}

// --- platform truth ---

TEST(Check, ObjectsOfAnotherMachineAreNamedWithTheirOrigin) {
  const LayerOf foreign = LayerOf()
                              .program("usr/bin/solver", ElfFile().for_ppc64le().bytes())
                              .file(libraries + "libz.so.1", ElfFile().for_ppc64le().bytes())
                              .file("var/lib/dpkg/info/zlib1g:amd64.list",
                                    "/.\n/lib\n/lib/x86_64-linux-gnu/libz.so.1\n");
  const Report report = check_layers({good_layer(), foreign});
  EXPECT_THAT(briefly(report), ElementsAre("error machine /usr/bin/solver",
                                           "error machine /" + libraries + "libz.so.1"));
  EXPECT_EQ(report.findings[0].origin, "layer 2");
  EXPECT_EQ(report.findings[1].origin, "package zlib1g") << "as listed before /usr was merged";
  EXPECT_THAT(report.findings[0].message,
              AllOf(HasSubstr("PowerPC, ELFv2"), HasSubstr("linux/amd64 cannot run")));
  EXPECT_THAT(require_no_errors({report}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("/usr/bin/solver")));
}

TEST(Check, MachinesOfPlatforms) {
  struct Case {
    const char* platform;
    ElfFile file;
    bool good;
  };
  const ElfFile ppc64le = ElfFile().for_ppc64le();
  const std::vector<Case> cases{
      {"linux/amd64", {}, true},
      {"linux/amd64/v3", {}, true},
      {"linux/amd64", {.bits = 32, .machine = 3}, true},   // x86 programs run
      {"linux/amd64", {.bits = 32, .machine = 62}, true},  // x32
      {"linux/386", {}, false},
      {"linux/amd64", {.machine = 183}, false},
      {"linux/arm64", {.machine = 183}, true},
      {"linux/arm64", {.bits = 32, .machine = 40}, true},
      {"linux/arm/v7", {.machine = 183}, false},
      {"linux/ppc64le", ppc64le, true},
      {"linux/ppc64le", {.machine = 21, .flags = 0}, true},
      {"linux/ppc64le", {.machine = 21, .flags = 1}, false},  // ELFv1
      {"linux/ppc64le", {.big_endian = true, .machine = 21, .flags = 1}, false},
      {"linux/ppc64", {.big_endian = true, .machine = 21, .flags = 1}, true},
      {"linux/s390x", {.big_endian = true, .machine = 22}, true},
      {"linux/s390x", {.machine = 22}, false},
      {"linux/riscv64", {.machine = 243}, true},
      {"linux/loong64", {.machine = 258}, true},
      {"linux/sparc64", {}, true},  // nobody told what that is
  };
  for (const Case& one : cases) {
    ImageFiles files;
    files.add_layer("1", LayerOf().program("x", one.file.bytes()).entries());
    const Report report =
        unwrap(check_machines(files, unwrap(manifest::Platform::parse(one.platform))));
    EXPECT_EQ(report.findings.empty(), one.good)
        << one.platform << " " << one.file.machine << " " << one.file.flags;
  }
}

TEST(Check, RelocatableObjectsCrossToolchainsAndDataMayBeForeign) {
  const std::string foreign = ElfFile().for_ppc64le().bytes();
  ElfFile relocatable = ElfFile().for_ppc64le();
  relocatable.type = 1;
  const LayerOf layer = LayerOf()
                            .file("usr/lib/kernel.o", relocatable.bytes())
                            .file("usr/powerpc64le-linux-gnu/lib/libc.so.6", foreign)
                            .file("usr/lib/gcc-cross/powerpc64le-linux-gnu/12/libgcc.so", foreign)
                            .file("usr/share/qemu/firmware", foreign)
                            .file("var/lib/dpkg/info/qemu.list", "/usr/share/qemu/firmware\n")
                            .file("usr/share/own/firmware", foreign);
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("warning machine /usr/share/own/firmware"));
}

TEST(Check, WhatLaterLayersHideIsNoFinding) {
  const LayerOf foreign = LayerOf().program("opt/x", ElfFile().for_ppc64le().bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), foreign})), ElementsAre("error machine /opt/x"));
  EXPECT_THAT(briefly(check_layers({good_layer(), foreign, LayerOf().file("opt/.wh.x", "")})),
              IsEmpty());
}

// --- libraries ---

TEST(Check, MissingLibrary) {
  const LayerOf layer = LayerOf().file(libraries + ".wh.libx.so.1.2", "");
  const Report report = check_layers({good_layer(), layer});
  EXPECT_THAT(briefly(report), ElementsAre("error library /usr/bin/app"));
  EXPECT_THAT(report.findings[0].message, HasSubstr("libx.so.1, which is not in the image"));
  EXPECT_THAT(require_no_errors({report}), fails_with(ErrorCode::invalid_input));
}

TEST(Check, LibraryOfALibrary) {
  const ElfFile library{.soname = "libx.so.1", .needed = {"libdeep.so.3"}};
  const Report report =
      check_layers({good_layer(), LayerOf().file(libraries + "libx.so.1.2", library.bytes())});
  EXPECT_THAT(briefly(report), ElementsAre("error library /" + libraries + "libx.so.1.2"));
}

TEST(Check, AlternativesThatNobodyChose) {
  // As in Debian: the library is there, below a directory that only a link makes known.
  const LayerOf blas =
      LayerOf()
          .file(libraries + "blas/libblas.so.3", ElfFile{.soname = "libblas.so.3"}.bytes())
          .program("usr/bin/fit", program_of({"libblas.so.3"}).bytes());
  const Report report = check_layers({good_layer(), blas});
  EXPECT_THAT(briefly(report), ElementsAre("error library /usr/bin/fit"));
  EXPECT_THAT(report.findings[0].message, HasSubstr("only at /" + libraries + "blas/libblas.so.3"));
  EXPECT_THAT(
      briefly(check_layers(
          {good_layer(), blas, LayerOf().link(libraries + "libblas.so.3", "blas/libblas.so.3")})),
      IsEmpty());
}

TEST(Check, ExtensionModulesNeedTheirLibraries) {
  const LayerOf module =
      LayerOf().file("usr/lib/python3/dist-packages/numpy/core/_math.cpython-311.so",
                     ElfFile{.needed = {"libblas.so.3"}}.bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), module})),
              ElementsAre(HasSubstr("error library /usr/lib/python3")));
}

TEST(Check, PluginsMayRelyOnTheirPrograms) {
  const LayerOf plugin =
      LayerOf()
          .file("usr/lib/tool/plugin.so", ElfFile{.needed = {"libtool-private.so"}}.bytes())
          .file("usr/lib/tool/private/libtool-private.so", ElfFile().bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), plugin})), IsEmpty());
  EXPECT_THAT(
      briefly(check_layers({good_layer(), plugin,
                            LayerOf().file("usr/lib/tool/private/.wh.libtool-private.so", "")})),
      ElementsAre("warning library /usr/lib/tool/plugin.so"));
  EXPECT_THAT(briefly(check_layers(
                  {good_layer(), plugin,
                   LayerOf()
                       .file("usr/lib/tool/private/.wh.libtool-private.so", "")
                       .file("var/lib/dpkg/info/tool.list", "/usr/lib/tool/plugin.so\n")})),
              IsEmpty())
      << "for those who install what the package suggests";
}

TEST(Check, LibrariesOfOtherMachinesAreLookedPast) {
  // x86 programs run on amd64, but their libraries are no use to others.
  const LayerOf layer =
      LayerOf()
          .file(libraries + ".wh.libx.so.1", "")
          .file("usr/lib/x86_64-linux-gnu/libx.so.1", ElfFile{.bits = 32, .machine = 3}.bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("error library /usr/bin/app"));
}

TEST(Check, SearchPathsOfObjects) {
  const std::string library = ElfFile{.soname = "libp.so"}.bytes();
  struct Case {
    const char* rpath;
    const char* runpath;
    bool found;
  };
  for (const Case& one : std::vector<Case>{{"", "", false},
                                           {"/opt/p/lib", "", true},
                                           {"", "/nowhere:/opt/p/lib/", true},
                                           {"", "$ORIGIN/../lib", true},
                                           {"${ORIGIN}/../lib", "", true},
                                           {"/opt/p/lib", "/nowhere", false},
                                           {"", "lib", false},
                                           {"", "/opt/p/$LIB", false}}) {
    ElfFile program = program_of({"libp.so"});
    program.rpath = one.rpath;
    program.runpath = one.runpath;
    const LayerOf layer =
        LayerOf().program("opt/p/bin/p", program.bytes()).file("opt/p/lib/libp.so", library);
    EXPECT_EQ(check_layers({good_layer(), layer}).findings.empty(), one.found)
        << one.rpath << " " << one.runpath;
  }
}

TEST(Check, OldSearchPathsCountForLibrariesToo) {
  ElfFile program = program_of({"libone.so"});
  program.rpath = "/opt/lib";
  const auto layer = [&](const ElfFile& app) {
    return LayerOf()
        .program("usr/bin/app", app.bytes())
        .file("opt/lib/libone.so", ElfFile{.needed = {"libtwo.so"}}.bytes())
        .file("opt/lib/libtwo.so", ElfFile().bytes());
  };
  EXPECT_THAT(briefly(check_layers({good_layer(), layer(program)})), IsEmpty());
  std::swap(program.rpath, program.runpath);
  EXPECT_THAT(briefly(check_layers({good_layer(), layer(program)})),
              ElementsAre("error library /opt/lib/libone.so"))
      << "a RUNPATH is its own object's alone";
}

TEST(Check, EnvironmentOfTheImage) {
  const LayerOf layer = LayerOf()
                            .program("usr/bin/app", program_of({"libp.so"}).bytes())
                            .file("opt/lib/libp.so", ElfFile().bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("error library /usr/bin/app"));
  manifest::ImageConfig config = good_config();
  config.set_env("LD_LIBRARY_PATH", "/nowhere:/opt/lib");
  EXPECT_THAT(briefly(check_layers({good_layer(), layer}, config)), IsEmpty());
}

TEST(Check, NewerProcessorsDoNotCount) {
  const LayerOf layer =
      LayerOf()
          .file(libraries + ".wh.libx.so.1.2", "")
          .file(libraries + "glibc-hwcaps/x86-64-v3/libx.so.1", ElfFile().bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("error library /usr/bin/app"));
}

TEST(Check, MuslHasDirectoriesOfItsOwn) {
  ElfFile app = program_of({"libm.so"});
  app.interpreter = "/lib/ld-musl-x86_64.so.1";
  LayerOf alpine;
  alpine.program("lib/ld-musl-x86_64.so.1", ElfFile().bytes());
  alpine.program("usr/bin/app", app.bytes());
  const LayerOf usual = LayerOf().file("usr/local/lib/libm.so", ElfFile().bytes());
  EXPECT_THAT(briefly(check_layers({alpine, usual})), IsEmpty());
  const LayerOf named = LayerOf().file("etc/ld-musl-x86_64.path", "/lib\n/opt/lib\n");
  EXPECT_THAT(briefly(check_layers({alpine, usual, named})),
              ElementsAre("error library /usr/bin/app"));
  EXPECT_THAT(
      briefly(check_layers({alpine, named, LayerOf().file("opt/lib/libm.so", ElfFile().bytes())})),
      IsEmpty());
}

TEST(Check, SymbolVersions) {
  const ElfFile old{.soname = "libc.so.6", .versions = {"GLIBC_2.17"}};
  const Report report =
      check_layers({good_layer(), LayerOf().file(libraries + "libc.so.6", old.bytes())});
  EXPECT_THAT(briefly(report), ElementsAre("error symbol-version /usr/bin/app"));
  EXPECT_THAT(report.findings[0].message, HasSubstr("GLIBC_2.34 of libc.so.6"));
  const ElfFile none{.soname = "libc.so.6"};
  EXPECT_THAT(
      briefly(check_layers({good_layer(), LayerOf().file(libraries + "libc.so.6", none.bytes())})),
      IsEmpty())
      << "the loader only warns of libraries without versions";
}

TEST(Check, ObjectsThatAreMadeToTakeForEver) {
  // 64 objects that each want 4000 libraries from 2000 directories: half a billion questions.
  ElfFile greedy = program_of({});
  for (int i = 0; i < 4000; ++i) {
    greedy.needed.push_back("lib" + std::to_string(i) + ".so");
  }
  for (int i = 0; i < 2000; ++i) {
    greedy.runpath += "/:";
  }
  LayerOf layer;
  for (int i = 0; i < 64; ++i) {
    layer.program("opt/" + std::to_string(i), greedy.bytes());
  }
  const Report report = check_layers({good_layer(), layer});
  EXPECT_EQ(report.findings.back().rule, "library");
  EXPECT_THAT(briefly(report), ::testing::Contains("warning limits "));
}

TEST(Check, LongChainsOfLibraries) {
  LayerOf layer;
  for (int i = 0; i < 3000; ++i) {
    const ElfFile link{.needed = {"libchain" + std::to_string(i + 1) + ".so"}, .rpath = "/opt"};
    layer.file("opt/libchain" + std::to_string(i) + ".so", link.bytes());
  }
  ElfFile app = program_of({"libchain0.so"});
  app.rpath = "/opt";
  layer.program("usr/bin/app", app.bytes());
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("error library /opt/libchain2999.so"));
}

TEST(Check, MissingLoader) {
  const LayerOf layer = LayerOf().file("usr/lib64/.wh.ld-linux-x86-64.so.2", "");
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("error interpreter /usr/bin/app"));
}

TEST(Check, DebugInformationIsNotLoaded) {
  std::string bytes = program_of({"libgone.so"}).bytes();
  bytes.resize(100);
  EXPECT_THAT(briefly(check_layers({good_layer(), LayerOf().file("usr/lib/debug/x", bytes)})),
              IsEmpty());
}

TEST(Check, BrokenObjects) {
  std::string bytes = program_of({}).bytes();
  bytes.resize(100);
  EXPECT_THAT(briefly(check_layers({good_layer(), LayerOf().program("usr/bin/app", bytes)})),
              ElementsAre("error object /usr/bin/app"));
  EXPECT_THAT(briefly(check_layers({good_layer(), LayerOf().program("opt/x", bytes)})),
              ElementsAre("warning object /opt/x"));
}

// --- the command ---

Report with_command(const std::vector<std::string>& command, const LayerOf& layer = {},
                    const std::string& user = "") {
  manifest::ImageConfig config = good_config();
  config.entrypoint = command;
  config.user = user;
  return check_layers({good_layer(), layer}, config);
}

TEST(Check, Commands) {
  EXPECT_THAT(briefly(with_command({})), ElementsAre("warning command "));
  EXPECT_THAT(briefly(with_command({"app"})), IsEmpty()) << "found in PATH";
  EXPECT_THAT(briefly(with_command({"/bin/app", "--fast"})), IsEmpty()) << "through a link";
  EXPECT_THAT(briefly(with_command({"none"})), ElementsAre("error command "));
  EXPECT_THAT(briefly(with_command({"/usr/bin"})), ElementsAre("error command "));
  manifest::ImageConfig config = good_config();
  config.entrypoint = {};
  config.cmd = {"./app"};
  config.working_dir = "/usr/bin";
  EXPECT_THAT(briefly(check_layers({good_layer()}, config)), IsEmpty());
  config.working_dir = "/";
  EXPECT_THAT(briefly(check_layers({good_layer()}, config)), ElementsAre("error command "));
}

TEST(Check, WhoMayExecute) {
  const std::string app = program_of({}).bytes();
  const auto mode = [&](std::uint32_t bits) { return LayerOf().file("usr/bin/app", app, bits); };
  const std::vector<std::string> command{"/usr/bin/app"};
  const std::vector<std::string> refused{"error command /usr/bin/app"};
  EXPECT_EQ(briefly(with_command(command, mode(0644))), refused) << "not even root";
  EXPECT_THAT(briefly(with_command(command, mode(0700))), IsEmpty());
  EXPECT_EQ(briefly(with_command(command, mode(0700), "1000:1000")), refused);
  EXPECT_EQ(briefly(with_command(command, mode(0750), "1000:1000")), refused);
  EXPECT_THAT(briefly(with_command(command, mode(0750), "1000:0")), IsEmpty());
}

TEST(Check, UsersHaveToBeKnown) {
  const LayerOf accounts = LayerOf()
                               .file("etc/passwd", "root:x:0:0::/:/bin/sh\nme:x:7:8::/:\n")
                               .file("etc/group", "root:x:0:\nus:x:9:\n");
  const std::vector<std::string> command{"/usr/bin/app"};
  for (const char* good : {"", "root", "me", "me:us", "1000", "1000:us", "7:8"}) {
    EXPECT_THAT(briefly(with_command(command, accounts, good)), IsEmpty()) << good;
  }
  for (const char* bad : {"you", "me:them", "1000:them"}) {
    EXPECT_THAT(briefly(with_command(command, accounts, bad)), ElementsAre("error user ")) << bad;
  }
}

TEST(Check, Scripts) {
  const auto script = [](const std::string& line) {
    return LayerOf().program("action/run", line + "\nbody\n");
  };
  const std::vector<std::string> command{"/action/run"};
  EXPECT_THAT(briefly(with_command(command, script("#!/bin/app -x"))), IsEmpty());
  EXPECT_THAT(briefly(with_command(command, script("#! /bin/app"))), IsEmpty());
  EXPECT_THAT(briefly(with_command(command, script("#!/usr/bin/perl"))),
              ElementsAre("error interpreter /action/run"));
  EXPECT_THAT(briefly(with_command(command, script("#!"))),
              ElementsAre("error interpreter /action/run"));
  EXPECT_THAT(briefly(with_command(command, script("just text"))),
              ElementsAre("error format /action/run"));
  EXPECT_THAT(briefly(with_command(command, script("#!/action/run"))), IsEmpty())
      << "a circle, and not ours to say";
}

TEST(Check, ScriptsThroughEnv) {
  const LayerOf env = LayerOf().program("usr/bin/env", program_of({"libc.so.6"}).bytes());
  const auto run = [&](const std::string& line) {
    LayerOf layer = env;
    layer.program("action/run", line + "\n");
    return briefly(with_command({"/action/run"}, layer));
  };
  EXPECT_THAT(run("#!/usr/bin/env app"), IsEmpty());
  EXPECT_THAT(run("#!/usr/bin/env -S A=b app -x"), IsEmpty());
  EXPECT_THAT(run("#!/usr/bin/env python3"), ElementsAre("error interpreter /action/run"));
}

TEST(Check, ScriptsBesidesTheCommandOnlyWarn) {
  const LayerOf layer = LayerOf()
                            .program("usr/bin/tool", "#!/usr/bin/perl\n")
                            .program("usr/bin/packaged", "#!/usr/bin/perl\n")
                            .file("var/lib/dpkg/info/packaged.list", "/usr/bin/packaged\n")
                            .program("usr/share/doc/x/example", "#!/usr/bin/perl\n");
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("warning interpreter /usr/bin/tool"));
}

TEST(Check, WhatAScriptStartsHasToWork) {
  const LayerOf layer = LayerOf()
                            .program("opt/interpreter", program_of({"libgone.so"}).bytes())
                            .program("action/run", "#!/opt/interpreter\n");
  EXPECT_THAT(briefly(with_command({"/action/run"}, layer)),
              ElementsAre("error library /opt/interpreter"));
}

TEST(Check, TheFunctionOfAnAction) {
  const auto serving = [](const std::string& proxy, const LayerOf& layer) {
    manifest::ImageConfig config = good_config();
    config.entrypoint = {"app", proxy};
    config.set_env("FNIMAGE_ACTION_MAIN", "/opt/solver");
    return briefly(check_layers({good_layer(), layer}, config));
  };
  const std::string exec = "/usr/lib/fnimage/exec_action.py";
  const std::string python = "/usr/lib/fnimage/python_action.py";
  EXPECT_THAT(serving(python, {}), ElementsAre("error function "));
  EXPECT_THAT(serving(python, LayerOf().file("opt/solver", "")), IsEmpty());
  EXPECT_THAT(serving(exec, LayerOf().program("opt/solver", "#!/bin/app\n")), IsEmpty());
  EXPECT_THAT(serving(exec, LayerOf().file("opt/solver", "#!/bin/app\n", 0644)),
              ElementsAre("error function /opt/solver"));
  EXPECT_THAT(serving(exec, LayerOf().program("opt/solver", "#!/usr/bin/perl\n")),
              ElementsAre("error interpreter /opt/solver"));
  EXPECT_THAT(serving(exec, LayerOf().program("opt/solver", program_of({"libgone.so"}).bytes())),
              ElementsAre("error library /opt/solver"));
}

TEST(Check, NotebooksNeedTheirKernels) {
  const std::string notebook =
      R"({"cells":[],"metadata":{"kernelspec":{"name":"python3"}},"nbformat":4})";
  const LayerOf layer = LayerOf()
                            .file("action/train.ipynb", notebook)
                            .file("action/plain.ipynb", R"({"cells":[]})")
                            .file("action/broken.ipynb", "{")
                            .file("usr/share/doc/example.ipynb", notebook)
                            .file(
                                "usr/lib/python3/dist-packages/share/jupyter/kernels/python3/"
                                "kernel.json",
                                R"({"argv":["/usr/bin/app"]})");
  EXPECT_THAT(briefly(check_layers({good_layer(), layer})),
              ElementsAre("warning kernel /action/train.ipynb"));
  const auto kernel = [](const char* argv) {
    return LayerOf().file("usr/share/jupyter/kernels/python3/kernel.json",
                          std::string(R"({"argv":)") + argv + "}");
  };
  EXPECT_THAT(briefly(check_layers({good_layer(), layer, kernel(R"(["/usr/bin/app","-m"])")})),
              IsEmpty());
  EXPECT_THAT(briefly(check_layers({good_layer(), layer, kernel(R"(["/usr/bin/gone"])")})),
              ElementsAre("warning kernel /action/train.ipynb",
                          "warning kernel /usr/share/jupyter/kernels/python3/kernel.json"));
  EXPECT_THAT(briefly(check_layers({good_layer(), layer, kernel("[]")})),
              ElementsAre("warning kernel /action/train.ipynb",
                          "warning kernel /usr/share/jupyter/kernels/python3/kernel.json"));
}

TEST(Check, ANotebookThatIsTheFunctionNeedsWhatItsModeSays) {
  const auto serving = [](const char* mode, const char* kernel) {
    manifest::ImageConfig config = good_config();
    config.set_env("FNIMAGE_ACTION_MAIN", "/action/train.ipynb");
    config.set_env("FNIMAGE_NOTEBOOK_MODE", mode);
    return briefly(check_layers(
        {good_layer(),
         LayerOf()
             .file("action/train.ipynb",
                   std::string(R"({"cells":[],"metadata":{"kernelspec":{)") + kernel + "}}}")
             .file("usr/share/jupyter/kernels/other/kernel.json", R"({"argv":["/usr/bin/app"]})")},
        config));
  };
  const char* const named = R"("name":"python3")";
  EXPECT_THAT(serving("compiled", named), IsEmpty());
  EXPECT_THAT(serving("kernel", named), ElementsAre("error kernel /action/train.ipynb"));
  EXPECT_THAT(serving("kernel", ""), ElementsAre("error kernel /action/train.ipynb"));
  EXPECT_THAT(serving("kernel", R"("name":"other")"), IsEmpty());
}

TEST(Check, HardLinksToNothing) {
  EXPECT_THAT(briefly(check_layers({good_layer(), LayerOf().hard_link("a", "b")})),
              ElementsAre("error hard-link /a"));
}

TEST(Check, ErrorsComeFirstAndMessagesAreFew) {
  LayerOf layer;
  for (int i = 0; i < 5; ++i) {
    layer.program("opt/" + std::to_string(i), ElfFile().for_ppc64le().bytes());
  }
  layer.program("usr/bin/a", "#!/gone\n");
  const Report report = check_layers({good_layer(), layer});
  EXPECT_EQ(report.errors(), 5U);
  EXPECT_EQ(report.warnings(), 1U);
  EXPECT_EQ(briefly(report).back(), "warning interpreter /usr/bin/a");
  EXPECT_THAT(require_no_errors({report}),
              fails_with(ErrorCode::platform_mismatch,
                         AllOf(HasSubstr("/opt/2"), HasSubstr("and 2 more"))));
}

}  // namespace
}  // namespace fnimage::check

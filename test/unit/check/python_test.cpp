// Imports of Python source, and whether an image has what they need.
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "python_source.hpp"
#include "support.hpp"

namespace fnimage::check {
namespace {

using test::ElfFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// "a.b", "a.b:c,d" for names, dots for relative ones, "?" and "~" before conditional and optional
/// ones.
std::vector<std::string> imports(std::string_view source) {
  std::vector<std::string> found;
  for (const Import& import : imports_of(source)) {
    std::string text = import.kind == ImportKind::required      ? ""
                       : import.kind == ImportKind::conditional ? "?"
                                                                : "~";
    text += std::string(import.level, '.') + import.module;
    for (std::size_t i = 0; i < import.names.size(); ++i) {
      text += (i == 0 ? ":" : ",") + import.names[i];
    }
    found.push_back(text);
  }
  return found;
}

TEST(PythonSource, FormsOfImports) {
  EXPECT_THAT(imports("import a\nimport b.c as d, e\nfrom f import g\nfrom h.i import (j as k,\n"
                      "    l,  # why\n    m)\nfrom . import n\nfrom ..o.p import q\n"
                      "from.r import s; import t\nimport \\\n  u\n"),
              ElementsAre("a", "b.c", "e", "f:g", "h.i:j,l,m", ".:n", "..o.p:q", ".r:s", "t", "u"));
}

TEST(PythonSource, StringsAndCommentsAreNoImports) {
  EXPECT_THAT(imports("\"\"\"Says:\nimport a\n\"\"\"\n# import b\nx = 'import c'\n"
                      "y = r'\\'; import d'\nz = '''\nimport e\n'''; import f\n"
                      "print(\"#\"); import g\nimportant = 1\nfrom_there = 2\n"),
              ElementsAre("f", "g"));
}

TEST(PythonSource, BlocksDecideWhenTheyAreExecuted) {
  EXPECT_THAT(imports("if x:\n  import a\nelse:\n\timport b\n"
                      "try:\n  import c\nexcept ImportError:\n  import d\n"
                      "def f():\n  import e\n  if y:\n    import g\n"
                      "async def h():\n    import i\n"
                      "class C:\n    import j\n"
                      "with w as z:\n    import k\n\nimport l\n"),
              ElementsAre("?a", "?b", "~c", "~d", "~e", "~g", "~i", "?j", "?k", "l"));
}

TEST(PythonSource, WhoAsksWhereItRunsMayNotImport) {
  EXPECT_THAT(imports("if sys.platform == 'emscripten':\n  import a\n"
                      "elif x:\n  import b\n"
                      "else:\n  import c\n"
                      "if os.name == 'nt':\n  import d\n"
                      "if sys.version_info < (3, 8):\n  import e\n"
                      "if TYPE_CHECKING:\n  import f\n"
                      "if __name__ == '__main__':\n  import g\n"
                      "if six.PY2:\n  import j\n"
                      "if not PYPY:\n  import k\n"
                      "if __NUMPY_SETUP__:\n  import l\n"
                      "if ready:\n  import h\nelse:\n  import i\n"),
              ElementsAre("~a", "~b", "~c", "~d", "~e", "~f", "~g", "~j", "~k", "?l", "?h", "?i"));
}

TEST(PythonSource, AnythingElseIsReadSomehow) {
  for (const char* text :
       {"", "\\", "'", "'''", "import", "from", "from x", "from . import", "((((", "import (",
        "\xff\xfe", "from  import a", "import 'x'", ")))\nimport"}) {
    EXPECT_THAT(imports(text), ::testing::SizeIs(::testing::Le(1U))) << text;
  }
}

// --- in images ---

const std::string stdlib = "usr/lib/python3.11/";
const std::string packages = "usr/lib/python3/dist-packages/";

LayerOf python() {
  ElfFile program{.interpreter = "/lib64/ld-linux-x86-64.so.2", .needed = {"libc.so.6"}};
  program.padding = std::string("\0_thread\0sys\0", 13);
  return LayerOf()
      .program("usr/bin/python3.11", program.bytes())
      .link("usr/bin/python3", "python3.11")
      .file(stdlib + "json/__init__.py", "import sys\nfrom . import decoder\n")
      .file(stdlib + "json/decoder.py", "from _json import scanner\n")
      .file(stdlib + "lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", ElfFile().bytes());
}

Report run(const std::string& main, const LayerOf& more = {},
           std::vector<std::string> entrypoint = {"python3", "/action/main.py"}) {
  manifest::ImageConfig config = good_config();
  config.entrypoint = std::move(entrypoint);
  return check_layers({good_layer(), python(), LayerOf().file("action/main.py", main), more},
                      config);
}

TEST(PythonImports, WhatIsThereIsFound) {
  EXPECT_THAT(briefly(run("import sys, json, _thread\nimport helper, space.inner\n",
                          LayerOf()
                              .file("action/helper.py", "import six\n")
                              .file("action/space/inner.py", "")
                              .file(packages + "six.py", ""))),
              IsEmpty());
}

TEST(PythonImports, WhatIsMissingIsNamedWithItsImporter) {
  const Report report = run("import numpy\n");
  EXPECT_THAT(briefly(report), ElementsAre("error python-import /action/main.py"));
  EXPECT_THAT(report.findings[0].message, HasSubstr("imports numpy"));
  EXPECT_THAT(briefly(run("import pandas\n",
                          LayerOf().file(packages + "pandas/__init__.py", "import pytz.tz\n"))),
              ElementsAre("error python-import /" + packages + "pandas/__init__.py"));
}

TEST(PythonImports, WhatMayBeMissingIsNoFinding) {
  EXPECT_THAT(briefly(run("try:\n  import a\nexcept ImportError:\n  a = None\n"
                          "def f():\n  import b\n"
                          "if False:\n  import c\nimport json.gone\nfrom json import x\n")),
              IsEmpty());
  EXPECT_THAT(briefly(run("import sys\nsys.path.append('/opt')\nimport there\n")), IsEmpty())
      << "who changes the path knows more";
}

TEST(PythonImports, OptionalModulesMayNeedWhatIsMissing) {
  const LayerOf tool = LayerOf().file(packages + "tool.py", "import gone\n");
  EXPECT_THAT(briefly(run("def f():\n  import tool\n", tool)), IsEmpty());
  EXPECT_THAT(briefly(run("if True:\n  import tool\n", tool)),
              ElementsAre("error python-import /" + packages + "tool.py"));
}

TEST(PythonImports, ExtensionModulesThatAreUsedHaveToLoad) {
  const std::string extension = ElfFile{.needed = {"libblas.so.3"}}.bytes();
  const LayerOf numpy =
      LayerOf()
          .file(packages + "numpy/__init__.py", "if True:\n  from . import core\n")
          .file(packages + "numpy/core/__init__.py", "from ._math import dot\n")
          .file(packages + "numpy/core/_math.cpython-311-x86_64-linux-gnu.so", extension);
  EXPECT_THAT(briefly(run("import numpy\n", numpy)),
              ElementsAre(HasSubstr("error library /" + packages + "numpy/core/_math")));
  EXPECT_THAT(briefly(run("import json\n", numpy)),
              ElementsAre(HasSubstr("warning library /" + packages + "numpy/core/_math")));
}

TEST(PythonImports, ExtensionModulesOfAnotherPython) {
  for (const char* tag : {"cpython-39-x86_64-linux-gnu", "cpython-311-powerpc64le-linux-gnu",
                          "cpython-311d-x86_64-linux-gnu"}) {
    const std::string path = fmt::format("{}fast.{}.so", packages, tag);
    const Report report = run("import fast\n", LayerOf().file(path, ElfFile().bytes()));
    EXPECT_THAT(briefly(report), ElementsAre("error python-import /action/main.py")) << tag;
    EXPECT_THAT(report.findings[0].message, HasSubstr(path));
  }
  for (const char* tag : {".cpython-311-x86_64-linux-gnu", ".cpython-311", ".abi3", ""}) {
    EXPECT_THAT(
        briefly(run("import fast\n",
                    LayerOf().file(fmt::format("{}fast{}.so", packages, tag), ElfFile().bytes()))),
        IsEmpty())
        << tag;
  }
}

TEST(PythonImports, PathsOfTheEnvironmentAndOfSites) {
  const LayerOf module = LayerOf().file("opt/mine/mod.py", "");
  EXPECT_THAT(briefly(run("import mod\n", module)), ElementsAre(HasSubstr("python-import")));
  LayerOf with_path = module;
  with_path.file(packages + "mine.pth", "# mine\nimport site\n/opt/mine\n");
  EXPECT_THAT(briefly(run("import mod\n", with_path)), IsEmpty());
  manifest::ImageConfig config = good_config();
  config.entrypoint = {"python3", "/action/main.py"};
  config.set_env("PYTHONPATH", ":/opt/mine");
  EXPECT_THAT(briefly(check_layers({good_layer(), python(), module,
                                    LayerOf().file("action/main.py", "import mod\n")},
                                   config)),
              IsEmpty());
}

TEST(PythonImports, ScriptsThatImportNonsenseAreNotFollowedForEver) {
  std::string nonsense;
  for (int i = 0; i < 5000; ++i) {
    nonsense += fmt::format("import nonsense{}\n", i);
  }
  EXPECT_EQ(run(nonsense).findings.size(), 2000U);
}

TEST(PythonImports, VirtualEnvironments) {
  const LayerOf environment =
      LayerOf()
          .link("opt/env/bin/python3", "/usr/bin/python3")
          .file("opt/env/pyvenv.cfg", "home = /usr/bin\n")
          .file("opt/env/lib/python3.11/site-packages/own.py", "import beside\n")
          .file("opt/env/lib/python3.11/site-packages/a.pth", "more\n")
          .file("opt/env/lib/python3.11/site-packages/more/beside.py", "");
  EXPECT_THAT(
      briefly(run("import own\n", environment, {"/opt/env/bin/python3", "/action/main.py"})),
      IsEmpty());
  EXPECT_THAT(briefly(run("import own\n", environment)), ElementsAre(HasSubstr("python-import")));
}

TEST(PythonImports, ModulesThatAreStartedByName) {
  const std::vector<std::string> command{"python3", "-m", "server"};
  EXPECT_THAT(briefly(run("", {}, command)),
              ElementsAre("error python-import /usr/bin/python3.11"));
  const std::string package = packages + "server/";
  LayerOf layer = LayerOf().file(package + "__init__.py", "");
  EXPECT_THAT(briefly(run("", layer, command)), IsEmpty());
  layer.file(package + "__main__.py", "import gone\n");
  EXPECT_THAT(briefly(run("", layer, command)),
              ElementsAre("error python-import /" + package + "__main__.py"));
}

TEST(PythonImports, TheActionThatTheProxyLoads) {
  manifest::ImageConfig config = good_config();
  config.entrypoint = {"python3", "/proxy.py"};
  config.set_env("FNIMAGE_ACTION_MAIN", "/action/main.py");
  EXPECT_THAT(
      briefly(check_layers(
          {good_layer(), python(),
           LayerOf().file("proxy.py", "import json\n").file("action/main.py", "import gone\n")},
          config)),
      ElementsAre("error python-import /action/main.py"));
}

TEST(PythonImports, TheNotebookThatTheProxyRuns) {
  manifest::ImageConfig config = good_config();
  config.entrypoint = {"python3", "/proxy.py"};
  config.set_env("FNIMAGE_ACTION_MAIN", "/action/train.ipynb");
  config.set_env("FNIMAGE_NOTEBOOK_MODE", "compiled");
  const auto cell = [](const char* type, const char* source) {
    return fmt::format(R"({{"cell_type":"{}","source":["{}"]}})", type, source);
  };
  LayerOf layer;
  layer.file("proxy.py", "import json\n")
      .file("action/train.ipynb",
            fmt::format(R"({{"cells":[{},{}]}})", cell("markdown", "import text"),
                        cell("code", "%matplotlib inline\\nimport gone")));
  EXPECT_THAT(briefly(check_layers({good_layer(), python(), layer}, config)),
              ElementsAre("error python-import /action/train.ipynb"));
  // In a kernel it also needs what starts kernels.
  config.set_env("FNIMAGE_NOTEBOOK_MODE", "kernel");
  layer.file("usr/share/jupyter/kernels/python3/kernel.json", R"({"argv":["/usr/bin/app"]})");
  EXPECT_THAT(briefly(check_layers({good_layer(), python(), layer}, config)),
              ElementsAre("error python-import /action/train.ipynb",
                          "error python-import /usr/bin/python3.11"));
}

}  // namespace
}  // namespace fnimage::check

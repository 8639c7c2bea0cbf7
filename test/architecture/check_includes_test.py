#!/usr/bin/env python3
"""check_includes.py must report each fault planted in an otherwise clean tree, and nothing in the clean one."""
import pathlib
import tempfile
import unittest

import check_includes

PLANTED = [
    ("src/base/include/fnimage/base/x.hpp", "#include <fnimage/manifest/digest.hpp>", "base must not know manifest"),
    ("src/layer/x.cpp", "#include <fnimage/source/files.hpp>", "layer must not know source"),
    ("src/layer/x.cpp", "#include <fnimage/registry/store.hpp>", "layer must not know registry"),
    ("src/layer/x.cpp", '#include "fnimage/build/build.hpp"', "layer must not know build"),
    ("manifest/x.cpp", "#include <curl/curl.h>", "curl belongs to registry"),
    ("registry/x.cpp", '#include "../src/build/plan.hpp"', "leaves the module"),
    ("manifest/include/fnimage/manifest/x.hpp", "#include <nlohmann/json.hpp>", "must not include"),
    ("src/build/x.hpp", "using namespace std;", "using namespace"),
]


class Checker(unittest.TestCase):
    def tree(self, directory):
        root = pathlib.Path(directory)
        for module, where in check_includes.MODULES.items():
            (root / where / "include/fnimage" / module).mkdir(parents=True)
        (root / "src/cli/main.cpp").write_text(
            "#include <string>\n#include <CLI/CLI.hpp>\n#include <fnimage/base/error.hpp>\n")
        return root

    def test_clean_tree(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual([], list(check_includes.faults(self.tree(directory))))

    def test_planted_faults(self):
        for path, line, expected in PLANTED:
            with self.subTest(path=path, line=line), tempfile.TemporaryDirectory() as directory:
                root = self.tree(directory)
                (root / path).write_text(line + "\n")
                found = list(check_includes.faults(root))
                self.assertEqual(1, len(found), found)
                self.assertIn(expected, found[0])


if __name__ == "__main__":
    unittest.main()

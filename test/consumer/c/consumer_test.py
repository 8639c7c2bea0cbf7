"""The C interface as its users meet it: C99 programs compiled through pkg-config against an installed tree, also after that was
moved, and under the address sanitizer; what the library exports; the header in C++.

Usage: consumer_test.py PREFIX LIBDIR SOURCE CC CXX"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PREFIX, LIBDIR, SOURCE = (pathlib.Path(argument) for argument in sys.argv[1:4])
CC, CXX = sys.argv[4:6]
HERE = pathlib.Path(__file__).resolve().parent
del sys.argv[1:]
sys.path.insert(0, str(SOURCE / "test/cli"))
import lists_test  # noqa: E402  pylint: disable=wrong-import-position
import resolve_test  # noqa: E402  pylint: disable=wrong-import-position

SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
source: {main: handler.py}
"""


def run(*arguments, **options):
    done = subprocess.run([str(argument) for argument in arguments], text=True, capture_output=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class ConsumerTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fnimage-c-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        project = self.scratch / "project"
        project.mkdir()
        (project / "handler.py").write_text("def main(args):\n    return {}\n")
        (project / "fnimage.yaml").write_text(SPEC)

    def compile(self, source, *flags, prefix=PREFIX):
        """A program of the user's; returns its path and how to run it."""
        environment = os.environ | {"PKG_CONFIG_PATH": str(prefix / LIBDIR / "pkgconfig")}
        used = run("pkg-config", "--cflags", "--libs", "fnimage", env=environment).split()
        program = self.scratch / pathlib.Path(source).stem
        run(CC, "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", *flags, HERE / source, "-o", program, *used)
        home = self.scratch / "home"
        home.mkdir(exist_ok=True)
        return program, os.environ | {"LD_LIBRARY_PATH": str(prefix / LIBDIR), "HOME": str(home)}

    def test_border(self):
        program, environment = self.compile("border.c")
        self.assertEqual("good\n", run(program, self.scratch, env=environment, cwd=self.scratch))

    def test_border_gives_everything_back(self):
        program, environment = self.compile("border.c", "-g", "-fsanitize=address")
        self.assertEqual("good\n", run(program, self.scratch, env=environment, cwd=self.scratch))

    def test_without_memory(self):
        program, environment = self.compile("no_memory.c", "-D_GNU_SOURCE")
        self.assertIn("good\n", run(program, env=environment, cwd=self.scratch))

    def test_moved_tree(self):
        moved = self.scratch / "elsewhere"
        (moved / LIBDIR).mkdir(parents=True)
        shutil.copytree(PREFIX / LIBDIR / "pkgconfig", moved / LIBDIR / "pkgconfig")
        for library in (PREFIX / LIBDIR).glob("libfnimage.so*"):
            (moved / LIBDIR / library.name).symlink_to(library)
        (moved / "include").mkdir()
        shutil.copy(PREFIX / "include/fnimage.h", moved / "include")
        program, environment = self.compile("border.c", prefix=moved)
        self.assertEqual("good\n", run(program, self.scratch, env=environment, cwd=self.scratch))

    @unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
    def test_example_publishes(self):
        program, environment = self.compile("publish.c")
        with lists_test.registry() as address:
            done = subprocess.run([program, "project", f"{address}/probe:latest"], cwd=self.scratch, env=environment, text=True,
                                  capture_output=True, check=False)
            self.assertEqual(0, done.returncode, done.stderr)
            result = json.loads(done.stdout)
            self.assertEqual(f"{address}/probe:latest", result["pushed"][0]["reference"])
            self.assertEqual(result["list"]["digest"], result["pushed"][0]["digest"])
            self.assertIn("task 1: ", done.stderr)

    @unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
    def test_example_resolves(self):
        publish, environment = self.compile("publish.c")
        controller, _ = self.compile("controller.c")
        nodes = self.scratch / "nodes.json"
        nodes.write_text(resolve_test.listed(*resolve_test.CLUSTER))
        with lists_test.registry() as address:
            built = json.loads(run(publish, "project", f"{address}/probe:latest", cwd=self.scratch, env=environment))
            found = json.loads(run(controller, nodes, f"{address}/probe:latest", env=environment))
        digests = {one["platform"]: one["manifest"]["digest"] for one in built["platforms"]}
        self.assertEqual([f"{address}/probe@{digests['linux/ppc64le']}"] + 3 * [f"{address}/probe@{digests['linux/amd64']}"],
                         [one["pull"] for one in found["nodes"]])

    def test_exports_nothing_else(self):
        library = PREFIX / LIBDIR / "libfnimage.so.0"
        names = [line.split() for line in run("nm", "-D", "--defined-only", "--with-symbol-versions", library).splitlines()]
        exported = {name for _, kind, name in names if kind != "A"}
        self.assertTrue(exported)
        self.assertEqual(set(), {name for name in exported if not (name.startswith("fnimage_") and name.endswith("@@FNIMAGE_0"))})
        declared = {word.split("(")[0] for word in (PREFIX / "include/fnimage.h").read_text().replace("*", " ").split()
                    if word.startswith("fnimage_") and "(" in word and ")" not in word.split("(")[0]}
        self.assertEqual(declared, {name.split("@")[0] for name in exported})
        self.assertIn("Library soname: [libfnimage.so.0]", run("readelf", "-d", library))

    def test_header_in_cxx(self):
        source = self.scratch / "header.cpp"
        source.write_text("#include <fnimage.h>\nint main() { return fnimage_abi_version() == FNIMAGE_ABI_VERSION ? 0 : 1; }\n")
        run(CXX, "-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{PREFIX}/include", source, f"-L{PREFIX / LIBDIR}",
            "-lfnimage", f"-Wl,-rpath,{PREFIX / LIBDIR}", "-o", self.scratch / "header")
        run(self.scratch / "header")


if __name__ == "__main__":
    unittest.main()

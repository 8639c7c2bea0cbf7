#!/usr/bin/env python3
"""Images that cannot work: refused by build, named by check, wherever they are kept."""
import json
import struct

import command

X86_64, PPC64 = 62, 21

SPEC = """name: solver
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
files:
  - {from: "build/{arch}/solver", to: /usr/local/bin/solver, mode: 0755}
config: {entrypoint: [/usr/local/bin/solver], user: "1000:1000"}
"""


def elf(machine, flags=0):
    """A static program as far as anybody looks at it: an ELF header without segments."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 0, flags, 64, 56, 0, 0, 0, 0)


class CheckTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.write_spec(SPEC)
        self.write_solver("amd64", elf(X86_64))
        self.write_solver("ppc64le", elf(PPC64, 2))

    def write_solver(self, arch, data):
        path = self.project / "build" / arch / "solver"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def findings(self, *arguments, code=0):
        done = self.run_command("check", "--json", *arguments)
        self.assertEqual(code, done.returncode, done.stderr)
        return {one["platform"]: [(f["level"], f["rule"], f["path"]) for f in one["findings"]]
                for one in json.loads(done.stdout)["platforms"]}

    def leftovers(self):
        return list((self.home / ".cache/fnimage/check").glob("*")) + self.temporaries()


class Build(CheckTest):
    def test_good_images_are_built_without_a_word(self):
        done = self.succeed("build")
        self.assertNotIn("warning", done.stderr)
        self.assertEqual({"linux/amd64": [], "linux/ppc64le": []}, self.findings("solver"))
        self.assertEqual([], self.leftovers())

    def test_a_program_for_another_machine_is_refused(self):
        self.write_solver("ppc64le", elf(X86_64))
        self.refuse(13, ["linux/ppc64le: /usr/local/bin/solver", "build/ppc64le/solver",
                         "64-bit little-endian x86-64", "--no-check"], "build")
        self.assertEqual([], self.stored_tags())

    def test_what_is_refused_once_is_refused_again(self):
        self.write_solver("ppc64le", elf(X86_64))
        for _ in range(2):
            self.refuse(13, ["/usr/local/bin/solver"], "build")
        self.write_solver("ppc64le", elf(PPC64, 2))
        for _ in range(2):
            self.succeed("build")

    def test_other_errors_have_their_own_code(self):
        self.write_solver("amd64", b"#!/bin/sh\n")
        self.refuse(3, ["linux/amd64: /usr/local/bin/solver", "interpreter /bin/sh"], "build")

    def test_it_can_be_told_otherwise(self):
        self.write_solver("ppc64le", elf(X86_64))
        self.succeed("build", "--no-check")
        found = self.findings("solver", code=13)
        self.assertEqual({"linux/amd64": [],
                          "linux/ppc64le": [("error", "machine", "/usr/local/bin/solver")]}, found)

    def test_layers_above_a_base_image_are_checked(self):
        self.succeed("build", "-o", "oci:base:v1")
        self.write_spec(SPEC.replace("{scratch: true}", "{image: oci:base:v1}"))
        self.succeed("build")
        self.write_solver("amd64", elf(PPC64, 2))
        self.refuse(13, ["linux/amd64: /usr/local/bin/solver"], "build")

    def test_warnings_are_one_line_and_come_again(self):
        (self.project / "tools").mkdir()
        for name in ("a", "b", "c"):
            (self.project / "tools" / name).write_text("#!/usr/bin/perl\n")
            (self.project / "tools" / name).chmod(0o755)
        self.write_spec(SPEC + "layers:\n  - {name: tools, from: tools, to: /usr/local/bin}\n")
        for _ in range(2):
            done = self.succeed("build", "--platform", "linux/amd64")
            lines = [line for line in done.stderr.splitlines() if "warning" in line]
            self.assertEqual(1, len(lines), done.stderr)
            self.assertIn("/usr/local/bin/a", lines[0])
            self.assertIn("and 2 more", lines[0])


class Check(CheckTest):
    def test_every_place_that_images_are_kept_in(self):
        self.write_solver("ppc64le", elf(X86_64))
        for place in ("oci:layout:v1", "oci-archive:a.tar:v1"):
            self.succeed("build", "--no-check", "-o", place)
            self.assertEqual([("error", "machine", "/usr/local/bin/solver")],
                             self.findings(place, code=13)["linux/ppc64le"], place)
        self.succeed("build", "--no-check", "-o", "docker-archive:d.tar", "--platform", "linux/ppc64le",
                     "-t", "registry.example/solver:v1")
        self.assertEqual({"linux/ppc64le": [("error", "machine", "/usr/local/bin/solver")]},
                         self.findings("docker-archive:d.tar", code=13))
        self.assertEqual([], self.leftovers())

    def test_says_what_it_saw_and_what_to_do(self):
        self.write_solver("ppc64le", elf(X86_64))
        self.succeed("build", "--no-check")
        done = self.refuse(13, ["not good for linux/ppc64le"], "check", "solver")
        self.assertRegex(done.stdout, r"(?m)^linux/amd64 +1 files +1 objects +good$")
        self.assertRegex(done.stdout, r"(?m)^linux/ppc64le +1 files +1 objects +1 error$")
        self.assertIn("error: /usr/local/bin/solver (layer 1 (fnimage: files)) is 64-bit", done.stdout)
        self.assertIn("[machine]", done.stdout)
        self.assertIn("fix: take the one for ppc64le", done.stdout)

    def test_one_platform(self):
        self.write_solver("ppc64le", elf(X86_64))
        self.succeed("build", "--no-check")
        self.assertEqual({"linux/amd64": []}, self.findings("solver", "--platform", "amd64"))
        self.refuse(13, ["linux/s390x"], "check", "solver", "--platform", "linux/s390x")

    def test_strict_takes_warnings_for_errors(self):
        self.write_spec(SPEC.replace("entrypoint: [/usr/local/bin/solver], ", ""))
        self.succeed("build")
        self.assertEqual([("warning", "command", "")], self.findings("solver")["linux/amd64"])
        self.findings("solver", "--strict", code=3)

    def test_config_of_another_platform(self):
        self.succeed("build", "-o", "oci:layout:v1")
        self.succeed("copy", "oci:layout:v1", "oci:one:amd64", "--platform", "linux/amd64")
        self.succeed("manifest", "create", "wrong", "oci:one:amd64", "--arch", "ppc64le")
        found = self.findings("wrong", code=13)
        self.assertEqual([("error", "machine", "/usr/local/bin/solver"), ("error", "platform", "")],
                         sorted(found["linux/ppc64le"]))

    def test_damaged_layers_are_errors(self):
        self.succeed("build", "-o", "oci:layout:v1")
        blobs = sorted((self.project / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        layers = [path for path in blobs if path.read_bytes()[:2] == b"\x1f\x8b"]
        layers[0].chmod(0o644)
        layers[0].write_bytes(layers[0].read_bytes()[:-9])
        self.assertNotEqual(0, self.run_command("check", "oci:layout:v1").returncode)
        self.assertEqual([], self.leftovers())


if __name__ == "__main__":
    command.main()

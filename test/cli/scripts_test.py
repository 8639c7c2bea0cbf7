#!/usr/bin/env python3
"""What maintainer scripts do: done for every architecture, or named, or refused with --strict."""
import json
import tarfile

import command
import debian_mirror

DONE = """#!/bin/sh
set -e
if [ "$1" = configure ] && [ -z "$2" ]; then
  mkdir -p -m 2750 /var/lib/tool
  echo made > /etc/tool.conf
fi
systemctl enable tool.service || true
"""

KEYS = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
  make-keys --new /etc/keys
fi
"""

DIVERTED = """#!/bin/sh
set -e
if [ "$1" = install ]; then
  dpkg-divert --package guard --divert /lib/guard/halt --rename --add /sbin/halt
fi
"""


class ScriptsTest(debian_mirror.MirrorTest):
    def setUp(self):
        super().setUp()
        self.mirror.add("stable1", "base-files", files={"etc/os-release": "ID=test\n"})
        self.mirror.add("stable1", "tool", files={"usr/bin/tool": "T\n", "DEBIAN/postinst": DONE})
        self.mirror.add("stable1", "keys", files={"usr/bin/make-keys": "M\n", "DEBIAN/postinst": KEYS})
        self.mirror.add("stable1", "odd", architecture="amd64",
                        files={"usr/bin/oddly": "O\n", "DEBIAN/postinst": "#!/bin/sh\noddly amd64\n"})
        self.mirror.add("stable1", "odd", architecture="ppc64el",
                        files={"usr/bin/oddly": "O\n", "DEBIAN/postinst": "#!/bin/sh\noddly power\n"})
        self.mirror.add("stable1", "halting", files={"sbin/halt": "others\n"})
        self.mirror.add("stable1", "guard", files={"sbin/halt": "own\n", "DEBIAN/preinst": DIVERTED})
        self.mirror.add("stable1", "also", files={"sbin/halt": "conflict\n"})
        self.mirror.publish("stable1")

    def build(self, *arguments):
        return self.run_command("build", "--no-check", *arguments)

    def test_what_is_done_is_in_the_image_and_not_named(self):
        self.use("tool")
        done = self.build("--strict", "--json", "--compression", "none", "-o", "oci:" + str(self.scratch / "out"))
        self.assertEqual(0, done.returncode, done.stderr)
        result = json.loads(done.stdout)
        self.assertNotIn("uncovered", result)
        self.assertNotIn("scripts", done.stderr)
        for platform in result["platforms"]:
            digest = platform["layers"][-1]["digest"].split(":")[1]
            with tarfile.open(self.scratch / "out/blobs/sha256" / digest) as layer:
                self.assertEqual(0o2750, layer.getmember("var/lib/tool").mode)
                self.assertEqual(b"made\n", layer.extractfile("etc/tool.conf").read())

    def test_a_diverted_file_is_beside_the_one_that_takes_its_path(self):
        self.use("tool", "halting", "guard")
        done = self.build("--strict", "--json", "--compression", "none", "-o", "oci:" + str(self.scratch / "out"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn("is in the packages", done.stderr)
        for platform in json.loads(done.stdout)["platforms"]:
            files = {}
            for described in platform["layers"]:
                digest = described["digest"].split(":")[1]
                with tarfile.open(self.scratch / "out/blobs/sha256" / digest) as layer:
                    for name in {"usr/sbin/halt", "usr/lib/guard/halt"} & set(layer.getnames()):
                        files[name] = layer.extractfile(name).read()
            self.assertEqual({"usr/sbin/halt": b"own\n", "usr/lib/guard/halt": b"others\n"}, files)

    def test_packages_in_conflict_are_named_when_nothing_is_diverted(self):
        self.use("tool", "halting", "also")
        done = self.build()
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("/usr/sbin/halt is in the packages also and halting: the first one's is used", done.stderr)

    def test_what_is_not_done_is_named_once_for_all_platforms(self):
        self.use("tool", "keys", "odd")
        done = self.build("--json")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(1, done.stderr.count("scripts: keys: make-keys --new /etc/keys\n"), done.stderr)
        self.assertIn("scripts: odd (linux/amd64): oddly amd64\n", done.stderr)
        self.assertIn("scripts: odd (linux/ppc64le): oddly power\n", done.stderr)
        self.assertEqual([{"package": "keys", "commands": ["make-keys --new /etc/keys"]},
                          {"package": "odd", "commands": ["oddly amd64"], "platforms": ["linux/amd64"]},
                          {"package": "odd", "commands": ["oddly power"], "platforms": ["linux/ppc64le"]}],
                         json.loads(done.stdout)["uncovered"])

    def test_strict_refuses_it_and_nothing_is_built(self):
        self.use("tool", "keys")
        self.refuse(15, ["1 package", "keys: make-keys --new /etc/keys", "exclude", "--strict"],
                    "build", "--no-check", "--strict")
        self.assertEqual([], self.stored_tags())
        self.assertEqual(0, self.build().returncode)


if __name__ == "__main__":
    command.main()

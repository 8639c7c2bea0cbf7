#!/usr/bin/env python3
"""How packages become layers: which share one, what stays as it is when others come, and documentation."""
import json
import shutil
import tarfile

import command
import debian_mirror


class PackagesTest(debian_mirror.MirrorTest):
    def setUp(self):
        super().setUp()
        files = {"usr/share/man/man1/tool.1": "manual\n", "usr/share/doc/tool/copyright": "licence\n"}
        for architecture in ("amd64", "ppc64el"):
            self.mirror.add("stable1", "base-files", architecture=architecture, files={"etc/os-release": "ID=test\n"})
            self.mirror.add("stable1", "tool", architecture=architecture, Depends="tool-data",
                            files={"usr/bin/tool": f"{architecture}\n", **files})
            self.mirror.add("vendor", "extra", architecture=architecture, files={"opt/extra": architecture})
        self.mirror.add("stable1", "tool-data", architecture="all", files={"usr/share/tool/data": "D\n"})
        self.mirror.publish("stable1")
        self.mirror.publish("vendor")

    def build(self, *packages, more=""):
        """Each platform's layers, name -> digest."""
        self.use(*packages, more=more)
        shutil.rmtree(self.scratch / "out", ignore_errors=True)
        done = self.run_command("build", "--no-check", "--json", "--compression", "none",
                                "-o", f"oci:{self.scratch}/out")
        self.assertEqual(0, done.returncode, done.stderr)
        return [{layer["name"]: layer["digest"] for layer in platform["layers"]}
                for platform in json.loads(done.stdout)["platforms"]]

    def names_in(self, digest):
        with tarfile.open(self.scratch / "out/blobs/sha256" / digest.split(":")[1]) as layer:
            return layer.getnames()

    def test_what_changes_together_shares_a_layer(self):
        vendor = f"  repositories: [{{url: {self.mirror.url}, suite: vendor, signed-by: key.asc}}]\n"
        amd64, ppc64le = self.build("tool", "extra", more=vendor)
        for layers in (amd64, ppc64le):
            self.assertEqual(["base", "packages-all", "packages", "own-packages", "configuration"], list(layers))
        self.assertEqual(amd64["packages-all"], ppc64le["packages-all"])
        self.assertNotEqual(amd64["packages"], ppc64le["packages"])
        self.assertIn("opt/extra", self.names_in(amd64["own-packages"]))
        self.assertIn("etc/os-release", self.names_in(amd64["base"]))
        self.assertIn("var/lib/dpkg/status", self.names_in(amd64["configuration"]))

        without = self.build("tool")[0]
        self.assertEqual({name: amd64[name] for name in ("base", "packages-all", "packages")},
                         {name: without[name] for name in ("base", "packages-all", "packages")})
        self.assertNotEqual(amd64["configuration"], without["configuration"])

    def test_what_one_platform_needs_more_leaves_the_common_layers_common(self):
        self.mirror.add("stable1", "more-data", architecture="all", files={"usr/share/more/data": "M\n"})
        for architecture, needs in (("amd64", "tool-data, more-data"), ("ppc64el", "tool-data")):
            self.mirror.add("stable1", "wide", architecture=architecture, Depends=needs, files={"usr/bin/wide": architecture})
        self.mirror.publish("stable1")
        amd64, ppc64le = self.build("wide")
        self.assertEqual(amd64["packages-all"], ppc64le["packages-all"])
        self.assertIn("usr/share/tool/data", self.names_in(amd64["packages-all"]))
        self.assertIn("usr/share/more/data", self.names_in(amd64["packages"]))

    def test_documentation_comes_when_it_is_asked_for(self):
        for more, there in (("", False), ("  documentation: true\n", True)):
            names = self.names_in(self.build("tool", more=more)[0]["packages"])
            self.assertEqual(there, "usr/share/man/man1/tool.1" in names)
            self.assertIn("usr/share/doc/tool/copyright", names)


if __name__ == "__main__":
    command.main()

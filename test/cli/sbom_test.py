#!/usr/bin/env python3
"""Bills of materials: made of any image, valid by their specifications, kept with the image wherever it goes."""
import concurrent.futures
import json
import pathlib
import re
import shutil
import subprocess
import unittest

import command
import stores_test

SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
layers:
  - {name: system, from: os-release, to: /etc/os-release}
files:
  - {from: "status.{deb_arch}", to: /var/lib/dpkg/status}
config: {cmd: [/x]}
"""

OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'

STATUS = """Package: libstdc++6
Status: install ok installed
Installed-Size: 2745
Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>
Architecture: {arch}
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14+b1
Depends: libc6 (>= 2.34)
Description: GNU Standard C++ Library v3
Homepage: http://gcc.gnu.org/

Package: libc6
Status: install ok installed
Maintainer: b\u00fccher <nobody@example.org>
Architecture: {arch}
Version: 2.36-9
Source: glibc

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 1:2024a-0
"""

TYPES = {"spdx": "application/spdx+json", "cyclonedx": "application/vnd.cyclonedx+json"}
PURL = r"pkg:(deb/[a-z]+/[a-z0-9.%A-Z~_-]+@[^?]+\?arch=[a-z0-9]+(&distro=[a-z0-9.-]+)?|oci/[^@]+@sha256:[0-9a-f]{64}\?arch=\w+)"


class Validity(unittest.TestCase):
    """What the schemas of SPDX 2.3 and CycloneDX 1.5 demand of what is used here."""

    def need(self, value, *keys):
        for key in keys:
            self.assertIn(key, value)

    def only(self, value, *keys):
        self.assertEqual([], [key for key in value if key not in keys])

    def spdx(self, document):
        self.need(document, "spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo")
        self.only(document, "spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo",
                  "packages", "relationships")
        self.assertEqual(("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"),
                         (document["spdxVersion"], document["dataLicense"], document["SPDXID"]))
        self.assertRegex(document["documentNamespace"], r"\Ahttps://[^#\s]+\Z")
        self.assertRegex(document["creationInfo"]["created"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
        for creator in document["creationInfo"]["creators"]:
            self.assertRegex(creator, r"\ATool: \S+-\S+\Z")
        ids = {"SPDXRef-DOCUMENT"}
        for package in document["packages"]:
            self.need(package, "name", "SPDXID", "downloadLocation")
            self.only(package, "name", "SPDXID", "versionInfo", "supplier", "downloadLocation", "filesAnalyzed",
                      "homepage", "sourceInfo", "licenseConcluded", "licenseDeclared", "copyrightText", "summary",
                      "comment", "externalRefs", "primaryPackagePurpose", "checksums")
            self.assertRegex(package["SPDXID"], r"\ASPDXRef-[A-Za-z0-9.-]+\Z")
            self.assertNotIn(package["SPDXID"], ids)
            ids.add(package["SPDXID"])
            self.assertRegex(package["supplier"], r"\A(NOASSERTION|(Person|Organization): .+)\Z")
            self.assertIs(False, package["filesAnalyzed"])
            self.assertIn(package.get("primaryPackagePurpose"), (None, "CONTAINER", "OPERATING_SYSTEM"))
            for reference in package.get("externalRefs", []):
                self.assertEqual(("PACKAGE-MANAGER", "purl"),
                                 (reference["referenceCategory"], reference["referenceType"]))
                self.assertRegex(reference["referenceLocator"], rf"\A{PURL}\Z")
        for relation in document["relationships"]:
            self.assertIn(relation["relationshipType"], ("DESCRIBES", "CONTAINS", "DEPENDS_ON"))
            self.assertIn(relation["spdxElementId"], ids)
            self.assertIn(relation["relatedSpdxElement"], ids)
        self.assertIn("DESCRIBES", [relation["relationshipType"] for relation in document["relationships"]])

    def cyclonedx(self, document):
        self.need(document, "bomFormat", "specVersion")
        self.only(document, "$schema", "bomFormat", "specVersion", "serialNumber", "version", "metadata", "components",
                  "dependencies")
        self.assertEqual(("CycloneDX", "1.5", 1),
                         (document["bomFormat"], document["specVersion"], document["version"]))
        self.assertRegex(document["serialNumber"],
                         r"\Aurn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
        self.only(document["metadata"], "timestamp", "tools", "component")
        root = document["metadata"]["component"]
        self.assertEqual("container", root["type"])
        references = set()
        for component in [root, *document["components"]]:
            self.need(component, "type", "name")
            self.only(component, "type", "bom-ref", "supplier", "name", "version", "description", "hashes", "purl",
                      "externalReferences", "properties")
            self.assertIn(component["type"], ("container", "operating-system", "library"))
            self.assertNotIn(component["bom-ref"], references)
            references.add(component["bom-ref"])
            if "purl" in component:
                self.assertRegex(component["purl"], rf"\A{PURL}\Z")
        self.assertEqual(len(document["dependencies"]), len({one["ref"] for one in document["dependencies"]}))
        for dependency in document["dependencies"]:
            for reference in [dependency["ref"], *dependency["dependsOn"]]:
                self.assertIn(reference, references)
            self.assertEqual(len(dependency["dependsOn"]), len(set(dependency["dependsOn"])))


class SbomTest(stores_test.StoresTest):
    def setUp(self):
        super().setUp()
        self.write_spec(SPEC)
        (self.project / "os-release").write_text(OS_RELEASE)
        for arch in ("amd64", "ppc64el"):
            (self.project / f"status.{arch}").write_text(STATUS.replace("{arch}", arch))

    def build(self, *arguments):
        return self.succeed("build", "--no-check", *arguments)

    def sbom(self, *arguments, **options):
        return self.succeed("sbom", *arguments, **options).stdout

    def packages(self, document):
        """(name, version, purl) of each Debian package of either format."""
        document = json.loads(document)
        if "spdxVersion" in document:
            found = [(one["name"], one["versionInfo"], one["externalRefs"][0]["referenceLocator"])
                     for one in document["packages"] if "primaryPackagePurpose" not in one]
        else:
            found = [(one["name"], one["version"], one["purl"]) for one in document["components"]
                     if one["type"] == "library"]
        return found

    def attached(self, *arguments):
        """platform -> [(format, packages)] as inspect sees it."""
        images = self.json("inspect", "--referrers", *arguments)["images"]
        return {image["platform"]: [(one["format"], one["packages"]) for one in image.get("referrers", [])]
                for image in images}


class Documents(SbomTest):
    def test_both_formats_are_valid_and_say_the_same(self):
        self.build()
        spdx = self.sbom("probe", "--platform", "linux/ppc64le")
        cyclonedx = self.sbom("probe", "--platform", "ppc64le", "--format", "cyclonedx")
        Validity().spdx(json.loads(spdx))
        Validity().cyclonedx(json.loads(cyclonedx))
        wanted = [("libc6", "2.36-9", "pkg:deb/debian/libc6@2.36-9?arch=ppc64el&distro=debian-12"),
                  ("libstdc++6", "12.2.0-14+b1",
                   "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bb1?arch=ppc64el&distro=debian-12"),
                  ("tzdata", "1:2024a-0", "pkg:deb/debian/tzdata@1:2024a-0?arch=all&distro=debian-12")]
        self.assertEqual(wanted, self.packages(spdx))
        self.assertEqual(wanted, self.packages(cyclonedx))
        self.assertIn("b\u00fccher", spdx)
        amd64 = self.sbom("probe", "--platform", "linux/amd64")
        self.assertIn("arch=amd64", amd64)
        self.assertNotEqual(json.loads(spdx)["documentNamespace"], json.loads(amd64)["documentNamespace"])
        self.assertEqual("linux/ppc64le",
                         json.loads(cyclonedx)["metadata"]["component"]["properties"][0]["value"])

    @unittest.skipUnless(shutil.which("dpkg-query"), "dpkg-query is not installed")
    def test_a_whole_system_as_dpkg_query_sees_it(self):
        status = pathlib.Path("/var/lib/dpkg/status")
        for arch in ("amd64", "ppc64el"):
            (self.project / f"status.{arch}").write_bytes(status.read_bytes())
        self.build("--platform", "linux/amd64")
        form = "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n"
        admin = self.scratch / "admin"
        (admin / "info").mkdir(parents=True)
        (admin / "updates").mkdir()
        shutil.copy(status, admin / "status")
        listed = subprocess.run(["dpkg-query", f"--admindir={admin}", "-W", "-f", form], capture_output=True,
                                text=True, check=True).stdout.splitlines()
        wanted = sorted(line.split()[1:] for line in listed
                        if line.split()[0] not in ("config-files", "not-installed"))
        document = json.loads(self.sbom("probe", "--platform", "amd64", "--format", "cyclonedx"))
        Validity().cyclonedx(document)
        found = []
        for component in document["components"]:
            if component["type"] == "library":
                said = {one["name"]: one["value"] for one in component["properties"]}
                found.append([component["name"], component["version"], said["fnimage:deb:architecture"],
                              said["fnimage:deb:source"], said["fnimage:deb:sourceVersion"]])
        self.assertEqual(wanted, sorted(found))
        Validity().spdx(json.loads(self.sbom("probe", "--platform", "amd64")))

    def test_the_same_bytes_wherever_the_image_is(self):
        self.build("-t", "first")
        document = self.sbom("first", "--platform", "ppc64le")
        self.assertEqual(document, self.sbom("first", "--platform", "ppc64le"))
        self.build("-o", "oci:layout:v1")
        self.build("-o", "oci-archive:a.tar:v2")
        self.succeed("tag", "first", "second")
        for place in ("second", "oci:layout", "oci-archive:a.tar"):
            self.assertEqual(document, self.sbom(place, "--platform", "ppc64le"), place)
        self.build("-o", "docker-archive:d.tar", "--platform", "linux/ppc64le")
        self.assertEqual(self.packages(document), self.packages(self.sbom("docker-archive:d.tar")))
        self.succeed("sbom", "first", "--platform", "ppc64le", "-o", "sbom.json")
        self.assertEqual(document, (self.project / "sbom.json").read_text())
        self.assertEqual([], list((self.home / ".cache/fnimage/sbom").glob(".tmp-*")))

    def test_one_of_several_platforms_has_to_be_chosen(self):
        self.build()
        self.refuse(13, ["linux/amd64, linux/ppc64le", "--platform"], "sbom", "probe")
        self.refuse(13, ["linux/s390x"], "sbom", "probe", "--platform", "linux/s390x")
        self.build("--platform", "linux/amd64")
        self.sbom("probe")

    def test_without_a_database_only_the_image_is_named(self):
        self.write_spec(command.SPEC)
        self.succeed("build")
        for form in TYPES:
            done = self.succeed("sbom", "probe", "--platform", "amd64", "--format", form)
            self.assertIn("linux/amd64: the image has no Debian package database", done.stderr)
            getattr(Validity(), form)(json.loads(done.stdout))
            self.assertEqual([], self.packages(done.stdout))

    def test_damaged_databases_are_named(self):
        (self.project / "status.amd64").write_bytes(b"Package: a\n\xff\xfe\n")
        self.build()
        done = self.refuse(3, ["linux/amd64", "/var/lib/dpkg/status:2", "\\xff"], "sbom", "probe", "--platform",
                           "amd64")
        self.assertEqual("", done.stdout)

    def test_texts_that_are_no_utf8_are_mended(self):
        status = STATUS.replace("{arch}", "amd64").encode().replace(b"GNU Standard", b"\xff\x00\x1b[31m")
        (self.project / "status.amd64").write_bytes(status)
        self.build()
        document = json.loads(self.sbom("probe", "--platform", "amd64"))
        summary = [one.get("summary", "") for one in document["packages"] if one["name"] == "libstdc++6"][0]
        self.assertTrue(summary.startswith("\ufffd"), summary)

    def test_wrong_arguments(self):
        self.build()
        self.refuse(2, ["swid", "spdx or cyclonedx"], "sbom", "probe", "--format", "swid")
        self.refuse(2, ["one format"], "sbom", "probe", "--format", "spdx,cyclonedx")
        self.refuse(2, ["--attach writes no file"], "sbom", "probe", "--attach", "-o", "x")
        self.refuse(2, ["--sbom"], "inspect", "probe", "--format", "spdx")
        self.refuse(2, ["--raw"], "inspect", "probe", "--sbom", "--raw")
        self.refuse(2, ["swid"], "build", "--sbom", "swid")
        self.refuse(4, ["nowhere"], "sbom", "nowhere")


class Attached(SbomTest):
    def test_attached_once_to_each_platform(self):
        self.build("-o", "oci:layout:v1")
        first = self.json("sbom", "oci:layout", "--attach", "--format", "spdx,cyclonedx")["attached"]
        self.assertEqual([("linux/amd64", "spdx", 3, False), ("linux/amd64", "cyclonedx", 3, False),
                          ("linux/ppc64le", "spdx", 3, False), ("linux/ppc64le", "cyclonedx", 3, False)],
                         [(one["platform"], one["format"], one["packages"], one["existed"]) for one in first])
        before = (self.project / "layout/index.json").read_bytes()
        again = self.json("sbom", "oci:layout", "--attach", "--format", "cyclonedx,spdx,spdx")["attached"]
        self.assertEqual([True] * 4, [one["existed"] for one in again])
        self.assertEqual(before, (self.project / "layout/index.json").read_bytes())
        for one in first:
            blob = self.project / "layout/blobs/sha256" / one["manifest"]["digest"][7:]
            artifact = json.loads(blob.read_text())
            self.assertEqual(TYPES[one["format"]], artifact["artifactType"])
            self.assertEqual(one["image"], artifact["subject"]["digest"])
            self.assertEqual("application/vnd.oci.empty.v1+json", artifact["config"]["mediaType"])
            self.assertEqual([TYPES[one["format"]]], [layer["mediaType"] for layer in artifact["layers"]])
            self.assertEqual({"org.opencontainers.image.created": "1970-01-01T00:00:00Z"}, artifact["annotations"])

    def test_inspect_shows_and_prints_them(self):
        self.build("--sbom", "spdx,cyclonedx")
        self.assertEqual({"linux/amd64": [("spdx", 3), ("cyclonedx", 3)],
                          "linux/ppc64le": [("spdx", 3), ("cyclonedx", 3)]}, self.attached("probe"))
        self.assertNotIn("referrers", self.json("inspect", "probe")["images"][0])
        tree = self.succeed("inspect", "--referrers", "probe").stdout
        self.assertEqual(2, len(re.findall(r"sbom    sha256:[0-9a-f]{64} .* KiB  spdx, 3 packages", tree)))
        for form in TYPES:
            wanted = self.sbom("probe", "--platform", "ppc64le", "--format", form)
            self.assertEqual(wanted, self.succeed("inspect", "--sbom", "probe", "--platform", "ppc64le", "--format",
                                                  form).stdout)
        self.refuse(2, ["2 bills of materials", "--format"], "inspect", "--sbom", "probe", "--platform", "ppc64le")
        self.refuse(13, ["linux/amd64, linux/ppc64le"], "inspect", "--sbom", "probe")
        image = self.json("inspect", "--referrers", "probe")["images"][1]
        printed = self.succeed("inspect", "--sbom", f"probe@{image['referrers'][0]['digest']}").stdout
        Validity().spdx(json.loads(printed))

    def test_without_one_inspect_says_so(self):
        self.build()
        self.assertEqual({"linux/amd64": [], "linux/ppc64le": []}, self.attached("probe"))
        self.refuse(4, ["no bill of materials", "--attach"], "inspect", "--sbom", "probe", "--platform", "amd64")

    def test_build_attaches_what_sbom_would_make(self):
        self.build("--sbom", "spdx", "-o", "oci:built:v1")
        self.build("-o", "oci:later:v1")
        self.succeed("sbom", "oci:later", "--attach")
        for place in ("built", "later"):
            (self.project / place / ".fnimage.lock").unlink()
        self.assertEqual(sorted(path.name for path in (self.project / "built/blobs/sha256").iterdir()),
                         sorted(path.name for path in (self.project / "later/blobs/sha256").iterdir()))

    def test_several_at_once_lose_none(self):
        self.build("-o", "oci:layout:v1")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda form: self.succeed("sbom", "oci:layout", "--attach", "--format", form),
                          [*TYPES] * 4))
        self.assertEqual({"linux/amd64": [("spdx", 3), ("cyclonedx", 3)],
                          "linux/ppc64le": [("spdx", 3), ("cyclonedx", 3)]}, self.attached("oci:layout"))

    def test_archives(self):
        self.build("--sbom", "spdx", "-o", "oci-archive:a.tar:v1")
        self.assertEqual({"linux/amd64": [("spdx", 3)], "linux/ppc64le": [("spdx", 3)]},
                         self.attached("oci-archive:a.tar"))
        self.refuse(15, ["oci-archive:a.tar", "--referrers"], "sbom", "oci-archive:a.tar", "--attach")
        self.refuse(15, ["--sbom"], "build", "--sbom", "spdx", "-o", "docker-archive:d.tar", "--platform",
                    "linux/amd64")

    def test_what_is_attached_is_no_image_and_goes_with_it(self):
        self.build("--sbom", "spdx,cyclonedx", "-t", "one")
        self.assertEqual(["one:latest"], [row["reference"] for row in self.json("images")["images"]])
        self.succeed("tag", "one", "two")
        self.succeed("rm", "one")
        self.assertEqual({"linux/amd64", "linux/ppc64le"}, set(self.attached("two")))
        self.assertEqual([("spdx", 3), ("cyclonedx", 3)], self.attached("two")["linux/amd64"])
        self.succeed("rm", "two")
        self.assertEqual([], self.stored_tags())
        self.assertEqual([], list((self.home / ".local/share/fnimage/store/blobs/sha256").iterdir()))


@stores_test.needs("docker-registry")
class Registry(SbomTest):
    def test_build_push_brings_them(self):
        with self.registry() as address:
            name = f"{address}/team/probe:v1"
            done = self.build("--push", "--plain-http", "--sbom", "spdx,cyclonedx", "-t", name)
            self.assertIn("4 referrers", done.stdout)
            self.assertEqual({"linux/amd64": [("spdx", 3), ("cyclonedx", 3)],
                              "linux/ppc64le": [("spdx", 3), ("cyclonedx", 3)]}, self.attached("--plain-http", name))
            again = self.json("push", "--plain-http", "--referrers", name)["pushed"][0]
            self.assertEqual((0, 4, []), (again["blobsUploaded"], again["referrers"], again["moved"]))
            self.assertEqual(self.sbom("--local", name, "--platform", "ppc64le"),
                             self.succeed("inspect", "--plain-http", "--sbom", name, "--platform", "ppc64le",
                                          "--format", "spdx").stdout)
            self.succeed("copy", "--plain-http", "--referrers", name, "oci:copy:v1")
            self.assertEqual([("spdx", 3), ("cyclonedx", 3)], self.attached("oci:copy:v1")["linux/ppc64le"])

    def test_attached_in_a_registry(self):
        with self.registry() as address:
            name = f"{address}/team/probe:v1"
            self.build("--push", "--plain-http", "-t", name)
            self.assertEqual({"linux/amd64": [], "linux/ppc64le": []}, self.attached("--plain-http", name))
            done = self.succeed("sbom", "--plain-http", "--attach", name)
            self.assertNotIn("there already", done.stdout)
            done = self.succeed("sbom", "--plain-http", "--attach", name)
            self.assertEqual(2, done.stdout.count("there already"))
            self.assertEqual([("spdx", 3)], self.attached("--plain-http", name)["linux/amd64"])
            one = self.json("sbom", "--plain-http", "--attach", "--format", "cyclonedx", "--platform", "amd64", name)
            self.assertEqual(["linux/amd64"], [entry["platform"] for entry in one["attached"]])
            self.assertEqual({"linux/amd64": [("spdx", 3), ("cyclonedx", 3)], "linux/ppc64le": [("spdx", 3)]},
                             self.attached("--plain-http", name))

    def test_push_leaves_them_unless_asked(self):
        with self.registry() as address:
            name = f"{address}/probe:v1"
            self.build("--sbom", "spdx", "-t", name)
            self.succeed("push", "--plain-http", name)
            self.assertEqual([], self.attached("--plain-http", name)["linux/amd64"])
            asked = self.succeed("push", "--plain-http", "--referrers", "--dry-run", name)
            self.assertIn("sha256-", asked.stdout)
            self.assertEqual([], self.attached("--plain-http", name)["linux/amd64"])
            self.succeed("push", "--plain-http", "--referrers", name)
            self.assertEqual([("spdx", 3)], self.attached("--plain-http", name)["linux/amd64"])

    def test_joining_builders_bring_theirs(self):
        with self.registry() as address:
            name = f"{address}/probe:v1"
            for platform in ("linux/amd64", "linux/ppc64le"):
                self.build("--sbom", "spdx", "-t", name, "--platform", platform)
                self.succeed("push", "--plain-http", "--add", "--referrers", name)
            self.assertEqual({"linux/amd64": [("spdx", 3)], "linux/ppc64le": [("spdx", 3)]},
                             self.attached("--plain-http", name))


if __name__ == "__main__":
    command.main()

"""Lists that nodes cannot use: fnimage lint and check tell, and what publishes refuses them before a tag moves."""
import json
import shutil
import unittest
import urllib.error
import urllib.request

import command
import lists_test
import resolve_test

LINUX = {"os": "linux"}
AMD64 = LINUX | {"architecture": "amd64"}
POWER = LINUX | {"architecture": "ppc64le"}
STATEMENT = {"os": "unknown", "architecture": "unknown"}

# Entries (image, platform), the exit code, and the rules found: errors end in "!".
LISTS = {
    "ours": ([("amd64", AMD64), ("ppc64le", POWER)], 0, []),
    "statements": ([("amd64", AMD64), ("ppc64le", STATEMENT)], 0, ["attestation-entry"]),
    "amd64-v1": ([("amd64", AMD64 | {"variant": "v1"})], 0, ["nothing-taken"]),
    "x86_64": ([("amd64", LINUX | {"architecture": "x86_64"})], 0, ["nothing-taken"]),
    "only-v3": ([("amd64", AMD64 | {"variant": "v3"})], 13, ["nothing-taken!"]),
    "power9": ([("ppc64le", POWER | {"variant": "power9"})], 13, ["nothing-taken!"]),
    "ppc64el": ([("ppc64le", LINUX | {"architecture": "ppc64el"})], 13, ["nothing-taken!"]),
    "twice": ([("amd64", AMD64), ("ppc64le", AMD64)], 3, ["duplicate-platform!", "config-platform!"]),
    "swapped": ([("amd64", POWER)], 13, ["config-platform!"]),
    "nameless": ([("amd64", None)], 3, ["no-platform!", "nothing-taken"]),
}


class LintTest(resolve_test.ProbeTest):
    def lint(self, *arguments, code=0):
        done = self.run_command("lint", "--json", *arguments)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)["lists"]

    @staticmethod
    def rules(findings):
        return [finding["rule"] + ("!" if finding["level"] == "error" else "") for finding in findings]

    def test_each_list(self):
        for name, (entries, code, rules) in LISTS.items():
            with self.subTest(name):
                [result] = self.lint(self.put_list(name, *entries), code=code)
                self.assertEqual(rules, self.rules(result["findings"]))
                self.assertEqual(code == 0, result["good"])
                for finding in result["findings"]:
                    self.assertTrue(finding["message"] and finding["fix"] and finding["path"].startswith("/manifests/"))

    def test_strict_counts_warnings(self):
        reference = self.put_list("statements", *LISTS["statements"][0])
        [result] = self.lint("--strict", reference, code=3)
        self.assertFalse(result["good"])
        self.lint("--strict", "probe:latest")
        self.lint("--strict", self.put_list("x86_64", *LISTS["x86_64"][0]), code=13)

    def test_text_is_short_and_says_who_gets_nothing(self):
        reference = self.put_list("x86_64", *LISTS["x86_64"][0])
        lines = self.succeed("lint", reference).stdout.splitlines()
        self.assertEqual(4, len(lines), lines)
        self.assertRegex(lines[1], r"^sha256:[0-9a-f]{64}  list of 1: 1 warning$")
        self.assertRegex(lines[2], r"warning: /manifests/0/platform: CRI-O, Podman.* take nothing on linux/amd64: "
                                   r"architecture x86_64 .*\[nothing-taken\]$")
        self.assertEqual("fix: write amd64", lines[3].strip())

    def test_several_and_images_that_are_no_list(self):
        odd = self.put_list("odd", *LISTS["power9"][0])
        done = self.run_command("lint", "probe:latest", odd)
        self.assertEqual(13, done.returncode)
        self.assertIn("list of 2: good", done.stdout)
        self.assertIn("nodes take nothing on linux/ppc64le", done.stdout)
        self.assertIn("1 error", done.stderr)
        self.succeed("copy", "--platform", "linux/ppc64le", "probe:latest", "oci:single:latest")
        [single] = self.lint("oci:single:latest")
        self.assertEqual((False, []), (single["list"], single["findings"]))
        self.refuse(4, ["absent"], "lint", "absent:latest")

    def test_an_image_that_is_not_there(self):
        reference = self.put_list("holes", *LISTS["ours"][0])
        layout = self.scratch / "holes"
        (layout / "blobs/sha256" / self.digest("ppc64le").removeprefix("sha256:")).unlink()
        [result] = self.lint(reference, code=3)
        self.assertEqual(["missing-image!"], self.rules(result["findings"]))

    def test_no_layer_is_read(self):
        reference = self.put_list("bare", *LISTS["ours"][0])
        for image in self.images.values():
            for layer in image["layers"]:
                path = self.scratch / "bare/blobs/sha256" / layer["digest"].removeprefix("sha256:")
                path.unlink(missing_ok=True)
        self.assertEqual([], self.lint(reference)[0]["findings"])

    def test_check_tells_it_once_above_the_platforms(self):
        reference = self.put_list("power9", *LISTS["power9"][0])
        done = self.run_command("check", reference)
        self.assertEqual(13, done.returncode)
        self.assertEqual(1, done.stdout.count("[nothing-taken]"))
        self.assertLess(done.stdout.index("[nothing-taken]"), done.stdout.index("objects"))
        shown = json.loads(self.run_command("check", "--json", reference).stdout)
        self.assertEqual(["nothing-taken!"], self.rules(shown["list"]))
        self.assertFalse(shown["good"])
        good = json.loads(self.succeed("check", "--json", "probe:latest").stdout)
        self.assertEqual((True, []), (good["good"], good["list"]))
        warned = self.put_list("x86_64", *LISTS["x86_64"][0])
        self.assertEqual(1, self.succeed("check", warned).stdout.count("CRI-O, Podman"))


@unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
class PublishTest(resolve_test.ProbeTest):
    """A list that is refused leaves its tag where it was."""

    def setUp(self):
        super().setUp()
        context = lists_test.registry()
        self.address = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.succeed("copy", "-q", "--plain-http", "probe:latest", self.name("latest"))
        for arch in ("amd64", "ppc64le"):
            self.succeed("copy", "-q", "--plain-http", "--platform", f"linux/{arch}", "probe:latest", self.name(arch))

    def name(self, tag):
        return f"{self.address}/team/probe:{tag}"

    def standing(self, tag):
        """The digest at a tag; None when there is none."""
        request = urllib.request.Request(f"http://{self.address}/v2/team/probe/manifests/{tag}", method="HEAD")
        request.add_header("Accept", "application/vnd.oci.image.index.v1+json,"
                           "application/vnd.oci.image.manifest.v1+json")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.headers["Docker-Content-Digest"]
        except urllib.error.HTTPError as error:
            self.assertEqual(404, error.code)
            return None

    def refuse_then_publish(self, tag, code, fragments, *words):
        """The command fails and moves nothing; with --no-lint it does what it says."""
        before = self.standing(tag)
        done = self.refuse(code, fragments, *words, "--plain-http")
        self.assertEqual(before, self.standing(tag))
        self.assertIn("--no-lint", done.stderr)
        self.succeed(*words, "--plain-http", "--no-lint")
        self.assertNotEqual(before, self.standing(tag))

    def test_push(self):
        for name in ("only-v3", "twice", "swapped"):
            entries, code, _ = LISTS[name]
            # Copying and pulling pass on what others have made.
            self.succeed("copy", "--plain-http", self.put_list(name, *entries), self.name(name))
            odd = self.standing(name)
            self.succeed("pull", "--plain-http", self.name(name))
            self.succeed("copy", "--plain-http", self.name("latest"), self.name(name))
            self.refuse_then_publish(name, code, [self.name(name)], "push", self.name(name))
            self.assertEqual(odd, self.standing(name))

    def test_push_warns_of_what_some_nodes_cannot_use(self):
        self.succeed("copy", "--plain-http", self.put_list("x86_64", *LISTS["x86_64"][0]), self.name("x86_64"))
        self.succeed("pull", "--plain-http", self.name("x86_64"))
        done = self.succeed("push", "--plain-http", self.name("x86_64"))
        self.assertEqual(1, done.stderr.count("CRI-O, Podman"), done.stderr)
        self.assertNotIn("CRI-O", self.succeed("push", "--plain-http", "--no-lint", self.name("x86_64")).stderr)

    def test_build_push(self):
        self.refuse_then_publish("built", 13, ["nothing on linux/amd64"], "build", "--push", "--platform",
                                 "linux/amd64/v3", "-t", self.name("built"), ".")

    def test_manifest_push(self):
        self.succeed("manifest", "create", "--plain-http", self.name("latest"), self.name("amd64"), "--variant", "v3")
        self.refuse_then_publish("latest", 13, ["nothing on linux/amd64"], "manifest", "push", self.name("latest"))

    def test_manifest_push_of_an_image_for_another_platform(self):
        self.succeed("manifest", "create", "--plain-http", self.name("latest"), self.name("amd64"))
        self.succeed("manifest", "annotate", "--plain-http", self.name("latest"), self.name("amd64"), "--arch",
                     "ppc64le")
        self.refuse_then_publish("latest", 13, ["its config says linux/amd64"], "manifest", "push",
                                 self.name("latest"))

    def test_manifest_create(self):
        self.refuse_then_publish("latest", 13, ["nothing on linux/amd64"], "manifest", "create", "--push",
                                 self.name("latest"), self.name("amd64"), "--variant", "v3")

    def test_manifest_add(self):
        self.succeed("manifest", "create", "--push", "--plain-http", self.name("one"), self.name("ppc64le"))
        self.refuse_then_publish("one", 13, ["nothing on linux/amd64"], "manifest", "add", "--push", self.name("one"),
                                 self.name("amd64"), "--variant", "v3")
        # What was wrong before does not keep others from adding.
        self.succeed("manifest", "annotate", "--push", "--plain-http", "--index-annotation", "a=b", self.name("one"))

    def test_needs_that_nobody_can_read(self):
        needs = ["--annotation", "io.fnimage.requires=4 cpus"]
        self.refuse_then_publish("latest", 3, ["io.fnimage.requires", "/manifests/0/annotations"], "manifest",
                                 "annotate", "--push", self.name("latest"), "linux/amd64", *needs)
        self.refuse_then_publish("new", 3, ["io.fnimage.requires"], "manifest", "create", "--push", self.name("new"),
                                 self.name("amd64"), *needs)
        done = self.refuse(3, ["1 error"], "lint", "--plain-http", self.name("latest"), self.name("new"))
        self.assertEqual(2, done.stdout.count("[requires-annotation]"))

    def test_manifest_annotate_and_remove(self):
        self.refuse_then_publish("latest", 13, ["nothing on linux/amd64"], "manifest", "annotate", "--push",
                                 self.name("latest"), "linux/amd64", "--variant", "v3")
        self.succeed("manifest", "add", "--push", "--plain-http", self.name("latest"), self.name("amd64"))
        self.refuse_then_publish("latest", 13, ["nothing on linux/amd64"], "manifest", "remove", "--push",
                                 self.name("latest"), "linux/amd64")


if __name__ == "__main__":
    command.main()

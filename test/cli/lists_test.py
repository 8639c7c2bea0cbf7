"""Lists as users make them, on a real registry: every `fnimage manifest` command, docker's spellings, the races of
many processes on one tag, and what other tools read of the result."""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import command

PLATFORMS = ["amd64", "arm64", "loong64", "ppc64le", "riscv64", "s390x"]
ROUNDS = int(os.environ.get("FNIMAGE_RACE_ROUNDS", "10"))


@contextlib.contextmanager
def registry():
    """docker-registry on a free port of 127.0.0.1; yields host:port."""
    with tempfile.TemporaryDirectory(prefix="fnimage-registry-") as directory:
        address = f"127.0.0.1:{command.free_port()}"
        config = pathlib.Path(directory, "config.json")
        config.write_text(json.dumps({"version": 0.1, "storage": {"filesystem": {"rootdirectory": directory},
                                                                  "delete": {"enabled": True}},
                                      "http": {"addr": address}}))
        with open(pathlib.Path(directory, "log"), "wb") as log, \
                subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log) as server:
            try:
                while True:
                    with contextlib.suppress(urllib.error.URLError):
                        urllib.request.urlopen(f"http://{address}/v2/").close()
                        break
                    if server.poll() is not None:
                        raise AssertionError("docker-registry did not start")
                    time.sleep(0.02)
                yield address
            finally:
                server.kill()


@unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
class ListTest(command.CommandTest):
    """Six platforms' images are in the repository team/action, each under its architecture's name."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.address = cls.stack.enter_context(registry())
        cls.addClassCleanup(cls.stack.close)
        cls.built = False

    def setUp(self):
        super().setUp()
        self.repository = f"{self.address}/team/action"
        if not type(self).built:
            for arch in PLATFORMS:
                self.succeed("build", "-q", "--push", "--plain-http", "--platform", f"linux/{arch}",
                             "-t", self.name(arch), ".")
            type(self).built = True

    def name(self, tag):
        return f"{self.repository}:{tag}"

    def manifest(self, subcommand, *arguments):
        return self.succeed("manifest", subcommand, "--plain-http", *arguments)

    def raw(self, tag, repository="team/action"):
        request = urllib.request.Request(f"http://{self.address}/v2/{repository}/manifests/{tag}")
        request.add_header("Accept", "application/vnd.oci.image.index.v1+json,"
                           "application/vnd.docker.distribution.manifest.list.v2+json")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def listed(self, tag, repository="team/action"):
        return [entry["platform"]["architecture"] for entry in self.raw(tag, repository)["manifests"]]

    def start(self, *words):
        return subprocess.Popen([command.FNIMAGE, "manifest", *words, "--push", "--plain-http"], cwd=self.project,
                                env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def ended_well(self, process):
        _, messages = process.communicate()
        self.assertEqual(0, process.returncode, messages)

    def at_once(self, *commands):
        """Runs `fnimage manifest` commands side by side; all must succeed."""
        for process in [self.start(*words) for words in commands]:
            self.ended_well(process)

    def race(self, architectures, rounds):
        lost = 0
        for number in range(rounds):
            tag = f"race-{len(architectures)}-{number}"
            self.at_once(*(["add", self.name(tag), self.name(arch)] for arch in architectures))
            lost += self.listed(tag) != sorted(architectures)
        self.assertEqual(0, lost)

    def test_two_publishers_at_once_lose_nothing(self):
        self.race(["amd64", "ppc64le"], ROUNDS)

    def test_six_publishers_at_once_lose_nothing(self):
        self.race(PLATFORMS, max(1, ROUNDS // 5))

    def test_removing_and_adding_at_once_do_both(self):
        for number in range(max(1, ROUNDS // 2)):
            name = self.name(f"both-{number}")
            self.manifest("create", "--push", name, self.name("amd64"), self.name("ppc64le"))
            self.at_once(["remove", name, "linux/amd64"], ["add", name, self.name("s390x")])
            self.assertEqual(["ppc64le", "s390x"], self.listed(f"both-{number}"))

    def test_native_builders_push_into_one_list(self):
        """Each with a local store of its own, under the same name."""
        name = self.name("native")
        running = []
        for arch in ("amd64", "ppc64le", "s390x"):
            home = self.scratch / arch
            home.mkdir()
            environment = self.environment() | {"HOME": str(home)}
            subprocess.run([command.FNIMAGE, "build", "-q", "--platform", f"linux/{arch}", "-t", name, "."], check=True,
                           cwd=self.project, env=environment, stdout=subprocess.DEVNULL)
            running.append(subprocess.Popen([command.FNIMAGE, "push", "-q", "--add", "--plain-http", name],
                                            cwd=self.project, env=environment, stdout=subprocess.DEVNULL))
        self.assertEqual([0, 0, 0], [process.wait() for process in running])
        self.assertEqual(["amd64", "ppc64le", "s390x"], self.listed("native"))
        child = self.raw("native")["manifests"][1]["digest"]
        with urllib.request.urlopen(urllib.request.Request(
                f"http://{self.address}/v2/team/action/manifests/native-ppc64le", method="HEAD",
                headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})) as answer:
            self.assertEqual(child, answer.headers["Docker-Content-Digest"])
        record = "native.fnimage.ppc64le"
        self.assertNotIn(record, self.succeed("tags", "--plain-http", self.repository).stdout)
        self.assertIn(record, self.succeed("tags", "--all", "--plain-http", self.repository).stdout)

    def resolved(self, tag):
        """The digest that a tag stands for, or None."""
        done = self.run_command("digest", "--plain-http", self.name(tag))
        return done.stdout.strip() or None

    def test_an_image_joins_a_list_in_another_shape(self):
        """push --add with the options that push has."""
        name = self.name("shaped")
        self.succeed("build", "-q", "--platform", "linux/amd64,linux/ppc64le,linux/s390x", "-t", name, ".")
        push = ("push", "--add", "--plain-http", name)
        planned = json.loads(self.succeed(*push, "--platform", "ppc64le", "--dry-run", "--json").stdout)["requests"]
        self.assertTrue(any(request["url"].endswith("/manifests/shaped-ppc64le") for request in planned))
        self.assertFalse(any("amd64" in request["url"] for request in planned), planned)
        self.assertIsNone(self.resolved("shaped"))
        self.succeed(*push, "--platform", "ppc64le", "--annotation", "gpu=no", "--index-annotation", "team=x", "-t",
                     "shaped-too")
        for tag in ("shaped", "shaped-too"):
            self.assertEqual(["ppc64le"], self.listed(tag))
            self.assertEqual({"team": "x"}, self.raw(tag)["annotations"])
            entry = self.raw(tag)["manifests"][0]
            self.assertEqual({"gpu": "no"}, entry["annotations"])
            self.assertEqual(entry["digest"], self.resolved(f"{tag}-ppc64le"))
            self.assertIsNone(self.resolved(f"{tag}-amd64"))
        before = self.resolved("shaped")
        self.succeed(*push, "--platform", "linux/s390x", "--expect-digest", before)
        self.assertEqual(["ppc64le", "s390x"], self.listed("shaped"))
        self.refuse(5, ["instead of " + before], *push, "--expect-digest", before)
        self.refuse(2, ["--add joins the list that is there, which --no-clobber refuses"], *push, "--no-clobber")
        self.refuse(13, ["none of the images is for linux/riscv64"], *push, "--platform", "riscv64")
        self.refuse(15, ["is an OCI list, and cannot be converted while others may be adding to it"], *push,
                    "--format", "docker")
        self.assertEqual(["ppc64le", "s390x"], self.listed("shaped"))

    def test_an_image_joins_a_docker_list(self):
        name = self.name("joined")
        self.succeed("build", "-q", "-t", name, ".")
        push = ("push", "--add", "--plain-http", name)
        self.succeed(*push, "--platform", "amd64", "--format", "docker")
        self.succeed(*push, "--platform", "ppc64le")
        entries = self.raw("joined")["manifests"]
        self.assertEqual(["application/vnd.docker.distribution.manifest.v2+json"] * 2,
                         [entry["mediaType"] for entry in entries])
        self.assertEqual([entry["digest"] for entry in entries],
                         [self.resolved("joined-amd64"), self.resolved("joined-ppc64le")])
        for option in ("--annotation", "--index-annotation"):
            self.refuse(15, ["is a Docker list, which has no annotations"], *push, option, "a=b")

    def test_builders_of_layouts_and_other_repositories_lose_nothing_though_some_are_killed(self):
        """Children that have to be brought to the list first; who is killed runs again."""
        for arch in ("ppc64le", "s390x"):
            self.succeed("build", "-q", "--platform", f"linux/{arch}", "-t", "x", "-o", f"oci:{arch}", ".")
        elsewhere = f"{self.address}/team/elsewhere"
        for arch in ("arm64", "riscv64"):
            self.succeed("copy", "--plain-http", self.name(arch), f"{elsewhere}:{arch}")
        children = [self.name("amd64"), f"{elsewhere}:arm64", "oci:ppc64le:latest", f"{elsewhere}:riscv64",
                    "oci:s390x:latest"]
        for number in range(max(1, ROUNDS // 3)):
            name = f"{self.address}/team/mixed-{number}:latest"
            adds = [["add", name, child] for child in children]
            victims = [self.start(*adds[index]) for index in (1, 2)]
            survivors = [self.start(*words) for words in adds]
            for delay, victim in enumerate(victims):
                time.sleep(0.01 * (number % 5) + 0.03 * delay)  # wherever it may be
                victim.kill()
                victim.communicate()
            for process in survivors:
                self.ended_well(process)
            self.at_once(*adds[1:3])
            self.assertEqual(["amd64", "arm64", "ppc64le", "riscv64", "s390x"],
                             self.listed("latest", f"team/mixed-{number}"))

    def test_a_roll_back_by_a_plain_push_stands(self):
        name = self.name("rolled")
        for version in ("0", "1"):
            (self.project / "handler.py").write_text(f"def main(args):\n    return {{'v': {version}}}\n")
            self.succeed("build", "-q", "-t", f"{name}-{version}", ".")
        self.succeed("tag", "--local", f"{name}-0", name)
        self.succeed("push", "--plain-http", name)
        before = self.raw("rolled")["manifests"]
        self.succeed("tag", "--local", f"{name}-1", name)
        self.succeed("push", "--plain-http", "--add", name)
        self.assertNotEqual(before, self.raw("rolled")["manifests"])
        self.succeed("tag", "--local", f"{name}-0", name)
        self.succeed("push", "--plain-http", name)
        self.manifest("add", "--push", name, self.name("s390x"))
        self.assertEqual(before, self.raw("rolled")["manifests"][:2])
        self.assertEqual(["amd64", "ppc64le", "s390x"], self.listed("rolled"))

    def test_removing_a_list_takes_its_records_along(self):
        name = self.name("gone")
        self.manifest("add", "--push", "--index-annotation", "v=1", name, self.name("amd64"))
        self.succeed("rm", "--plain-http", name)
        self.assertNotIn("gone", self.succeed("tags", "--all", "--plain-http", self.repository).stdout)
        self.manifest("add", "--push", name, self.name("ppc64le"))
        self.assertEqual(["ppc64le"], self.listed("gone"))
        self.assertNotIn("annotations", self.raw("gone"))

    def test_publishes_no_list_that_cannot_be_used(self):
        name = self.name("wrong")
        self.manifest("create", "--push", name, self.name("amd64"))
        before = self.raw("wrong")
        for arch in ("ppc64el", "a b/c"):
            done = self.run_command("manifest", "add", "--push", "--plain-http", "--arch", arch, name,
                                    self.name("ppc64le"))
            self.assertNotEqual(0, done.returncode)
        self.assertEqual(before, self.raw("wrong"))

    def test_annotations_of_publishers_end_in_the_last_one(self):
        name = self.name("noted")
        self.manifest("create", "--push", name, self.name("amd64"))
        self.manifest("annotate", "--push", "--index-annotation", "v=1", name)
        done = self.manifest("add", "--push", "--index-annotation", "v=2", name, self.name("ppc64le"))
        self.assertEqual({"v": "2"}, self.raw("noted")["annotations"])
        self.assertNotIn("another publisher", done.stderr)

    def test_annotations_of_the_list_are_removed(self):
        name = self.name("cleared")
        self.manifest("create", "--push", "--index-annotation", "team=x", "--index-annotation", "v=1", name,
                      self.name("amd64"))
        self.manifest("annotate", "--push", "--index-annotation", "team-", name, "amd64", "--annotation", "gpu=no")
        self.assertEqual({"v": "1"}, self.raw("cleared")["annotations"])
        self.assertEqual({"gpu": "no"}, self.raw("cleared")["manifests"][0]["annotations"])
        self.refuse(4, ["has no annotation team", "manifest inspect"], "manifest", "annotate", "--push", "--plain-http",
                    "--index-annotation", "team-", name)
        self.refuse(2, ["set and removed"], "manifest", "annotate", "--push", "--plain-http", "--index-annotation",
                    "v=2", "--index-annotation", "v-", name)
        self.at_once(["annotate", name, "--index-annotation", "v-"], ["add", name, self.name("ppc64le")])
        self.assertNotIn("annotations", self.raw("cleared"))
        self.assertEqual(["amd64", "ppc64le"], self.listed("cleared"))

    def test_an_option_leaves_the_arguments_after_it_alone(self):
        """Every option that may be repeated, in front of each command's own arguments."""
        annotated = [("--annotation", "a=b"), ("--index-annotation", "a=b"), ("--os-features", "a")]
        made = [*annotated, ("--platform", "linux/amd64"), ("--concurrent", "linux/amd64")]
        commands = {
            ("manifest", "create", "local:list", "local:absent"): [*made, ("-t", "local:too")],
            ("manifest", "add", "local:list", "local:absent"): made,
            ("manifest", "annotate", "local:list", "amd64"): [*annotated, ("--arch", "arm64")],
            ("manifest", "remove", "local:list", "amd64"): [],
            ("manifest", "push", "local:list", "127.0.0.1:1/x"): [],
            ("manifest", "inspect", "local:list", "amd64"): [],
            ("pull", "127.0.0.1:1/absent"): [("--platform", "linux/amd64")],
            ("copy", "local:absent", "oci:layout"): [("--platform", "linux/amd64"), ("-t", "too")],
            ("push", "127.0.0.1:1/absent"): [],
            ("build", "absent"): [("--platform", "linux/amd64"), ("-t", "local:x")],
            ("inspect", "local:absent"): [],
            ("tag", "local:absent", "local:new"): [],
        }
        for words, options in commands.items():
            count = 2 if words[0] == "manifest" else 1
            for option in [*options, ("--auth-realm", "example.com")]:
                done = self.run_command(*words[:count], *option, *words[count:])
                self.assertNotIn("is required", done.stderr)
                self.assertNotIn("unexpected argument", done.stderr)
                self.assertNotIn("--help", done.stderr, (words, option))

    def test_words_of_an_edit_are_checked(self):
        name = self.name("checked")
        for words in (["--arch", "a b/c"], ["--arch", "UPPER CASE!"], ["--arch", "ppc64el"]):
            refused = self.refuse(2, [], "manifest", "add", "--push", "--plain-http", name, self.name("absent"), *words)
            self.assertNotIn("absent", refused.stderr)
        self.assertIn("write ppc64le", refused.stderr)
        self.succeed("manifest", "create", "--plain-http", name, self.name("amd64"))
        self.refuse(2, [], "manifest", "annotate", name, "amd64", "--arch", "UPPER CASE!")
        warned = self.succeed("manifest", "annotate", name, "amd64", "--os", "linus", "--arch", "amd46").stderr
        self.assertIn('"linus" is not a known system', warned)
        self.assertIn('"amd46" is not a known architecture', warned)

    def test_images_shows_broken_entries_beside_others(self):
        self.succeed("build", "-q", "-t", "local:good", ".")
        store = self.home / ".local/share/fnimage/store"
        index = json.loads((store / "index.json").read_text())
        entry = next(e for e in index["manifests"]
                     if e["annotations"]["org.opencontainers.image.ref.name"] == "local:good")
        text = (store / "blobs/sha256" / entry["digest"][7:]).read_text().replace('"amd64"', '"a b/c"')
        digest = hashlib.sha256(text.encode()).hexdigest()
        (store / "blobs/sha256" / digest).write_text(text)
        index["manifests"].append(entry | {"digest": f"sha256:{digest}", "size": len(text), "annotations": {
            "org.opencontainers.image.ref.name": "local:bad"}})
        (store / "index.json").write_text(json.dumps(index))
        shown = {row["reference"]: row for row in json.loads(self.succeed("images", "--json").stdout)["images"]}
        self.assertIn("cannot be part of a platform", shown["local:bad"]["problem"])
        self.assertEqual(["linux/amd64", "linux/ppc64le"], shown["local:good"]["platforms"])
        self.assertIn("local:bad", self.succeed("images").stdout)
        self.refuse(3, ["read local:bad in the local store"], "manifest", "remove", "local:bad", "amd64")

    def test_what_moved_before_a_failure_is_said(self):
        first = self.name("moved")
        self.succeed("manifest", "create", "--plain-http", first, self.name("amd64"))
        done = self.refuse(8, ["127.0.0.1:1"], "manifest", "push", "--plain-http", first, first, "127.0.0.1:1/x:y")
        self.assertRegex(done.stdout, "^sha256:[0-9a-f]{64}$")
        done = self.refuse(4, ["absent"], "manifest", "rm", first, self.name("absent"))
        self.assertIn(f"Removed manifest list {first}", done.stdout)

    def test_two_steps_mount_images_of_other_repositories(self):
        name = f"{self.address}/two/steps:v1"
        self.succeed("manifest", "create", "--plain-http", name, self.name("ppc64le"), self.name("amd64"))
        self.succeed("manifest", "push", "--plain-http", name)
        self.assertEqual(["amd64", "ppc64le"], self.listed("v1", "two/steps"))
        self.succeed("manifest", "create", "--plain-http", self.name("own"), self.name("amd64"))
        self.succeed("manifest", "push", "--plain-http", self.name("own"), f"{self.address}/two/elsewhere:v1")
        self.assertEqual(["amd64"], self.listed("v1", "two/elsewhere"))
        inspected = json.loads(self.succeed("inspect", "--local", "--json", name).stdout)
        self.assertEqual([None, None], [image.get("problem") for image in inspected["images"]])

    def test_dry_run_lists_what_would_be_written(self):
        name = self.name("rehearsed")
        planned = json.loads(self.manifest("add", "--push", "--dry-run", "--json", name,
                                           self.name("ppc64le")).stdout)["requests"]
        self.assertEqual(["PUT", "PUT", "PUT"], [request["method"] for request in planned])
        self.assertTrue(planned[1]["url"].endswith("/manifests/rehearsed"))
        self.refuse(4, ["does not exist"], "inspect", "--plain-http", name)
        self.manifest("add", "--push", name, self.name("ppc64le"))
        request = urllib.request.Request(f"http://{self.address}/v2/team/action/manifests/rehearsed", method="HEAD",
                                         headers={"Accept": "application/vnd.oci.image.index.v1+json"})
        with urllib.request.urlopen(request) as answer:
            self.assertEqual(planned[1]["bytes"], int(answer.headers["Content-Length"]))
        self.refuse(2, ["--push"], "manifest", "create", "--dry-run", name, self.name("amd64"))

    def test_docker_spellings_in_two_steps(self):
        name = self.name("docker")
        options = ("--insecure",)
        self.succeed("-D", "manifest", "create", *options, name, self.name("ppc64le"), self.name("amd64"))
        self.refuse(5, ["--amend"], "manifest", "create", *options, name, self.name("s390x"))
        self.succeed("manifest", "create", *options, "--amend", name, self.name("s390x"))
        self.succeed("manifest", "annotate", *options, name, self.name("s390x"), "--arch", "s390x", "--os", "linux",
                     "--os-version", "1.2", "--os-features", "a,b", "--variant", "z15")
        inspected = json.loads(self.succeed("manifest", "inspect", *options, name).stdout)
        self.assertEqual({"architecture": "s390x", "os": "linux", "os.version": "1.2", "os.features": ["a", "b"],
                          "variant": "z15"}, inspected["manifests"][2]["platform"])
        verbose = json.loads(self.succeed("manifest", "inspect", "-v", *options, name).stdout)
        self.assertEqual("ppc64le", verbose[1]["Descriptor"]["platform"]["architecture"])
        self.assertIn("layers", verbose[1]["OCIManifest"])
        one = json.loads(self.succeed("manifest", "inspect", *options, name, "ppc64le").stdout)
        self.assertEqual(one, verbose[1]["OCIManifest"])
        pushed = self.succeed("manifest", "push", *options, "-p", name).stdout.strip()
        self.assertRegex(pushed, "^sha256:[0-9a-f]{64}$")
        self.assertEqual(["amd64", "ppc64le", "s390x"], self.listed("docker"))
        self.assertNotIn(name, self.stored_tags())
        self.refuse(4, ["no list"], "manifest", "rm", name)

    def test_edits_a_list_in_the_registry(self):
        name = self.name("edit")
        self.manifest("create", "--push", "-t", self.name("edit-too"), name, *map(self.name, PLATFORMS),
                      "--platform", "amd64,ppc64le,s390x", "--index-annotation", "team=data")
        self.assertEqual(self.raw("edit"), self.raw("edit-too"))
        self.assertEqual({"team": "data"}, self.raw("edit")["annotations"])
        removed = json.loads(self.manifest("remove", "--push", "--json", name, self.name("s390x")).stdout)
        self.manifest("annotate", "--push", name, "ppc64le", "--annotation", "gpu=no")
        entries = self.raw("edit")["manifests"]
        self.assertEqual([None, {"gpu": "no"}], [entry.get("annotations") for entry in entries])
        self.refuse(5, ["instead of " + removed["digest"]], "manifest", "add", "--push", "--plain-http",
                    "--expect-digest", removed["digest"], name, self.name("s390x"))
        self.refuse(5, ["exists already"], "manifest", "create", "--push", "--plain-http", "--no-clobber", name,
                    self.name("s390x"))
        self.refuse(4, ["no entry linux/s390x", "it has linux/amd64, linux/ppc64le"], "manifest", "remove", "--push",
                    "--plain-http", name, "s390x")
        self.refuse(2, ["nothing would be left"], "manifest", "remove", "--push", "--plain-http", name, "amd64",
                    "ppc64le")
        self.assertEqual(["amd64", "ppc64le"], self.listed("edit"))

    def test_takes_children_from_anywhere(self):
        self.succeed("build", "-q", "--platform", "linux/riscv64", "-t", "scratch", "-o", "oci:layout", ".")
        self.succeed("build", "-q", "--platform", "linux/s390x", "-t", "local:one", ".")
        self.manifest("create", "--push", self.name("pair"), self.name("amd64"), self.name("ppc64le"))
        with registry() as elsewhere:
            self.manifest("create", "--push", f"{elsewhere}/other/list:all", self.name("pair"), "oci:layout:latest",
                          "local:one")
            with urllib.request.urlopen(urllib.request.Request(
                    f"http://{elsewhere}/v2/other/list/manifests/all",
                    headers={"Accept": "application/vnd.oci.image.index.v1+json"})) as answer:
                platforms = [entry["platform"]["architecture"] for entry in json.load(answer)["manifests"]]
        self.assertEqual(["amd64", "ppc64le", "riscv64", "s390x"], platforms)
        self.manifest("create", "--push", f"{self.address}/other/mounted:x", self.name("ppc64le"))
        self.assertEqual(["ppc64le"], self.listed("x", "other/mounted"))

    def test_converts_the_whole_tree(self):
        name = self.name("family")
        self.manifest("create", "--push", "--format", "docker", name, self.name("amd64"))
        self.manifest("add", "--push", name, self.name("ppc64le"))
        types = {entry["mediaType"] for entry in self.raw("family")["manifests"]}
        self.assertEqual({"application/vnd.docker.distribution.manifest.v2+json"}, types)
        self.refuse(15, ["Docker list"], "manifest", "annotate", "--push", "--plain-http", name, "--index-annotation",
                    "a=b")
        self.manifest("add", "--push", "--format", "oci", name, self.name("s390x"))
        self.assertEqual(["amd64", "ppc64le", "s390x"], self.listed("family"))
        types = {entry["mediaType"] for entry in self.raw("family")["manifests"]}
        self.assertEqual({"application/vnd.oci.image.manifest.v1+json"}, types)

    def test_says_what_is_wrong(self):
        self.refuse(4, ["absent", "does not exist"], "manifest", "create", "--push", "--plain-http", self.name("bad"),
                    self.name("absent"))
        self.manifest("create", "--push", "--ignore-missing", self.name("some"), self.name("absent"),
                      self.name("amd64"))
        self.refuse(5, ["is a single image, not a list"], "manifest", "add", "--push", "--plain-http",
                    self.name("amd64-amd64"), self.name("ppc64le"))
        self.manifest("create", "--push", self.name("twice"), self.name("amd64"), self.name("some"))
        self.assertEqual(["amd64"], self.listed("twice"))
        self.manifest("create", "--push", "--format", "docker", self.name("other"), self.name("amd64"))
        self.refuse(13, [f"{self.name('amd64')} and {self.name('other')} are both linux/amd64"], "manifest", "create",
                    "--push", "--plain-http", self.name("bad"), self.name("amd64"), self.name("other"))
        self.refuse(2, ["names no registry"], "manifest", "create", "--push", "bare:tag", self.name("amd64"))
        self.refuse(4, ["use --push for a list in a registry"], "manifest", "remove", self.name("some"), "amd64")

    @unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
    def test_other_tools_read_it(self):
        self.manifest("add", "--push", self.name("skopeo"), self.name("amd64"), self.name("ppc64le"))
        done = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--override-arch", "ppc64le",
                               "docker://" + self.name("skopeo")], capture_output=True, check=True)
        self.assertEqual("ppc64le", json.loads(done.stdout)["Architecture"])


if __name__ == "__main__":
    command.main()

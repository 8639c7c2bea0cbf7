#!/usr/bin/env python3
"""The everyday commands and the places that images are kept in, together with the tools that people use beside fnimage:
docker-registry, skopeo, podman, umoci. A tool that is missing is a test skipped, with the reason."""
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import unittest
import urllib.request

import command


def tool(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def needs(name):
    return unittest.skipUnless(tool(name), f"{name} is not installed")


class StoresTest(command.CommandTest):
    def json(self, *arguments):
        return json.loads(self.succeed(*arguments, "--json").stdout)

    def digest(self, *arguments):
        return self.succeed("digest", *arguments).stdout.strip()

    def build(self, *arguments):
        self.succeed("build", *arguments)

    @contextlib.contextmanager
    def registry(self, deletion=True, access_log=os.devnull):
        """Debian's docker-registry on a free port of 127.0.0.1; yields host:port."""
        address = f"127.0.0.1:{command.free_port()}"
        directory = self.scratch / f"registry-{address.split(':')[1]}"
        config = self.scratch / "registry.yml"
        config.write_text(json.dumps({"version": 0.1, "log": {"level": "error"}, "http": {"addr": address},
                                      "storage": {"filesystem": {"rootdirectory": str(directory)},
                                                  "delete": {"enabled": deletion}}}))
        with open(access_log, "w", encoding="utf-8") as log:
            server = subprocess.Popen([tool("docker-registry"), "serve", config], stdout=log,
                                      stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://{address}/v2/").close()
                    break
                except OSError:
                    self.assertIsNone(server.poll(), "docker-registry ended")
                    time.sleep(0.05)
            yield address
        finally:
            server.kill()
            server.wait()

    def other(self, *words):
        done = subprocess.run([str(word) for word in words], cwd=self.project, capture_output=True, text=True,
                              check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout


class Archives(StoresTest):
    def test_build_writes_archives(self):
        self.build("-o", "oci-archive:a.tar:v1")
        self.build("-o", "docker-archive:d.tar", "--platform", "linux/ppc64le", "-t", "registry.example/probe:v2")
        self.assertEqual([], self.stored_tags())
        self.assertEqual([], self.temporaries(), "the scratch layout is gone")
        self.build("-o", "oci:layout:v1")
        self.assertEqual(self.digest("oci:layout:v1"), self.digest("oci-archive:a.tar"))
        self.assertEqual(self.digest("oci:layout:v1", "--platform", "ppc64le"),
                         self.digest("oci-archive:d.tar:registry.example/probe:v2"))
        self.succeed("inspect", "docker-archive:d.tar:registry.example/probe:v2")
        self.assertEqual(["@0", "registry.example/probe:v2"], self.succeed("tags", "docker-archive:d.tar").stdout.split())
        listed = self.json("images", "oci-archive:a.tar")["images"]
        self.assertEqual([("v1", 2)], [(image["reference"], len(image["platforms"])) for image in listed])
        self.refuse(13, ["one platform's image", "--platform"], "build", "-o", "docker-archive:e.tar")
        self.assertFalse((self.project / "e.tar").exists())

    def test_what_a_killed_build_left_goes_with_the_next(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        left = self.home / f".cache/fnimage/.tmp-{gone.pid}-0123456789abcdef"
        (left / "layout").mkdir(parents=True)
        self.build("-o", "oci-archive:a.tar")
        self.assertEqual([], self.temporaries())

    def test_base_image_from_an_archive(self):
        self.build("-o", "oci-archive:base.tar")
        self.write_spec(command.SPEC.replace("{scratch: true}", "{image: 'oci-archive:base.tar'}"))
        self.build("-t", "upper")

    def test_copies_are_reproducible(self):
        self.build("-t", "probe:v1")
        for name in ("a.tar", "b.tar"):
            self.succeed("copy", "probe:v1", f"oci-archive:{name}")
        self.assertEqual((self.project / "a.tar").read_bytes(), (self.project / "b.tar").read_bytes())

    def test_dry_run_and_json(self):
        self.build("-t", "probe:v1")
        planned = self.json("copy", "--dry-run", "probe:v1", "oci:out:v1")["copied"][0]["plan"]
        self.assertFalse((self.project / "out").exists())
        copied = self.json("copy", "-t", "v2", "probe:v1", "oci:out:v1")["copied"][0]
        self.assertEqual(["oci:out:v1", "oci:out:v2"], copied["names"])
        blobs = [part for part in planned if "config" in part["mediaType"] or "layer" in part["mediaType"]]
        self.assertEqual(len(blobs), copied["blobsUploaded"])
        self.assertIn("would copy 0 of", self.succeed("copy", "--dry-run", "probe:v1", "oci:out:v1").stdout)

    def test_damaged_archive(self):
        self.build("-o", "oci-archive:a.tar")
        data = (self.project / "a.tar").read_bytes()
        (self.project / "cut.tar").write_bytes(data[:len(data) // 2])
        done = self.run_command("copy", "oci-archive:cut.tar", "oci:out")
        self.assertIn(done.returncode, (3, 4), done.stderr)
        self.assertIn("cut.tar", done.stderr)

    @needs("podman")
    def test_podman_loads_docker_archives_and_we_read_its_own(self):
        root = ["podman", "--root", self.scratch / "podman", "--runroot", self.scratch / "run",
                "--storage-driver", "vfs"]
        if subprocess.run([*map(str, root), "info"], capture_output=True, check=False).returncode != 0:
            self.skipTest("podman does not work here")
        self.build("-o", "docker-archive:d.tar:registry.example/probe:v1", "--platform", "linux/amd64")
        self.assertIn("registry.example/probe:v1", self.other(*root, "load", "-q", "-i", "d.tar"))
        self.other(*root, "pull", "-q", f"docker-archive:{self.project}/d.tar")
        shown = json.loads(self.other(*root, "image", "inspect", "registry.example/probe:v1"))[0]
        self.assertEqual("amd64", shown["Architecture"])
        for kind in ("docker-archive", "oci-archive"):
            self.other(*root, "save", "-q", "--format", kind, "-o", f"{kind}.tar", "registry.example/probe:v1")
            self.succeed("copy", f"{kind}:{kind}.tar", f"oci:from-{kind}:v1")
            self.succeed("inspect", f"oci:from-{kind}:v1")
            with_config = json.loads(self.succeed("inspect", "--raw", f"oci:from-{kind}:v1").stdout)
            self.assertEqual(f"sha256:{shown['Id']}", with_config["config"]["digest"])

    @needs("umoci")
    def test_umoci_reads_layouts_that_were_copied(self):
        self.build("-o", "oci-archive:a.tar:v1")
        self.succeed("copy", "--platform", "linux/amd64", "oci-archive:a.tar:v1", "oci:layout:v1")
        self.assertIn("v1", self.other("umoci", "ls", "--layout", "layout"))
        self.other("umoci", "stat", "--image", "layout:v1")

    @needs("skopeo")
    def test_skopeo_copies_whole_lists_between_archives_and_layouts(self):
        self.build("-o", "oci-archive:a.tar:v1")
        self.other("skopeo", "--insecure-policy", "copy", "-q", "--all", "oci-archive:a.tar:v1", "oci:theirs:v1")
        self.assertEqual(self.digest("oci-archive:a.tar:v1"), self.digest("oci:theirs:v1"))
        self.other("skopeo", "--insecure-policy", "copy", "-q", "--all", "oci:theirs:v1", "oci-archive:b.tar:v2")
        self.assertEqual(self.digest("oci-archive:a.tar:v1"), self.digest("oci-archive:b.tar:v2"))


class LocalStore(StoresTest):
    def blobs(self):
        return {path.name for path in (self.home / ".local/share/fnimage/store/blobs/sha256").iterdir()}

    def test_tag_and_rm_reclaim_what_nothing_needs(self):
        self.build("-t", "probe:v1")
        before = self.blobs()
        self.succeed("tag", "probe:v1", "registry.example/other:v2", "third")
        self.assertEqual({"probe:v1", "registry.example/other:v2", "third:latest"}, set(self.stored_tags()))
        (self.project / "handler.py").write_text("def main(args):\n    return {'changed': True}\n")
        self.build("-t", "changed")
        self.assertEqual(0, self.json("rm", "probe:v1")["blobsReclaimed"], "other names still need them")
        self.succeed("rm", "--local", "registry.example/other:v2", "third")
        self.assertEqual(set(), (before - self.blobs()) & self.needed("changed"))
        self.assertTrue(before - self.blobs(), "what only probe needed is gone")
        self.assertLessEqual(self.needed("changed"), self.blobs())
        self.assertEqual(["changed:latest"], self.stored_tags())
        self.succeed("rm", "--keep-blobs", "changed")
        self.assertTrue(self.blobs())
        self.refuse(4, ["changed:latest"], "rm", "changed")

    def needed(self, name):
        """Digests (hex) of all that an image consists of."""
        seen, todo = set(), [self.digest(name)]
        while todo:
            digest = todo.pop()
            seen.add(digest.split(":")[1])
            path = self.home / ".local/share/fnimage/store/blobs/sha256" / digest.split(":")[1]
            document = json.loads(path.read_text())
            todo += [child["digest"] for child in document.get("manifests", [])]
            seen |= {part["digest"].split(":")[1] for part in document.get("layers", []) + [
                document.get("config", {"digest": digest})]}
        return seen

    def test_builds_and_removals_at_the_same_time_leave_whole_images(self):
        def work(number):
            name = f"probe{number}"
            project = self.scratch / name
            shutil.copytree(self.project, project)
            for step in range(6):
                # Old and new content take turns, so that blobs are found, removed and made again.
                (project / "handler.py").write_text(f"def main(args):\n    return {{'step': {step % 2}}}\n")
                self.succeed("build", "-q", project, "-t", f"{name}:v{step}")
                if step > 0:
                    self.succeed("rm", f"{name}:v{step - 1}")

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work, number) for number in range(3)]:
                done.result()
        self.assertEqual([f"probe{number}:v5" for number in range(3)], sorted(self.stored_tags()))
        for number in range(3):
            self.assertLessEqual(self.needed(f"probe{number}:v5"), self.blobs())

    def test_nothing_is_reclaimed_while_somebody_writes(self):
        self.build("-t", "probe:v1")
        before = self.blobs()
        store = self.home / ".local/share/fnimage/store"
        held = subprocess.Popen(["flock", "-s", store / ".fnimage.writers", "sh", "-c", "echo held; read line"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual("held\n", held.stdout.readline())
            self.assertIn("being written to", self.succeed("rm", "probe:v1").stderr)
            self.assertEqual(before, self.blobs())
        finally:
            held.communicate("\n")
        self.build("-t", "again")
        self.assertEqual(0, self.succeed("rm", "again").returncode)
        self.assertEqual(set(), self.blobs())


@needs("docker-registry")
class Registry(StoresTest):
    def test_pull_tag_tags_digest_and_copy(self):
        with self.registry() as address:
            name = f"{address}/team/probe"
            self.build("--push", "--plain-http", "-t", f"{name}:v1")
            whole = self.digest("--plain-http", f"{name}:v1")
            child = self.digest("--plain-http", "--platform", "linux/ppc64le", f"{name}:v1")
            self.assertNotEqual(whole, child)
            self.assertEqual(["v1", "v1-amd64", "v1-ppc64le"],
                             self.succeed("tags", "--plain-http", name).stdout.split())
            self.succeed("tag", "--plain-http", f"{name}:v1", "stable", f"{name}:v2")
            moved = self.json("tag", "--plain-http", f"{name}:v1-amd64", "stable")["tagged"][0]
            self.assertEqual(whole, moved["previous"])
            self.refuse(2, ["another repository"], "tag", "--plain-http", f"{name}:v1", f"{address}/other:v1")
            shutil.rmtree(self.home / ".local")
            self.succeed("pull", "--plain-http", f"{name}:v1")
            self.assertEqual(whole, self.digest("--local", f"{name}:v1"))
            self.succeed("pull", "--plain-http", "--platform", "ppc64le", f"{name}@{whole}")
            self.assertIn(f"{name}:sha256-{whole[7:19]}", self.stored_tags())
            self.succeed("copy", "--plain-http", "--all-tags", name, f"{address}/mirror")
            self.assertEqual(self.succeed("tags", "--plain-http", name).stdout,
                             self.succeed("tags", "--plain-http", f"{address}/mirror").stdout)
            self.refuse(4, ["absent"], "pull", "--plain-http", f"{name}:absent")

    def test_disk_full_while_pulling_leaves_nothing_and_works_once_there_is_room(self):
        unshare = tool("unshare")
        if not unshare or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no user namespaces here: cannot make a small file system")
        (self.project / "model.bin").write_bytes(os.urandom(3 << 20))
        self.write_spec(command.SPEC + "layers: [{name: model, from: model.bin, to: /model.bin}]\n")
        with self.registry() as address:
            name = f"{address}/probe:v1"
            self.build("--push", "--plain-http", "-t", name)
            for how in (f"pull --plain-http {name}", f"copy --plain-http {name} oci-archive:$HOME/a.tar"):
                script = (f'mount -t tmpfs -o size=1m none "$HOME" || exit 99; "$0" {how}; code=$?; '
                          'find "$HOME" -name ".tmp-*" -o -size +1000k -type f | sed s/^/LEFT:/ >&2; '
                          f'mount -o remount,size=64m "$HOME" && "$0" {how} >&2 || exit 98; exit $code')
                done = subprocess.run([unshare, "-rm", "sh", "-c", script, command.FNIMAGE], cwd=self.project,
                                      env=self.environment(), capture_output=True, text=True, check=False)
                self.assertEqual(14, done.returncode, done.stderr)
                self.assertIn("No space left", done.stderr)
                self.assertNotIn("LEFT:", done.stderr)

    @staticmethod
    def unnamed(path):
        """A path without what is new each time: names of uploads, digests of placeholders."""
        return re.sub(r"/uploads/.+", "/uploads/ID", re.sub(r"/manifests/sha256:.*", "/manifests/DIGEST", path))

    def writes(self, log):
        """(method, path) of every write that the registry has seen."""
        seen = re.findall(r'"(POST|PUT|PATCH|DELETE) ([^ ?]*)', log.read_text())
        return [(method, self.unnamed(path)) for method, path in seen]

    def rehearse(self, log, *arguments):
        """Runs a command with --dry-run, which must write nothing, then really; both must have the same writes."""
        before = self.writes(log)
        planned = self.json(*arguments, "--dry-run")
        shown = self.run_command(*arguments, "--dry-run")
        self.assertEqual(before, self.writes(log), "a dry run writes nothing")
        self.assertEqual("", shown.stderr, "nothing happens, so there is no progress")
        self.assertIn(f"would send {planned['totals']['requests']} request", shown.stdout)
        self.assertEqual(planned["totals"]["bytes"], sum(request["bytes"] for request in planned["requests"]))
        self.assertEqual(planned["totals"]["reads"], len(planned["reads"]))
        self.assertTrue(planned["reads"])
        self.succeed(*arguments)
        done = self.writes(log)
        for write in before:
            done.remove(write)
        paths = [(request["method"], self.unnamed(re.sub("^http://[^/]*", "", request["url"].split("?")[0])))
                 for request in planned["requests"]]
        self.assertEqual(sorted(done), sorted(paths))
        return planned

    def test_dry_run_is_every_request_that_a_registry_really_gets(self):
        (self.project / "model.bin").write_bytes(os.urandom(200_000))
        self.write_spec(command.SPEC + "layers: [{name: model, from: model.bin, to: /model.bin}]\n")
        log = self.scratch / "access.log"
        with self.registry(access_log=log) as address:
            name = f"{address}/team/probe"
            self.build("-t", f"{name}:v1")
            planned = self.rehearse(log, "push", "--plain-http", f"{name}:v1", "-t", "v2", "--format", "docker")
            self.assertLess(200_000, planned["totals"]["bytes"])
            self.rehearse(log, "copy", "--plain-http", f"{name}:v1", f"docker://{address}/mirror:v1")
            self.rehearse(log, "tag", "--plain-http", f"{name}:v1", "stable")
            self.rehearse(log, "rm", "--plain-http", f"{name}:stable")
            self.refuse(2, ["--dry-run"], "rm", "--dry-run", "--local", f"{name}:v1")
            self.refuse(2, ["--dry-run"], "tag", "--dry-run", "--local", f"{name}:v1", "v9")

    def test_push_chooses_converts_annotates_and_guards(self):
        with self.registry() as address:
            name = f"{address}/probe"
            self.build("-t", f"{name}:v1")
            first = self.json("push", "--plain-http", f"{name}:v1", "-t", "v2", "-t", f"{address}/other:v3")["pushed"]
            self.assertEqual([f"{name}:v1", f"{name}:v2", f"{address}/other:v3"], [one["reference"] for one in first])
            self.assertEqual([{"tag": "v1", "previous": None}], first[0]["moved"])
            whole = self.digest("--plain-http", f"{address}/other:v3")
            self.assertEqual(whole, self.digest("--plain-http", f"{name}:v2"))
            push = ("push", "--plain-http", f"{name}:v1")
            self.refuse(5, ["exists already"], *push, "--no-clobber")
            self.refuse(5, ["instead of"], *push, "--expect-digest", "sha256:" + "0" * 64)
            changed = self.json(*push, "--expect-digest", whole, "--index-annotation", "team=faas",
                                "--annotation", "kind=function")["pushed"][0]
            self.assertEqual([{"tag": "v1", "previous": whole}], changed["moved"], "one can roll back")
            raw = json.loads(self.succeed("inspect", "--raw", "--plain-http", f"{name}:v1").stdout)
            self.assertEqual({"team": "faas"}, {key: value for key, value in raw["annotations"].items()
                                                if key == "team"})
            self.assertEqual(["function"] * 2, [entry["annotations"]["kind"] for entry in raw["manifests"]])
            self.succeed("tag", "--plain-http", f"{name}@{whole}", "v1")
            self.assertEqual(whole, self.digest("--plain-http", f"{name}:v1"))
            self.succeed(*push, "--format", "docker")
            raw = json.loads(self.succeed("inspect", "--raw", "--plain-http", f"{name}:v1").stdout)
            self.assertEqual("application/vnd.docker.distribution.manifest.list.v2+json", raw["mediaType"])
            self.assertEqual(["application/vnd.docker.distribution.manifest.v2+json"] * 2,
                             [entry["mediaType"] for entry in raw["manifests"]])
            self.assertEqual(["v1", "v1-amd64", "v1-ppc64le", "v2", "v2-amd64", "v2-ppc64le"],
                             self.succeed("tags", "--plain-http", name).stdout.split())
            self.succeed(*push, "--platform", "linux/ppc64le", "--keep-list")
            raw = json.loads(self.succeed("inspect", "--raw", "--plain-http", f"{name}:v1").stdout)
            self.assertEqual(["ppc64le"], [entry["platform"]["architecture"] for entry in raw["manifests"]])
            self.refuse(13, ["linux/amd64, linux/ppc64le"], *push, "--platform", "s390x")
            self.refuse(15, ["leave --format out"], *push, "--add", "--format", "docker")
            self.succeed(*push, "--add", "--format", "oci")
            raw = json.loads(self.succeed("inspect", "--raw", "--plain-http", f"{name}:v1").stdout)
            self.assertEqual(["amd64", "ppc64le"], [entry["platform"]["architecture"] for entry in raw["manifests"]])

    def test_repair_sends_what_the_registry_lost_on_its_disk(self):
        with self.registry() as address:
            name = f"{address}/probe:v1"
            self.build("--push", "--plain-http", "-t", name)
            shown = self.succeed("inspect", "--raw", "--plain-http", f"{address}/probe:v1-ppc64le").stdout
            image = json.loads(shown)
            blobs = self.scratch / f"registry-{address.split(':')[1]}/docker/registry/v2/blobs/sha256"
            config, layer = (blobs / digest[7:9] / digest[7:] / "data"
                             for digest in (image["config"]["digest"], image["layers"][-1]["digest"]))
            push = ("push", "--plain-http", name)
            config.unlink()
            self.assertEqual(0, self.json(*push)["pushed"][0]["blobsUploaded"], "all tags stand")
            planned = self.json(*push, "--repair", "--dry-run")["requests"]
            self.assertEqual({"POST", "PUT"}, {request["method"] for request in planned})
            self.assertFalse(any("/manifests/" in request["url"] for request in planned), planned)
            repaired = self.json(*push, "--repair")["pushed"][0]
            self.assertEqual((1, []), (repaired["blobsUploaded"], repaired["moved"]))
            self.assertTrue(config.exists())
            layer.write_bytes(b"x")
            self.refuse(12, ["keeps a damaged copy", "delete that blob"], *push, "--repair")
            layer.unlink()
            self.succeed(*push, "--repair")
            self.assertEqual(image["layers"][-1]["size"], layer.stat().st_size)
            self.succeed("copy", "--plain-http", name, "oci:whole:v1")
            layer.unlink()
            self.succeed("copy", "--plain-http", "oci:whole:v1", name)
            self.assertFalse(layer.exists())
            copied = self.json("copy", "--plain-http", "--repair", "oci:whole:v1", name)["copied"][0]
            self.assertEqual(1, copied["blobsUploaded"])
            self.refuse(2, ["--add does not look into images"], *push, "--add", "--repair")

    def test_pull_of_several_is_one_run_and_failures_name_what_was_wanted(self):
        with self.registry() as address:
            for name in ("one", "two"):
                self.build("--push", "--plain-http", "-t", f"{address}/{name}:v1")
            shutil.rmtree(self.home / ".local")
            pulled = self.json("pull", "--plain-http", f"{address}/one:v1", f"{address}/two:v1")["pulled"]
            self.assertLess(0, pulled[0]["blobsDownloaded"])
            self.assertEqual(0, pulled[1]["blobsDownloaded"], "the two are the same image")
            self.assertEqual([f"{address}/one:v1", f"{address}/two:v1"], [one["reference"] for one in pulled])
            done = self.refuse(4, [f"pull {address}/one:absent"], "pull", "--plain-http", f"{address}/one:absent")
            self.assertNotIn("copy", done.stderr)
            self.refuse(4, ["registry/name:tag"], "copy", "absent", "oci:out")

    def test_rm_takes_one_tag_and_leaves_the_others(self):
        with self.registry() as address:
            name = f"{address}/probe"
            self.build("--push", "--plain-http", "-t", f"{name}:v1")
            whole = self.digest("--plain-http", f"{name}:v1")
            self.succeed("tag", "--plain-http", f"{name}:v1", "v2")
            self.succeed("rm", "--plain-http", f"{name}:v1")
            self.refuse(4, [], "digest", "--plain-http", f"{name}:v1")
            self.assertEqual(whole, self.digest("--plain-http", f"{name}:v2"))
            removed = self.json("rm", "--plain-http", f"{name}@{whole}")["removed"][0]
            self.assertEqual(["v2"], removed["tags"])
            self.refuse(4, [], "digest", "--plain-http", f"{name}:v2")

    def test_rm_changes_nothing_where_deletion_is_off(self):
        with self.registry(deletion=False) as address:
            name = f"{address}/probe"
            self.build("--push", "--plain-http", "-t", f"{name}:v1")
            whole = self.digest("--plain-http", f"{name}:v1")
            self.refuse(15, ["unchanged"], "rm", "--plain-http", f"{name}:v1")
            self.assertEqual(whole, self.digest("--plain-http", f"{name}:v1"))


if __name__ == "__main__":
    command.main()

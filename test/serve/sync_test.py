#!/usr/bin/env python3
"""`fnimage sync`: everything of a registry or directory at another place, with the same digests; again after it was
killed; and what is done about what fails, what moved, and what not everybody may see."""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import client  # noqa: E402
import command  # noqa: E402
import registry_process  # noqa: E402
import registry_resume_test  # noqa: E402
import samples  # noqa: E402
import stores_test  # noqa: E402
from stores_test import needs  # noqa: E402

BASE = samples.noise(300_000)  # a layer that several repositories share
SMALL = 100  # bytes of blobs that are sent rather than mounted
ACCEPT = ", ".join((samples.INDEX, samples.MANIFEST, samples.DOCKER_LIST, samples.DOCKER_MANIFEST))


def on_base(content, tag=None, size=20_000):
    """An image with the shared layer and one of its own."""
    layers = [content.blob(data, samples.LAYER_GZIP) for data in (BASE, samples.noise(size))]
    config = content.config([client.digest_of(samples.noise()) for _ in layers], samples.PLATFORMS[0])
    return content.manifest(config, layers, tag=tag)


def content_of_team():
    content = samples.Content()
    signed = content.image_list(tag="v1")
    content.tags["latest"] = signed["digest"]
    content.image_list(tag="v2")
    on_base(content, "on-base")
    sbom = content.artifact(samples.SBOM, subject=signed, annotations={"org.example.of": "the list"})
    content.artifact(samples.SIGNATURE, subject=sbom)
    child = next(iter(content.manifests))  # of the list's images the first
    content.artifact(samples.SIGNATURE, subject={"mediaType": samples.MANIFEST, "digest": child,
                                                 "size": len(content.manifests[child][1])})
    content.artifact(samples.SIGNATURE, tag=f"{signed['digest'].replace(':', '-')}.sig")
    return content


def contents():
    """Repository -> what it holds."""
    other, nested = samples.Content(), samples.Content()
    on_base(other, "v1")
    on_base(other, "v2")
    nested.index([nested.image_list(), nested.image_list()], tag="nested")
    return {"team/app": content_of_team(), "team/app/nested": nested, "other/tool": other}


class SyncTest(stores_test.StoresTest):
    def setUp(self):
        super().setUp()
        self.contents = contents()

    def serve(self, name, *options):
        server = registry_process.Server(self.scratch / name, *options, home=self.home)
        self.addCleanup(server.stop)
        server.address = server.url.partition("://")[2]
        return server

    def docker_registry(self):
        return self.enterContext(self.registry())

    def enterContext(self, context):  # unittest has it since Python 3.11 only
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def ask(self, address):
        asking = client.Client(f"http://{address}")
        self.addCleanup(asking.close)
        return asking

    def fill(self, address, names=None):
        for name in names or self.contents:
            self.contents[name].push_to(self.ask(address).repository(name))

    def found(self, address):
        """{"team/app:v1": digest} of all tags there, without lists of referrers, which each place has as it needs
        them."""
        asking = self.ask(address)
        tags = {}
        for name in asking.get("/v2/_catalog").expect(200).json()["repositories"]:
            repository = asking.repository(name)
            for tag in repository.tags().expect(200, 404).json().get("tags") or ():
                if tag.startswith("sha256-") and "." not in tag:
                    continue
                answer = repository.manifest(tag, accept=ACCEPT).expect(200)
                tags[f"{name}:{tag}"] = client.digest_of(answer.body)
        return tags

    def expected(self, prefix="", names=None):
        return {f"{prefix}{name}:{tag}": digest for name in names or self.contents
                for tag, digest in self.contents[name].tags.items()}

    def check_whole(self, address, prefix="", names=None, referrers=False):
        """All tags, manifests and blobs are there, byte for byte."""
        self.assertEqual(self.expected(prefix, names), self.found(address))
        for name in names or self.contents:
            content, repository = self.contents[name], self.ask(address).repository(prefix + name)
            for digest, (_, data) in content.manifests.items():
                self.assertEqual(data, repository.manifest(digest, accept=ACCEPT).expect(200).body)
            for digest, data in content.blobs.items():
                self.assertEqual(data, repository.blob(digest).expect(200).body)
            for subject, listed in content.referrers.items() if referrers else ():
                there = repository.referrers(subject).expect(200).json()["manifests"]
                self.assertEqual(sorted(listed, key=str), sorted(there, key=str))

    def sync(self, *arguments):
        return json.loads(self.succeed("sync", "--plain-http", "--json", *arguments).stdout)

    def check_nothing_left(self, *arguments):
        """A dry run says so, and so does a run."""
        self.assertIn("nothing is left to do", self.succeed("sync", "--plain-http", "--dry-run", *arguments).stdout)
        again = self.sync(*arguments)["totals"]
        self.assertEqual(0, sum(again[key] for key in ("new", "moved", "untagged", "referrers", "removed",
                                                       "blobsUploaded", "blobsMounted", "failures")), again)


class Everything(SyncTest):
    @needs("docker-registry")
    def test_registry_to_serve(self):
        source, target = self.docker_registry(), self.serve("target")
        self.fill(source)
        done = self.sync(source, target.address)["totals"]
        self.assertEqual((3, len(self.expected())), (done["repositories"], done["new"]))
        self.check_whole_tags(target.address)
        self.check_nothing_left(source, target.address)

    def check_whole_tags(self, address):
        """docker-registry names no manifest without a tag, so referrers that nobody listed stay there."""
        self.assertEqual(self.expected(), self.found(address))

    @needs("docker-registry")
    def test_serve_to_registry_and_back(self):
        source, between, back = self.serve("source"), self.docker_registry(), self.serve("back")
        self.fill(source.address)
        self.sync(source.address, between)
        self.check_whole(between)
        self.check_nothing_left(source.address, between)
        self.sync(between, back.address)
        self.check_whole(back.address, referrers=True)
        self.check_nothing_left(between, back.address)

    @needs("docker-registry")
    def test_directory_to_registry(self):
        source, target = self.serve("source"), self.docker_registry()
        self.fill(source.address)
        repository = self.ask(source.address).repository("team/app")
        _, lonely = samples.pushed_image(repository, tag="lonely")
        repository.put("lonely", self.contents["team/app"].manifests[self.contents["team/app"].tags["v2"]][1],
                       samples.INDEX).expect(201)  # the tag moves, the image stays
        repository.manifest("lonely", "DELETE").expect(202)
        self.assertEqual(0, source.stop())
        done = self.sync(f"oci:{source.directory}", target)["totals"]
        self.assertGreaterEqual(done["untagged"], 1)
        self.check_whole(target)
        there = self.ask(target).repository("team/app").manifest(client.digest_of(lonely), accept=ACCEPT).expect(200)
        self.assertEqual(lonely, there.body)
        self.check_nothing_left(source.directory, target)

    def test_by_way_of_a_directory(self):
        source, disk = self.serve("source"), self.scratch / "disk"
        self.fill(source.address)
        foreseen = json.loads(self.succeed("sync", "--plain-http", "--json", "--dry-run", source.address, disk).stdout)
        self.assertFalse(disk.exists(), "a dry run writes")
        done = self.sync(source.address, f"oci:{disk}")["totals"]
        for key in ("new", "referrers", "blobsMounted"):
            self.assertEqual(done[key], foreseen["totals"][key], key)
        self.assertAlmostEqual(done["bytesUploaded"], foreseen["totals"]["bytesUploaded"], delta=SMALL)
        base = f"blobs/{client.digest_of(BASE).replace(':', '/')}"
        self.assertEqual((disk / "team/app" / base).stat().st_ino, (disk / "other/tool" / base).stat().st_ino)
        self.check_nothing_left(source.address, f"oci:{disk}")
        served = self.serve("disk")
        self.check_whole(served.address, referrers=True)
        self.assertEqual(0, served.stop())
        back = self.serve("back")
        self.sync(disk, back.address)
        self.check_whole(back.address, referrers=True)
        self.check_nothing_left(disk, back.address)

    def test_into_a_directory_that_is_served(self):
        source, target = self.serve("source"), self.serve("target")
        self.fill(source.address)
        self.sync(source.address, f"oci:{target.directory}")
        self.check_whole(target.address, referrers=True)

    def test_a_shared_layer_goes_once(self):
        source, target = self.serve("source"), self.serve("target")
        self.fill(source.address)
        done = self.sync("--jobs", "3", source.address, target.address)["totals"]
        distinct = {digest: len(data) for content in self.contents.values() for digest, data in content.blobs.items()}
        self.assertGreaterEqual(done["blobsMounted"], 1)
        self.assertAlmostEqual(sum(distinct.values()), done["bytesUploaded"], delta=SMALL)

    @needs("skopeo")
    def test_skopeo_pulls(self):
        source, target = self.serve("source"), self.serve("target")
        self.fill(source.address)
        self.sync(source.address, f"{target.address}/mirror")
        for name in random.sample(sorted(self.expected(names=["team/app", "other/tool"])), 3):
            if name.endswith(".sig"):
                continue
            out = self.scratch / f"out-{name.replace('/', '-').replace(':', '-')}"
            self.other("skopeo", "--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false",
                       f"docker://{target.address}/mirror/{name}", f"dir:{out}")
            self.assertEqual(self.expected()[name], client.digest_of((out / "manifest.json").read_bytes()))


class Choices(SyncTest):
    def setUp(self):
        super().setUp()
        self.source, self.target = self.serve("source"), self.serve("target")
        self.fill(self.source.address)

    def tags(self):
        return set(self.found(self.target.address))

    def test_part_of_the_names_and_tags(self):
        self.sync(f"{self.source.address}/other/", self.target.address)
        self.assertEqual({"other/tool:v1", "other/tool:v2"}, self.tags())
        self.sync("--tag", "v*", "--exclude", "v2", "--strip", "team/", f"{self.source.address}/team/app",
                  f"{self.target.address}/mirror")
        signature = next(tag for tag in self.contents["team/app"].tags if tag.endswith(".sig"))
        self.assertEqual({"mirror/app:v1", f"mirror/app:{signature}"},
                         {tag for tag in self.tags() if tag.startswith("mirror/")})
        for subject, listed in self.contents["team/app"].referrers.items():
            there = self.ask(self.target.address).repository("mirror/app").referrers(subject).json()["manifests"]
            self.assertEqual({one["digest"] for one in listed}, {one["digest"] for one in there})

    def test_a_file_with_names(self):
        names = self.scratch / "names"
        names.write_text(f"# two tags and a repository\n{self.source.address}/team/app:v1\n"
                         f"{self.source.address}/team/app:v2\n\n{self.source.address}/other/tool\n")
        self.sync("--no-referrers", "--from-file", names, self.target.address)
        self.assertEqual({"team/app:v1", "team/app:v2", "other/tool:v1", "other/tool:v2"}, self.tags())
        names.write_text(f"{self.source.address}/team/app:absent\n{self.source.address}/other/tool:v1\n")
        self.refuse(4, ["team/app:absent"], "sync", "--plain-http", "--from-file", names, self.target.address)
        names.write_text("no registry here\n")
        self.refuse(3, ["line 1"], "sync", "--from-file", names, self.target.address)

    def test_moved_kept_and_removed_tags(self):
        self.sync(self.source.address, self.target.address)
        repository = self.ask(self.source.address).repository("team/app")
        content = samples.Content()
        new = content.image(tag="v1")["digest"]
        content.push_to(repository)
        repository.manifest("v2", "DELETE").expect(202)
        old = self.expected()
        kept = self.sync("--no-overwrite", self.source.address, self.target.address)["totals"]
        self.assertEqual((1, 0), (kept["kept"], kept["moved"]))
        self.assertEqual(old, self.found(self.target.address))
        moved = self.sync(self.source.address, self.target.address)["totals"]
        self.assertEqual((1, 0, 0), (moved["moved"], moved["new"], moved["removed"]))
        self.assertEqual(old | {"team/app:v1": new}, self.found(self.target.address))
        self.assertIn("removed ", self.succeed("sync", "--plain-http", "--delete", "--dry-run", self.source.address,
                                               self.target.address).stdout)
        self.assertIn("team/app:v2", self.found(self.target.address))
        removed = self.sync("--delete", self.source.address, self.target.address)
        self.assertEqual(["v2"], [one["tag"] for each in removed["repositories"] for one in each["removed"]])
        del old["team/app:v2"]
        self.assertEqual(old | {"team/app:v1": new}, self.found(self.target.address))
        self.check_nothing_left("--delete", self.source.address, self.target.address)

    def test_nothing_is_removed_for_an_empty_listing(self):
        self.sync(self.source.address, self.target.address)
        repository = self.ask(self.source.address).repository("other/tool")
        for tag in ("v1", "v2"):
            repository.manifest(tag, "DELETE").expect(202)
        self.refuse(2, ["no tag of", "other/tool"], "sync", "--plain-http", "--delete", self.source.address,
                    self.target.address)
        self.assertEqual(self.expected(), self.found(self.target.address))

    def test_a_signature_that_comes_later(self):
        self.sync(self.source.address, self.target.address)
        content = self.contents["team/app"]
        subject = {"mediaType": samples.INDEX, "digest": content.tags["v2"],
                   "size": len(content.manifests[content.tags["v2"]][1])}
        content.artifact(samples.SIGNATURE, subject=subject)
        content.push_to(self.ask(self.source.address).repository("team/app"))
        done = self.sync(self.source.address, self.target.address)["totals"]
        self.assertEqual((1, 0), (done["referrers"], done["new"] + done["moved"]))
        self.check_whole(self.target.address, referrers=True)

    def test_what_cannot_be(self):
        for code, words, arguments in (
                (2, ["names no registry"], ("name", self.target.address)),
                (2, ["source and destination"], (self.source.address, self.source.address)),
                (4, ["no repository is called"], (f"{self.source.address}/absent/", self.target.address)),
                (4, ["no directory"], (self.scratch / "absent", self.target.address)),
                (2, ["single tag"], ("--delete", f"{self.source.address}/team/app:v1", self.target.address)),
                (2, ["one layout"], (self.source.directory / "team/app", self.target.address)),
                (2, ["DST"], (self.source.address,)),
                (8, [], (self.source.address, f"127.0.0.1:{command.free_port()}"))):
            with self.subTest(arguments=arguments):
                self.refuse(code, words, "sync", "--plain-http", "--retries", "0", *arguments)

    def test_the_same_registry_under_a_prefix(self):
        for _ in range(2):
            self.sync(self.source.address, f"{self.source.address}/mirror")
            self.assertEqual(self.expected() | self.expected("mirror/"), self.found(self.source.address))


class Failures(SyncTest):
    def test_one_broken_repository(self):
        source, target = self.serve("source"), self.serve("target")
        self.fill(source.address)
        broken = json.loads(self.contents["other/tool"].manifests[self.contents["other/tool"].tags["v2"]][1])
        layer = broken["layers"][1]["digest"]
        (source.directory / "other/tool/blobs" / layer.replace(":", "/")).unlink()
        done = self.run_command("sync", "--plain-http", "--json", source.address, target.address)
        self.assertEqual(4, done.returncode, done.stdout + done.stderr)
        self.assertIn(layer[7:19], done.stderr)
        self.assertIn("1 of 3 repositories is not complete", done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(["other/tool:v2"], [one["what"] for each in result["repositories"] for one in each["failures"]])
        expected = self.expected()
        del expected["other/tool:v2"]
        self.assertEqual(expected, self.found(target.address))
        (source.directory / "team/app/index.json").write_text("{")
        done = self.run_command("sync", "--plain-http", source.directory, f"{target.address}/again")
        self.assertIn("2 of 3 repositories are not complete", done.stderr)
        self.assertEqual({"again/other/tool:v1", "again/team/app/nested:nested"},
                         {tag for tag in self.found(target.address) if tag.startswith("again/")})

    def large(self, count=4, size=4_000_000):
        self.contents = {f"big/number-{number}": samples.Content() for number in range(count)}
        for content in self.contents.values():
            on_base(content, "v1", size)
        return count * size

    def check_killed(self, source, target, how):
        """The run ends when a third is there. Whatever tag is there then is whole, and the next run sends the rest."""
        size = self.large()
        self.fill(source)
        relay = registry_resume_test.Relay(target, lambda relay, *_: relay.received > size // 3)
        self.addCleanup(relay.close)
        arguments = ("sync", "--plain-http", "--jobs", "2", source, relay.address)
        running = subprocess.Popen([command.FNIMAGE, *arguments], cwd=self.project, env=self.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertTrue(relay.reached.wait(60))
        running.send_signal(how)
        code = running.wait(60)
        relay.go_on.set()
        self.assertTrue(relay.ended.wait(60))
        there = self.found(target)
        self.assertLess(len(there), len(self.contents))
        for name in there:
            repository, _, tag = name.rpartition(":")
            content = self.contents[repository]
            self.assertEqual(content.tags[tag], there[name])
            for digest in content.blobs:
                self.ask(target).repository(repository).blob(digest, "HEAD").expect(200)
        before = relay.received
        self.succeed(*arguments)
        self.check_whole(target)
        self.check_nothing_left(source, target)
        return code, size, relay.received - before

    def test_killed_and_begun_again(self):
        source, target = self.serve("source"), self.serve("target")
        code, size, again = self.check_killed(source.address, target.address, signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, code)
        self.assertLess(again, size, "what was there was sent again")

    def test_interrupted_and_begun_again(self):
        source, target = self.serve("source"), self.serve("target")
        code, size, again = self.check_killed(source.address, target.address, signal.SIGINT)
        self.assertEqual(130, code)
        self.assertLess(again, size)

    @needs("docker-registry")
    def test_killed_towards_docker_registry(self):
        source, target = self.serve("source"), self.docker_registry()
        self.check_killed(source.address, target, signal.SIGKILL)

    def test_killed_while_a_directory_is_written(self):
        source, disk = self.serve("source"), self.scratch / "disk"
        self.large(count=6)
        self.fill(source.address)
        running = subprocess.Popen([command.FNIMAGE, "sync", "--plain-http", source.address, disk], cwd=self.project,
                                   env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        registry_process.wait_until(lambda: len(list(disk.glob("*/*/blobs/sha256/*"))) > 3, "blobs are written")
        running.kill()
        running.wait()
        self.sync(source.address, disk)
        self.assertEqual([], list(disk.rglob(".tmp-*")))
        served = self.serve("disk")
        self.check_whole(served.address)


@needs("htpasswd")
class Rights(SyncTest):
    def test_everybody_brings_what_they_may_see(self):
        users, rules = self.scratch / "users", self.scratch / "rules"
        users.touch()
        for user in ("ann", "bob", "root"):
            subprocess.run(["htpasswd", "-iB", "-C", "4", users, user], input=f"{user}-secret", text=True, check=True,
                           capture_output=True)
        rules.write_text("ann team/* pull\nbob other/* pull\nroot * pull,push,delete\n")
        source = self.serve("source", "--htpasswd", users, "--access", rules)
        open_source = self.serve("open")
        self.fill(open_source.address)
        self.sync("--dest-creds", "root:root-secret", open_source.address, source.address)
        target = self.serve("target")
        self.sync("--src-creds", "ann:ann-secret", source.address, f"{target.address}/ann")
        self.sync("--src-creds", "bob:bob-secret", source.address, f"{target.address}/bob")
        self.assertEqual(self.expected("ann/", ["team/app", "team/app/nested"]) | self.expected("bob/", ["other/tool"]),
                         self.found(target.address))
        self.sync("--src-creds", "root:root-secret", source.address, f"{target.address}/root")
        self.assertLessEqual(set(self.expected("root/")), set(self.found(target.address)))
        self.refuse(7, ["other/tool"], "sync", "--plain-http", "--src-creds", "ann:ann-secret",
                    f"{source.address}/other/tool", target.address)
        self.refuse(7, [], "sync", "--plain-http", source.address, target.address)
        self.refuse(7, ["3 of 3 repositories are not complete"], "sync", "--plain-http", "--dest-creds",
                    "ann:ann-secret", open_source.address, source.address + "/mirror")


if __name__ == "__main__":
    command.main()

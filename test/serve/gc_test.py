#!/usr/bin/env python3
"""Garbage of `fnimage serve`: what goes and what stays, and that nobody who pushes, pulls or deletes meanwhile notices,
whoever collects: the server, or `fnimage serve gc` beside it."""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import registry_process
import samples
from client import digest_of
from registry_process import FNIMAGE, Server, environment, tool, wait_until
from samples import DOCKER_MANIFEST, INDEX, MANIFEST

SECONDS = float(os.environ.get("FNIMAGE_SERVE_GC_SECONDS", "6"))  # that clients and collectors run at once
CLIENTS = 4
OLD = 3 * 3600  # seconds, more than any grace time here
SMALLEST_GRACE = "10m"


class GcTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fnimage-serve-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.store = self.scratch / "store"

    def start(self, *options):
        server = Server(self.store, *options, home=self.scratch)
        self.addCleanup(lambda: server.is_running() and server.kill())
        asking = server.client()
        self.addCleanup(asking.close)
        return server, asking

    def run_gc(self, *options):
        return subprocess.run([FNIMAGE, "serve", "gc", "--store", self.store, *options], env=environment(self.scratch),
                              capture_output=True, text=True, check=False)

    def collect(self, *options, code=0):
        done = self.run_gc("--json", *options)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def path_of(self, repository, digest):
        algorithm, _, value = digest.partition(":")
        return self.store / repository / "blobs" / algorithm / value

    def files(self, repository):
        return {path.name for path in (self.store / repository).glob("blobs/*/*")}

    def make_old(self):
        for path in self.store.glob("**/blobs/*/*"):
            make_old(path)

    def check_whole(self, repository, reference):
        """All that a tag reaches is there, with the right bytes."""
        answer = repository.manifest(reference).expect(200)
        document = json.loads(answer.body)
        self.assertEqual(answer.header("Docker-Content-Digest"), digest_of(answer.body))
        for child in document.get("manifests", []):
            self.check_whole(repository, child["digest"])
        for part in [document["config"], *document["layers"]] if "layers" in document else []:
            self.assertEqual(part["digest"], digest_of(repository.blob(part["digest"]).expect(200).body))


def make_old(path):
    then = time.time() - OLD
    os.utime(path, (then, then))


class Kept(GcTest):
    def test_all_that_is_pushed_stays_until_nothing_names_it(self):
        server, asking = self.start("--sparse")
        pushed = {}
        for number, (shape, make) in enumerate(samples.SHAPES.items()):
            pushed[f"shapes/{number}"] = make().push_to(asking.repository(f"shapes/{number}"))
        before = {name: self.files(name) for name in pushed}
        self.make_old()
        for options in ((), ("--dry-run",), ("--grace", SMALLEST_GRACE)):
            found = self.collect(*options)
            self.assertEqual((0, 0, 0), (found["manifests"], found["blobs"], found["bytes"]), found)
        for name, content in pushed.items():
            repository = asking.repository(name)
            self.assertEqual(before[name], self.files(name))
            for digest, data in content.blobs.items():
                self.assertEqual(data, repository.blob(digest).expect(200).body)
            for digest, (_, data) in content.manifests.items():
                self.assertEqual(data, repository.manifest(digest).expect(200).body)
            for tag in content.tags:
                repository.manifest(tag, "DELETE").expect(202)
        self.make_old()
        self.assertEqual(0, self.collect()["manifests"])  # all are entries still
        found = self.collect("--untagged")
        self.assertEqual(sum(len(content.manifests) for content in pushed.values()), found["manifests"])
        self.assertEqual(set(), set().union(*(self.files(name) for name in pushed)))
        for name, content in pushed.items():
            for digest in content.manifests:
                asking.repository(name).manifest(digest).expect(404)
            content.push_to(asking.repository(name))  # as if nothing had been
        self.assertEqual(0, server.stop())

    def test_untagged_keeps_what_a_tag_reaches(self):
        server, asking = self.start()
        repository = asking.repository("team/app")
        content = samples.Content()
        top = content.image_list(tag="v1")
        sbom = content.artifact(subject=top)
        content.artifact(samples.SIGNATURE, subject=sbom)
        content.push_to(repository)
        lost, _ = samples.pushed_image(repository)
        self.make_old()
        self.assertEqual(1, self.collect("--untagged")["manifests"])
        repository.manifest(lost["digest"]).expect(404)
        for digest in content.manifests:
            self.check_whole(repository, digest)
        self.assertEqual([sbom["digest"]], [entry["digest"] for entry in
                                            repository.referrers(top["digest"]).json()["manifests"]])
        self.assertEqual(0, server.stop())


class Told(GcTest):
    def test_dry_run_lists_what_would_go(self):
        _, asking = self.start()
        garbage = asking.repository("team/app").pushed(samples.noise())
        self.make_old()
        done = self.run_gc("--dry-run")
        self.assertEqual(f"would remove blob {garbage} of team/app (512 B)\nwould remove 1 blob: 512 B in 1 repository\n",
                         done.stdout)
        found = self.collect("--dry-run")
        self.assertEqual([{"kind": "blob", "name": garbage, "bytes": 512, "repository": "team/app"}], found["items"])
        asking.repository("team/app").blob(garbage).expect(200)  # from now on it is young
        self.assertEqual("removed nothing in 1 repository\n", self.run_gc().stdout)
        self.make_old()
        self.assertEqual("team/app: 1 blob: 512 B\nremoved 1 blob: 512 B in 1 repository\n", self.run_gc().stdout)
        asking.repository("team/app").blob(garbage).expect(404)

    def test_a_damaged_repository_is_left_alone_and_told_of(self):
        _, asking = self.start()
        for name in ("good", "bad"):
            asking.repository(name).pushed(b"garbage")
        image, _ = samples.pushed_image(asking.repository("bad"), tag="v1")
        self.path_of("bad", image["digest"]).write_bytes(b"{}")
        self.make_old()
        found = self.collect(code=12)
        self.assertEqual(1, found["blobs"])
        problems = {entry["name"]: entry.get("problem") for entry in found["repositories"]}
        self.assertIsNone(problems["good"])
        self.assertIn(image["digest"], problems["bad"])
        self.assertEqual(4, len(self.files("bad") - {image["digest"].partition(":")[2]}))
        done = self.run_gc()
        self.assertEqual(12, done.returncode)
        self.assertIn("bad is left alone", done.stderr)

    def test_wrong_options(self):
        for options in (("--grace", "9m"), ("--grace", "soon"), ("--grace", "-1h")):
            self.assertEqual(2, self.run_gc(*options).returncode, options)
        self.assertEqual(4, self.run_gc().returncode)
        for options in (("--gc", "1h", "--read-only"), ("--gc", "often"), ("--gc-untagged",),
                        ("--gc", "1h", "--gc-grace", "1m")):
            with self.assertRaises(AssertionError):
                Server(self.store, *options, home=self.scratch)

    def test_a_server_collects_by_itself(self):
        server, asking = self.start("--gc", "1s", "--gc-untagged")
        repository = asking.repository("team/app")
        kept, _ = samples.pushed_image(repository, tag="v1")
        garbage = repository.pushed(samples.noise())
        untagged, _ = samples.pushed_image(repository)
        self.make_old()
        wait_until(lambda: not self.path_of("team/app", garbage).exists(), "the garbage goes")
        wait_until(lambda: not self.path_of("team/app", untagged["digest"]).exists(), "the manifest goes")
        wait_until(lambda: "collected " in server.messages(), "it is told")
        self.check_whole(repository, kept["digest"])
        repository.manifest(untagged["digest"]).expect(404)
        self.assertEqual(0, server.stop())


class Collecting:
    """Processes that collect, one after the other, as long as the block lasts."""

    def __init__(self, test, *options):
        self.test, self.options = test, options
        self.stop, self.outcomes = threading.Event(), []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            self.outcomes.append(self.test.run_gc("--grace", SMALLEST_GRACE, *self.options))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.test.assertEqual([], [done.stderr for done in self.outcomes if done.returncode])


class Worker:
    """A client that pushes what is there in part, pulls it again, and deletes it in the end."""

    def __init__(self, test, server, number):
        self.test, self.number = test, number
        self.asking = server.client()
        self.repository = self.asking.repository(f"team/app{number % 2}")
        self.other = self.asking.repository("team/base")
        self.chance = random.Random(number)
        self.tags, self.relied, self.pushed, self.retried, self.step = [], 0, 0, 0, 0
        self.failure = None

    def run(self, until):
        try:
            while time.monotonic() < until:
                self.step += 1
                self.chance.choice((self.push_image, self.push_list, self.push_mounted, self.pull, self.delete))()
        except Exception as failure:
            self.failure = failure
        finally:
            self.asking.close()

    def plant(self, data, repository):
        """A blob that was here for long, and that nothing names; others may just have found it."""
        path = self.test.path_of(repository.name, digest_of(data))
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f"planted-{self.number}-{self.step}")
        mine.write_bytes(data)
        make_old(mine)
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()

    def shared(self):
        """Bytes that other clients of this moment have, too."""
        return f"layer {self.step // 3} of all".encode()

    def provide(self, data):
        """As clients push: only what is not there. Whoever is told that it is there may rely on it."""
        if self.repository.blob(digest_of(data), "HEAD").status == 200:
            self.relied += 1
        else:
            self.repository.pushed(data)
            self.pushed += 1

    def image(self, layer):
        content = samples.Content()
        config = content.blob(samples.noise(64), samples.CONFIG)
        descriptor = content.manifest(config, [content.described(layer, samples.LAYER)])
        self.provide(content.blobs[config["digest"]])
        return descriptor, content.manifests[descriptor["digest"]][1]

    def tag(self, data):
        name = f"of-{self.number}-{self.step}"
        self.repository.put(name, data, MANIFEST).expect(201)
        self.tags.append((name, digest_of(data)))

    def push_image(self):
        layer = self.shared()
        self.plant(layer, self.repository)
        self.provide(layer)
        self.tag(self.image(layer)[1])

    def push_mounted(self):
        layer = self.shared() + b" to mount"
        self.plant(layer, self.other)
        answer = self.repository.begin(mount=digest_of(layer), **{"from": self.other.name}).expect(201, 202)
        if answer.status == 202:
            self.repository.finish(answer.location(), digest_of(layer), layer).expect(201)
        self.tag(self.image(layer)[1])

    def push_list(self):
        """Its image is old and has no tag: it may go until the list comes, and is pushed again then."""
        layer, is_first = samples.noise(64), True
        while True:
            self.provide(layer)
            child, data = self.image(layer)
            self.repository.put(child["digest"], data, MANIFEST).expect(201)
            for digest in (child["digest"], digest_of(layer)) if is_first else ():
                make_old(self.test.path_of(self.repository.name, digest))
            listed = samples.Content()
            listed.index([child])
            name, listed = f"list-{self.number}-{self.step}", next(iter(listed.manifests.values()))[1]
            answer = self.repository.put(name, listed, INDEX).expect(*((201, 400) if is_first else (201,)))
            if answer.status == 201:
                self.tags.append((name, digest_of(listed)))
                return
            is_first, self.retried = False, self.retried + 1

    def pull(self):
        if self.tags:
            self.test.check_whole(self.repository, self.chance.choice(self.tags)[0])

    def delete(self):
        if len(self.tags) > 5:
            tag, digest = self.tags.pop(self.chance.randrange(len(self.tags)))
            self.repository.manifest(self.chance.choice((tag, digest)), "DELETE").expect(202)


class AtOnce(GcTest):
    def test_clients_do_not_notice(self):
        server, asking = self.start("--gc", "1s", "--gc-grace", SMALLEST_GRACE, "--gc-untagged")
        workers = [Worker(self, server, number) for number in range(CLIENTS)]
        with Collecting(self) as all_tags, Collecting(self, "--untagged") as untagged:
            until = time.monotonic() + SECONDS
            threads = [threading.Thread(target=worker.run, args=(until,)) for worker in workers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual([], [worker.failure for worker in workers if worker.failure])
        for worker in workers:
            for tag, digest in worker.tags:
                repository = asking.repository(worker.repository.name)
                self.assertEqual(digest, repository.manifest(tag, "HEAD").expect(200).header("Docker-Content-Digest"))
                self.check_whole(repository, tag)
        print(f"{sum(len(worker.tags) for worker in workers)} tags, {sum(worker.relied for worker in workers)} blobs "
              f"that were there, {sum(worker.pushed for worker in workers)} that were not, "
              f"{sum(worker.retried for worker in workers)} lists put twice, "
              f"{len(all_tags.outcomes) + len(untagged.outcomes)} collections", flush=True)
        self.assertGreater(sum(worker.relied for worker in workers), 0)
        self.assertEqual(0, server.stop())

    def test_layouts_that_are_pushed_into(self):
        """fnimage writes into the directory itself, without the server: parts that were there for long count."""
        _, asking = self.start()
        source, target = asking.repository("source"), asking.repository("target")
        tags = [f"v{number}" for number in range(8)]
        contents = {tag: samples.Content() for tag in tags}
        for tag, content in contents.items():
            content.image_list(tag=tag)
            content.push_to(source)
        self.path_of("target", digest_of(b"")).parent.mkdir(parents=True)
        with Collecting(self) as collections:
            for tag, content in contents.items():
                for data in content.blobs.values():
                    path = self.path_of("target", digest_of(data))
                    path.with_suffix(".new").write_bytes(data)
                    make_old(path.with_suffix(".new"))
                    path.with_suffix(".new").rename(path)
                done = subprocess.run([FNIMAGE, "copy", "--plain-http", f"{asking.address}/source:{tag}",
                                       f"oci:{self.store}/target:{tag}"], env=environment(self.scratch),
                                      capture_output=True, text=True, check=False)
                self.assertEqual(0, done.returncode, done.stderr)
        self.assertGreater(len(collections.outcomes), 0)
        for tag in tags:
            self.check_whole(target, tag)

    def test_killed_collectors_leave_nothing(self):
        server, asking = self.start()
        repository = asking.repository("team/app")
        samples.pushed_image(repository, tag="v1")
        before = self.files("team/app")
        chance = random.Random(1)
        for turn in range(15):
            for number in range(40):
                data = f"garbage {turn} {number}".encode()
                self.path_of("team/app", digest_of(data)).write_bytes(data)
            self.make_old()
            running = subprocess.Popen([FNIMAGE, "serve", "gc", "--store", self.store, "--untagged"],
                                       env=environment(self.scratch), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.03))
            running.send_signal(chance.choice((signal.SIGKILL, signal.SIGTERM)))
            running.wait()
            self.check_whole(repository, "v1")
        self.make_old()
        self.collect()
        self.assertEqual(before, self.files("team/app"))
        self.assertEqual(0, server.stop())


@unittest.skipUnless(tool("skopeo"), "skopeo is not installed")
class Skopeo(GcTest):
    def skopeo(self, command, *arguments):
        subprocess.run(["skopeo", "--insecure-policy", command, *arguments], env=environment(self.scratch), check=True,
                       capture_output=True)

    def test_push_delete_collect_push(self):
        server, asking = self.start("--gc", "1s", "--gc-grace", SMALLEST_GRACE, "--gc-untagged")
        content = samples.Content()
        content.image_list(tag="v1")
        content.push_to(asking.repository("source"))
        name, plain = f"docker://{asking.address}/pushed:v1", "--dest-tls-verify=false"
        layout = f"oci:{self.scratch}/layout:v1"
        self.skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{asking.address}/source:v1", layout)
        for _ in range(3):
            with Collecting(self, "--untagged"):
                self.skopeo("copy", "--all", plain, layout, name)
                self.check_whole(asking.repository("pushed"), "v1")
                self.skopeo("copy", "--all", "--src-tls-verify=false", name, f"dir:{self.scratch}/pulled")
                self.skopeo("delete", "--tls-verify=false", name)
                self.make_old()
                wait_until(lambda: not self.files("pushed"), "it is collected")
        self.skopeo("copy", "--all", plain, "--format", "v2s2", layout, name)
        self.make_old()
        self.assertEqual(0, self.collect("--untagged")["manifests"])
        listed = asking.repository("pushed").manifest("v1").expect(200).json()["manifests"]
        self.assertEqual({DOCKER_MANIFEST}, {entry["mediaType"] for entry in listed})
        self.check_whole(asking.repository("pushed"), "v1")
        self.assertEqual(0, server.stop())


if __name__ == "__main__":
    registry_process.main()

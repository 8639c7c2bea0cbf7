#!/usr/bin/env python3
"""`fnimage serve --upstream`: a cache of other registries, which are docker-registry and another `fnimage serve` here,
with a relay before them that counts what is asked and can misbehave."""
import base64
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import client
import registry_process
import samples
from client import digest_of
from registry_process import Server, environment, tool, wait_until
from upstream_relay import Relay

MIB = 1 << 20
USER, PASSWORD = "cache", "cache-secret"
STALE = '110 - "response is stale"'


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def make_users(path):
    subprocess.run(["htpasswd", "-iBc", "-C", "5", path, USER], input=PASSWORD, text=True, check=True,
                   capture_output=True)
    return path


@contextlib.contextmanager
def docker_registry(directory, users=None):
    """Its address."""
    address = f"127.0.0.1:{free_port()}"
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
              "http": {"addr": address}}
    if users:
        config["auth"] = {"htpasswd": {"realm": "upstream", "path": str(users)}}
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen([tool("docker-registry"), "serve", directory / "config.json"], stdout=log,
                                   stderr=log, preexec_fn=registry_process.end_with_parent)

    def answers():
        if process.poll() is not None:
            raise AssertionError((directory / "log").read_text())
        try:
            urllib.request.urlopen(f"http://{address}/v2/").close()
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return True

    try:
        wait_until(answers, "docker-registry answers")
        yield address
    finally:
        process.kill()
        process.wait()


class UpstreamTest(unittest.TestCase):
    """The upstream is a `fnimage serve`, with a relay before it."""
    FRESH = "0"

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.scratch = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="fnimage-upstream-")))
        self.origin_address = self.start_origin()
        self.relay = Relay(self.origin_address)
        self.stack.callback(self.relay.stop)
        self.cache = self.start_cache()
        self.client = self.connect()
        self.here = self.client.repository("hub/team/app")
        self.there = client.Client(f"http://{self.origin_address}").repository("team/app")
        self.addCleanup(self.there.client.close)

    def start_origin(self):
        self.origin = Server(self.scratch / "origin", home=self.scratch)
        self.stack.callback(self.origin.stop)
        return self.origin.url.partition("://")[2]

    def cache_options(self):
        return ("--upstream", f"hub={self.relay.address}", "--upstream-insecure", self.relay.address,
                "--upstream-fresh", self.FRESH)

    def start_cache(self, *options):
        cache = Server(self.scratch / "cache", *self.cache_options(), *options, home=self.scratch)
        self.stack.callback(cache.stop)
        return cache

    def connect(self, cache=None):
        connection = (cache or self.cache).client()
        self.addCleanup(connection.close)
        return connection

    def push(self, make=lambda content: content.image_list(tag="v1")):
        content = samples.Content()
        make(content)
        return content.push_to(self.there)

    def push_blob(self, size):
        data = samples.noise(size)
        return data, self.there.pushed(data)

    def pull(self, content, repository=None):
        """Gets all of it, and compares it with what was pushed."""
        repository = repository or self.here
        for tag, digest in content.tags.items():
            answer = repository.manifest(tag).expect(200)
            self.assertEqual(digest, answer.header("Docker-Content-Digest"))
            self.assertEqual(content.manifests[digest], (answer.header("Content-Type"), answer.body))
        for digest, (media_type, data) in content.manifests.items():
            answer = repository.manifest(digest).expect(200)
            self.assertEqual((media_type, data), (answer.header("Content-Type"), answer.body))
        for digest, data in content.blobs.items():
            self.assertEqual(data, repository.blob(digest).expect(200).body)

    def stop_upstream(self):
        self.relay.target = None

    def raw_get(self, digest, **headers):
        """A GET whose answer is read by the test."""
        connection = http.client.HTTPConnection(self.client.host, self.client.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", self.here.path(f"blobs/{digest}"), headers=client.fields(headers))
        return connection.getresponse()

    def leftovers(self):
        return list((self.cache.directory / ".fnimage.uploads").iterdir())


class Pull(UpstreamTest):
    FRESH = "1h"

    def test_all_shapes_then_without_the_upstream(self):
        contents = []
        for shape in samples.SHAPES.values():
            content = shape()
            content.tags = {f"{tag}-{len(contents)}": digest for tag, digest in content.tags.items()}
            contents.append(content.push_to(self.there))
        for content in contents:
            self.pull(content)
        asked = self.relay.total()
        for content in contents:
            self.pull(content)
        self.assertEqual(asked, self.relay.total(), "what is here is not asked for again")
        self.stop_upstream()
        for content in contents:
            self.pull(content)
        self.assertEqual(asked, self.relay.total())

    def test_what_is_here_is_a_layout(self):
        content = self.push()
        self.pull(content)
        index = json.loads((self.cache.directory / "hub/team/app/index.json").read_text())
        entry = next(entry for entry in index["manifests"] if entry.get("annotations"))
        self.assertEqual(content.tags["v1"], entry["digest"])
        for digest, data in content.blobs.items():
            self.assertEqual(data, (self.cache.directory / "hub/team/app/blobs" / digest.replace(":", "/")).read_bytes())
        self.assertEqual(["hub/team/app"], self.client.get("/v2/_catalog").json()["repositories"])
        self.assertEqual([], self.leftovers())

    def test_each_thing_is_asked_once(self):
        content = self.push()
        top = content.tags["v1"]
        self.here.manifest("v1", "HEAD").expect(200)
        self.pull(content)
        self.assertEqual(1, self.relay.count("GET", "/manifests/v1"))
        self.assertEqual(0, self.relay.count("GET", f"/manifests/{top}"))
        for digest in content.blobs:
            self.assertEqual(1, self.relay.count("GET", f"/blobs/{digest}"))
            self.assertEqual(0, self.relay.count("HEAD", f"/blobs/{digest}"))

    def test_conditions_and_ranges(self):
        data, digest = self.push_blob(MIB)
        head = self.here.blob(digest, "HEAD").expect(200)
        self.assertEqual(str(MIB), head.header("Content-Length"))
        self.assertEqual(0, self.relay.count("GET", "/blobs/"))
        part = self.here.blob(digest, range="bytes=1000-1999").expect(206)
        self.assertEqual(data[1000:2000], part.body)
        self.assertEqual(f"bytes 1000-1999/{MIB}", part.header("Content-Range"))
        self.assertEqual(data[-5:], self.here.blob(digest, range="bytes=-5").expect(206).body)
        self.assertEqual(1, self.relay.count("GET", "/blobs/"))
        self.here.blob(digest, range=f"bytes={MIB}-").expect(416)
        content = self.push()
        tag = self.here.manifest("v1").expect(200).header("ETag")
        self.here.manifest("v1", if_none_match=tag).expect(304)
        self.here.manifest(content.tags["v1"], if_none_match=tag).expect(304)

    def test_what_is_not_there(self):
        for answer in (self.here.manifest("none"), self.here.manifest(digest_of(b"none")),
                       self.here.blob(digest_of(b"none")), self.here.blob(digest_of(b"none"), "HEAD"),
                       self.here.tags()):
            answer.expect(404)
        self.assertEqual(["MANIFEST_UNKNOWN"], self.here.manifest("none").codes())
        self.assertEqual(["BLOB_UNKNOWN"], self.here.blob(digest_of(b"none")).codes())
        self.assertEqual([], self.here.referrers(digest_of(b"none")).expect(200).json()["manifests"])
        self.here.manifest("-bad").expect(404)
        self.here.blob("sha256:bad").expect(400)
        self.client.get("/v2/hub/UPPER/manifests/v1").expect(400)
        self.assertFalse((self.cache.directory / "hub").exists(), "nothing is made for what does not exist")

    def test_nothing_is_pushed(self):
        content = self.push()
        self.pull(content)
        for answer in (self.here.begin(), self.here.put("v2", b"{}", samples.MANIFEST),
                       self.client.request("PUT", self.here.path("blobs/uploads/x"), b"")):
            answer.expect(405)
            self.assertIn("push there", answer.body.decode())
            self.assertIsNotNone(answer.header("Allow"))
        own = self.client.repository("own/app")
        samples.pushed_image(own, tag="v1")
        own.manifest("v1").expect(200)

    def test_what_is_here_can_be_dropped(self):
        data, digest = self.push_blob(1000)
        content = self.push()
        self.pull(content)
        self.here.blob(digest).expect(200)
        self.here.blob(digest, "DELETE").expect(202)
        self.here.manifest("v1", "DELETE").expect(202)
        self.assertEqual(data, self.here.blob(digest).expect(200).body)
        self.assertEqual(2, self.relay.count("GET", f"/blobs/{digest}"))
        self.here.manifest("v1").expect(200)
        self.assertEqual(2, self.relay.count("GET", "/manifests/v1"))

    def test_a_restart_knows_what_is_here(self):
        content = self.push()
        self.pull(content)
        self.cache.stop()
        self.stop_upstream()
        self.cache = self.start_cache()
        self.pull(content, self.connect().repository("hub/team/app"))


class Tags(UpstreamTest):
    def test_a_tag_that_moves(self):
        first = self.push()
        self.pull(first)
        asked = self.relay.total()
        self.here.manifest("v1").expect(200)
        self.assertEqual(asked + 1, self.relay.total(), "one HEAD")
        second = self.push()
        self.assertEqual(second.tags["v1"], self.here.manifest("v1").expect(200).header("Docker-Content-Digest"))
        self.pull(second)
        gets = self.relay.count("GET", "/manifests/")
        media_type, data = first.manifests[first.tags["v1"]]
        self.there.put("v1", data, media_type).expect(201)
        self.assertEqual(data, self.here.manifest("v1").expect(200).body)
        self.assertEqual(gets, self.relay.count("GET", "/manifests/"), "moved back: its bytes are here")

    def test_an_outage(self):
        content = self.push()
        self.pull(content)
        for outage in (503, 429, 500, None):
            with self.subTest(outage=outage):
                self.relay.status = outage
                self.relay.target = outage and self.origin_address
                answer = self.here.manifest("v1").expect(200)
                self.assertEqual(STALE, answer.header("Warning"))
                self.assertEqual(content.tags["v1"], answer.header("Docker-Content-Digest"))
                self.assertIsNone(self.here.manifest(content.tags["v1"]).expect(200).header("Warning"))
                asked = self.relay.total()
                self.here.manifest("v1").expect(200)
                self.assertEqual(asked, self.relay.total(), "the failure is remembered")
                self.here.manifest("other").expect(503)
                self.assertEqual(STALE, self.here.tags().expect(200).header("Warning"))
                self.assertEqual(["v1"], self.here.tags().json()["tags"])
                self.relay.status, self.relay.target = None, self.origin_address
                self.cache.stop()
                self.cache = self.start_cache()
                self.client = self.connect()
                self.here = self.client.repository("hub/team/app")
                self.assertIsNone(self.here.manifest("v1").expect(200).header("Warning"))

    def test_a_tag_that_goes(self):
        content = self.push()
        self.pull(content)
        self.there.manifest("v1", "DELETE").expect(202)
        self.here.manifest("v1").expect(404)
        self.pull_by_digest(content)
        self.stop_upstream()
        self.assertIn(self.here.manifest("v1").status, (404, 503))
        self.pull_by_digest(content)

    def pull_by_digest(self, content):
        content.tags = {}
        self.pull(content)

    def test_a_refusal(self):
        content = self.push()
        self.pull(content)
        for refusal in (401, 403):
            self.relay.status = refusal
            answer = self.here.manifest("v1").expect(404)
            self.assertEqual(["DENIED"], answer.codes())
            self.here.blob(digest_of(b"x")).expect(404)

    def test_lists(self):
        content = self.push(lambda content: content.tags.update(
            {f"t{number:03}": content.image()["digest"] for number in range(30)}))
        self.assertEqual(sorted(content.tags), self.here.tags().expect(200).json()["tags"])
        seen, path = [], client.with_query(self.here.path("tags/list"), n=7)
        while path:
            answer = self.client.get(path).expect(200)
            seen += answer.json()["tags"]
            path = client.next_page(answer)
        self.assertEqual(sorted(content.tags), seen)

    def test_referrers(self):
        content = samples.artifacts_with_subject().push_to(self.there)
        (subject, expected), = content.referrers.items()
        listed = lambda **words: {entry["digest"] for entry in
                                  self.here.referrers(subject, **words).expect(200).json()["manifests"]}
        self.assertEqual({entry["digest"] for entry in expected}, listed())
        some = {entry["digest"] for entry in expected if entry["artifactType"] == samples.SBOM}
        self.assertEqual(some, listed(artifactType=samples.SBOM))
        self.pull(content)
        self.stop_upstream()
        self.assertEqual({entry["digest"] for entry in expected}, listed())
        self.assertEqual(STALE, self.here.referrers(subject).header("Warning"))


class Blobs(UpstreamTest):
    def hold(self, after):
        self.relay.gate, self.relay.gate_after = threading.Event(), after

    def test_is_sent_while_it_comes(self):
        data, digest = self.push_blob(3 * MIB)
        self.hold(MIB)
        answer = self.raw_get(digest)
        self.assertEqual(str(len(data)), answer.getheader("Content-Length"))
        self.assertEqual(data[:MIB], answer.read(MIB))
        part = self.raw_get(digest, range=f"bytes={MIB // 2}-")
        self.assertEqual(206, part.status)
        self.assertEqual(data[MIB // 2:MIB], part.read(MIB // 2))
        self.relay.gate.set()
        self.assertEqual(data[MIB:], answer.read())
        self.assertEqual(data[MIB:], part.read())
        self.assertEqual(1, self.relay.count("GET", "/blobs/"))

    def test_fifty_clients(self):
        data, digest = self.push_blob(4 * MIB)
        self.hold(MIB)

        def get(_):
            with contextlib.closing(self.cache.client()) as asking:
                return asking.repository("hub/team/app").blob(digest).expect(200).body == data

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = [pool.submit(get, number) for number in range(50)]
            self.assertTrue(self.relay.reached_gate.acquire(timeout=60))
            self.client.get("/v2/").expect(200)  # nobody else waits
            self.relay.gate.set()
            self.assertEqual([True] * 50, [answer.result() for answer in answers])
        self.assertEqual(1, self.relay.count("GET", "/blobs/"))
        self.assertEqual(0, self.relay.count("HEAD", "/blobs/"))

    def test_fifty_clients_of_a_tag(self):
        content = self.push()
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            def get(_):
                with contextlib.closing(self.cache.client()) as asking:
                    return asking.repository("hub/team/app").manifest("v1").expect(200).header("Docker-Content-Digest")
            self.assertEqual({content.tags["v1"]}, set(pool.map(get, range(50))))
        self.assertEqual(1, self.relay.count("GET", "/manifests/"))

    def test_many_stalled_fetches_are_nobodys_loss(self):
        """More than there are threads for anything."""
        self.hold(10_000)
        waiting = [self.raw_get_later(self.push_blob(MIB)[1]) for _ in range(20)]
        own = self.client.repository("own/app")
        for _ in range(20):
            own.pushed(samples.noise(1000))
        content = self.push()
        self.here.manifest(content.tags["v1"]).expect(200)
        self.relay.gate.set()
        for connection in waiting:
            answer = connection.getresponse()
            self.assertEqual(MIB, len(answer.read()))
            connection.close()

    def raw_get_later(self, digest):
        connection = http.client.HTTPConnection(self.client.host, self.client.port, timeout=60)
        connection.request("GET", self.here.path(f"blobs/{digest}"))
        return connection

    def test_clients_that_go_away(self):
        data, digest = self.push_blob(3 * MIB)
        self.hold(MIB)
        leaving, staying = self.raw_get(digest), self.raw_get(digest)
        self.assertEqual(data[:MIB], staying.read(MIB))
        leaving.close()
        self.relay.gate.set()
        self.assertEqual(data[MIB:], staying.read())
        self.assertEqual(1, self.relay.count("GET", "/blobs/"))

    def check_never_complete(self, digest, size):
        """What a client gets is an error, or cut, but never all bytes."""
        try:
            answer = self.raw_get(digest)
            if answer.status == 200:
                received = answer.read()
                self.fail(f"{len(received)} bytes are a complete answer")
            self.assertIn(answer.status, (502, 503))
            answer.read()
        except (http.client.IncompleteRead, ConnectionResetError) as error:
            self.assertLess(len(getattr(error, "partial", b"")), size)

    def test_a_lie_about_bytes(self):
        for size in (1000, 2 * MIB):
            data, digest = self.push_blob(size)
            self.relay.change = lambda path, body: body[:-1] + bytes([body[-1] ^ 1]) if "/blobs/" in path else body
            self.check_never_complete(digest, size)
            wait_until(lambda: not self.leftovers(), "the bytes are gone")
            self.assertEqual([], list(self.cache.directory.glob(f"**/{digest.partition(':')[2]}")))
            self.relay.change = None
            self.assertEqual(data, self.here.blob(digest).expect(200).body)

    def test_a_lie_about_manifests(self):
        content = self.push()
        self.relay.change = lambda path, body: body.replace(b"{", b"{ ", 1) if "/manifests/" in path else body
        self.here.manifest("v1").expect(502)
        self.here.manifest(content.tags["v1"]).expect(502)
        self.relay.change = None
        self.pull(content)

    def test_a_cut(self):
        self.relay.drops_ranges = True  # there is nothing to go on with
        for size, after in ((1000, 100), (2 * MIB, MIB)):
            data, digest = self.push_blob(size)
            self.relay.cut_after = after
            self.check_never_complete(digest, size)
            self.relay.cut_after = None
            wait_until(lambda: not self.leftovers(), "the bytes are gone")
            self.assertEqual(data, self.here.blob(digest).expect(200).body)

    def test_bytes_that_are_missing(self):
        """As if they were all."""
        data, digest = self.push_blob(2 * MIB)
        self.relay.change = lambda path, body: body[:MIB] if "/blobs/" in path else body
        self.check_never_complete(digest, len(data))
        self.relay.change = None
        self.assertEqual(data, self.here.blob(digest).expect(200).body)

    def test_a_cut_that_heals(self):
        data, digest = self.push_blob(2 * MIB)
        self.relay.cut_after = MIB + MIB // 2  # of each answer; the rest is asked for by range
        self.assertEqual(data, self.here.blob(digest).expect(200).body)
        self.assertEqual(2, self.relay.count("GET", "/blobs/"))

    def test_sigkill_midway(self):
        data, digest = self.push_blob(3 * MIB)
        content = self.push()
        self.pull(content)
        self.hold(MIB)
        answer = self.raw_get(digest)
        self.assertEqual(data[:MIB], answer.read(MIB))
        self.cache.kill()
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
        self.relay.gate.set()
        self.relay.gate = None
        self.cache = self.start_cache()
        self.client = self.connect()
        self.here = self.client.repository("hub/team/app")
        self.assertEqual([], self.leftovers())
        self.pull(content)
        self.assertEqual(data, self.here.blob(digest).expect(200).body)

    def test_a_stop_midway(self):
        data, digest = self.push_blob(3 * MIB)
        self.hold(MIB)
        answer = self.raw_get(digest)
        self.assertEqual(data[:MIB], answer.read(MIB))
        self.cache.ask_to_end()
        self.relay.gate.set()
        self.assertEqual(data[MIB:], answer.read())
        self.assertEqual(0, self.cache.stop())

    def test_memory_is_bounded(self):
        data, digest = self.push_blob(100 * MIB)
        readers = [self.raw_get(digest) for _ in range(8)]
        for reader in readers:
            self.assertEqual(len(data), sum(len(piece) for piece in iter(lambda: reader.read(MIB), b"")))
        self.assertLess(self.cache.memory("VmHWM"), 80 * MIB)


class Mirror(UpstreamTest):
    """containerd's protocol: the query names the registry, and the path has no prefix."""
    FRESH = "1h"

    def cache_options(self):
        return (*super().cache_options(), "--upstream", "part=registry.example/deep/down")

    def test_names_of_the_origin(self):
        content = self.push()
        ask = lambda below, registry, method="GET": self.client.request(
            method, client.with_query(f"/v2/team/app/{below}", ns=registry))
        answer = ask("manifests/v1", self.relay.address).expect(200)
        self.assertEqual(content.tags["v1"], answer.header("Docker-Content-Digest"))
        for digest, data in content.blobs.items():
            self.assertEqual(data, ask(f"blobs/{digest}", self.relay.address).expect(200).body)
        self.assertEqual(["v1"], ask("tags/list", self.relay.address).expect(200).json()["tags"])
        asked = self.relay.total()
        self.pull(content)  # with the prefix: the same repository here
        self.assertEqual(asked + sum(digest not in content.tags.values() for digest in content.manifests),
                         self.relay.total())
        ask("manifests/v1", "other.example").expect(404)
        ask("manifests/v1", "other.example", "HEAD").expect(404)
        ask("manifests/v1", "registry.example").expect(404)  # not below its path
        ask("blobs/uploads/", self.relay.address, "POST").expect(405)

    @unittest.skipUnless(tool("ctr") and tool("containerd"), "containerd is not installed")
    def test_containerd(self):
        content = self.push(lambda content: content.image(tag="v1"))
        hosts = self.scratch / "hosts" / self.relay.address
        hosts.mkdir(parents=True)
        # The origin of the mirror is out of reach: only the mirror can have answered.
        (hosts / "hosts.toml").write_text(
            f'server = "http://127.0.0.1:9"\n[host."{self.cache.url}"]\n  capabilities = ["pull", "resolve"]\n')
        root = self.scratch / "containerd"
        config = self.scratch / "containerd.toml"
        config.write_text(f'version = 2\nroot = "{root}"\nstate = "{root}-state"\n'
                          'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
                          f'[grpc]\n  address = "{root}.sock"\n[ttrpc]\n  address = "{root}.ttrpc"\n')
        with open(self.scratch / "containerd.log", "wb") as log:
            process = subprocess.Popen([tool("containerd"), "-c", config], stdout=log, stderr=log,
                                       preexec_fn=registry_process.end_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        ctr = lambda *words: subprocess.run([tool("ctr"), "-a", f"{root}.sock", *words], text=True, check=False,
                                            capture_output=True, timeout=registry_process.PATIENCE)
        wait_until(lambda: process.poll() is not None or ctr("version").returncode == 0, "containerd answers")
        if process.poll() is not None:
            self.skipTest("containerd does not run here")
        done = ctr("content", "fetch", "--hosts-dir", self.scratch / "hosts", "--platform", "linux/amd64",
                   f"{self.relay.address}/team/app:v1")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr + (self.scratch / "containerd.log").read_text())
        here = self.client.repository("hub/team/app")
        self.stop_upstream()
        self.pull(content, here)


class Access(UpstreamTest):
    """Clients of the cache need rights on the names here; the upstream is another thing."""

    def cache_options(self):
        users = make_users(self.scratch / "users")
        rules = self.scratch / "rules"
        rules.write_text(f"{USER} hub/team/* pull\nanonymous hub/public/* pull\n")
        return (*super().cache_options(), "--htpasswd", users, "--access", rules)

    def test_rights_are_of_the_names_here(self):
        login = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
        content = self.push()
        public = client.Client(f"http://{self.origin_address}").repository("public/app")
        samples.pushed_image(public, tag="v1")
        public.client.close()
        for query in ("", f"?ns={self.relay.address}"):
            prefix = "" if query else "hub/"
            get = lambda name, headers=(): self.client.request("GET", f"/v2/{prefix}{name}/manifests/v1{query}",
                                                               headers=headers)
            get("team/app").expect(401)
            self.assertEqual(content.tags["v1"], get("team/app", login).expect(200).header("Docker-Content-Digest"))
            get("other/app", login).expect(403)
            get("public/app").expect(200)
            get("private/app").expect(401)
        self.assertEqual(0, self.relay.count("GET", "other/app") + self.relay.count("GET", "private/app"))
        self.assertFalse(any("Authorization" in headers for headers in self.relay.headers_seen),
                         "what clients send stays here")


class CredentialsTest(UpstreamTest):
    """The upstream wants a password, and then a token."""

    def origin_options(self):
        return ("--htpasswd", make_users(self.scratch / "users"))

    def start_origin(self):
        self.origin = Server(self.scratch / "origin", *self.origin_options(), home=self.scratch)
        self.stack.callback(self.origin.stop)
        return self.origin.url.partition("://")[2]

    def cache_options(self):
        self.authfile = self.scratch / "auth.json"
        secret = base64.b64encode(f"{USER}:{self.password()}".encode()).decode()
        self.authfile.write_text(json.dumps({"auths": {self.relay.address: {"auth": secret}}}))
        return (*super().cache_options(), "--upstream-authfile", self.authfile)

    def password(self):
        return PASSWORD

    def push(self, make=lambda content: content.image_list(tag="v1")):
        login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        content = samples.Content()
        make(content)
        request = self.there.client.request
        self.there.client.request = lambda method, path, body=None, headers=(): request(
            method, path, body, dict(headers) | {"Authorization": login})
        return content.push_to(self.there)


class Bearer(CredentialsTest):
    def test_pull(self):
        self.pull(self.push())


@unittest.skipUnless(tool("docker-registry"), "docker-registry is not installed")
class Basic(CredentialsTest):
    def start_origin(self):
        return self.stack.enter_context(docker_registry(self.scratch / "origin", make_users(self.scratch / "users")))

    def test_pull(self):
        self.pull(self.push())
        self.stop_upstream()
        self.here.manifest("v1").expect(200)


class WrongPassword(CredentialsTest):
    def password(self):
        return "wrong-secret"

    def test_nothing_is_told(self):
        self.push()
        for answer in (self.here.manifest("v1"), self.here.blob(digest_of(b"x")), self.here.tags()):
            answer.expect(404)
            self.assertEqual(["DENIED"], answer.codes())
            for secret in (USER + ":", "wrong-secret", str(self.authfile), "Basic", "Bearer"):
                self.assertNotIn(secret, str(answer))
        self.assertIn(self.relay.address, self.cache.messages())
        self.assertNotIn("wrong-secret", self.cache.messages())


@unittest.skipUnless(tool("openssl"), "openssl is not installed")
class UnknownCertificate(UpstreamTest):
    def start_origin(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/CN=upstream", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", "key.pem",
                        "-out", "cert.pem"], cwd=self.scratch, check=True, capture_output=True)
        origin = Server(self.scratch / "origin", "--tls-cert", self.scratch / "cert.pem", "--tls-key",
                        self.scratch / "key.pem", home=self.scratch)
        self.stack.callback(origin.stop)
        return origin.url.partition("://")[2]

    def cache_options(self):
        return ("--upstream", f"hub={self.origin_address}")

    def test_is_trusted_when_told_so(self):
        self.there.client.tls = ssl.create_default_context(cafile=self.scratch / "cert.pem")
        content = self.push()
        self.here.manifest("v1").expect(503)
        wait_until(lambda: "certificate" in self.cache.messages(), "who runs the cache is told why")
        self.cache.stop()
        self.cache = self.start_cache("--upstream-insecure", self.origin_address)
        self.pull(content, self.connect().repository("hub/team/app"))


@unittest.skipUnless(tool("docker-registry"), "docker-registry is not installed")
class DockerRegistry(UpstreamTest):
    """Another registry as upstream, and clients that people have."""
    FRESH = "1h"

    def start_origin(self):
        return self.stack.enter_context(docker_registry(self.scratch / "origin"))

    def test_pull_then_without_the_upstream(self):
        content = self.push()
        self.pull(content)
        self.stop_upstream()
        self.pull(content)

    def test_referrers_by_tag(self):
        content = self.push(lambda content: content.image(tag="v1"))
        subject = content.tags["v1"]
        artifact = samples.Content()
        media_type, data = content.manifests[subject]
        listed = artifact.artifact(subject={"mediaType": media_type, "digest": subject, "size": len(data)})
        artifact.push_to(self.there)
        fallback = samples.Content()
        fallback.index([listed | {"artifactType": samples.SBOM}], tag=subject.replace(":", "-"))
        fallback.push_to(self.there)
        found = self.here.referrers(subject, artifactType=samples.SBOM).expect(200).json()["manifests"]
        self.assertEqual([listed["digest"]], [entry["digest"] for entry in found])

    @unittest.skipUnless(tool("skopeo"), "skopeo is not installed")
    def test_skopeo(self):
        content = self.push()
        for target in ("first", "second"):
            done = subprocess.run(
                ["skopeo", "--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false",
                 f"docker://{self.client.address}/hub/team/app:v1", f"dir:{self.scratch / target}"],
                env=environment(self.scratch), text=True, capture_output=True, check=False, timeout=60)
            self.assertEqual(0, done.returncode, done.stderr)
            manifest = (self.scratch / target / "manifest.json").read_bytes()
            self.assertEqual(content.tags["v1"], digest_of(manifest))
            self.stop_upstream()

    def test_fnimage(self):
        self.push()
        done = subprocess.run([registry_process.FNIMAGE, "copy", "--plain-http", f"{self.client.address}/hub/team/app:v1",
                               f"oci:{self.scratch}/layout:v1"], env=environment(self.scratch), text=True,
                              capture_output=True, check=False, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)


class Options(unittest.TestCase):
    def refuse(self, code, text, *options):
        with tempfile.TemporaryDirectory(prefix="fnimage-upstream-") as directory:
            done = subprocess.run(
                [registry_process.FNIMAGE, "serve", "--store", pathlib.Path(directory, "store"), "--addr", "127.0.0.1:0",
                 *options], env=environment(directory), text=True, capture_output=True, check=False, timeout=60)
            self.assertEqual(code, done.returncode, done.stderr)
            self.assertIn(text, done.stderr)

    def test_what_is_no_upstream(self):
        self.refuse(2, "PREFIX=HOST", "--upstream", "registry.example")
        self.refuse(2, "PREFIX=HOST", "--upstream", "Hub=registry.example")
        self.refuse(2, "PREFIX=HOST", "--upstream", "hub=registry")
        self.refuse(2, "PREFIX=HOST", "--upstream", "hub=registry.example/Up")
        self.refuse(2, "prefix", "--upstream", "hub=a.example", "--upstream", "hub=b.example")


if __name__ == "__main__":
    registry_process.main()

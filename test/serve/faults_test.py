#!/usr/bin/env python3
"""`fnimage serve` when something goes wrong: it is killed, its disk is full, its clients die, it is stopped in the
middle. What it has said yes to must be there, whole, and what was begun goes on where it was."""
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import registry_process
import samples
from client import digest_of, with_query
from registry_process import Server, wait_until
from samples import MANIFEST

KILLS = int(os.environ.get("FNIMAGE_SERVE_KILLS", "6"))
CLIENTS = 6
GONE = (OSError, http.client.HTTPException)


def stored_blobs(directory):
    """What readers of the store can see, with the algorithm and the digest that its name promises."""
    for path in pathlib.Path(directory).rglob("blobs/sha*/*"):
        if path.is_file() and len(path.name) in (64, 128) and ".fnimage.uploads" not in path.parts:
            yield path.parent.name, path.name, path


class FaultsTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fnimage-serve-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.store = self.scratch / "store"

    def start(self, *options, prefix=()):
        server = Server(self.store, *options, home=self.scratch, prefix=prefix)
        self.addCleanup(lambda: server.is_running() and server.kill())
        return server

    def check_store(self):
        """Nothing is torn."""
        for algorithm, name, path in stored_blobs(self.store):
            self.assertEqual(name, hashlib.new(algorithm, path.read_bytes()).hexdigest(), path)

    def check_tags(self, repository):
        """Whatever a tag stands for is there as a whole."""
        for tag in repository.tags().expect(200).json()["tags"]:
            answer = repository.manifest(tag).expect(200)
            self.assertEqual(answer.header("Docker-Content-Digest"), digest_of(answer.body))
            document = json.loads(answer.body)
            for part in [document["config"], *document["layers"]]:
                self.assertEqual(part["digest"], digest_of(repository.blob(part["digest"]).expect(200).body))

    def resume(self, repository, where, data, acknowledged):
        """Goes on with an upload of which so many bytes were acknowledged, and ends it."""
        state = repository.client.get(where).expect(204)
        end = int(state.header("Range").removeprefix("0-")) + 1
        size = 0 if end == 1 else end
        self.assertGreaterEqual(size, acknowledged)
        self.assertLessEqual(size, len(data))
        if size < len(data):
            where = repository.patch(state.location(), data[size:], size).expect(202).location()
        repository.finish(where, digest_of(data)).expect(201)
        self.assertEqual(data, repository.blob(digest_of(data)).expect(200).body)


class Pusher:
    """A client that pushes images and uploads until its server is gone, and knows what it was told."""

    def __init__(self, number, server):
        self.number, self.asking = number, server.client()
        self.repository = self.asking.repository(f"team/app{number % 3}")
        self.tag = f"of-{number}"
        self.blobs = []  # (digest, bytes) that were acknowledged
        self.tagged, self.tagging = None, None  # what the tag stands for, what it was to stand for next
        self.upload = None  # where, data, how much is acknowledged
        self.failure = None

    def run(self):
        try:
            while True:
                if self.number % 2 == 0:
                    self.push_image()
                self.push_in_chunks()
        except GONE:
            pass
        except Exception as failure:  # not what a kill looks like
            self.failure = failure
        finally:
            self.asking.close()

    def push_image(self):
        content = samples.Content()
        digest = content.image()["digest"]
        for blob, data in content.blobs.items():
            self.repository.push(data, blob).expect(201)
            self.blobs.append((blob, data))
        media_type, data = content.manifests[digest]
        self.tagging = digest
        self.repository.put(self.tag, data, media_type).expect(201)
        self.tagged = digest
        self.repository.put("shared", data, media_type).expect(201)

    def push_in_chunks(self):
        data = samples.noise(300_000)
        where, acknowledged = self.repository.begun(), 0
        self.upload = (where, data, 0)
        while acknowledged < len(data):
            chunk = data[acknowledged:acknowledged + 30_000]
            where = self.repository.patch(where, chunk, acknowledged).expect(202).location()
            acknowledged += len(chunk)
            self.upload = (where, data, acknowledged)
        self.upload = None
        self.repository.finish(where, digest_of(data)).expect(201)
        self.blobs.append((digest_of(data), data))


class Killed(FaultsTest):
    def test_kills_at_any_moment(self):
        chance = random.Random(os.environ.get("FNIMAGE_SERVE_SEED", "1"))
        pushers, resumed = [], 0
        for _ in range(KILLS):
            server = self.start()
            now = [Pusher(number, server) for number in range(CLIENTS)]
            threads = [threading.Thread(target=pusher.run) for pusher in now]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            for thread in threads:
                thread.join()
            pushers += now
            self.assertEqual([], [pusher.failure for pusher in now if pusher.failure])
            self.check_store()
            server = self.start()
            with contextlib.closing(server.client()) as asking:
                self.check_promises(asking, pushers)
                resumed += sum(self.resume_of(asking, pusher) for pusher in now)
            self.assertEqual(0, server.stop())
        print(f"{KILLS} kills, {sum(len(pusher.blobs) for pusher in pushers)} acknowledged blobs, "
              f"{resumed} resumed uploads", flush=True)

    def check_promises(self, asking, pushers):
        for pusher in pushers:
            repository = asking.repository(pusher.repository.name)
            for digest, data in pusher.blobs:
                self.assertEqual(data, repository.blob(digest).expect(200).body)
        possible, certain = {}, set()
        for pusher in pushers:  # in the order of their servers
            tag = (pusher.repository.name, pusher.tag)
            if pusher.tagged:
                possible[tag] = set()
                certain.add(tag)
            possible.setdefault(tag, set()).update({pusher.tagged, pusher.tagging} - {None})
        for (name, tag), digests in possible.items():
            answer = asking.repository(name).manifest(tag, "HEAD")
            if (name, tag) in certain:
                answer.expect(200)
            if answer.status == 200:
                self.assertIn(answer.header("Docker-Content-Digest"), digests)
        for name in {pusher.repository.name for pusher in pushers if pusher.tagged}:
            self.check_tags(asking.repository(name))

    def resume_of(self, asking, pusher):
        """An upload that nobody had asked to end goes on where it was."""
        if not pusher.upload:
            return False
        where, data, acknowledged = pusher.upload
        self.resume(asking.repository(pusher.repository.name), where, data, acknowledged)
        return True


class Stopped(FaultsTest):
    def test_restart_with_open_uploads(self):
        server, data = self.start(), samples.noise(1_000_000)
        with contextlib.closing(server.client()) as asking:
            repository = asking.repository("open")
            where = {algorithm: repository.patch(repository.begun(**{"digest-algorithm": algorithm}), data[:400_000], 0)
                     .expect(202).location() for algorithm in ("sha256", "sha512")}
        self.assertEqual(0, server.stop())
        server = self.start()
        with contextlib.closing(server.client()) as asking:
            repository = asking.repository("open")
            for algorithm, at in where.items():
                state = asking.get(at).expect(204)
                self.assertEqual("0-399999", state.header("Range"))
                at = repository.patch(state.location(), data[400_000:], 400_000).expect(202).location()
                repository.finish(at, digest_of(data, algorithm)).expect(201)
                self.assertEqual(data, repository.blob(digest_of(data, algorithm)).body)
        self.assertEqual(0, server.stop())

    def test_a_store_has_one_server(self):
        server = self.start()
        with self.assertRaisesRegex(AssertionError, "(?s)ended.*store"):
            self.start()
        with contextlib.closing(server.client()) as asking:
            asking.get("/v2/").expect(200)
        server.kill()
        self.assertEqual(0, self.start().stop())  # nothing that a killed one leaves keeps it from starting

    def test_requests_in_progress_are_finished(self):
        server = self.start()
        data, sent = samples.noise(8 << 20), samples.noise(2 << 20)
        with contextlib.ExitStack() as stack:
            asking, reader, writer = (stack.enter_context(contextlib.closing(server.client())) for _ in range(3))
            repository = asking.repository("busy")
            digest = repository.pushed(data)
            reading = reader.connect()
            reading.sock = socket.socket()
            reading.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            reading.sock.settimeout(registry_process.PATIENCE)
            reading.sock.connect((server.client().host, server.client().port))
            reading.request("GET", repository.path(f"blobs/{digest}"))
            response = reading.getresponse()
            received = response.read(100_000)
            writing, where = writer.connect(), repository.begun()
            writing.putrequest("PUT", with_query(where, digest=digest_of(sent)))
            writing.putheader("Content-Length", str(len(sent)))
            writing.endheaders(sent[:1 << 20])
            wait_until(lambda: asking.get(where).header("Range") == f"0-{(1 << 20) - 1}", "the request is in progress")
            server.ask_to_end()
            wait_until(lambda: self.is_refused(server), "no new connections")
            self.assertTrue(server.is_running())
            writing.send(sent[1 << 20:])
            self.assertEqual(201, writing.getresponse().status)
            received += response.read()
            self.assertEqual(data, received)
            reading.close()
            writing.close()
        self.assertEqual(0, server.stop())
        server = self.start()
        with contextlib.closing(server.client()) as asking:
            self.assertEqual(sent, asking.repository("busy").blob(digest_of(sent)).expect(200).body)
        self.assertEqual(0, server.stop())

    @staticmethod
    def is_refused(server):
        asking = server.client()
        try:
            with socket.create_connection((asking.host, asking.port), timeout=5) as connection:
                connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return not connection.recv(100)
        except OSError:
            return True

    def test_idle_connections_do_not_hold_it_up(self):
        """Neither those that have had an answer a moment ago nor those that have never asked."""
        for _ in range(4):
            server = self.start("--stop-timeout", "3600")  # it would wait longer for a request than stop() does
            with contextlib.ExitStack() as stack, contextlib.closing(server.client()) as asking:
                for _ in range(5):
                    stack.enter_context(socket.create_connection((asking.host, asking.port)))
                asking.get("/v2/").expect(200)
                self.assertEqual(0, server.stop())


class DyingClients(registry_process.ServerTest):
    def die(self, line, sent, announced, with_reset=False):
        """Sends a part of a body and is gone."""
        connection = socket.create_connection((self.client.host, self.client.port))
        connection.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Type: {MANIFEST}\r\n"
                           f"Content-Length: {announced}\r\n\r\n".encode() + sent)
        if with_reset:
            wait = struct.pack("ii", 1, 0)
            time.sleep(0.2)  # a reset throws away what has not been read yet
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, wait)
        connection.close()

    def test_in_the_middle_of_a_chunk(self):
        data = samples.noise(1_000_000)
        for with_reset in (False, True):
            for method in ("PATCH", "PUT"):
                with self.subTest(method, with_reset=with_reset):
                    where = self.repository.begun()
                    path = with_query(where, digest=digest_of(data)) if method == "PUT" else where
                    self.die(f"{method} {path}", data[:300_000], len(data), with_reset)
                    wait_until(lambda: self.client.get(where).expect(204).header("Range") == "0-299999" or with_reset,
                               "what has come counts")
                    self.go_on(where, data)

    def go_on(self, where, data):
        """As a client does that comes back: what it sends may meet the old request still, and then it asks again."""
        def is_continued():
            state = self.client.get(where).expect(204)
            size = int(state.header("Range").removeprefix("0-")) + 1
            size = 0 if size == 1 else size
            answer = self.repository.patch(state.location(), data[size:], size)
            self.assertIn(answer.status, (202, 409, 416), answer)
            return answer.status == 202

        wait_until(is_continued, "the upload goes on")
        self.repository.finish(where, digest_of(data)).expect(201)
        self.assertEqual(data, self.repository.blob(digest_of(data)).body)
        self.repository.blob(digest_of(data), "DELETE").expect(202)

    def test_in_the_middle_of_one_post(self):
        uploads = self.server.directory / ".fnimage.uploads"
        before = len(list(uploads.glob("*")))
        self.die("POST " + with_query(self.repository.path("blobs/uploads/"), digest=digest_of(b"x")), b"y" * 5000,
                 1_000_000)
        time.sleep(0.2)
        wait_until(lambda: len(list(uploads.glob("*"))) == before, "nobody can go on with it, so it is dropped")

    def test_in_the_middle_of_a_manifest(self):
        self.repository.pushed(b"so that the repository is there")
        content = samples.Content()
        content.image()
        _, data = next(iter(content.manifests.values()))
        self.die(f"PUT {self.repository.path('manifests/v1')}", data[:-1], len(data))
        self.repository.manifest("v1").expect(404)
        self.assertEqual([], self.repository.tags().json()["tags"])

    def test_while_reading(self):
        digest = self.repository.pushed(samples.noise(8 << 20))
        for _ in range(50):
            with socket.create_connection((self.client.host, self.client.port)) as connection:
                connection.sendall(f"GET {self.repository.path('blobs/' + digest)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                connection.recv(1000)
        self.assertEqual(digest, digest_of(self.repository.blob(digest).body))


class DiskFull(FaultsTest):
    """The store is a small file system of its own, in a mount namespace that ends with the server."""
    SIZE = 8  # MiB

    def setUp(self):
        super().setUp()
        unshare = registry_process.tool("unshare")
        if not unshare or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no user namespaces here: cannot make a small file system")
        self.store.mkdir()
        script = 'mount -t tmpfs -o size=$0m none "$1" && shift && exec "$@"'
        self.server = self.start(prefix=[unshare, "-rm", "sh", "-c", script, str(self.SIZE), str(self.store)])
        self.inside = pathlib.Path(f"/proc/{self.server.process.pid}/root{self.store}")
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.repository = self.client.repository("full")
        self.content = samples.Content()
        self.image = self.content.image(tag="v1")
        self.content.push_to(self.repository)

    def fill(self):
        """Takes all that is left."""
        filler = os.open(self.inside / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):
            while os.write(filler, b"x" * 4096):
                pass
        os.close(filler)

    def full(self, answer):
        self.assertTrue(answer.expect(507).codes(), answer)

    def unchanged(self):
        """What was there is there."""
        self.assertEqual(["v1"], self.repository.tags().expect(200).json()["tags"])
        self.assertEqual(self.content.manifests[self.image["digest"]][1], self.repository.manifest("v1").body)
        for digest, data in self.content.blobs.items():
            self.assertEqual(data, self.repository.blob(digest).expect(200).body)
        for algorithm, name, path in stored_blobs(self.inside):
            self.assertEqual(name, hashlib.new(algorithm, path.read_bytes()).hexdigest())

    def check_too_large(self, push):
        """A blob that is larger than the disk; then there is room again."""
        large = samples.noise((self.SIZE + 4) << 20)
        push(large, digest_of(large))
        self.repository.blob(digest_of(large)).expect(404)
        self.unchanged()
        self.repository.pushed(samples.noise(self.SIZE << 19))

    def test_one_post_of_too_much(self):
        self.check_too_large(lambda data, digest: self.full(self.repository.push_at_once(data, digest)))

    def test_a_stream_of_too_much(self):
        def push(data, _):
            where = self.repository.begun()
            pieces = (data[first:first + 65536] for first in range(0, len(data), 65536))
            self.full(self.client.request("PATCH", where, pieces))
            self.client.get(where).expect(204)
            self.client.request("DELETE", where).expect(204)

        self.check_too_large(push)

    def test_a_put_of_too_much(self):
        def push(data, digest):
            where = self.repository.begun()
            self.full(self.repository.finish(where, digest, data))
            self.client.request("DELETE", where).expect(204)

        self.check_too_large(push)

    def test_upload_goes_on_when_there_is_room(self):
        data = samples.noise(2 << 20)
        where = self.repository.patch(self.repository.begun(), data[:1 << 20], 0).expect(202).location()
        self.fill()
        self.full(self.repository.patch(where, data[1 << 20:], 1 << 20))
        self.unchanged()
        (self.inside / "filler").unlink()
        self.assertEqual(200, self.client.get("/v2/").status)
        self.resume(self.repository, where, data, 1 << 20)

    def test_manifests_and_tags(self):
        data = self.content.manifests[self.image["digest"]][1]
        self.repository.pushed(b"{}")
        self.fill()
        large = json.dumps({**json.loads(data), "annotations": {"org.example.note": "x" * 100_000}}).encode()
        self.full(self.repository.put("v2", large, MANIFEST))
        answer = self.repository.put("v3", data, MANIFEST)  # a tag more may still find room
        if answer.status == 201:
            self.repository.manifest("v3", "DELETE").expect(202)
        else:
            self.full(answer)
        self.full_or(self.client.repository("another").begin(), 202)
        self.unchanged()
        self.repository.manifest(digest_of(large)).expect(404)
        (self.inside / "filler").unlink()
        self.repository.put("v2", large, MANIFEST).expect(201)
        self.assertEqual(["v1", "v2"], self.repository.tags().json()["tags"])

    def full_or(self, answer, status):
        if answer.status != status:
            self.full(answer)

    def test_content_can_be_removed_from_a_full_disk(self):
        digest = self.repository.pushed(samples.noise(1 << 20))
        self.fill()
        self.repository.blob(digest, "DELETE").expect(202)
        self.repository.pushed(samples.noise(1 << 19))
        self.unchanged()


class ManyAtOnce(registry_process.ServerTest):
    CLIENTS = 16

    def at_once(self, work):
        """Runs work(number, client) in threads that start together; what they return."""
        barrier = threading.Barrier(self.CLIENTS)

        def run(number):
            with contextlib.closing(self.server.client()) as asking:
                barrier.wait()
                return work(number, asking)

        with concurrent.futures.ThreadPoolExecutor(self.CLIENTS) as pool:
            return list(pool.map(run, range(self.CLIENTS)))

    def test_the_same_blob(self):
        data = samples.noise(500_000)
        digest = digest_of(data)

        def push(number, asking):
            repository = asking.repository(f"same/{number % 4}")
            way = (repository.push_at_once, repository.push, repository.push_in_chunks, repository.push_as_stream)
            way[number // 4](data, digest).expect(201)
            return repository.blob(digest).expect(200).body == data

        self.assertTrue(all(self.at_once(push)))

    def test_different_blobs(self):
        def push(number, asking):
            repository = asking.repository(f"different/{number % 3}")
            pushed = {repository.pushed(data): data for data in (samples.noise(size) for size in (1, 5000, 700_000))}
            return repository.name, pushed

        for name, pushed in self.at_once(push):
            for digest, data in pushed.items():
                self.assertEqual(data, self.client.repository(name).blob(digest).expect(200).body)

    def test_pulls_while_others_push_and_delete(self):
        data = samples.noise(2 << 20)
        digest = self.repository.pushed(data)

        def work(number, asking):
            repository = asking.repository(self.repository.name)
            for _ in range(4):
                if number % 4 == 0:
                    mine = repository.pushed(samples.noise(200_000))
                    repository.blob(mine, "DELETE").expect(202)
                else:
                    self.assertEqual(data, repository.blob(digest).expect(200).body)

        self.at_once(work)

    def test_the_same_blob_is_pushed_and_deleted(self):
        """Whoever is told 200 gets all of it, and 404 is the only other answer."""
        data = samples.noise(100_000)
        digest = digest_of(data)

        def work(number, asking):
            repository = asking.repository(self.repository.name)
            for _ in range(5):
                if number % 3 == 0:
                    repository.push(data, digest).expect(201)
                elif number % 3 == 1:
                    repository.blob(digest, "DELETE").expect(202, 404)
                else:
                    answer = repository.blob(digest).expect(200, 404)
                    self.assertTrue(answer.status == 404 or answer.body == data)

        self.at_once(work)
        self.repository.push(data, digest).expect(201)
        self.assertEqual(data, self.repository.blob(digest).expect(200).body)

    def test_images_at_once(self):
        def push(number, asking):
            repository = asking.repository(self.repository.name)
            samples.pushed_image(repository, tag=f"v{number}")

        self.at_once(push)
        self.assertEqual(sorted(f"v{number}" for number in range(self.CLIENTS)), self.repository.tags().json()["tags"])


if __name__ == "__main__":
    registry_process.main()

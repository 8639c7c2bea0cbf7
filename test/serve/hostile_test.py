#!/usr/bin/env python3
"""`fnimage serve` against clients that lie, dawdle or never end: odd names and upload ids, requests that two programs
would take apart differently, and more of everything than it can hold."""
import concurrent.futures
import contextlib
import itertools
import re
import resource
import socket
import time

import registry_process
import samples
from client import digest_of
from samples import MANIFEST, pushed_image

# Names of repositories that no registry may take, as they stand in a request.
BAD_NAMES = ["..", ".", "%2e%2e", "%2E", "a/../b", "a/%2e%2e/b", "..%2fa", "%2fetc", "/etc", "a//b", "a/", "A", "aB", "-a", "a-",
             "_a", "a_", ".a", "a.", "a..b", "a.-b", "a___b", "a:b", "a@b", "a%00", "a%0ab", "a%20b", "a%c3%a9", "a%5cb",
             "a%5c..%5cb", "a%25", "~", "a/.fnimage.uploads", ".fnimage.uploads", "x" * 256, "a/" * 150 + "a",
             "x" * 20_000]
# Names that look like something else and are good ones.
GOOD_NAMES = ["blobs", "blobs/blobs", "blobs/sha256", "index.json", "oci-layout", "index.json/app", "uploads",
              "blobs/uploads", "a/blobs/uploads", "manifests", "tags", "tags/list", "referrers/manifests/tags", "v2",
              "v2/v2", "kept", "kept/blobs", "kept/blobs/sha256", "kept/index.json", "a__b", "a.b/c-d/e--f", "0",
              "fnimage.uploads", "x" * 255, "/".join("y" * 127 for _ in range(2))]


class Names(registry_process.ServerTest):
    def entries(self):
        return sorted(str(path.relative_to(self.scratch)) for path in self.scratch.rglob("*")
                      if ".fnimage.uploads/" not in str(path))

    def test_names_that_are_none(self):
        pushed_image(self.client.repository("a"), tag="v1")
        before = self.entries()
        digest = digest_of(b"x")
        for name in BAD_NAMES:
            with self.subTest(name[:40]):
                repository = self.client.repository(name)
                for answer in (repository.tags(), repository.manifest("v1"), repository.blob(digest),
                               repository.put("v1", b"{}", MANIFEST), repository.begin(),
                               repository.push_at_once(b"x", digest), repository.begin(mount=digest),
                               repository.manifest("v1", "DELETE"), repository.blob(digest, "DELETE"),
                               repository.referrers(digest), self.client.repository("a").begin(
                                   mount=digest, **{"from": name})):
                    self.assertIn(answer.status, (202,) if "from=" in answer.request else (400, 404, 414, 431),
                                  str(answer)[:500])
                    if answer.status in (400, 404):
                        self.assertTrue(answer.codes(), answer)
        self.assertEqual(before, self.entries())

    def test_names_that_look_like_something_else(self):
        pushed = {}
        for name in GOOD_NAMES:
            with self.subTest(name[:40]):
                pushed[name] = pushed_image(self.client.repository(name), tag="list")
        listed = self.client.get("/v2/_catalog").expect(200).json()["repositories"]
        for name, (image, data) in pushed.items():
            with self.subTest(name[:40]):
                repository = self.client.repository(name)
                self.assertIn(name, listed)
                self.assertEqual(["list"], repository.tags().expect(200).json()["tags"])
                self.assertEqual(data, repository.manifest("list").expect(200).body)
                repository.manifest(image["digest"], "DELETE").expect(202)
                repository.manifest("list").expect(404)

    def test_tags_that_are_none(self):
        for tag in ("..", "%2e%2e", "..%2fx", "a%2fb", "a%00", "-a", ".a", "a" * 129, "a b".replace(" ", "%20"), "a%0a", "é".encode()
                    .hex("%").join(["%", ""])):
            with self.subTest(tag):
                for answer in (self.repository.put(tag, b"{}", MANIFEST), self.repository.manifest(tag),
                               self.repository.manifest(tag, "DELETE")):
                    self.assertIn(answer.status, (400, 404), answer)
        digest = samples.Content().image()["digest"]
        answer = self.repository.put(f"{digest}?tag=good&tag=..%2fbad", b"{}", MANIFEST)
        self.assertEqual(400, answer.status)

    def test_digests_that_lead_elsewhere(self):
        self.repository.pushed(b"x")
        for digest in ("sha256:..", "sha256:" + "../" * 21 + "a", "sha256:%2e%2e%2f%2e%2e%2findex.json",
                       "sha256:" + "%2e%2e%2f" * 21 + "a", "..", "sha256", "sha256:", ":", "%00", "index.json",
                       "../index.json", "sha256/" + "0" * 64, digest_of(b"x").upper(), digest_of(b"x") + "%00"):
            for method in ("GET", "HEAD", "DELETE"):
                answer = self.repository.blob(digest, method)
                self.assertIn(answer.status, (400, 404, 405), answer)
            self.assertIn(self.repository.begin(mount=digest, **{"from": self.repository.name}).status, (202, 400))


class Uploads(registry_process.ServerTest):
    """An upload belongs to the repository in which it began, and its id is nothing but an id."""

    def everything(self, where):
        """All that can be done with an upload."""
        digest = digest_of(b"evil")
        yield self.client.get(where)
        yield self.client.request("HEAD", where)
        yield self.repository.patch(where, b"evil", 0)
        yield self.repository.finish(where, digest, b"evil")
        yield self.client.request("DELETE", where)

    def test_of_another_repository(self):
        owner = self.client.repository("owner/of-it")
        self.repository.pushed(b"so that this repository is there")
        where = owner.patch(owner.begun(), b"good", 0).expect(202).location()
        forged = where.replace("owner/of-it", self.repository.name)
        self.assertNotEqual(where, forged)
        for answer in self.everything(forged):
            answer.expect(404)
        self.assertEqual("0-3", self.client.get(where).expect(204).header("Range"))
        owner.finish(where, digest_of(b"good")).expect(201)
        self.assertEqual(b"good", owner.blob(digest_of(b"good")).body)

    def test_forged_ids(self):
        where = self.repository.begun()
        base, _, upload = where.rpartition("/")
        other = self.repository.begun().rpartition("/")[2]
        ids = ["..", ".", "%2e%2e", "../" + upload, "..%2f" + upload, upload + "%2f..%2f" + other, "%2fetc%2fpasswd",
               "..%2f..%2fstore%2findex.json", upload.upper() + "A", upload + "%00", upload[:-1], upload + "0", "%00", "0" * 32,
               "%20", upload + "%20", "x" * 5000, "%2e%2e%2f%2e%2e%2f" + "x"]
        if upload.upper() != upload:
            ids.append(upload.upper())
        before = sorted(map(str, self.scratch.iterdir()))
        for forged in ids:
            with self.subTest(forged[:40]):
                for answer in self.everything(f"{base}/{forged}"):
                    self.assertIn(answer.status, (400, 404), answer)
        self.assertEqual(before, sorted(map(str, self.scratch.iterdir())))
        for left in (upload, other):
            self.client.get(f"{base}/{left}").expect(204)

    def test_ids_are_not_guessed(self):
        ids = [self.repository.begun().rpartition("/")[2] for _ in range(100)]
        self.assertEqual(len(ids), len(set(ids)))
        for upload in ids:
            self.assertGreaterEqual(len(re.sub("[^0-9a-f]", "", upload)), 32, upload)
        for place in range(len(ids[0])):  # no part of an id is a counter or a clock
            seen = {upload[place] for upload in ids}
            self.assertTrue(len(seen) > 3 or seen <= {"-", "4", "8", "9", "a", "b"}, (place, seen))

    def test_many_open_uploads(self):
        before = self.server.memory()
        places = [self.repository.patch(self.repository.begun(), b"x" * 100, 0).expect(202).location()
                  for _ in range(500)]
        self.assertLess(self.server.memory() - before, 32 << 20)
        self.repository.pushed(samples.noise())
        for where in places[::2]:
            self.client.request("DELETE", where).expect(204)
        for where in places[1::50]:
            self.repository.finish(where, digest_of(b"x" * 100)).expect(201)


def request(line, *fields, body=b""):
    return "\r\n".join([line, "Host: registry", *fields, "", ""]).encode() + body


SMUGGLED = b"GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: registry\r\n\r\n"
PUT = "PUT /v2/odd/manifests/v1 HTTP/1.1"
# What must be refused, with what follows as the next request that must never be answered.
ODD_REQUESTS = {
    "length and chunked": request(PUT, "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and length": request(PUT, "Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": request(PUT, "Content-Length: 0", "Content-Length: 5"),
    "two lengths in one": request(PUT, "Content-Length: 0, 5"),
    "negative length": request(PUT, "Content-Length: -1"),
    "signed length": request(PUT, "Content-Length: +0"),
    "hexadecimal length": request(PUT, "Content-Length: 0x0"),
    "empty length": request(PUT, "Content-Length: "),
    "endless length": request(PUT, "Content-Length: 99999999999999999999999"),
    "encoding of another name": request(PUT, "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked twice": request(PUT, "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked not last": request(PUT, "Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "encoding with a control": request(PUT, "Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunk of negative size": request(PUT, "Transfer-Encoding: chunked", body=b"-1\r\n\r\n"),
    "chunk of 2^68 bytes": request(PUT, "Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\n\r\n"),
    "chunk of 0x0 bytes": request(PUT, "Transfer-Encoding: chunked", body=b"0x0\r\n\r\n"),
    "chunk without its end": request(PUT, "Transfer-Encoding: chunked", body=b"1\r\nab\r\n0\r\n\r\n"),
    "space before the colon": request(PUT, "Content-Length : 0"),
    "header without a name": request(PUT, ": a", "Content-Length: 0"),
    "header without a colon": request(PUT, "Content-Length 0"),
    "NUL in a header": request(PUT, "X-Nul: a\0b", "Content-Length: 0"),
    "CR in a header": request(PUT, "X-Cr: a\rContent-Length: 5", "Content-Length: 0"),
    "no Host": (PUT + "\r\nContent-Length: 0\r\n\r\n").encode(),
    "two Hosts": request(PUT, "Host: other", "Content-Length: 0"),
    "target with a space": request("PUT /v2/odd/manifests/v1 x HTTP/1.1", "Content-Length: 0"),
    "target without a slash": request("PUT v2/odd HTTP/1.1", "Content-Length: 0"),
    "version 3": request(PUT.replace("1.1", "3.0"), "Content-Length: 0"),
    "version xyz": request(PUT.replace("HTTP/1.1", "xyz"), "Content-Length: 0"),
    "no version": b"GET /v2/\r\n\r\n",
    "method with a control": request("P\x01T /v2/ HTTP/1.1", "Content-Length: 0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(190),
    "noise": bytes(range(256)),
    "long line": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: registry\r\n\r\n",
    "long header": request(PUT, "X-Long: " + "x" * 100_000, "Content-Length: 0"),
    "many headers": request(PUT, *(f"X-{number}: x" for number in range(20_000)), "Content-Length: 0"),
}


def statuses(received):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


class Framing(registry_process.ServerTest):
    def test_requests_that_are_none(self):
        """One answer at most, a refusal, and the connection ends: what follows is no request."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda odd: self.client.raw(odd + SMUGGLED), ODD_REQUESTS.values())
            for name, received in zip(ODD_REQUESTS, answers):
                with self.subTest(name):
                    seen = statuses(received)
                    self.assertLessEqual(len(seen), 1, received)
                    self.assertTrue(all(code in (400, 411, 413, 414, 417, 431, 501, 505) for code in seen), received)
                    self.assertNotIn(b"smuggled", received)
        self.client.get("/v2/").expect(200)

    def test_requests_that_are_good(self):
        pushed_image(self.client.repository("plain"), tag="v1")
        ping = "GET /v2/ HTTP/1.1"
        close = "Connection: close"
        for name, (data, expected) in {
                "absolute target": (request("GET http://registry/v2/ HTTP/1.1", close), [200]),
                "HTTP/1.0": (b"GET /v2/ HTTP/1.0\r\n\r\n", [200]),
                "two after another": (request(ping) + request("GET /v2/nothing/tags/list HTTP/1.1", close), [200, 404]),
                "empty line before": (b"\r\n" + request(ping, close), None),
                "folded header": (request(ping, "X-Folded: a", " b", close), None),
                "upper-case names": (request(ping, "CONNECTION: close"), [200]),
                "same length twice": (request(ping, "Content-Length: 0", "Content-Length: 0", close), None),
                "body of a GET": (request(ping, "Content-Length: 3", body=b"xyz") + request(ping, close), [200, 200]),
                "HEAD": (request("HEAD /v2/plain/manifests/v1 HTTP/1.1") + request(ping, close), [200, 200]),
                "chunk extension and trailer": (request(
                    "POST /v2/plain/blobs/uploads/?digest=" + digest_of(b"xyz"), "Transfer-Encoding: chunked", close,
                    body=b"3;name=value\r\nxyz\r\n0\r\nX-Trailer: x\r\n\r\n").replace(b"\r\n", b" HTTP/1.1\r\n", 1), [201]),
                "expectation": (request("POST /v2/plain/blobs/uploads/?digest=" + digest_of(b"xyz") + " HTTP/1.1",
                                        "Expect: 100-continue", "Content-Length: 3", close, body=b"xyz"), None),
        }.items():
            with self.subTest(name):
                seen = [code for code in statuses(self.client.raw(data)) if code != 100]
                if expected is not None:
                    self.assertEqual(expected, seen)
                self.assertIn(seen[-1], (200, 201, 400, 404))

    def test_continue_is_only_said_when_the_body_is_wanted(self):
        head = request("PUT /v2/plain/manifests/v1 HTTP/1.1", "Expect: 100-continue", f"Content-Length: {1 << 40}")
        received = self.client.raw(head)
        self.assertEqual([413], statuses(received), received)


class Endless(registry_process.ServerTest):
    """Requests that never end: they are refused or ignored, and soon nobody reads on; memory is not filled with them."""
    CHUNK = b"10000\r\n" + b" " * 65536 + b"\r\n"

    def send_until_the_end(self, head, piece):
        """Sends pieces until the server closes the connection; what it said."""
        received, deadline = b"", time.monotonic() + registry_process.PATIENCE
        with socket.create_connection((self.client.host, self.client.port), timeout=registry_process.PATIENCE) as connection:
            connection.sendall(head)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while True:
                    self.assertLess(time.monotonic(), deadline, "the server reads without an end")
                    connection.sendall(piece)
                    time.sleep(0.002)  # others want to work, too
            with contextlib.suppress(ConnectionResetError):
                while data := connection.recv(65536):
                    received += data
        return received

    def test_nothing_is_read_for_ever(self):
        """All at once; the server may take its time to close, so that clients can read its answer."""
        manifest = request("PUT /v2/endless/manifests/v1 HTTP/1.1", "Content-Type: " + MANIFEST, "Transfer-Encoding: chunked")
        unwanted = [request(line + " HTTP/1.1", "Transfer-Encoding: chunked")
                    for line in ("GET /v2/", "POST /nothing", "DELETE /v2/a/manifests/b",
                                 "PATCH /v2/a/blobs/uploads/" + "0" * 32)]
        requests = [*[(manifest, self.CHUNK, {413})] * 4, *[(head, self.CHUNK, {200, 404, 413}) for head in unwanted],
                    (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n", b"X-More: x\r\n" * 1000, {400, 431}),
                    (b"GET /", b"x" * 10_000, {400, 414, 431}), (b"GET /v2/ HTTP/1.1\r\nX: ", b"x" * 10_000, {400, 431})]
        before = self.server.memory("VmHWM")
        with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
            answers = list(pool.map(lambda words: self.send_until_the_end(*words[:2]), requests))
        for (head, _, codes), received in zip(requests, answers):
            self.assertTrue(set(statuses(received)) <= codes, (head, received[:300]))
        self.assertLess(self.server.memory("VmHWM") - before, 48 << 20)
        self.client.get("/v2/").expect(200)


class ManyConnections(registry_process.ServerTest):
    def opened(self, count, data=b""):
        """Connections that have sent so much and nothing more."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(limit[1], 8192)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], wanted), limit[1]))
        connections = []
        for _ in range(count):
            connection = socket.create_connection((self.client.host, self.client.port), timeout=registry_process.PATIENCE)
            self.addCleanup(connection.close)
            with contextlib.suppress(OSError):
                connection.sendall(data)
            connections.append(connection)
        return connections

    def still_serves(self):
        """Somebody else is served meanwhile; the slowest answer in seconds."""
        slowest = 0
        with contextlib.closing(self.server.client()) as asking:
            repository = asking.repository("meanwhile")
            for _ in range(5):
                start = time.monotonic()
                data = samples.noise(100_000)
                digest = repository.pushed(data)
                self.assertEqual(data, repository.blob(digest).expect(200).body)
                slowest = max(slowest, time.monotonic() - start)
        return slowest

    def test_slow_heads(self):
        slow = self.opened(400, b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        self.assertLess(self.still_serves(), 10)
        for connection in slow[::7]:  # a byte now and then does not help them
            with contextlib.suppress(OSError):
                connection.send(b"x")
        for connection in slow:
            self.ends(connection)
        self.client.get("/v2/").expect(200)

    def ends(self, connection):
        """The server closes it, with or without an answer."""
        try:
            while data := connection.recv(4096):
                self.assertIn(statuses(data)[0], (400, 408))
        except ConnectionResetError:
            pass

    def test_slow_bodies(self):
        where = [self.repository.begun() for _ in range(8)]
        slow = []
        for number in range(200):
            slow += self.opened(1, request(f"PATCH {where[number % 8]} HTTP/1.1", "Content-Length: 100000", body=b"x"))
        self.assertLess(self.still_serves(), 10)

    def test_readers_that_do_not_read(self):
        big = self.repository.pushed(samples.noise(8 << 20))
        before = self.server.memory()
        self.opened(100, request(f"GET {self.repository.path('blobs/' + big)} HTTP/1.1"))
        self.assertLess(self.still_serves(), 10)
        self.assertLess(self.server.memory() - before, 64 << 20)

    def test_more_connections_than_there_is_room_for(self):
        idle = self.opened(1500)
        self.assertLess(self.still_serves(), 20)
        for connection in idle:
            connection.close()
        self.assertLess(self.still_serves(), 10)

    def test_connections_that_come_and_go(self):
        for _ in range(20):
            for connection in self.opened(50, b"GET /v2/ HT"):
                connection.close()
        self.assertLess(self.still_serves(), 10)

    def test_pipelines_without_an_end(self):
        """A thousand requests at once on one connection, whose answers come in order."""
        count = 1000
        lines = [f"GET /v2/piped-{number}/tags/list HTTP/1.1" for number in range(count)]
        received = self.client.raw(b"".join(map(request, lines[:-1])) + request(lines[-1], "Connection: close"))
        self.assertEqual([f"piped-{number}".encode() for number in range(count)],
                         [name for name, _ in itertools.groupby(re.findall(rb'piped-\d+', received))])


if __name__ == "__main__":
    registry_process.main()

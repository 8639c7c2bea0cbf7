#!/usr/bin/env python3
"""A push that is killed in the middle of a large blob: the next one goes on where the registry stands."""
import http.server
import os
import signal
import subprocess
import threading
import urllib.parse

import command

CUT = 2_000_000
LARGE = 8_000_000


class Registry(http.server.ThreadingHTTPServer):
    """Takes blobs and manifests, and keeps what arrived of uploads that broke. The first large body is read up to CUT bytes, and
    the rest only when `go_on` is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.uploads = {}
        self.blobs = {}
        self.manifests = {}
        self.received = 0
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        self.broke = threading.Event()

    def handle_error(self, *_):
        """The client that was killed has reset its connections."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204 and self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        length = int(self.headers.get("Content-Length", 0))
        body = bytearray()
        try:
            while len(body) < length:
                if length > CUT and len(body) >= CUT and not self.server.stalled.is_set():
                    self.server.stalled.set()
                    self.server.go_on.wait()
                piece = self.rfile.read1(min(65536, length - len(body)))
                if not piece:
                    break
                body += piece
        except ConnectionError:
            pass
        return bytes(body), len(body) == length

    def upload(self):
        path = urllib.parse.urlsplit(self.path)
        number = path.path.rsplit("/", 1)[1]
        here = [("Location", path.path)]
        if number not in self.server.uploads:
            return self.answer(404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
        body, whole = self.read_body()
        with self.server.lock:
            stored = self.server.uploads[number]
            stored += body
            self.server.received += len(body)
        if not whole:
            self.close_connection = True
            return self.server.broke.set()
        if self.command == "PUT":
            self.server.blobs[urllib.parse.parse_qs(path.query)["digest"][0]] = bytes(stored)
            return self.answer(201)
        status = 202 if self.command == "PATCH" else 204
        return self.answer(status, here + [("Range", f"0-{len(stored) - 1}")])

    def do_POST(self):
        self.read_body()
        with self.server.lock:
            number = str(len(self.server.uploads))
            self.server.uploads[number] = bytearray()
        self.answer(202, [("Location", f"/v2/a/blobs/uploads/{number}")])

    def do_PUT(self):
        if "/manifests/" not in self.path:
            return self.upload()
        self.server.manifests[self.path], _ = self.read_body()
        return self.answer(201)

    def do_PATCH(self):
        self.upload()

    def do_DELETE(self):
        self.answer(204)

    def do_GET(self):
        if "/uploads/" in self.path:
            return self.upload()
        return self.answer(404)

    def do_HEAD(self):
        found = self.server.blobs.get(self.path.rsplit("/", 1)[1])
        if found is None:
            return self.answer(404)
        return self.answer(200, [("Content-Length", str(len(found)))])


class Resume(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.registry = Registry()
        thread = threading.Thread(target=self.registry.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(self.registry.server_close)
        self.addCleanup(self.registry.shutdown)
        self.addCleanup(self.registry.go_on.set)
        (self.project / "data.bin").write_bytes(os.urandom(LARGE))
        self.write_spec(command.SPEC.replace("handler.py}", 'handler.py, files: ["data.bin"]}')
                        .replace("linux/amd64, linux/ppc64le", "linux/amd64"))
        self.name = f"127.0.0.1:{self.registry.server_address[1]}/a:v1"
        self.succeed("build", "-t", self.name)

    def test_next_push_sends_only_what_is_missing(self):
        push = subprocess.Popen([command.FNIMAGE, "push", "--plain-http", self.name], cwd=self.project,
                                env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertTrue(self.registry.stalled.wait(60))
        push.send_signal(signal.SIGKILL)
        push.wait()
        self.registry.go_on.set()
        self.assertTrue(self.registry.broke.wait(60))
        self.succeed("push", "--plain-http", self.name)
        size = sum(len(blob) for blob in self.registry.blobs.values())
        self.assertGreater(size, LARGE)
        self.assertIn("/v2/a/manifests/v1", self.registry.manifests)
        # The large blob went once; the small ones, of a few kilobytes, perhaps in both runs.
        self.assertLess(self.registry.received, size + 100_000)


if __name__ == "__main__":
    command.main()

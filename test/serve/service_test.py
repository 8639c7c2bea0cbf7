"""`fnimage serve` under a service manager: whether it is alive and ready, how it ends, what it logs, what it needs."""
import base64
import contextlib
import fcntl
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import unittest

import client
import registry_process
import samples

SHELL = ("sh", "-c")


def namespaces():
    unshare = registry_process.tool("unshare")
    return unshare and subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode == 0


class ServiceTest(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.scratch = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="fnimage-serve-")))
        self.store = self.scratch / "store"

    def start(self, *options, prefix=()):
        server = registry_process.Server(self.store, *options, home=self.scratch, prefix=prefix)
        self.stack.callback(server.stop)
        return server

    def client_of(self, url):
        one = client.Client(url)
        self.stack.callback(one.close)
        return one

    def half_a_chunk(self, one):
        """A connection with a PATCH whose last seven of ten bytes are missing, and where the upload is."""
        where = one.repository("a").begun()
        connection = self.stack.enter_context(socket.create_connection((one.host, one.port), timeout=client.PATIENCE))
        connection.sendall(b"PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc" % where.encode())
        return connection, where


class Health(ServiceTest):
    def expect(self, one, path, status, text):
        answer = one.get(path).expect(status)
        self.assertRegex(answer.body.decode(), f"^{text}\n$")
        self.assertTrue(answer.header("Content-Type").startswith("text/plain"), answer)
        self.assertEqual("no-store", answer.header("Cache-Control"))
        self.assertNotIn(str(self.scratch), str(answer))

    def becomes(self, one, status):
        registry_process.wait_until(lambda: one.get("/readyz").status == status, f"readyz is {status}")

    def test_alive_and_ready(self):
        server = self.start("--metrics-addr", "127.0.0.1:0")
        for url in (server.url, server.metrics_url):
            one = self.client_of(url)
            self.expect(one, "/healthz", 200, "ok")
            self.expect(one, "/readyz", 200, "ready")
            self.assertEqual(b"", one.request("HEAD", "/readyz").expect(200).body)
            one.request("POST", "/healthz", b"").expect(405)

    def test_nobody_has_to_log_in(self):
        (self.scratch / "tokens").touch()
        one = self.client_of(self.start("--tokens", self.scratch / "tokens").url)
        one.get("/v2/").expect(401)
        one.get("/healthz").expect(200)
        one.get("/readyz").expect(200)

    def test_not_ready_while_the_store_is_away(self):
        for options in ((), ("--read-only",)):
            with self.subTest(options):
                server = self.start(*options)
                one = self.client_of(server.url)
                self.becomes(one, 200)
                self.store.rename(self.scratch / "elsewhere")
                self.becomes(one, 503)
                self.expect(one, "/readyz", 503, r"the store cannot be used \([a-z_ ]+\)")
                self.expect(one, "/healthz", 200, "ok")
                (self.scratch / "elsewhere").rename(self.store)
                self.becomes(one, 200)
                self.assertEqual([], [path.name for path in (self.store / ".fnimage.uploads").iterdir()])
                server.stop()

    @unittest.skipUnless(namespaces(), "no user namespaces here: cannot make a small file system")
    def test_not_ready_while_the_disk_is_full(self):
        self.store.mkdir()
        script = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
        server = self.start(prefix=["unshare", "-rm", *SHELL, script, self.store])
        one = self.client_of(server.url)
        self.becomes(one, 200)
        filler = pathlib.Path(f"/proc/{server.process.pid}/root{self.store}/filler")
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        self.becomes(one, 503)
        filler.unlink()
        self.becomes(one, 200)


class Stop(ServiceTest):
    def asked_to_end(self, *options):
        """A server that has been asked to end while half a chunk has come; its connection, and the upload's place."""
        server = self.start("--metrics-addr", "127.0.0.1:0", *options)
        one = self.client_of(server.url)
        connection, where = self.half_a_chunk(one)
        registry_process.wait_until(lambda: one.get(where).header("Range") == "0-2", "three bytes have come")
        metrics = self.client_of(server.metrics_url)
        server.ask_to_end()

        def ready():
            return metrics.get("/readyz")
        registry_process.wait_until(lambda: ready().status == 503, "not ready any more")
        self.assertEqual(b"the server is stopping\n", ready().body)
        metrics.get("/healthz").expect(200)
        return server, connection, where

    def test_what_has_begun_ends(self):
        server, connection, where = self.asked_to_end()
        address = connection.getpeername()

        def is_refused():
            with contextlib.closing(socket.socket()) as another:
                return another.connect_ex(address) != 0
        registry_process.wait_until(is_refused, "nobody else is let in")
        connection.sendall(b"defghij")
        self.assertRegex(connection.recv(65536), rb"^HTTP/1.1 202 [^\0]*\r\nRange: 0-9\r\n")
        self.assertEqual(0, server.stop())
        again = self.client_of(self.start().url)
        self.assertEqual("0-9", again.get(where).expect(204).header("Range"))

    def test_what_does_not_end_is_cut(self):
        server, connection, _ = self.asked_to_end("--stop-timeout", "1")
        self.assertEqual(b"", connection.recv(65536))
        self.assertEqual(0, server.stop())

    def test_not_even_what_waits_for_the_disk_lasts(self):
        server = self.start("--stop-timeout", "0")
        one = self.client_of(server.url)
        repository = one.repository("a")
        image, data = samples.pushed_image(repository)
        repository.put("tag", data, samples.MANIFEST).expect(201)
        held = [path for path in (self.store / "a").iterdir() if "lock" in path.name]
        self.assertEqual(1, len(held), held)
        with open(held[0], "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # as another program does that changes the layout
            with socket.create_connection((one.host, one.port)) as connection:
                connection.sendall(b"DELETE /v2/a/manifests/tag HTTP/1.1\r\nHost: x\r\n\r\n")
                progress = "fnimage_http_requests_in_progress 2\n"
                registry_process.wait_until(lambda: progress in one.get("/metrics").body.decode(), "it has begun")
                self.assertEqual(0, server.stop())
        self.assertIn("did not end in time", server.messages())

    def test_the_second_signal_ends_it_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server, _, _ = self.asked_to_end("--stop-timeout", "3600")
            server.process.send_signal(number)
            self.assertEqual(128 + signal.SIGTERM, server.process.wait(registry_process.PATIENCE))


class ServiceManager(ServiceTest):
    def notified(self, name, shown):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
            manager.bind(name)
            manager.settimeout(registry_process.PATIENCE)
            server = self.start(prefix=["env", f"NOTIFY_SOCKET={shown}"])
            self.assertIn("READY=1", manager.recv(4096).decode().splitlines())
            self.client_of(server.url).get("/v2/").expect(200)
            server.ask_to_end()
            self.assertIn("STOPPING=1", manager.recv(4096).decode().splitlines())
            self.assertEqual(0, server.stop())

    def test_is_told(self):
        path = str(self.scratch / "notify")
        self.notified(path, path)
        name = f"fnimage-{os.getpid()}-{self.scratch.name}"
        self.notified("\0" + name, "@" + name)

    def test_nobody_listens(self):
        for name in ("/nowhere", "@nobody-at-all", "relative", "", "/" + "x" * 200):
            server = self.start(prefix=["env", f"NOTIFY_SOCKET={name}"])
            self.assertEqual(0, server.stop())


class Limits(ServiceTest):
    def test_as_many_files_as_there_may_be(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        server = self.start(prefix=[*SHELL, 'ulimit -Sn 256; exec "$0" "$@"'])
        limits = pathlib.Path(f"/proc/{server.process.pid}/limits").read_text()
        soft = re.search(r"Max open files\s+(\d+)", limits)[1]
        self.assertEqual(1 << 20 if hard == resource.RLIM_INFINITY else min(hard, 1 << 20), int(soft))

    def test_connections_fit_into_what_there_is(self):
        server = self.start(prefix=[*SHELL, 'ulimit -n 128; exec "$0" "$@"'])
        one = self.client_of(server.url)
        digest = one.repository("a").pushed(b"x")
        for _ in range(200):  # all of them idle
            other = self.client_of(server.url)
            other.repository("a").blob(digest).expect(200)
        one.close()  # the server has, for one of the others
        one.repository("a").pushed(b"y")
        self.assertLess(len(os.listdir(f"/proc/{server.process.pid}/fd")), 120)


class ReadOnly(ServiceTest):
    def setUp(self):
        super().setUp()
        server = self.start()
        self.digest = self.client_of(server.url).repository("a").pushed(b"x")
        server.stop()

    @unittest.skipUnless(namespaces(), "no user namespaces here: cannot mount anything read-only")
    def test_from_a_file_system_that_cannot_be_written(self):
        for path in self.store.glob(".fnimage.*"):
            path.rmdir() if path.is_dir() else path.unlink()
        script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        server = self.start("--read-only", prefix=["unshare", "-rm", *SHELL, script, self.store])
        one = self.client_of(server.url)
        self.assertEqual(b"x", one.repository("a").blob(self.digest).expect(200).body)
        one.get("/readyz").expect(200)
        one.repository("a").begin().expect(405)
        one.get("/v2/_catalog").expect(200)
        self.assertEqual([], list(self.store.glob(".fnimage.*")))

    def test_beside_a_server_that_writes(self):
        writing = self.client_of(self.start().url)
        reading = self.client_of(self.start("--read-only").url)
        digest = writing.repository("a").pushed(b"new")
        self.assertEqual(b"new", reading.repository("a").blob(digest).expect(200).body)

    def test_there_must_be_a_store(self):
        done = subprocess.run([registry_process.FNIMAGE, "serve", "--read-only", "--store", self.scratch / "none"],
                              capture_output=True, text=True, env=registry_process.environment(self.scratch))
        self.assertNotEqual(0, done.returncode)
        self.assertIn("none", done.stderr)
        self.assertFalse((self.scratch / "none").exists())


class Messages(ServiceTest):
    def test_json_when_it_is_ready(self):
        process = subprocess.Popen(
            [registry_process.FNIMAGE, "serve", "--json", "--store", self.store, "--addr", "127.0.0.1:0",
             "--metrics-addr", "127.0.0.1:0"], stdout=subprocess.PIPE, env=registry_process.environment(self.scratch),
            preexec_fn=registry_process.end_with_parent)
        with process:
            line = json.loads(process.stdout.readline())
            self.client_of(line["url"]).get("/v2/").expect(200)
            self.client_of(line["metrics"].removesuffix("/metrics")).get("/metrics").expect(200)
            self.assertEqual(str(self.store), line["store"])
            process.terminate()
            self.assertEqual(b"", process.stdout.read())

    def test_a_port_that_is_taken(self):
        taken = self.client_of(self.start().url)
        for option, other in (("--addr", "--metrics-addr"), ("--metrics-addr", "--addr")):
            done = subprocess.run(
                [registry_process.FNIMAGE, "serve", "--store", self.scratch / "other", option, taken.address,
                 other, "127.0.0.1:0"], capture_output=True, text=True, env=registry_process.environment(self.scratch))
            self.assertNotEqual(0, done.returncode)
            for part in (taken.address, option, "another program"):
                self.assertIn(part, done.stderr)


if __name__ == "__main__":
    registry_process.main()

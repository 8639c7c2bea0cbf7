#!/usr/bin/env python3
"""A push to Debian's docker-registry that is killed in the middle of a large blob, and the same command again. Between
them stands a relay that counts, and that stops at a given byte so that the moment of the kill is known."""
import json
import os
import signal
import socket
import subprocess
import threading
import time

import command
import stores_test

CUT = 3_000_000
LARGE = 9_000_000
SMALL = 100_000  # more than all but the large layer, with the heads of the requests
SMALL_BLOBS = 2  # config and function


class Relay:
    """Passes connections on to a server, until one stands still: where `stands(relay, brought, piece)` says so, given
    what that connection has brought so far and what comes next. When go_on is set, it is cut: what the client has sent
    since then is lost, as with a cable that is pulled."""

    def __init__(self, target, stands):
        host, port = target.split(":")
        self.target = (host, int(port))
        self.stands = stands
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        self.received = 0  # by the server
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.ended = threading.Event()  # the connection that stood still
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            threading.Thread(target=self.upwards, args=(client, server), daemon=True).start()
            threading.Thread(target=self.downwards, args=(server, client), daemon=True).start()

    def upwards(self, client, server):
        brought, stood = 0, False
        try:
            while piece := client.recv(65536):
                stood = not self.reached.is_set() and self.stands(self, brought, piece)
                if stood:
                    self.reached.set()
                    self.go_on.wait()
                    break
                server.sendall(piece)
                brought += len(piece)
                with self.lock:
                    self.received += len(piece)
        except OSError:
            pass
        # Both directions: the server learns that its client has gone, and the other thread ends.
        for end in (server, client):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        if stood:
            self.ended.set()

    @staticmethod
    def downwards(server, client):
        try:
            while piece := server.recv(65536):
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.go_on.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@stores_test.needs("docker-registry")
class RegistryResume(stores_test.StoresTest):
    def setUp(self):
        super().setUp()
        (self.project / "model.bin").write_bytes(os.urandom(LARGE))
        self.write_spec(command.SPEC.replace("linux/amd64, linux/ppc64le", "linux/amd64") +
                        "layers: [{name: model, from: model.bin, to: /model.bin}]\n")

    def in_repository(self, pattern):
        return list(self.scratch.glob(f"registry-*/docker/registry/v2/repositories/probe/{pattern}"))

    def open_uploads(self):
        """Upload sessions that the registry still has on its disk."""
        return self.in_repository("_uploads/*")

    def journal(self):
        return list(self.home.rglob("*.upload"))

    def kill_in_the_middle(self, relay, *words):
        push = subprocess.Popen([command.FNIMAGE, *words], cwd=self.project, env=self.environment(),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertTrue(relay.reached.wait(60))
        # Only the large one is to be under way: a session that is just being opened could not be told from it.
        while len(self.in_repository("_layers/sha256/*")) < SMALL_BLOBS or len(self.open_uploads()) > 1:
            self.assertIsNone(push.poll())
            time.sleep(0.01)
        push.send_signal(signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, push.wait())
        relay.go_on.set()
        self.assertTrue(relay.ended.wait(60))

    def push_twice(self, stands, chunk_size=None):
        """Returns what the journal had after the kill, what the second push said and sent, and the sessions left."""
        with self.registry() as address:
            relay = Relay(address, stands)
            self.addCleanup(relay.close)
            name = f"{relay.address}/probe:v1"
            self.build("-t", name)
            if chunk_size:
                config = self.home / ".config/fnimage/registries.json"
                config.parent.mkdir(parents=True)
                config.write_text(json.dumps({"hosts": {relay.address: {"chunk_size": chunk_size}}}))
            push = ("push", "--plain-http", name)
            self.kill_in_the_middle(relay, *push)
            lost = relay.received
            self.assertEqual([], self.remote_tags(address), "the tag is the last thing that is put")
            self.assertEqual(1, len(self.journal()), "the large blob is noted, the small ones need not be")
            noted = json.loads(self.journal()[0].read_text())
            self.assertEqual(LARGE // 1_000_000, noted["size"] // 1_000_000)
            done = self.succeed(*push)
            again = relay.received - lost
            self.assertEqual(["v1", "v1-amd64"], self.remote_tags(address))
            self.assertEqual(self.digest("--local", name), self.digest("--plain-http", f"{address}/probe:v1"))
            # All of it, with every digest verified: the own copy is away meanwhile.
            (self.home / ".local").rename(self.scratch / "local")
            self.succeed("pull", "--plain-http", f"{address}/probe:v1")
            self.assertEqual([], self.journal())
            return noted, done.stderr, again, self.open_uploads()

    def remote_tags(self, address):
        done = self.run_command("tags", "--plain-http", f"{address}/probe")
        return done.stdout.split() if done.returncode == 0 else []

    def test_killed_within_a_request(self):
        """docker-registry 2.8 cannot go on there. What arrived of the cut body is on its disk, but the Location that
        the client has carries the signed offset of before, and the registry compares the two ("upload resumed at wrong
        offset"): whatever is asked of that Location, GET, PATCH and DELETE, is 404 BLOB_UPLOAD_INVALID (reliability
        F7). So a new session is begun at once, and what the first one holds is for the registry's own purging: that
        one session stays, and no other."""
        for chunk_size in (None, "1M"):
            with self.subTest(chunk_size=chunk_size):
                # The heads are small pieces of their own: this one is of a body.
                noted, said, again, left = self.push_twice(
                    lambda _, brought, piece: brought > CUT and len(piece) > 16384 and b"HTTP/1.1" not in piece[:4096],
                    chunk_size)
                self.assertIn("it begins again", said)
                self.assertLess(again, LARGE + SMALL)
                self.assertGreater(again, LARGE, "or the registry can go on, and this is to be said otherwise")
                self.assertEqual([noted["location"].split("?")[0].rsplit("/", 1)[1]], [path.name for path in left])
            self.doCleanups()
            self.setUp()

    def test_killed_between_chunks(self):
        """Then registry and journal agree, and only what is missing is sent: nothing was lost, nothing is left."""
        noted, said, again, left = self.push_twice(
            lambda relay, _, piece: relay.received > CUT and piece.startswith(b"PATCH "), "1M")
        self.assertGreaterEqual(noted["offset"], CUT - SMALL)
        self.assertNotIn("begins again", said)
        self.assertLess(again, noted["size"] - noted["offset"] + SMALL)
        self.assertEqual([], left)


if __name__ == "__main__":
    command.main()

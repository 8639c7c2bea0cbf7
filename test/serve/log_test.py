"""The access log of `fnimage serve`: what its lines say in both formats, and that the server does not depend on a reader."""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import registry_process

COMMON = re.compile(
    r'(?P<peer>127\.0\.0\.1:\d+) - (?P<caller>\S+) \[(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\] '
    r'"(?P<method>\S+) (?P<target>\S+)" (?P<status>\d{3}) (?P<sent>\d+) "(?P<agent>[^"]*)" (?P<milliseconds>\d+\.\d{3})')
REDIRECTED = ("sh", "-c")


class LogTest(unittest.TestCase):
    def setUp(self):
        self.scratch = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="fnimage-serve-")))

    def start(self, *options, prefix=()):
        server = registry_process.Server(self.scratch / "store", "--access-log", *options, home=self.scratch, prefix=prefix)
        self.addCleanup(server.stop)
        one = server.client()
        self.addCleanup(one.close)
        return server, one

    def line_of(self, server, target):
        """The line of the only request for this."""
        def lines():
            return [line for line in server.messages().splitlines() if target in line]
        registry_process.wait_until(lines, f"{target} is in the log")
        self.assertEqual(1, len(lines()))
        return lines()[0]


class Lines(LogTest):
    def test_common(self):
        server, one = self.start()
        one.get("/v2/?common", user_agent="agent/1").expect(200)
        line = self.line_of(server, "?common")
        parts = COMMON.fullmatch(line)
        self.assertTrue(parts, line)
        wanted = {"caller": "-", "method": "GET", "target": "/v2/?common", "status": "200", "sent": "3", "agent": "agent/1"}
        self.assertEqual(wanted, {key: parts[key] for key in wanted})

    def test_json(self):
        server, one = self.start("--access-log-format", "json")
        agent = 'quo"te \\ high \xff'
        one.get("/v2/?json", user_agent=agent).expect(200)
        line = json.loads(self.line_of(server, "?json"))
        self.assertRegex(line.pop("peer"), r"^127\.0\.0\.1:\d+$")
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreaterEqual(line.pop("duration_ms"), 0)
        self.assertTrue(line.pop("user_agent").startswith('quo"te \\ '))
        self.assertEqual({"user": None, "method": "GET", "target": "/v2/?json", "status": 200, "sent_bytes": 3}, line)

    def test_how_long_it_took(self):
        server, one = self.start("--access-log-format", "json")
        repository = one.repository("a")
        where = repository.begun()
        other = server.client()
        self.addCleanup(other.close)

        def pieces():
            yield b"x" * 100
            registry_process.wait_until(lambda: other.get(where).header("Range") == "0-99", "the server has begun")
            time.sleep(0.2)  # of the client
            yield b"y"
        one.request("PATCH", where + "?slow", pieces()).expect(202)
        self.assertGreaterEqual(json.loads(self.line_of(server, "?slow"))["duration_ms"], 200)

    @unittest.skipUnless(shutil.which("htpasswd"), "apt-get install apache2-utils")
    def test_who(self):
        users, tokens = self.scratch / "users", self.scratch / "tokens"
        for user in ("ann", 'odd "name'):
            subprocess.run(["htpasswd", "-iB", "-C", "4", *([] if users.exists() else ["-c"]), users, user], input="secret",
                           text=True, check=True, capture_output=True)
        made = subprocess.run([registry_process.FNIMAGE, "serve", "token", "robot", "--tokens", tokens, "--repository", "*"],
                              check=True, capture_output=True, text=True, env=registry_process.environment(self.scratch))
        secret = made.stdout.split()[-1]
        server, one = self.start("--htpasswd", users, "--tokens", tokens)

        def basic(user, password):
            return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        token = one.get("/v2/token?login", authorization=basic("ann", "secret")).expect(200).json()["token"]
        cases = {"1": (basic("ann", "secret"), "ann"), "2": (basic("ann", "wrong"), "-"), "3": ("Bearer " + secret, "robot"),
                 "4": (basic("robot", secret), "robot"), "5": ("Bearer " + token, "ann"), "6": ("", "-"),
                 "7": (basic('odd "name', "secret"), "odd_'name")}
        for number, (authorization, name) in cases.items():
            one.get(f"/v2/?case={number}", **({"authorization": authorization} if authorization else {}))
            parts = COMMON.fullmatch(self.line_of(server, f"?case={number}"))
            self.assertEqual(name, parts and parts["caller"], number)
        self.assertEqual("ann", COMMON.fullmatch(self.line_of(server, "?login"))["caller"])
        # Whoever sends bytes is known at their end, too.
        where = one.request("POST", "/v2/a/blobs/uploads/", b"", {"Authorization": cases["1"][0]}).expect(202).location()
        one.request("PATCH", where + "?bytes", b"x", {"Authorization": cases["1"][0]}).expect(202)
        self.assertEqual("ann", COMMON.fullmatch(self.line_of(server, "?bytes"))["caller"])


class NobodyReads(LogTest):
    """More is logged than a pipe holds, and than waits for it."""
    REQUESTS, AGENT = 1500, "x" * 4000

    def answers(self, server, one):
        target = "/v2/?" + "y" * 2000
        for _ in range(self.REQUESTS):
            one.get(target, user_agent=self.AGENT).expect(200)
        self.assertEqual(0, server.stop())

    def test_disk_full(self):
        self.answers(*self.start(prefix=[*REDIRECTED, 'exec "$0" "$@" 2>/dev/full']))

    def test_reader_has_gone(self):
        fifo = self.scratch / "fifo"
        os.mkfifo(fifo)
        reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        server, one = self.start(prefix=[*REDIRECTED, f'exec "$0" "$@" 2>{fifo}'])
        os.close(reading)
        self.answers(server, one)

    def test_reader_stands_still(self):
        fifo = self.scratch / "fifo"
        os.mkfifo(fifo)
        reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        server, one = self.start(prefix=[*REDIRECTED, f'exec "$0" "$@" 2>{fifo}'])
        self.answers(server, one)
        self.assertIn(b"GET /v2/?y", os.read(reading, 65536))


if __name__ == "__main__":
    registry_process.main()

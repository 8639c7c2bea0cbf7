"""`fnimage serve` as a process for tests: on a port of 127.0.0.1 that was free, with a directory and a home of its own."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import client

FNIMAGE = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
SOURCE = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
PATIENCE = 60  # seconds for whatever must happen


def tool(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def wait_until(holds, what):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


def environment(home):
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("XDG_", "DOCKER_", "SOURCE_DATE_EPOCH", "FNIMAGE_"))}
    sanitizers = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}  # memory is measured
    return kept | {"HOME": str(home), "NO_COLOR": "1"} | sanitizers


def end_with_parent():
    """Linux kills the process when the test ends without having stopped it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Server:
    """A running server. The directory stays when it ends, so that another can be started on it."""

    def __init__(self, directory, *options, home=None, prefix=()):
        self.directory = pathlib.Path(directory)
        self.is_asked = False  # to end
        home = pathlib.Path(home or self.directory.parent)
        self.log = home / f"{self.directory.name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, FNIMAGE, "serve", "--store", directory, "--addr", "127.0.0.1:0", *options],
                stdout=subprocess.PIPE, stderr=log, env=environment(home), preexec_fn=end_with_parent)
        line = self.process.stdout.readline().decode()
        if not line:
            self.kill()
            raise AssertionError(f"the server ended: {self.messages()}")
        # "serving DIRECTORY at URL", or "serving DIRECTORY at URL, metrics at URL/metrics"
        served, _, metrics = line.strip().partition(", metrics at ")
        self.url = served.rpartition(" at ")[2]
        self.metrics_url = metrics.removesuffix("/metrics")

    def client(self, tls=None):
        return client.Client(self.url, tls)

    def messages(self):
        return self.log.read_text(errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def ask_to_end(self):
        self.is_asked = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Ends it as a service manager does; its exit code."""
        if self.is_running() and not self.is_asked:  # again would mean: at once
            self.ask_to_end()
        try:
            code = self.process.wait(PATIENCE)
            if "runtime error: " in self.messages() or "Sanitizer: " in self.messages():
                raise AssertionError(self.messages())
            return code
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server does not end") from None
        finally:
            self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def memory(self, field="VmRSS"):
        """In bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field + ":"))


class ServerTest(unittest.TestCase):
    """One server for all tests of a class, each of which uses repositories of its own."""
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.scratch = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory(prefix="fnimage-serve-")))
        cls.server = cls.started(*cls.OPTIONS)

    @classmethod
    def started(cls, *options, name="store"):
        """A server that ends with the class at the latest; it must end well then."""
        server = Server(cls.scratch / name, *options, home=cls.scratch)
        cls.stack.callback(server.stop)
        return server

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.repository = self.client.repository(self.id().rpartition(".")[2].replace("_", "-").lower())

    def tearDown(self):
        self.assertTrue(self.server.is_running(), self.server.messages())


def main():
    unittest.main(argv=sys.argv[:1])

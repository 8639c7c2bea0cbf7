"""A runtime's proxy as a process of this machine, for tests that need control over it."""

import atexit
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import conformance
from containers import free_port


def installed(action):
    """A Python runtime's file with the proxy beside it, as in an image; gone when the test ends."""
    action = pathlib.Path(action)
    directory = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    shutil.copy(action.parent.parent / "proxy/action_proxy.py", directory)
    return pathlib.Path(shutil.copy(action, directory))


class ActionProcess:
    """A proxy process with its logs in files; ended when the block is left."""

    def __init__(self, command, directory, **environment):
        self.command = command
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.environment = {"PATH": os.environ["PATH"], "FNIMAGE_PORT": str(self.port)}
        self.environment.update(environment)

    def __enter__(self):
        logs = [self.directory / name for name in ("stdout", "stderr")]
        with open(logs[0], "wb") as out, open(logs[1], "wb") as err:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=out, stderr=err
            )
        self.client = conformance.Client("127.0.0.1", self.port, *logs)
        self.client.wait_until_listening(lambda: self.process.poll() is None)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class ActionTest(unittest.TestCase):
    """Base of the tests of one runtime."""

    command = ()  # starts the proxy
    probe = "python"  # of probes.PROBES
    main_file = "handler.py"

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        self.code = self.root / "action"
        self.code.mkdir()

    def action(self, **environment):
        return ActionProcess(self.command, self.root, TMPDIR=str(self.root), **environment)

    def baked(self, source, name=None, **environment):
        path = self.code / (name or self.main_file)
        path.write_text(source, "utf-8")
        path.chmod(0o755)
        return self.action(FNIMAGE_ACTION_MAIN=str(path), **environment)

    def suite(self, action):
        return conformance.Suite(action.client, self.probe)

    def check(self, checks):
        self.assertEqual(conformance.run_checks(checks, self._testMethodName), 0)

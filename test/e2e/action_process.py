"""A runtime's proxy as a process of this machine, for tests that need control over it."""

import atexit
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import conformance
from containers import free_port


def installed(action):
    """A Python runtime's file with its modules and the proxy beside it, as in an image; gone when
    the test ends."""
    action = pathlib.Path(action)
    directory = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    for file in (action.parent.parent / "proxy/action_proxy.py", *action.parent.glob("*.py")):
        shutil.copy(file, directory)
    return directory / action.name


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


class ServerTest:
    """What holds for each runtime that has a server; mixed into its ActionTest."""

    telling = ""  # a function that gives back {"got": its value, "id": of the activation}
    # One that raises the stop signal itself (sent from outside it might come after a request that
    # has to be turned away, which would then wait behind this activation for ever), makes the file
    # `started`, waits for `go_on` and gives back {"finished": true}.
    stopping = ""

    def test_single_endpoint(self):
        environment = {"__OW_RUNTIME_PLATFORM": "knative"}
        init = {"init": {"code": self.telling, "main": "main"}}
        call = {"value": {"a": 1}, "activation": {"activation_id": "7"}}
        expected = {"got": {"a": 1}, "id": "7"}
        with self.baked(self.telling, **environment) as action:  # baked-in code needs no init
            suite = self.suite(action)
            for _ in range(2):
                answer = suite.with_markers(1, lambda: action.client.post("/", call))
                self.assertEqual(answer.expect(200), expected)
            action.client.post("/run", call).expect_error(404)
        with self.action(**environment) as action:
            action.client.post("/", call).expect_error(502)
            self.assertEqual(action.client.post("/", {**init, **call}).expect(200), expected)
            action.client.post("/", init).expect_error(403)
            self.assertEqual(action.client.post("/", call).expect(200), expected)
        with self.action(**environment) as action:
            self.assertEqual(action.client.post("/", init).expect(200), {"ok": True})
            self.assertEqual(action.client.post("/", call).expect(200), expected)

    def test_stop_signal_while_idle_ends_with_zero(self):
        with self.action() as action:
            action.process.send_signal(signal.SIGTERM)
            self.assertEqual(action.process.wait(), 0)

    @contextlib.contextmanager
    def call_in_progress(self, action):
        """A call of a function like `stopping`; its thread. When the block is left it may go on,
        and has to give its result, the last thing that the process does."""
        started, go_on = self.root / "started", self.root / "go-on"
        action.client.init().expect(200)
        answers = []
        value = {"started": str(started), "go_on": str(go_on)}
        call = threading.Thread(target=lambda: answers.append(action.client.run(value)))
        call.start()
        while call.is_alive() and not started.exists():
            time.sleep(0.01)
        self.assertTrue(started.exists(), answers and answers[0].body)
        yield call
        go_on.touch()
        call.join()
        self.assertEqual(answers[0].expect(200), {"finished": True})
        self.assertEqual(action.process.wait(), 0)

    def test_stop_signal_lets_the_activation_finish_and_turns_others_away(self):
        with self.baked(self.stopping) as action, self.call_in_progress(action):
            action.client.run({}).expect(503)

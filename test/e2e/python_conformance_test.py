"""Runs the Python action proxy with the host's Python and holds it to the action contract.

    python_conformance_test.py PATH/TO/python_action.py [unittest options]

Covers what conformance.py checks from outside (code sent with /init, as text and as a zip; baked-in
code) and what needs control over the process: image environment, imports, signals, slow clients.
"""

import base64
import ctypes
import http.client
import io
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import unittest
import zipfile

import conformance
from action_process import ActionTest, ServerTest, installed

PROXY = installed(sys.argv.pop(1))


def turned_away(port):
    """Whether a request is answered at once, and by 503; one that is not stays in a queue, of which
    the proxy has few places."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("POST", "/run", "{}")
        return connection.getresponse().status == 503
    except OSError:
        return False
    finally:
        connection.close()


class PythonActionTest(ServerTest, ActionTest):
    command = (sys.executable, PROXY)
    telling = (
        "import os\n"
        "def main(args):\n"
        "    return {'got': args, 'id': os.environ['__OW_ACTIVATION_ID']}\n"
    )
    stopping = (
        "import os, pathlib, signal, time\n"
        "def main(args):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    pathlib.Path(args['started']).touch()\n"
        "    while not os.path.exists(args['go_on']):\n"
        "        time.sleep(0.01)\n"
        "    return {'finished': True}\n"
    )

    def test_code_sent_as_text(self):
        with self.action() as action:
            self.check(conformance.Suite(action.client).probe())

    def test_code_sent_as_text_in_the_c_locale(self):
        with self.action(LC_ALL="C", PYTHONCOERCECLOCALE="0") as action:
            self.check(conformance.Suite(action.client).probe())

    def test_baked_code(self):
        with self.baked("def main(args):\n    return {'got': args}\n") as action:
            self.check(conformance.Suite(action.client).baked([({"a": 1}, {"got": {"a": 1}})]))

    def test_contract_holds_for_an_image_with_baked_code(self):
        with self.baked("raise RuntimeError('code sent with /init goes first')") as action:
            self.check(conformance.Suite(action.client).probe())

    def test_code_sent_as_zip(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("__main__.py", "import helper\ndef go(args):\n    return helper.F\n")
            archive.writestr("helper.py", "F = {'from': 'zip'}\n")
        with self.action() as action:
            for bad in ("!", base64.b64encode(b"no zip").decode(), "☃"):
                action.client.init(code=bad, binary=True).expect_error(502)
            code = base64.b64encode(buffer.getvalue()).decode()
            action.client.init(code=code, binary=True, main="go").expect(200)
            self.assertEqual(action.client.run({}).expect(200), {"from": "zip"})

    def test_zip_bomb_is_refused(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("__main__.py", "w") as file:
                for _ in range(600):
                    file.write(bytes(1 << 20))
        with self.action() as action:
            code = base64.b64encode(buffer.getvalue()).decode()
            action.client.init(code=code, binary=True).expect_error(413)

    def test_init_without_any_code_fails(self):
        with self.action() as action:
            action.client.init().expect_error(502)

    def test_failing_baked_code_is_reported(self):
        with self.baked("import no_such_module\n") as action:
            suite = conformance.Suite(action.client)
            answer = suite.with_markers(1, action.client.init)
            self.assertIn("no_such_module", answer.expect_error(502))

    def test_function_name_and_environment_of_the_image(self):
        (self.code / "sibling.py").write_text("VALUE = 'sibling'\n")
        library = self.root / "library"
        library.mkdir()
        (library / "elsewhere.py").write_text("VALUE = 'elsewhere'\n")
        source = (
            "import os, sibling, elsewhere, pickle\n"
            "class Thing: pass\n"
            "def predict(args):\n"
            "    return {'s': sibling.VALUE, 'e': elsewhere.VALUE, 'm': Thing.__module__,\n"
            "            'threads': os.environ['OMP_NUM_THREADS'],\n"
            "            'pickled': bool(pickle.dumps(Thing()))}\n"
            "def other(args):\n"
            "    return {}\n"
        )
        environment = {
            "FNIMAGE_ACTION_FUNCTION": "predict",
            "OMP_NUM_THREADS": "2",
            "PYTHONPATH": str(library),
        }
        expected = {"s": "sibling", "e": "elsewhere", "m": "handler", "threads": "2"}
        with self.baked(source, **environment) as action:
            calls = [({}, {**expected, "pickled": True})]
            self.check(conformance.Suite(action.client).baked(calls))
        with self.baked(source, **environment) as action:
            action.client.init(main="other").expect(200)
            self.assertEqual(action.client.run({}).expect(200), {})

    def test_file_named_like_a_library_module_loads(self):
        source = "import json\ndef main(a):\n    return json.loads('{}')\n"
        with self.baked(source, "csv.py") as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({}).expect(200), {})

    def test_environment_values_that_are_no_strings(self):
        source = "import os\ndef main(args):\n    return dict(os.environ)\n"
        with self.baked(source) as action:
            action.client.init(env={"A=B": "x"}).expect_error(400)
            action.client.init(env={"A": "\0"}).expect_error(400)
            env = {"N": None, "T": True, "I": 3, "O": {"a": [1]}}
            action.client.init(env=env).expect(200)
            seen = action.client.run({}).expect(200)
            self.assertEqual([seen[k] for k in env], ["", "true", "3", '{"a":[1]}'])

    def test_user_code_that_closes_its_output_still_gets_markers(self):
        source = (
            "import sys\ndef main(a):\n"
            "    sys.stdout.close()\n    sys.stderr = None\n    1 / 0\n"
        )
        with self.baked(source) as action:
            suite = conformance.Suite(action.client)
            action.client.init().expect(200)
            for _ in range(2):
                suite.with_markers(1, lambda: action.client.run({}).expect_error(502))

    def test_function_runs_on_the_main_thread(self):
        source = (
            "import signal\ndef main(a):\n"
            "    signal.signal(signal.SIGALRM, signal.SIG_DFL)\n    return {}\n"
        )
        with self.baked(source) as action:
            action.client.init().expect(200)
            action.client.run({}).expect(200)

    def test_idle_clients_do_not_hold_up_an_activation(self):
        with self.baked("def main(args):\n    return {}\n") as action:
            idle = [socket.create_connection(("127.0.0.1", action.port)) for _ in range(5)]
            for connection in idle:
                self.addCleanup(connection.close)
                connection.sendall(b"POST /run HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
            action.client.init().expect(200)
            action.client.run({}).expect(200)

    def test_listens_on_ipv6_where_the_host_has_it(self):
        if not socket.has_dualstack_ipv6() or not pathlib.Path("/proc/net/if_inet6").exists():
            self.skipTest("no IPv6 on this host")
        with self.baked("def main(args):\n    return {}\n") as action:
            conformance.Client("::1", action.port).init().expect(200)

    def test_stop_signal_that_another_thread_receives_ends_too(self):
        with self.action() as action:
            process = action.process.pid
            others = {int(task) for task in os.listdir(f"/proc/{process}/task")} - {process}
            libc = ctypes.CDLL(None, use_errno=True)
            self.assertEqual(libc.tgkill(process, others.pop(), signal.SIGTERM), 0)
            self.assertEqual(action.process.wait(), 0)

    def test_stop_signal_during_a_call_of_a_library_turns_others_away(self):
        # Nothing but the other thread ends the wait for a mutex, and no handler in Python runs.
        source = (
            "import ctypes, os, pathlib, threading, time\n"
            "def main(args):\n"
            "    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)\n"
            "    def unlock():\n"
            "        while not os.path.exists(args['go_on']): time.sleep(0.01)\n"
            "        libc.pthread_mutex_unlock(mutex)\n"
            "    libc.pthread_mutex_lock(mutex)\n"
            "    threading.Thread(target=unlock).start()\n"
            "    pathlib.Path(args['started']).touch()\n"
            "    libc.pthread_mutex_lock(mutex)\n"
            "    return {'finished': True}\n"
        )
        with self.baked(source) as action, self.call_in_progress(action) as call:
            action.process.terminate()
            conformance.wait_until(lambda: turned_away(action.port) or not call.is_alive())
            self.assertTrue(call.is_alive() and turned_away(action.port))

    def test_child_processes_end_by_the_stop_signal(self):
        source = (
            "import multiprocessing, time\n"
            "def main(args):\n"
            "    context = multiprocessing.get_context('fork')\n"
            "    child = context.Process(target=time.sleep, args=(3600,))\n"
            "    child.start()\n"
            "    child.terminate()\n"
            "    child.join()\n"
            "    return {'ended': child.exitcode}\n"
        )
        with self.baked(source) as action:
            action.client.init().expect(200)
            for _ in range(20):  # and the runtime does not take it for its own
                answer = action.client.run({}).expect(200)
                self.assertEqual(answer, {"ended": -signal.SIGTERM})


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Runs the notebook runtime in both of its modes and holds it to the action contract.

    notebook_conformance_test.py PATH/TO/notebook_action.py [unittest options]

Kernel mode needs a Python with nbclient and ipykernel: this one, or /usr/bin/python3. Without it
its tests are skipped.
"""

import base64
import glob
import io
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import unittest
import zipfile

import conformance
import notebook_suite
from action_process import ActionTest, ServerTest, installed
from probes import code_cell, notebook

PROXY = installed(sys.argv.pop(1))
sys.path.insert(0, str(PROXY.parent))

import notebook_parameters  # noqa: from the folder above


def python_with(*modules):
    """An interpreter that has the modules, or None."""
    program = "import " + ", ".join(modules)
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python):
            if subprocess.run([python, "-c", program], stderr=subprocess.DEVNULL).returncode == 0:
                return python
    return None


KERNEL_PYTHON = python_with("nbclient", "ipykernel")


class ModeTest(ServerTest):
    """What holds in both modes; mixed into the ActionTest of each."""

    mode = ""
    probe = "notebook"
    main_file = "train.ipynb"
    telling = notebook(
        code_cell("a = None", "parameters"),
        "import os\nresult = {'got': {'a': a}, 'id': os.environ['__OW_ACTIVATION_ID']}",
    )
    stopping = notebook(
        code_cell("started = go_on = ''", "parameters"),  # two targets: no parameters
        code_cell("started = ''\ngo_on: str = ''", "parameters"),
    )

    def action(self, **environment):
        return super().action(FNIMAGE_NOTEBOOK_MODE=self.mode, **environment)

    def suite(self, action):
        return notebook_suite.NotebookSuite(action.client, self.probe)

    def results(self, *cells, values=({},), **environment):
        """What a notebook answers, one after the other."""
        with self.baked(notebook(*cells), **environment) as action:
            action.client.init().expect(200)
            return [action.client.run(value).expect(200) for value in values]

    def result(self, *cells, **environment):
        return self.results(*cells, **environment)[0]

    def failed_init(self, text):
        with self.baked(text) as action:
            suite = self.suite(action)
            return suite.with_markers(1, action.client.init).expect_error(502)

    def test_code_sent_as_text(self):
        with self.action() as action:
            self.check(self.suite(action).probe())

    def test_text_in_the_c_locale(self):
        environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
        self.assertEqual(self.result("print('❄')\n'☃'", **environment), {"result": "☃"})
        self.assertIn("❄\n", conformance.read(self.root / "stdout"))

    def test_baked_notebook(self):
        cells = (code_cell("rate: float = 0.5", "parameters"), "{'rate': rate}")
        with self.baked(notebook(*cells)) as action:
            calls = [({}, {"rate": 0.5}), ({"rate": 2}, {"rate": 2}), ({}, {"rate": 0.5})]
            self.check(self.suite(action).baked(calls))

    def test_code_sent_as_zip(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("main.ipynb", notebook("import helper", "result = helper.F"))
            archive.writestr("helper.py", "F = {'from': 'zip'}\n")
        with self.action() as action:
            code = base64.b64encode(buffer.getvalue()).decode()
            action.client.init(code=code, binary=True).expect(200)
            self.assertEqual(action.client.run({}).expect(200), {"from": "zip"})

    def test_notebook_of_format_3(self):
        cells = [
            {"cell_type": "heading", "level": 1, "source": "Title", "metadata": {}},
            {
                "cell_type": "code",
                "language": "python",
                "metadata": {"tags": ["parameters"]},
                "input": ["a = 1\n", "b = 2"],
                "outputs": [],
            },
            {"cell_type": "code", "input": "[a, b]", "metadata": {}, "outputs": []},
        ]
        text = json.dumps({"nbformat": 3, "metadata": {}, "worksheets": [{"cells": cells}]})
        with self.baked(text) as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({"b": 3}).expect(200), [1, 3])

    def test_malformed_notebooks(self):
        def with_cells(cells, **more):
            return json.dumps({"nbformat": 4, "metadata": {}, "cells": cells, **more})

        for text, said in (
            ("", "no valid JSON"),
            ("[" * 100_000, "no valid JSON"),
            ("[1]", "nbformat"),
            (with_cells([], nbformat=2), "nbformat"),
            (with_cells(None), "no list of cells"),
            (json.dumps({"nbformat": 3, "worksheets": []}), "no list of cells"),
            (with_cells([3]), "cell 0 is not an object"),
            (with_cells([{"cell_type": "code", "source": [1]}]), "cell 0 has no text"),
            (notebook("1", language_info={"name": "julia"}), "julia"),
            (notebook("1", code_cell("x = = 1", "parameters")), "train.ipynb, cell 1, line 1"),
        ):
            with self.subTest(said=said):
                error = self.failed_init(text)
                self.assertIn(said, error)
                self.assertNotIn("Traceback", error)

    def test_init_without_notebook(self):
        with self.action() as action:
            action.client.init().expect_error(502)
        with self.action(FNIMAGE_ACTION_MAIN="/no/such.ipynb") as action:
            self.assertIn("/no/such.ipynb", action.client.init().expect_error(502))

    def test_refused_arguments(self):
        declares = code_cell("epochs: int = 3\nname = 'a'\n_hidden = 1", "parameters")
        values = (
            {"epoch": 1},
            {"_hidden": 2},
            {"epochs": 1.0, "name": None},
            {"epochs": True},
            {"x;import os": 1},
            {"name": "y", "__ow_method": "post"},
        )
        unknown, hidden, kinds, boolean, code, accepted = self.results(
            declares, "result = [epochs, name]", values=values
        )
        self.assertIn("no parameter epoch (did you mean epochs?)", unknown["error"])
        self.assertIn("epochs, name", hidden["error"])
        self.assertIn("epochs must be integer, not number", kinds["error"])
        self.assertIn("name must be string, not null", kinds["error"])
        self.assertIn("epochs must be integer, not boolean", boolean["error"])
        self.assertIn("no parameter x;import os", code["error"])
        self.assertEqual(accepted, [3, "y"])
        refused = self.results("result = 1", values=[{"a": 1}])[0]
        self.assertIn("it has none", refused["error"])

    def test_values_are_data(self):
        hostile = {"a": "'; import os; os._exit(1) #", "b": {"'\"\\\n\u2028": ["%x", "!ls", "?"]}}
        values = [hostile, {"a": [[math.inf, -math.inf]]}, {"a": json.loads("[" * 99 + "]" * 99)}]
        cells = (
            code_cell("a = b = None\na = None\nb = None", "parameters"),
            "result = {'a': a, 'b': b} if 'inf' not in repr(a) else repr(a)",
        )
        got = self.results(*cells, values=values + [{"a": json.loads("[" * 200 + "]" * 200)}])
        self.assertEqual(got[0], hostile)
        self.assertEqual(got[1], {"result": "[[inf, -inf]]"})
        self.assertEqual(got[2], {**values[2], "b": None})
        self.assertIn("nests deeper", got[3]["error"])

    def test_parameters_of_an_earlier_run_are_left_out(self):
        cells = (
            "early = 1",
            code_cell("a = 1\nb = 2", "parameters"),
            code_cell("a = 10\nb = 20", "injected-parameters"),
            "result = [early, a, b]",
        )
        self.assertEqual(self.results(*cells, values=({}, {"b": 5})), [[1, 1, 2], [1, 1, 5]])

    def test_only_the_first_tagged_cell_declares(self):
        cells = (
            code_cell("a = 1", "parameters"),
            code_cell("b = 1", "parameters"),
            "result = [a, b]",
        )
        got = self.results(*cells, values=({"a": 2}, {"b": 2}))
        self.assertEqual(got[0], [2, 1])
        self.assertIn("no parameter b", got[1]["error"])

    def test_what_the_result_is(self):
        for cells, expected in (
            (("result = {'a': 1}", "2"), {"a": 1}),
            (("result = None", "2"), {"result": None}),
            (("x = 5", "x"), {"result": 5}),
            (("x = 5", "x", "  \n"), {"result": 5}),  # the empty cell that Jupyter leaves
            (("(4\n  + 1)  # five",), {"result": 5}),
            (("5", "x = 1"), {}),
            (("[5];",), {}),
            (("([5]) ; # for its effect",), {}),
            (("print(5)",), {}),
            (("object()",), {}),
            (("float('nan')",), {}),
            ((), {}),
            (("result = (1, (2, 3))",), [1, [2, 3]]),
            (("result = {1: 'a', None: 'b'}",), {"1": "a", "null": "b"}),
            (("result = 'ä☃\\ud800'",), {"result": "ä☃\ud800"}),
        ):
            with self.subTest(cells=cells):
                self.assertEqual(self.result(*cells), expected)

    def test_results_that_are_none(self):
        for source, said in (
            ("result = {'a': [1, {2, 3}]}", "result['a'][1] has no JSON form: it is of type set"),
            ("result = {(1, 2): 3}", "result has no JSON form: it has a key of type tuple"),
            ("result = [1, float('inf')]", "result[1] has no JSON form: it is inf"),
            ("result = {float('nan'): 1}", "result has no JSON form"),
            ("result = []\nresult.append(result)", "result has no JSON form"),
            ("['x' * (1 << 20)]", "the last expression takes 1048580 bytes"),
        ):
            with self.subTest(source=source):
                self.assertIn(said, self.result(source)["error"])

    def test_objects_of_numpy_and_pandas_count_as_their_values(self):
        like_them = (
            "class Scalar:\n"
            "    def item(self): return 1.5\n"
            "class Array:\n"
            "    def tolist(self): return [Scalar(), 2]\n"
            "class Frame:\n"
            "    def to_dict(self): return {Scalar(): Array()}\n"
            "    def tolist(self): raise ValueError\n"
            "class Strange:\n"
            "    def item(self): return self\n"
        )
        expected = {"f": {"1.5": [1.5, 2]}, "a": [1.5, 2]}
        self.assertEqual(self.result(like_them, "result = {'f': Frame(), 'a': Array()}"), expected)
        self.assertIn("type Strange", self.result(like_them, "result = Strange()")["error"])
        self.assertIn("type type", self.result(like_them, "result = Scalar")["error"])

    def test_numpy(self):
        if python_with("numpy") != self.command[0]:
            self.skipTest("this Python has no numpy")
        cells = (
            "import numpy as np",
            "result = {'s': np.float32(0.5), 'i': np.int64(3), 'b': np.bool_(True),\n"
            "          'a': np.arange(4).reshape(2, 2), np.int64(7): np.array(1)}",
        )
        expected = {"s": 0.5, "i": 3, "b": True, "a": [[0, 1], [2, 3]], "7": 1}
        self.assertEqual(self.result(*cells), expected)
        self.assertIn("it is nan", self.result("import numpy", "result = numpy.nan * 1")["error"])

    def test_errors_of_cells(self):
        title = {"cell_type": "markdown", "metadata": {}, "source": "# Title"}
        cells = (
            title,
            "def scale(x):\n    return 1 / x\n",
            "",
            code_cell("scale(1)", "skip-execution"),
            "1\nscale(0)",
            "open('/no/such/place', 'w')",
        )
        error = self.result(*cells)["error"]
        place = {"cell": 4, "exec_count": 2, "ename": "ZeroDivisionError"}
        self.assertEqual({key: error[key] for key in place}, place)
        self.assertEqual(error["evalue"], "division by zero")
        text = "\n".join(error["traceback"])
        self.assertIn("return 1 / x", text)
        self.assertNotIn("\x1b", text)
        self.assertNotIn("notebook_compiled", text)
        self.assertIn("return 1 / x", conformance.read(self.root / "stderr"))

    def test_cells_that_may_fail(self):
        cells = (code_cell("a = 1\n1 / 0", "raises-exception"), "result = a")
        self.assertEqual(self.result(*cells), {"result": 1})
        cells = ("a = 1", code_cell("1 / 0", "raises-exception"))
        self.assertEqual(self.result(*cells), {})
        cells = (code_cell("this is no Python", "raises-exception"), "3")
        self.assertEqual(self.result(*cells), {"result": 3})

    def test_leaving_early(self):
        end = "result = 2"
        for source in ("sys.exit()", "sys.exit(0)", "raise SystemExit", "exit()", "quit(0)"):
            with self.subTest(source=source):
                cells = ("import sys\nresult = 1", source, end)
                self.assertEqual(self.result(*cells), {"result": 1})
        error = self.result("import sys", "sys.exit('no data')", end)["error"]
        self.assertEqual((error["ename"], error["evalue"]), ("SystemExit", "no data"))

    def test_each_activation_begins_afresh(self):
        cells = ("result = 'kept' not in globals()", "kept = 1")
        self.assertEqual(self.results(*cells, values=({}, {})), [{"result": True}] * 2)

    def test_main_module(self):
        cells = (
            "import pickle, sys\nclass Thing:\n    pass\n",
            "copy = pickle.loads(pickle.dumps(Thing()))\n"
            "result = [__name__, type(copy) is Thing, sys.modules['__main__'].Thing is Thing]",
        )
        expected = ["__main__", True, True]
        self.assertEqual(self.results(*cells, values=({}, {})), [expected] * 2)

    def test_files_beside_the_notebook(self):
        (self.code / "sibling.py").write_text("VALUE = 7\n")
        (self.code / "data.txt").write_text("text")
        cells = ("import os, sibling", "result = [sibling.VALUE, open('data.txt').read()]")
        self.assertEqual(self.result(*cells), [7, "text"])

    def test_nothing_of_the_runtime_is_importable(self):
        source = (
            "import importlib.util\n"
            "result = [n for n in ('notebook', 'kernel', 'cells') if importlib.util.find_spec(n)]\n"
            "import sys\nresult += [p for p in sys.path if 'notebook_action.py' in p]"
        )
        self.assertEqual(self.result(source), [])

    def test_display(self):
        self.assertEqual(self.result("display([1, 'a'])", "result = 1"), {"result": 1})
        self.assertIn("[1, 'a']\n", conformance.read(self.root / "stdout"))

    def test_await(self):
        cells = (
            "import asyncio\nasync def later(x):\n    await asyncio.sleep(0)\n    return x",
            "task = asyncio.ensure_future(later(0)) if await later(1) else None",
            "await task\nawait later(3)",
        )
        self.assertEqual(self.results(*cells, values=({}, {})), [{"result": 3}] * 2)

    def test_future_holds_for_later_cells(self):
        cells = (
            "from __future__ import annotations",
            "def f(x: NoSuchName): pass",
            "f.__annotations__['x']",
        )
        self.assertEqual(self.result(*cells), {"result": "NoSuchName"})

    def test_output_comes_as_it_is_printed(self):
        cells = (
            code_cell("go_on = ''", "parameters"),
            "import os, sys, time\nprint('begun ☃')\nprint('and so on', file=sys.stderr)\n"
            "while not os.path.exists(go_on): time.sleep(0.01)",
        )
        go_on = self.root / "go-on"
        with self.baked(notebook(*cells)) as action:
            action.client.init().expect(200)
            call = threading.Thread(target=lambda: action.client.run({"go_on": str(go_on)}))
            call.start()
            texts = ("begun ☃\n", "and so on\n")
            for log, text in zip(action.client.logs, texts):
                conformance.wait_until(lambda: text in conformance.read(log))
                self.assertIn(text, conformance.read(log))
            self.assertEqual(action.client.markers(), [0, 0])
            go_on.touch()
            call.join()

    def test_time_limit(self):
        cells = (
            code_cell("forever = True", "parameters"),
            "import signal, time",
            "try:\n"
            "    while forever: time.sleep(0.05)\n"
            "finally:\n"
            "    print('cleaned up')",
            "result = signal.getitimer(signal.ITIMER_REAL)",
        )
        with self.baked(notebook(*cells)) as action:
            suite = self.suite(action)
            action.client.init().expect(200)
            for _ in range(2):
                deadline = str(int((time.time() + 3) * 1000))
                error = suite.run({}, deadline=deadline).expect(200)["error"]
                place = {"cell": 2, "exec_count": 3, "ename": "TimeLimit"}
                self.assertEqual({key: error[key] for key in place}, place)
                said = r"the time limit ended cell 2 after \d+\.\d seconds"
                self.assertRegex(error["evalue"], said)
                self.assertIn("while forever", "\n".join(error["traceback"]))
                self.assertIn("cleaned up", conformance.read(action.client.logs[0]))
            for deadline in ("soon", "99", str(int((time.time() + 600) * 1000))):
                suite.run({"forever": False}, deadline=deadline).expect(200)
            self.assertEqual(suite.run({"forever": False}).expect(200), [0, 0])

    def test_unknown_mode(self):
        self.mode = "telepathy"
        with self.baked(notebook("1")) as action:
            self.assertIn("telepathy", action.client.init().expect_error(502))

    def test_user_without_home(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("only root can become another user, and only with setpriv")
        self.root.chmod(0o1777)
        PROXY.parent.chmod(0o755)
        user = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")  # nobody's numbers
        self.command = (*user, *self.command)
        if subprocess.run([*self.command[:-1], "-c", ""], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("another user cannot run this Python")
        for home in ({"HOME": "/nonexistent"}, {}):
            with self.subTest(home=home):
                got = self.results("x = 1", "x", values=({}, {}), **home)
                self.assertEqual(got, [{"result": 1}] * 2)


class CompiledTest(ModeTest, ActionTest):
    command = (sys.executable, PROXY)
    mode = "compiled"
    stopping = notebook(
        code_cell("started = ''\ngo_on = ''", "parameters"),
        "import os, pathlib, signal, time\n"
        "signal.raise_signal(signal.SIGTERM)\n"
        "pathlib.Path(started).touch()\n"
        "while not os.path.exists(go_on): time.sleep(0.01)\n"
        "result = {'finished': True}",
    )

    def test_ipython_syntax_is_refused(self):
        for source, line in (
            ("x = 1\n%timeit x", 2),
            ("%%bash\nls 'it", 1),
            ("!ls", 1),
            ("x = !ls", 1),
            ("print?", 1),
            ("?print", 1),
            ("%matplotlib_more", 1),
            ("%pip install x", 1),
        ):
            with self.subTest(source=source):
                error = self.failed_init(notebook("1", source))
                self.assertIn(f"train.ipynb, cell 1, line {line}: ", error)
                self.assertIn("IPython", error)
        error = self.failed_init(notebook("1", "x = (\n"))
        self.assertIn("train.ipynb, cell 1, line 1: ", error)
        self.assertNotIn("IPython", error)

    def test_choosing_a_matplotlib_backend_is_harmless(self):
        cells = (
            "import os\n%matplotlib inline\nif True:\n    %matplotlib agg",
            "text = '''\n%timeit\n'''",
            "%matplotlib",
            "[os.environ['MPLBACKEND'], text]",
        )
        self.assertEqual(self.result(*cells), ["agg", "\n%timeit\n"])

    def test_traceback_begins_in_the_notebook(self):
        error = self.result("def f():\n    raise KeyError('k')", "f()")["error"]
        expected = [
            "Traceback (most recent call last):",
            '  File "train.ipynb[1]", line 1, in <module>',
            "    f()",
            '  File "train.ipynb[0]", line 2, in f',
            "    raise KeyError('k')",
            "KeyError: 'k'",
        ]
        self.assertEqual([line for line in error["traceback"] if "^" not in line], expected)

    def test_modules_stay(self):
        source = "import os\nresult = os.getpid()"
        first, second = self.results(source, values=({}, {}))
        self.assertEqual(first, second)

    def test_what_a_notebook_changes_outside_of_itself(self):
        cells = (
            "import os, signal, sys",
            "result = [os.getcwd(), signal.getsignal(signal.SIGALRM) is None]",
            "os.chdir('/')\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.alarm(600)\n"
            "sys.stdout.close()",
        )
        first, second = self.results(*cells, values=({}, {}))
        self.assertEqual(first, second)
        self.assertEqual(first[0], str(self.code))

    def test_unfinished_tasks_end_with_the_activation(self):
        cells = (
            "import asyncio\nasync def never():\n    try:\n        await asyncio.sleep(3600)\n"
            "    finally:\n        print('cancelled')",
            "task = asyncio.ensure_future(never())\nawait asyncio.sleep(0)",
            "result = 1",
        )
        self.assertEqual(self.result(*cells), {"result": 1})
        self.assertIn("cancelled\n", conformance.read(self.root / "stdout"))

    def test_errors_without_text(self):
        source = "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad"
        self.assertEqual(self.result(source)["error"]["ename"], "Bad")


@unittest.skipUnless(KERNEL_PYTHON, "kernel mode needs nbclient and ipykernel")
class KernelTest(ModeTest, ActionTest):
    command = (KERNEL_PYTHON, PROXY)
    mode = "kernel"
    stopping = notebook(
        code_cell("started = ''\ngo_on = ''", "parameters"),
        "import http.client, os, pathlib, signal, time\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "def turned_away():\n"  # the signal is seen soon after it was sent
        "    port = int(os.environ['FNIMAGE_PORT'])\n"
        "    proxy = http.client.HTTPConnection('127.0.0.1', port, timeout=1)\n"
        "    try:\n"
        "        proxy.request('POST', '/run', '{}')\n"
        "        return proxy.getresponse().status == 503\n"
        "    except OSError:\n"
        "        return False\n"
        "while not turned_away(): pass\n"
        "pathlib.Path(started).touch()\n"
        "while not os.path.exists(go_on): time.sleep(0.01)\n"
        "result = {'finished': True}",
    )

    def children(self, process):
        """[(pid, state)] of the processes that it started."""
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                fields = pathlib.Path(path).read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == process.pid:
                found.append((int(path.split("/")[2]), fields[0]))
        return found

    def left_in_temporary_directory(self):
        return sorted(path.name for path in self.root.glob("notebook-*/[0-9]*"))

    def test_every_activation_has_a_kernel_that_leaves_nothing(self):
        with self.baked(notebook("import os\nresult = os.getpid()")) as action:
            action.client.init().expect(200)
            pids = [action.client.run({}).expect(200)["result"] for _ in range(3)]
            self.assertEqual(len(set(pids)), 3)
            # The next one stands by, and nothing else is there.
            conformance.wait_until(lambda: len(self.left_in_temporary_directory()) == 1)
            conformance.wait_until(lambda: len(self.children(action.process)) == 1)
            children = self.children(action.process)
            self.assertEqual(len(children), 1)
            self.assertNotIn(children[0][0], pids)
            self.assertNotEqual(children[0][1], "Z")
            self.assertEqual(self.left_in_temporary_directory(), ["4"])
            action.process.terminate()
            self.assertEqual(action.process.wait(), 0)
            self.assertFalse(os.path.exists(f"/proc/{children[0][0]}"))
        self.assertEqual(list(self.root.glob("notebook-*")), [])

    def test_kernel_that_dies(self):
        cells = (
            code_cell("how = None", "parameters"),
            "import os, signal, time\nif how == 'exit': os._exit(5)",
            "if how: os.kill(os.getpid(), getattr(signal, how))\nresult = 1",
        )
        with self.baked(notebook(*cells)) as action:
            suite = self.suite(action)
            action.client.init().expect(200)
            for how, said in (
                ("SIGKILL", "cell 2: signal 9, as when memory runs out"),
                ("SIGTERM", "cell 2: signal 15"),
                ("exit", "cell 1: exit code 5"),
            ):
                self.assertIn(said, suite.run({"how": how}).expect_error(502))
                self.assertEqual(suite.run({}).expect(200), {"result": 1})

    def test_time_limit_of_a_cell_that_does_not_stop(self):
        cells = (
            code_cell("stubborn = False", "parameters"),
            "while stubborn:\n    try:\n        while True: pass\n    except: pass",
            "result = 1",
        )
        with self.baked(notebook(*cells)) as action:
            suite = self.suite(action)
            action.client.init().expect(200)
            deadline = str(int((time.time() + 3) * 1000))
            answer = suite.run({"stubborn": True}, deadline=deadline).expect(200)
            self.assertIn("the time limit ended cell 1", answer["error"]["evalue"])
            self.assertEqual(suite.run({}).expect(200), {"result": 1})

    def test_kernel_that_died_while_it_stood_by(self):
        with self.baked(notebook("result = 1")) as action:
            action.client.init().expect(200)
            (kernel, _), = self.children(action.process)
            os.kill(kernel, 9)
            conformance.wait_until(lambda: self.children(action.process) == [(kernel, "Z")])
            self.assertEqual(action.client.run({}).expect(200), {"result": 1})

    def test_what_a_kernel_started_ends_with_it(self):
        source = "import subprocess\nresult = subprocess.Popen(['sleep', '3600']).pid"
        with self.baked(notebook(source)) as action:
            action.client.init().expect(200)
            pid = action.client.run({}).expect(200)["result"]
            conformance.wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
            stat = pathlib.Path(f"/proc/{pid}/stat")  # a container without init leaves a zombie
            self.assertTrue(not stat.exists() or " Z " in stat.read_text())

    def test_kernel_ends_in_order(self):
        left = self.root / "left"
        cells = (
            f"import atexit\nfile = open({str(left)!r}, 'w')\nfile.write('buffered ')",
            f"atexit.register(lambda: open({str(left) + '2'!r}, 'w').write('at exit'))",
        )
        self.result(*cells)
        self.assertEqual(left.read_text(), "buffered ")
        self.assertEqual((self.root / "left2").read_text(), "at exit")

    def test_ipython_syntax(self):
        cells = (
            code_cell("%matplotlib inline\na = 1", "parameters"),
            "lines = !echo a b",
            "%%time\nb = 2",
            "result = [a, list(lines), b]",
        )
        text = notebook(cells[0], *cells[1:])
        if python_with("matplotlib") != self.command[0]:
            text = text.replace("%matplotlib inline", "%time 1")
        with self.baked(text) as action:
            action.client.init().expect(200)
            self.assertEqual(action.client.run({"a": 3}).expect(200), [3, ["a b"], 2])

    def test_glued_values(self):
        glue = (
            "from IPython.display import display\n"
            "def glue(name, value):\n"
            "    payload = {'name': name, 'data': value, 'encoder': 'json', 'version': 1}\n"
            "    display({'application/scrapbook.scrap.json+json': payload}, raw=True,\n"
            "            metadata={'scrapbook': {'name': name, 'data': True, 'display': False}})\n"
        )
        cells = (glue + "glue('a', [1])", "glue('b', 2)\nglue('a', [3])")
        self.assertEqual(self.result(*cells), {"a": [3], "b": 2})
        self.assertEqual(self.result(*cells, "result = 1"), {"result": 1})
        large = self.result(glue + "glue('a', 'x' * (1 << 20))")
        self.assertIn("what was glued takes", large["error"])

    def executed(self, output):
        return {path.name: json.loads(path.read_text("utf-8")) for path in output.iterdir()}

    def test_executed_notebook(self):
        output = self.root / "output"
        output.mkdir()
        cells = (
            {"cell_type": "markdown", "metadata": {}, "source": "☃"},
            code_cell("a = 1\nb = 1", "parameters"),
            code_cell("a = 5", "injected-parameters"),
            "print('a', a)",
            "1 / (a - 3)",
        )
        with self.baked(notebook(*cells), FNIMAGE_NOTEBOOK_OUTPUT=str(output)) as action:
            action.client.init().expect(200)
            action.client.run({"a": 2}, activation_id="0a1b").expect(200)
            action.client.run({"a": 3}, activation_id="../../etc/x").expect(200)
            action.client.run({}, activation_id="third").expect(200)
        found = self.executed(output)
        names = ["train-0a1b.ipynb", "train-etcx.ipynb", "train-third.ipynb"]
        self.assertEqual(sorted(found), names)
        made = found["train-0a1b.ipynb"]
        sources = [cell["source"] for cell in made["cells"]]
        expected = ["☃", "a = 1\nb = 1", "# Parameters\na = 2", "print('a', a)", "1 / (a - 3)"]
        self.assertEqual(sources, expected)
        self.assertEqual(made["cells"][2]["metadata"]["tags"], ["injected-parameters"])
        self.assertEqual(made["cells"][3]["outputs"][0]["text"], "a 2\n")
        self.assertEqual(made["cells"][4]["outputs"][0]["data"]["text/plain"], "-1.0")
        failed = found["train-etcx.ipynb"]["cells"][4]["outputs"]
        self.assertEqual(failed[0]["ename"], "ZeroDivisionError")
        self.assertEqual(len(found["train-third.ipynb"]["cells"]), 4)

    def test_executed_notebook_that_cannot_be_written(self):
        place = str(self.root / "no/such/place")
        self.assertEqual(self.result("5", FNIMAGE_NOTEBOOK_OUTPUT=place), {"result": 5})
        self.assertIn(place, conformance.read(self.root / "stderr"))

    def test_kernel_of_the_notebook(self):
        for name in ("no-such-kernel", "../x"):
            kernelspec = {"name": name, "language": "python", "display_name": ""}
            with self.baked(notebook("5", kernelspec=kernelspec)) as action:
                action.client.init().expect(200)
                self.assertEqual(action.client.run({}).expect(200), {"result": 5})

    def test_large_output_is_complete(self):
        source = "for i in range(20000): print('line', i)"
        self.assertEqual(self.result(source), {})
        lines = conformance.read(self.root / "stdout").splitlines()
        self.assertEqual(lines[:20000], [f"line {i}" for i in range(20000)])


class ParametersTest(unittest.TestCase):
    """The rules of notebook_parameters.py, which the C++ part reads as this corpus says too."""

    def test_what_cells_declare(self):
        corpus = pathlib.Path(__file__).with_name("notebook_parameters.json")
        for example in json.loads(corpus.read_text("utf-8")):
            source, expected = example["cell"], list(example["parameters"].items())
            with self.subTest(source=source):
                self.assertEqual(notebook_parameters.of_source(source), expected)

    def test_what_kinds_accept(self):
        values = {
            "true": True, "1": 1, "1.0": 1.0, "text": "", "array": [], "object": {}, "null": None,
        }
        for kind, accepted in (
            ("boolean", ["true"]),
            ("integer", ["1"]),
            ("number", ["1", "1.0"]),
            ("string", ["text"]),
            ("array", ["array"]),
            ("object", ["object"]),
            ("any", list(values)),
            ("integer or null", ["1", "null"]),
            ("object or null", ["object", "null"]),
        ):
            with self.subTest(kind=kind):
                got = [k for k, v in values.items() if notebook_parameters.accepts(kind, v)]
                self.assertEqual(got, accepted)


if __name__ == "__main__":
    unittest.main(verbosity=2)

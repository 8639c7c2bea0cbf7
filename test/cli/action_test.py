#!/usr/bin/env python3
"""Running actions, called by `invoke` and held to the contract by `check --run`: the python runtime as a process, and servers
that break the contract each in a way of its own."""
import contextlib
import http.server
import json
import os
import pty
import shutil
import subprocess
import sys
import threading

import command

RUNTIME = command.SOURCE / "src/runtime" if command.SOURCE else None

HANDLER = """import os

def main(args):
    if args == [1]:
        return [2]
    if "fail" in args:
        raise ValueError(args["fail"])
    if "refuse" in args:
        return {"error": {"code": args["refuse"]}}
    if "env" in args:
        return {name: os.environ.get(name) for name in args["env"]}
    return args
"""


class ActionTest(command.CommandTest):
    @contextlib.contextmanager
    def action(self, **environment):
        """The python runtime with HANDLER, fresh; its address."""
        directory = self.scratch / f"action-{len(list(self.scratch.glob('action-*')))}"
        directory.mkdir()
        for name in ("proxy/action_proxy.py", "python/python_action.py"):
            shutil.copy(RUNTIME / name, directory)
        (directory / "handler.py").write_text(HANDLER)
        port = command.free_port()
        with open(directory / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, directory / "python_action.py"], stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "FNIMAGE_PORT": str(port),
                     "FNIMAGE_ACTION_MAIN": str(directory / "handler.py"), **environment})
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def server(self, answer):
        """Sends the bytes that `answer` gives for each request; None: nothing, until the server ends."""
        over = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reply = answer(self.path)
                if reply is None:
                    over.wait()
                else:
                    self.wfile.write(reply)
                self.close_connection = True

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def checks(self, *arguments, code=0):
        done = self.run_command("check", "--json", "--run", *arguments)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(code == 0, result["good"])
        return {one["name"]: (one["verdict"], one["detail"]) for one in result["checks"]}


def reply(body, status="200 OK", kind="application/json", length=True):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
    if length:
        head += f"Content-Length: {len(body)}\r\n"
    return (head + "\r\n" + body).encode()


def chunked(body):
    return (f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            f"{len(body):x}\r\n{body}\r\n0\r\n\r\n").encode()


class Invoke(ActionTest):
    def test_results_and_errors(self):
        with self.action() as address:
            done = self.succeed("invoke", "--wait", "60s", "--init", address, '{"z": 1.50,  "a": "❄ \\u2603"}')
            self.assertEqual('{"z":1.5,"a":"❄ ☃"}\n', done.stdout)
            self.refuse(5, ["initialised before"], "invoke", "--init", address)
            self.assertEqual("{}\n", self.succeed("invoke", f"http://{address}/").stdout)
            self.assertEqual("[2]\n", self.succeed("invoke", "--no-init", address, "[1]").stdout)
            failed = self.refuse(10, ["status 502", "ValueError: on purpose"], "invoke", address, '{"fail": "on purpose"}')
            self.assertEqual("", failed.stdout)
            refused = self.refuse(3, ['the function answers an error: {"code":7}'], "invoke", address, '{"refuse": 7}')
            self.assertEqual("", refused.stdout)

    def test_where_arguments_come_from(self):
        with self.action() as address:
            (self.project / "args.json").write_text('{"from": "file"}\n')
            self.assertEqual('{"from":"file"}\n', self.succeed("invoke", "--wait", "60s", address, "@args.json").stdout)
            self.assertEqual('{"from":"input"}\n', self.succeed("invoke", address, "-", input='{"from": "input"}').stdout)
            done = self.succeed("invoke", address, "--param", "n=2", "--param", "text=a=b", "--param", 'list=[1, {"x": null}]')
            self.assertEqual('{"n":2,"text":"a=b","list":[1,{"x":null}]}\n', done.stdout)
        self.refuse(2, ["exclude"], "invoke", address, "{}", "--param", "n=2")
        self.refuse(2, ["given twice"], "invoke", address, "--param", "n=2", "--param", "n=3")
        self.refuse(2, ["NAME=VALUE"], "invoke", address, "--param", "n")
        self.refuse(2, ["neither"], "invoke", address, "42")
        self.refuse(4, ["missing.json"], "invoke", address, "@missing.json")
        self.refuse(2, ["no address"], "invoke", "http://127.0.0.1:1/run")
        self.refuse(2, ["URL"], "invoke")

    def test_what_the_function_sees(self):
        with self.action() as address:
            asked = {"env": ["KEY", "__OW_DEADLINE", "__OW_ACTIVATION_ID", "__OW_NAMESPACE"]}
            done = self.succeed("invoke", "--wait", "60s", "--json", "--timeout", "90s", "--init-env", "KEY=a=b", address,
                                json.dumps(asked))
            activation = json.loads(done.stdout)
            self.assertEqual(("success", True, 200),
                             (activation["outcome"], activation["initialised"], activation["http_status"]))
            seen = activation["result"]
            self.assertEqual("a=b", seen["KEY"])
            self.assertEqual(activation["activation_id"], seen["__OW_ACTIVATION_ID"])
            self.assertTrue(seen["__OW_DEADLINE"].isdigit())
            self.assertEqual("guest", seen["__OW_NAMESPACE"])
            failed = json.loads(self.refuse(10, [], "invoke", "--json", address, '{"fail": "x"}').stdout)
            self.assertEqual(("developer error", False, 502),
                             (failed["outcome"], failed["initialised"], failed["http_status"]))

    def test_the_single_endpoint(self):
        with self.action(__OW_RUNTIME_PLATFORM="knative") as address:
            for number in (1, 2):
                done = self.succeed("invoke", "--wait", "60s", "--knative", address, f'{{"a": {number}}}')
                self.assertEqual(f'{{"a":{number}}}\n', done.stdout)

    def test_a_terminal_gets_lines(self):
        with self.server(lambda path: reply('{"a":[1,"\\u0007\x7f"]}')) as address:
            terminal, end = pty.openpty()
            done = subprocess.run([command.FNIMAGE, "invoke", address], env=self.environment(), stdout=end, check=False)
            os.close(end)
            shown = b""
            with contextlib.suppress(OSError):  # that the other end is closed
                while part := os.read(terminal, 4096):
                    shown += part
            os.close(terminal)
            self.assertEqual(0, done.returncode)
            self.assertEqual('{\n  "a": [\n    1,\n    "\\u0007\\x7f"\n  ]\n}\n', shown.decode().replace("\r\n", "\n"))

    def test_what_the_platform_would_not_take(self):
        for bad, fragments in ((chunked("{}"), ["Transfer-Encoding: chunked"]),
                               (reply("{}", length=False), ["no Content-Length"])):
            with self.server(lambda path: bad) as address:  # pylint: disable=cell-var-from-loop
                self.refuse(10, ["the platform would see no answer", *fragments], "invoke", address)
        with self.server(lambda path: reply("<p>") if path == "/run" else reply("{}")) as address:
            self.refuse(10, ["not valid JSON"], "invoke", address)
        with self.server(lambda path: reply("42") if path == "/run" else reply("{}")) as address:
            self.refuse(10, ["neither an object nor an array"], "invoke", address)
        with self.server(lambda path: None) as address:
            self.refuse(8, ["no whole answer within 0.3 s"], "invoke", "--timeout", "300ms", address)
        self.refuse(8, ["cannot connect"], "invoke", f"127.0.0.1:{command.free_port()}")


class CheckRun(ActionTest):
    def test_the_python_runtime_keeps_the_contract(self):
        with self.action() as address:
            found = self.checks(address, "--wait", "60s", "--call", '{"a": 1}', '{"a": 1}', "--call", "[1]", "[2]")
            self.assertEqual({"ok"}, {verdict for verdict, _ in found.values()}, found)
            self.assertIn("large argument", found)
        with self.action() as address:
            done = self.succeed("check", "--run", f"http://{address}", "--wait", "60s")
            self.assertIn("second init         ok\n", done.stdout)
        with self.action(__OW_RUNTIME_PLATFORM="knative") as address:
            found = self.checks(address, "--wait", "60s", "--knative", "--call", '{"a": 1}', '{"a": 1}')
            self.assertEqual({"ok"}, {verdict for verdict, _ in found.values()}, found)

    def test_a_wrong_result_is_named(self):
        with self.action() as address:
            done = self.refuse(10, ["does not keep the contract: calls, runs in a row"], "check", "--wait", "60s", "--run",
                               address, "--call", '{"a": 1}', '{"a": 2}')
            self.assertIn('FAIL     a call with {"a": 1} is answered {"a": 1}, without "a": 2\n    fix: ', done.stdout)

    def test_one_that_has_been_called_is_named(self):
        with self.action() as address:
            self.succeed("invoke", "--wait", "60s", address)
            found = self.checks(address, code=10)
            self.assertEqual(("fail", "it was initialised before"), found["init without code"])
            self.assertEqual("fail", found["run before init"][0])
            self.assertEqual("ok", found["second init"][0])

    def test_bad_servers_are_named(self):
        for bad, fragment in ((chunked("{}"), "Transfer-Encoding: chunked"),
                              (reply("{}", length=False), "no Content-Length"),
                              (reply("<p>", kind="text/html"), "Content-Type: text/html")):
            with self.server(lambda path: bad) as address:  # pylint: disable=cell-var-from-loop
                found = self.checks(address, code=10)
                self.assertEqual("fail", found["answers"][0])
                self.assertIn(fragment, found["answers"][1])
                self.assertEqual("fail", found["run before init"][0])
                self.assertEqual("fail", found["second init"][0])

    def test_answers_that_do_not_come_are_named_once(self):
        with self.server(lambda path: None) as address:
            found = self.checks(address, "--timeout", "300ms", code=10)
            self.assertEqual("fail", found.pop("other requests")[0])
            self.assertEqual({"skipped"}, {verdict for verdict, _ in found.values()}, found)

    def test_bodies_shorter_than_their_length_are_named(self):
        short = reply("{}").replace(b"Length: 2", b"Length: 9")
        with self.server(lambda path: short if path == "/run" else reply("{}")) as address:
            verdict, detail = self.checks(address, code=10)["run before init"]
            self.assertEqual("fail", verdict)
            self.assertIn("7 bytes remaining", detail)
        with self.server(lambda path: short) as address:
            self.refuse(8, ["7 bytes remaining"], "check", "--run", address)

    def test_what_is_refused(self):
        self.refuse(8, ["cannot connect"], "check", "--run", f"127.0.0.1:{command.free_port()}")
        self.refuse(2, ["REF is required"], "check")
        self.refuse(2, ["--run is for a running action"], "check", "--run", "127.0.0.1:1", "image:tag")
        self.refuse(2, ["belong to --run"], "check", "--call", "{}", "{}", "image:tag")
        self.refuse(2, ["neither"], "check", "--run", "127.0.0.1:1", "--call", "1", "{}")


if __name__ == "__main__":
    command.main()

"""Checks a running action against the OpenWhisk action contract, as the platform's invoker would.

    conformance.py HOST:PORT [--probe python|nodejs|exec|actionloop] [--stdout FILE --stderr FILE]
        sends a probe function (probes.py) with /init and holds the action to the whole contract
    conformance.py HOST:PORT --baked [--call ARGS EXPECTED]... [--stdout FILE --stderr FILE]
        initialises the function that the image brings along and calls it with each JSON object
        ARGS; every key of the JSON object EXPECTED must be in the result with that value

The action must be fresh: an action is initialised once. With its log files given, the end markers
are checked too. Prints one line a check; exit code 0 when all hold, 1 otherwise.
"""

import argparse
import http.client
import json
import pathlib
import socket
import sys
import time

import probes

MARKER = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
REINIT_TEXT = "Cannot initialize the action more than once."
TIMEOUT_SECONDS = 300  # an emulated machine is slow; this only ends a hang
POLL_SECONDS = 0.002  # cold starts are measured with it

def wait_until(condition):
    """Until it holds, at most half a minute: logs may pass through a pipe of the container engine."""
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


class Answer:
    """Status, headers and body of one answer, held to what every answer must be."""

    def __init__(self, status, headers, body):
        self.status = status
        lengths = headers.get_all("Content-Length") or []
        assert len(lengths) == 1, f"{status} answer has {len(lengths)} Content-Length headers"
        assert int(lengths[0]) == len(body), f"Content-Length {lengths[0]}, body {len(body)}"
        assert headers.get_content_type() == "application/json", headers.get("Content-Type")
        self.json = json.loads(body.decode("utf-8"))

    def expect(self, status):
        assert self.status == status, f"status {self.status}, expected {status}: {self.brief()}"
        return self.json

    def expect_error(self, *statuses):
        allowed = statuses or range(400, 600)
        assert self.status in allowed, f"status {self.status}, not an error: {self.brief()}"
        assert isinstance(self.json, dict) and self.json.get("error"), f"no error: {self.brief()}"
        return self.json["error"]

    def brief(self):
        return json.dumps(self.json)[:300]


class Client:
    """One action under test. A new connection for each request, as the invoker does."""

    def __init__(self, host, port, stdout=None, stderr=None):
        self.host, self.port = host, port
        self.logs = [pathlib.Path(p) for p in (stdout, stderr) if p]

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def post(self, path, value):
        return self.request("POST", path, json.dumps(value).encode())

    def init(self, **value):
        value.setdefault("name", "conformance")
        value.setdefault("main", "main")
        return self.post("/init", {"value": value})

    def run(self, value, **context):
        return self.post("/run", {"value": value, **context})

    def raw(self, request):
        """Sends bytes that no HTTP library would, and reads the answer to its end."""
        with socket.create_connection((self.host, self.port), TIMEOUT_SECONDS) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.headers, response.read())

    @classmethod
    def of(cls, container):
        """Of an action in a container (containers.py), once it listens."""
        client = cls("127.0.0.1", container.port, container.stdout, container.stderr)
        client.wait_until_listening(container.alive)
        return client

    def wait_until_listening(self, alive=lambda: True):
        """The platform retries until the port is open; so do we. A dead container ends the wait."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                socket.create_connection((self.host, self.port), 5).close()
                return
            except OSError as error:
                if not alive():
                    raise AssertionError("the action ended before it listened") from error
                if time.monotonic() > deadline:
                    raise AssertionError("the action does not listen") from error
                time.sleep(POLL_SECONDS)

    def markers(self):
        return [read(log).count(MARKER) for log in self.logs]


def read(log):
    return log.read_text("utf-8", "replace")


class Suite:
    """The checks, in the order in which one fresh action can go through all of them."""

    def __init__(self, client, language="python"):
        self.client = client
        self.sent = probes.PROBES[language]
        self.marked = 0  # activations and failed initialisations so far

    def with_markers(self, expected, call):
        """Runs `call`, which must add so many end markers to each log, as the last of its output.

        Counts from the start, since a log may lag behind the answer."""
        result = call()
        self.marked += expected
        wanted = [self.marked] * len(self.client.logs)
        wait_until(lambda: self.client.markers() == wanted)
        assert self.client.markers() == wanted, f"markers {self.client.markers()}, not {wanted}"
        if expected:
            for log in self.client.logs:
                assert read(log).endswith(MARKER + "\n"), f"{log.name}: output after the marker"
        return result

    def run(self, value, **context):
        return self.with_markers(1, lambda: self.client.run(value, **context))

    # Before /init

    def check_other_requests(self):
        for method, path in (("GET", "/"), ("POST", "/"), ("GET", "/run"), ("PUT", "/init")):
            self.client.request(method, path).expect_error(404, 405)

    def check_run_before_init(self):
        self.run({}).expect_error()

    def check_malformed_requests(self):
        for body in (b"{", b"[1]", b"\xff\xfe", b"[" * 100_000):
            answer = self.with_markers(1, lambda: self.client.request("POST", "/init", body))
            answer.expect_error(400)
        self.client.raw(b"NONSENSE\r\n\r\n").expect_error(400)
        self.client.raw(b"BREW /run HTTP/1.1\r\n\r\n").expect_error(501, 405)
        for status, rest in (
            (400, b"Content-Length: -1\r\n\r\n"),
            (400, b"Content-Length: 9\r\n\r\n{}"),
            (411, b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
            (413, b"Content-Length: 999999999999\r\n\r\n{}"),
        ):
            request = b"POST /run HTTP/1.1\r\n" + rest
            self.with_markers(1, lambda: self.client.raw(request)).expect_error(status)

    # /init

    def check_failed_init(self):
        for code in self.sent.broken:
            answer = self.with_markers(1, lambda: self.client.init(code=code, binary=False))
            answer.expect_error(502)

    def check_init_with_code(self):
        env = {
            "PROBE_TEXT": "snow ❄ ☃",
            "PROBE_EMPTY": "",
            "PROBE_JSON": '{"a":[1,2]}',
            "__OW_ACTION_NAME": "/guest/probe",
            "__OW_API_KEY": "of-init",
        }
        self.with_markers(
            0, lambda: self.client.init(code=self.sent.code, binary=False, env=env).expect(200)
        )
        at_init = self.run({"op": "init_env"}).expect(200)
        for key, text in env.items():
            assert at_init.get(key) == text, f"{key} at init: {at_init.get(key)!r}, not {text!r}"

    def check_second_init(self):
        answer = self.with_markers(0, lambda: self.client.init(code=self.sent.code, binary=False))
        error = answer.expect_error(403)
        assert error == REINIT_TEXT, error
        if self.client.logs:
            # No marker follows this one, so nothing else tells that the logs have caught up.
            wait_until(lambda: any(REINIT_TEXT in read(log) for log in self.client.logs))
            assert any(REINIT_TEXT in read(log) for log in self.client.logs), "not in the logs"

    # /run

    def check_echo(self):
        for value in (
            {"string": "hello"},
            {"numbers": [0, 42, -2.5, 1e300], "flags": [True, False, None]},
            {"nested": {"a": {"b": [{"c": {}}]}}},
            {"winter": "❄ ☃ ❄", "escape": '"\\\n\t\u0000', "astral": "\U0001f600"},
            {"lone": "\ud800"},
            {},
            [1, "two", {"three": 3}],
        ):
            answer = self.run(value)
            assert answer.expect(200) == value, f"{value} came back as {answer.brief()}"

    def check_large_payloads(self):
        for size in (1_048_561, 5 << 20):
            text = "☃" + "x" * size
            assert self.run({"text": text}).expect(200) == {"text": text}
            assert len(self.run({"op": "big", "size": size}).expect(200)["text"]) == size

    def check_activation_environment(self):
        first = {"namespace": "guest", "activation_id": "1", "deadline": "99", "api_key": "k"}
        seen = self.run({"op": "env"}, **first).expect(200)
        for key, text in first.items():
            assert seen.get("__OW_" + key.upper()) == text, f"__OW_{key.upper()} is missing"
        seen = self.run({"op": "env"}, activation_id="2").expect(200)
        assert seen.get("__OW_ACTIVATION_ID") == "2", "the activation id was not replaced"
        assert "__OW_NAMESPACE" not in seen, "a value of the activation before is still there"
        assert seen.get("__OW_API_KEY") == "of-init", "the key of /init did not come back"

    def check_logs(self):
        self.run({"op": "print", "text": "❄"}).expect(200)
        for log, name in zip(self.client.logs, ("stdout", "stderr")):
            assert f"to {name} ❄" in read(log), f"{name} lost a line"

    def check_bad_results(self):
        for what in ("text", 42, 1.5, True, None):
            self.run({"op": "return", "what": what}).expect_error(502)
        self.run({"op": "nan"}).expect_error(502)
        if self.sent.has_unserialisable:
            self.run({"op": "unserialisable"}).expect_error(502)
        self.run("neither object nor array").expect_error(400)

    def check_application_error(self):
        value = {"op": "return", "what": {"error": {"code": 7}}}
        assert self.run(value).expect(200) == {"error": {"code": 7}}

    def check_exceptions(self):
        if self.sent.raised is None:
            return
        answer = self.run({"op": "raise"})
        assert self.sent.raised in answer.expect_error(502), answer.brief()
        if len(self.client.logs) == 2:
            assert "thrown on purpose" in read(self.client.logs[1]), "nothing about it on stderr"
        self.run({"op": "exit"}).expect_error(502)
        self.run({}).expect(200)

    def probe(self):
        return [
            self.check_other_requests,
            self.check_run_before_init,
            self.check_malformed_requests,
            self.check_failed_init,
            self.check_init_with_code,
            self.check_second_init,
            self.check_echo,
            self.check_large_payloads,
            self.check_activation_environment,
            self.check_logs,
            self.check_bad_results,
            self.check_application_error,
            self.check_exceptions,
        ]

    def baked(self, calls):
        """`calls`: pairs of arguments and what the result must hold."""

        def check_init_without_code():
            self.with_markers(0, lambda: self.client.init(binary=False).expect(200))

        def check_calls():
            for arguments, expected in calls:
                result = self.run(arguments).expect(200)
                for key, value in expected.items():
                    assert result.get(key) == value, f"{arguments}: {result}, not {expected}"

        return [
            self.check_run_before_init,
            check_init_without_code,
            self.check_second_init,
            check_calls,
        ]


def run_checks(checks, title):
    """Runs every check, says how it went, and returns the number of failures."""
    failures = 0
    for check in checks:
        name = check.__name__.replace("check_", "").replace("_", " ")
        started = time.monotonic()
        try:
            check()
        except (AssertionError, OSError, ValueError, http.client.HTTPException) as error:
            failures += 1
            print(f"FAIL {title}: {name}: {type(error).__name__}: {error}", flush=True)
        else:
            print(f"ok   {title}: {name} ({time.monotonic() - started:.2f} s)", flush=True)
    return failures


def add_call_option(parser):
    parser.add_argument(
        "--call",
        dest="calls",
        nargs=2,
        type=json.loads,
        action="append",
        default=[],
        metavar=("ARGS", "EXPECTED"),
    )


def main():
    parser = argparse.ArgumentParser(description="OpenWhisk action contract checks")
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--baked", action="store_true", help="call the image's own function")
    parser.add_argument("--probe", choices=probes.PROBES, default="python")
    add_call_option(parser)
    parser.add_argument("--stdout", metavar="FILE", help="the action's standard output")
    parser.add_argument("--stderr", metavar="FILE", help="the action's standard error")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    client = Client(host.strip("[]"), int(port), options.stdout, options.stderr)
    client.wait_until_listening()
    suite = Suite(client, options.probe)
    checks = suite.baked(options.calls) if options.baked else suite.probe()
    return 1 if run_checks(checks, options.address) else 0


if __name__ == "__main__":
    sys.exit(main())

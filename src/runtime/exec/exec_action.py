"""The exec runtime: serves any executable (action_proxy.py has the contract).

FNIMAGE_EXEC_PROTOCOL says how the executable is spoken to:

once        (default) It is started for each activation. The value is JSON on its standard input,
            and its first argument too unless it is too long for one. The last line that it prints
            is the result, as JSON; what it prints before goes to the log, as in OpenWhisk's docker
            skeleton. It must end with 0.
actionloop  It is started at /init and lives on. Each activation is one line of JSON on standard
            input, {"value": ..., "activation_id": ..., ...}, and is answered by one line of JSON
            on file descriptor 3 (OpenWhisk, docs/actions-actionloop.md). With OW_WAIT_FOR_ACK it
            writes the line {"ok": true} there first, when it is ready.

Code sent with /init is the text of a script, with its "#!" line, or a zip with the file "exec".
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import action_proxy
from action_proxy import ActionError

MAX_ARGUMENT = 131_071  # MAX_ARG_STRLEN of Linux without its NUL
MAX_LINE = 64 << 20  # a result is at most 1 MiB; this only bounds memory
START_SECONDS = 0.01  # a program that cannot start has mostly ended by then
BLOCK = 1 << 16


def text_of(value):
    """One line of ASCII: no character of it means anything to a reader of lines."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def parse_result(line, whose):
    try:
        result = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, (dict, list)):
        shown = line[:200].decode("utf-8", "backslashreplace").strip()
        raise ActionError(502, f"{whose} must be a JSON object or array, not: {shown}")
    return result


def ended_with(path, code):
    ending = f"signal {-code}" if code < 0 else f"exit code {code}"
    return ActionError(502, f"{os.path.basename(path)} ended with {ending}")


def cannot_start(path, error):
    return ActionError(502, f"{os.path.basename(path)} cannot be started: {error.strerror}")


def write_all(descriptor, text):
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class LastLine:
    """Passes a program's output on, all but its last line."""

    def __init__(self, out):
        self.out = out
        self.held = bytearray()

    def add(self, block):
        # A line is only known not to be the last when something follows it.
        end = block.rfind(b"\n", 0, -1)
        if end >= 0 or self.held.endswith(b"\n"):
            self.release()
            write_all(self.out, block[: end + 1])
            block = block[end + 1 :]
        self.held += block
        if len(self.held) > MAX_LINE:
            self.release()

    def release(self):
        write_all(self.out, self.held)
        self.held = bytearray()


class ProgramPerActivation:
    def __init__(self, path):
        self.path = path

    def __call__(self, value):
        text = text_of(value)
        command = [self.path] + ([text] if len(text) <= MAX_ARGUMENT else [])
        try:
            program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise cannot_start(self.path, error) from None
        with program:
            feeder = threading.Thread(target=self.feed, args=(program.stdin, text), daemon=True)
            feeder.start()
            output = LastLine(sys.stdout.fileno())
            for block in iter(lambda: program.stdout.read1(BLOCK), b""):
                output.add(block)
            feeder.join()  # a program that has ended breaks its pipe
        return self.result_of(program.returncode, output)

    @staticmethod
    def feed(stream, text):
        try:
            with stream:
                stream.write(text)
        except OSError:
            pass  # it does not read its input

    def result_of(self, code, output):
        if code != 0:
            output.release()
            raise ended_with(self.path, code)
        if not output.held.strip():
            raise ActionError(502, f"{os.path.basename(self.path)} printed no result")
        return parse_result(output.held, "the last line of output")


class ProgramLoop:
    """A program that answers line by line."""

    def __init__(self, path, action):
        self.path = path
        self.action = action
        requests, self.requests = os.pipe()
        answers, results = os.pipe()
        places = [(os.POSIX_SPAWN_DUP2, requests, 0), (os.POSIX_SPAWN_DUP2, results, 3)]
        try:
            self.process = os.posix_spawn(
                path, [path], os.environ, file_actions=places, setsigdef=[signal.SIGPIPE]
            )
        except OSError as error:
            raise cannot_start(path, error) from None
        finally:
            os.close(requests)
            os.close(results)
        self.answers = open(answers, "rb")
        self.wait_until_ready()

    def wait_until_ready(self):
        if os.environ.get("OW_WAIT_FOR_ACK"):
            ready = parse_result(self.read_line(), "the first line, which says that it is ready,")
            if not isinstance(ready, dict) or ready.get("ok") is not True:
                raise ActionError(502, f"{os.path.basename(self.path)} says that it cannot start")
        else:
            time.sleep(START_SECONDS)
            ended, status = os.waitpid(self.process, os.WNOHANG)
            if ended:
                raise self.ended(status)

    def ended(self, status=None):
        if status is None:
            _, status = os.waitpid(self.process, 0)
        self.process = None
        return ended_with(self.path, os.waitstatus_to_exitcode(status))

    def read_line(self):
        line = self.answers.readline(MAX_LINE)
        if line.endswith(b"\n"):
            return line
        if len(line) == MAX_LINE:
            raise ActionError(502, f"{os.path.basename(self.path)} answers with an endless line")
        raise self.ended()

    def __call__(self, value):
        if self.process is None:
            raise ActionError(502, f"{os.path.basename(self.path)} has ended")
        line = text_of({"value": value, **self.action.activation}) + b"\n"
        try:
            write_all(self.requests, line)
        except BrokenPipeError:
            raise self.ended() from None
        return parse_result(self.read_line(), "the answer")


class ExecAction(action_proxy.Action):
    def load(self, code, binary, name):
        path = self.main_file
        if code and binary:
            path = action_proxy.unpack_zip(code, "exec")
        elif code:
            path = action_proxy.store_text(code, "exec")
        if code:
            os.chmod(path, 0o755)
        if not os.path.isfile(path):
            raise ActionError(502, f"there is no file {path}")
        if not os.access(path, os.X_OK):
            raise ActionError(502, f"{path} is not executable")
        protocol = os.environ.get("FNIMAGE_EXEC_PROTOCOL") or "once"
        if protocol == "once":
            return ProgramPerActivation(path)
        if protocol == "actionloop":
            return ProgramLoop(path, self)
        raise ActionError(502, f"FNIMAGE_EXEC_PROTOCOL is neither once nor actionloop: {protocol}")


if __name__ == "__main__":
    action_proxy.serve(ExecAction())

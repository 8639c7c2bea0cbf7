"""The OpenWhisk action contract over HTTP: POST /init and POST /run on one port.

Each runtime is a subclass of Action in a file beside this one, which is the container's first
process and calls serve(). Runs from Python 3.9 up, on the standard library alone (Debian:
python3-minimal and libpython3-stdlib). The user's code is baked into the image; code sent with
/init works as well. With __OW_RUNTIME_PLATFORM=knative there is one endpoint instead, POST /, whose
body holds "init", "activation" and "value", and what is baked in needs no "init"
(OpenWhisk, docs/single_entrypoint_proxy_contract.md).

Threads: connections are read and answered by short-lived threads, but the user's code runs only
on the main thread, one request at a time. Many libraries (signal, asyncio, Jupyter) insist on the
main thread, and a slow or hostile client must not hold up an activation.

Environment: FNIMAGE_ACTION_MAIN (the function's file), FNIMAGE_PORT (default 8080),
FNIMAGE_ADDRESS (default: all). Everything else in the environment belongs to the function and
reaches it untouched.
"""

import base64
import binascii
import io
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

END_OF_ACTIVATION = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
MAX_BODY = 72 << 20  # 48 MiB of code are 64 MiB in base64; the rest is for env and escapes
MAX_UNPACKED = 512 << 20  # what a zip sent with /init may grow to
MAX_CONNECTIONS = 8  # bounds threads, and bodies held in memory
IDLE_SECONDS = 30  # a client that sends nothing for so long is dropped
DRAIN_SECONDS = 5  # how long answers may take to leave after SIGTERM


class ActionError(Exception):
    """A failure that the caller is told about: HTTP status and message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class ApplicationError(Exception):
    """A failure of the function's own: HTTP 200, with any JSON value as the result's "error"."""

    def __init__(self, content):
        super().__init__(content)
        self.content = content


class LogStream:
    """Writes end markers to a duplicate of a standard descriptor, since user code may close the
    original, and whoever collects the logs waits for the marker."""

    def __init__(self, stream):
        self.original = stream
        self.descriptor = os.dup(stream.fileno())

    def flush(self, current):
        for stream in (current, self.original):
            try:
                stream.flush()
            except Exception:
                pass  # closed by user code, or replaced with anything

    def mark_end(self):
        rest = END_OF_ACTIVATION
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            pass  # nobody collects the logs any more; the answer still counts


def env_text(value):
    """The text OpenWhisk gives a parameter in the environment; mostly a string already."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"))


def report(text):
    """Tells the function's developer; stderr may have been closed or replaced by user code."""
    try:
        print(text, file=sys.stderr, flush=True)
    except Exception:
        pass


def describe(error):
    """`Type: message`, safe against exceptions whose own str() fails."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def parse_request(body):
    try:
        request = json.loads(body.decode("utf-8")) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ActionError(400, f"the request body is not valid JSON: {error}") from None
    if not isinstance(request, dict):
        raise ActionError(400, "the request body must be a JSON object")
    return request


def unpack_zip(code, main_file):
    """Unpacks a base64 zip that came with /init and returns the path of its main file."""
    import tempfile  # here, since baked-in code needs neither and starts sooner without
    import zipfile

    directory = tempfile.mkdtemp(prefix="action-")
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(code, validate=True))) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
                raise ActionError(413, f"the zip unpacks to more than {MAX_UNPACKED} bytes")
            archive.extractall(directory)
    except (binascii.Error, UnicodeError, zipfile.BadZipFile) as error:
        raise ActionError(502, f"binary code must be a base64 zip: {error}") from None
    path = os.path.join(directory, main_file)
    if not os.path.isfile(path):
        raise ActionError(502, f"the zip has no {main_file} at its top")
    return path


def store_text(code, name):
    """Stores code that came with /init as text and returns its path."""
    import tempfile

    path = os.path.join(tempfile.mkdtemp(prefix="action-"), name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(code)
    return path


class Action:
    """A function and its environment. Used by the main thread only."""

    def __init__(self):
        self.main_file = os.environ.get("FNIMAGE_ACTION_MAIN", "")
        self.function = None
        self.activation = {}  # what came with the present /run besides its value
        self.init_environment = {}  # the __OW_* that hold between activations

    def load(self, code, binary, name):
        """Returns the function: what maps the value of an activation to its result.

        `code`: what /init sent, or empty for what the image has; `binary`: it is a base64 zip;
        `name`: of the entry point, "main" when nobody chose one."""
        raise NotImplementedError

    def prepare(self):
        """Gets ready for the next activation; called after each answer, when nobody waits."""

    def init(self, body):
        return self.init_with(parse_request(body).get("value") or {})

    def init_with(self, value):
        if self.function is not None:
            message = "Cannot initialize the action more than once."
            report(message)
            raise ActionError(403, message)
        if not isinstance(value, dict) or not isinstance(value.get("env") or {}, dict):
            raise ActionError(400, "value and value.env must be JSON objects")
        try:
            for key, text in (value.get("env") or {}).items():
                os.environ[key] = env_text(text)
        except (OSError, ValueError) as error:
            raise ActionError(400, f"value.env has an unusable entry: {error}") from None
        self.init_environment = {k: v for k, v in os.environ.items() if k.startswith("__OW_")}
        code, name = value.get("code") or "", value.get("main") or "main"
        if not isinstance(code, str) or not isinstance(name, str):
            raise ActionError(400, "value.code and value.main must be strings")
        if not code and not self.main_file:
            raise ActionError(502, "the image has no function and /init sent no code")
        self.function = self.load(code, bool(value.get("binary")), name)
        return {"ok": True}

    def run(self, body):
        request = parse_request(body)
        return self.run_with(request.pop("value", None), request)

    def single(self, body):
        """The one endpoint: an /init, a /run or both, and /init by itself where it is due."""
        request = parse_request(body)
        activation = request.get("activation") or {}
        if not isinstance(activation, dict):
            raise ActionError(400, "activation must be a JSON object")
        if "init" in request:
            self.init_with(request["init"] or {})
            if "activation" not in request and "value" not in request:
                return {"ok": True}
        elif self.function is None:
            self.init_with({})
        return self.run_with(request.get("value"), activation)

    def run_with(self, arguments, activation):
        if self.function is None:
            raise ActionError(500, "the action is not initialized: POST /init first")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, (dict, list)):
            raise ActionError(400, "value must be a JSON object or array")
        self.activation = activation
        self.set_activation(activation)
        result = self.function(arguments)
        if not isinstance(result, (dict, list, tuple)):
            kind = type(result).__name__
            raise ActionError(502, f"the action must return a dictionary or a list, not {kind}")
        return result

    def set_activation(self, context):
        """Exports the activation as __OW_*; nothing of the activation before it stays."""
        wanted = dict(self.init_environment)
        wanted.update({"__OW_" + key.upper(): env_text(text) for key, text in context.items()})
        for key in [k for k in os.environ if k.startswith("__OW_") and k not in wanted]:
            del os.environ[key]
        try:
            os.environ.update(wanted)
        except (OSError, ValueError) as error:
            raise ActionError(400, f"the activation has an unusable entry: {error}") from None


def encode(result):
    text = json.dumps(result, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: legal in JSON only as an escape
        return json.dumps(result, allow_nan=False).encode("ascii")


def answer(operation, body):
    """Runs /init or /run and turns whatever happens, sys.exit() included, into (status, bytes)."""
    try:
        return 200, encode(operation(body))
    except ActionError as error:
        return error.status, encode({"error": str(error)})
    except ApplicationError as error:
        return 200, encode({"error": error.content})
    except BaseException as error:  # noqa: user code may raise anything; the container must live on
        report(traceback.format_exc())
        return 502, encode({"error": describe(error)})


class Server(ThreadingHTTPServer):
    """Hands requests to the main thread and bounds the connections being served."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, paths, jobs):
        super().__init__(("", port), Handler, bind_and_activate=False)
        self.paths = paths
        self.socket.close()
        self.socket = listen(port, self.request_queue_size)
        self.jobs = jobs
        self.stopping = False
        self.slots = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request, client_address):
        self.slots.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request, client_address):
        pass  # a client that went away; stdout and stderr belong to the activation

    def drain(self):
        """Turns away what came too late to run and waits, for a bounded time, until every answer
        has left."""
        deadline = time.monotonic() + DRAIN_SECONDS
        idle = 0
        while idle < MAX_CONNECTIONS and time.monotonic() < deadline:
            while not self.jobs.empty():
                job = self.jobs.get()
                if job:
                    job[2].put((503, encode({"error": "shutting down"})))
            if self.slots.acquire(timeout=0.05):
                idle += 1


def listen(port, backlog):
    """The address asked for, or all: IPv6 with IPv4 in one socket, or IPv4 alone where IPv6 is
    switched off."""
    address = os.environ.get("FNIMAGE_ADDRESS", "")
    if not address and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog
            )
        except OSError:
            pass
    return socket.create_server((address, port), backlog=backlog)


class Handler(BaseHTTPRequestHandler):
    """Reads one request per connection; the platform opens a new connection each time."""

    protocol_version = "HTTP/1.1"
    server_version = "fnimage"
    sys_version = ""
    timeout = IDLE_SECONDS

    def do_POST(self):
        if self.path not in self.server.paths:
            return self.send_error(404)
        if self.server.stopping:
            return self.send_error(503, "shutting down")
        reply = queue.SimpleQueue()
        try:
            self.server.jobs.put((self.path, self.read_body(), reply))
        except ActionError as error:  # the main thread answers it, since it may owe end markers
            self.server.jobs.put((self.path, error, reply))
        self.send_json(*reply.get())

    def do_GET(self):
        self.send_error(405 if self.path in self.server.paths else 404)

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def read_body(self):
        lengths = set(self.headers.get_all("Content-Length", []))
        if "Transfer-Encoding" in self.headers or not lengths:
            raise ActionError(411, "the request needs a Content-Length")
        text = lengths.pop()
        if lengths or not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ActionError(400, "Content-Length is not one number")
        if int(text) > MAX_BODY:
            raise ActionError(413, f"the request is larger than {MAX_BODY} bytes")
        body = self.rfile.read(int(text))
        if len(body) != int(text):
            raise ActionError(400, "the request ended early")
        return body

    def send_json(self, status, body):
        self.close_connection = True
        self.request_version = self.protocol_version  # or a garbled request gets no headers
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if status == 405:
            self.send_header("Allow", "POST")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if status >= 400:
            self.linger()

    def linger(self):
        """Reads on for a while after an early answer: closing a socket with unread bytes resets
        the connection, and the client would lose the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline and self.connection.recv(1 << 16):
            pass

    def send_error(self, code, message=None, explain=None):
        """Errors of the base class are HTML; every answer here is JSON with a length."""
        self.send_json(code, encode({"error": message or self.responses[code][0]}))

    def log_message(self, format, *args):
        pass


def work(jobs, operations, prepare):
    """The main thread's loop: one request at a time until the stop signal's empty job."""
    logs = (LogStream(sys.stdout), LogStream(sys.stderr))
    for path, body, reply in iter(jobs.get, None):
        if isinstance(body, ActionError):
            result = body.status, encode({"error": str(body)})
        else:
            result = answer(operations[path], body)
        logs[0].flush(sys.stdout)
        logs[1].flush(sys.stderr)
        # Markers follow every activation and every failed /init; a second /init is neither.
        if path != "/init" or result[0] not in (200, 403):
            for log in logs:
                log.mark_end()
        reply.put(result)
        prepare()


def at_stop_signal(stop):
    """Calls `stop` at SIGTERM, perhaps more than once.

    A handler in Python runs on the main thread only, and not before that has come back from a
    library's call, which may take minutes. What C writes to the wakeup descriptor comes at once, so
    a thread waits for it; the handler is for a function that took the descriptor for itself."""
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)

    def handle(_signal, _frame):
        stop()

    def watch():
        try:
            while received := os.read(signals, 64):  # the signals' numbers, a byte each
                # A function that handles the signal itself decides what comes of it.
                if signal.SIGTERM in received and signal.getsignal(signal.SIGTERM) is handle:
                    return stop()
        except OSError:
            pass  # closed by user code

    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, handle)
    leave_children_alone(handle, wakeup)
    threading.Thread(target=watch, daemon=True).start()


def leave_children_alone(handler, wakeup):
    """Has SIGTERM end a forked child (multiprocessing stops its workers so) as it ends any process.
    The child has the handler and shares the pipe, so the signal has to wait until it has
    neither."""
    masks = threading.local()

    def before():
        masks.saved = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def after():
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.saved)

    def forget():
        if signal.getsignal(signal.SIGTERM) is handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        descriptor = signal.set_wakeup_fd(-1)
        if descriptor != wakeup:
            signal.set_wakeup_fd(descriptor)
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=forget)


def operations_of(action):
    if os.environ.get("__OW_RUNTIME_PLATFORM") == "knative":
        return {"/": action.single}
    return {"/init": action.init, "/run": action.run}


def serve(action):
    """Serves an action until SIGTERM; called once, on the main thread."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever is printed must come out, in order, on any locale.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]  # no place for the function's imports
    jobs = queue.SimpleQueue()
    operations = operations_of(action)
    server = Server(int(os.environ.get("FNIMAGE_PORT", "8080")), tuple(operations), jobs)

    def stop():
        server.stopping = True
        jobs.put(None)  # SimpleQueue.put may interrupt a SimpleQueue.get of its own thread

    at_stop_signal(stop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    work(jobs, operations, action.prepare)
    server.drain()

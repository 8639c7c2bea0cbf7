"""What stands between a cache and its upstream in tests: it passes requests on, counts them, and does what goes wrong on
the way: it is slow, lies, cuts, or is not there."""
import collections
import http.client
import http.server
import threading
import urllib.parse

PIECE = 65536


class Relay(http.server.ThreadingHTTPServer):
    """Passes what comes on to `target` ("127.0.0.1:5000", None = nobody is there)."""
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = target
        self.lock = threading.Lock()
        self.seen = collections.Counter()  # "GET /v2/…" -> how often
        self.headers_seen = []  # of every request
        self.status = None  # what is answered instead of passing on
        self.change = None  # (path, bytes) -> bytes of a body on its way
        self.drops_ranges = False  # what is asked for from the middle on is not answered
        self.cut_after = None  # bytes of a blob, after which the connection ends
        self.gate = None  # an Event: a blob stops after `gate_after` bytes until it is set
        self.gate_after = 0
        self.reached_gate = threading.Semaphore(0)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"

    def count(self, method, part):
        """How many requests of this method had this in their path."""
        with self.lock:
            return sum(number for line, number in self.seen.items() if line.startswith(method + " ") and part in line)

    def total(self):
        with self.lock:
            return sum(self.seen.values())

    def stop(self):
        if self.gate:
            self.gate.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # clients go away here on purpose


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def relay(self):
        relay = self.server
        with relay.lock:
            relay.seen[f"{self.command} {self.path}"] += 1
            relay.headers_seen.append(dict(self.headers))
        if relay.target is None or (relay.drops_ranges and "Range" in self.headers):
            self.close_connection = True
            return
        if relay.status:
            self.answer(relay.status, {}, b"{}")
            return
        connection = http.client.HTTPConnection(relay.target, timeout=60)
        try:
            connection.request(self.command, self.path, headers=dict(self.headers))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if relay.change:
            body = relay.change(self.path, body)
        self.answer(response.status, dict(response.getheaders()), body)

    do_GET = do_HEAD = relay  # noqa: N815

    def answer(self, status, headers, body):
        relay = self.server
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        is_blob = "/blobs/" in urllib.parse.unquote(self.path) and status in (200, 206)
        if is_blob and relay.cut_after is not None:
            self.wfile.write(body[:relay.cut_after])
            self.close_connection = True
            return
        if is_blob and relay.gate is not None:
            self.wfile.write(body[:relay.gate_after])
            relay.reached_gate.release()
            relay.gate.wait(60)
            body = body[relay.gate_after:]
        for first in range(0, len(body), PIECE):
            self.wfile.write(body[first:first + PIECE])

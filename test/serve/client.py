"""A client of the distribution API that checks nothing by itself: it sends what a test says and gives back what came,
to the byte. One Client has one connection and belongs to one thread."""
import hashlib
import http.client
import json
import socket
import urllib.parse

PATIENCE = 60  # seconds that a server may take for an answer before a test fails instead of standing still
OCTETS = "application/octet-stream"


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def with_query(path, **parameters):
    """The path with parameters behind those that it has; they are percent-encoded as Go's clients do it."""
    text = urllib.parse.urlencode(parameters)
    return path + ("&" if "?" in path else "?") + text if text else path


class Answer:
    def __init__(self, request, status, headers, body):
        self.request = request  # "GET /v2/", for messages
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name):
        return self.headers.get(name)

    def all_of(self, name):
        """The members of a list that several fields may give (RFC 9110 5.3)."""
        return [part.strip() for field in self.headers.get_all(name, []) for part in field.split(",")]

    def json(self):
        return json.loads(self.body)

    def codes(self):
        """Of the errors in the body; one that is not in the format of the specification is a failure."""
        return [error["code"] for error in self.json()["errors"]]

    def location(self):
        """Path and query of where the Location leads, which may be relative to the request's."""
        location = self.header("Location")
        if not location:
            raise AssertionError(f"no Location in {self}")
        where = urllib.parse.urlsplit(urllib.parse.urljoin("http://host" + self.request.split()[1], location))
        return where.path + (f"?{where.query}" if where.query else "")

    def expect(self, *statuses):
        if self.status not in statuses:
            raise AssertionError(f"{' or '.join(map(str, statuses))} expected: {self}")
        return self

    def __str__(self):
        fields = "; ".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.request} -> {self.status} [{fields}] {self.body[:400]!r}"


class Client:
    def __init__(self, url, tls=None):
        where = urllib.parse.urlsplit(url)
        self.host, self.port, self.tls = where.hostname, where.port, tls
        self.url, self.address = url, f"{where.hostname}:{where.port}"
        self.connection = None

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def request(self, method, path, body=None, headers=()):
        """Sends one request. Bytes go with their length, an iterator of bytes as chunks."""
        if self.connection is None:
            self.connection = self.connect()
        try:
            try:
                self.connection.request(method, path, body, dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                pass  # a server need not read all of what it refuses
            response = self.connection.getresponse()
            content = response.read()
        except Exception:
            self.close()
            raise
        if response.will_close:
            self.close()
        return Answer(f"{method} {path}", response.status, response.headers, content)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def get(self, path, **headers):
        return self.request("GET", path, headers=fields(headers))

    def repository(self, name):
        return Repository(self, name)

    def raw(self, data, seconds=PATIENCE):
        """What comes back on a connection of its own for exactly these bytes, until the server closes it or is silent
        for so long."""
        received = b""
        with socket.create_connection((self.host, self.port), timeout=seconds) as connection:
            try:
                connection.sendall(data)
                while piece := connection.recv(65536):
                    received += piece
            except (TimeoutError, socket.timeout, ConnectionResetError, BrokenPipeError):
                pass
        return received


def fields(words):
    """if_match="x" as the header If-Match."""
    return {name.replace("_", "-").title(): value for name, value in words.items()}


class Repository:
    """Requests about one repository. Those that push check what they need to go on, and give the last answer."""

    def __init__(self, client, name):
        self.client, self.name = client, name

    def path(self, below):
        return f"/v2/{self.name}/{below}"

    def ask(self, method, below, body=None, **headers):
        return self.client.request(method, self.path(below), body, fields(headers))

    def blob(self, digest, method="GET", **headers):
        return self.ask(method, f"blobs/{digest}", **headers)

    def manifest(self, reference, method="GET", **headers):
        return self.ask(method, f"manifests/{reference}", **headers)

    def put(self, reference, data, media_type, **headers):
        return self.ask("PUT", f"manifests/{reference}", data, content_type=media_type, **headers)

    def tags(self, **parameters):
        return self.client.get(with_query(self.path("tags/list"), **parameters))

    def referrers(self, digest, **parameters):
        return self.client.get(with_query(self.path(f"referrers/{digest}"), **parameters))

    # Uploads.

    def begin(self, **parameters):
        return self.client.request("POST", with_query(self.path("blobs/uploads/"), **parameters), b"")

    def begun(self, **parameters):
        """Where a new upload goes on."""
        return self.begin(**parameters).expect(202).location()

    def patch(self, where, data, first=None):
        headers = {"Content-Type": OCTETS}
        if first is not None:
            headers["Content-Range"] = f"{first}-{first + len(data) - 1}"
        return self.client.request("PATCH", where, data, headers)

    def finish(self, where, digest, data=b"", first=None):
        headers = {"Content-Type": OCTETS}
        if first is not None:
            headers["Content-Range"] = f"{first}-{first + len(data) - 1}"
        return self.client.request("PUT", with_query(where, digest=digest), data, headers)

    def push_at_once(self, data, digest):
        return self.client.request("POST", with_query(self.path("blobs/uploads/"), digest=digest), data,
                                   {"Content-Type": OCTETS})

    def push(self, data, digest=None):
        return self.finish(self.begun(), digest or digest_of(data), data)

    def pushed(self, data, algorithm="sha256"):
        """Pushes a blob, which must succeed; its digest."""
        digest = digest_of(data, algorithm)
        self.push(data, digest).expect(201)
        return digest

    def push_in_chunks(self, data, digest, last_in_put=False):
        where, chunks = self.begun(), thirds(data)
        for first, chunk in chunks[:-1] if last_in_put else chunks:
            where = self.patch(where, chunk, first).expect(202).location()
        return self.finish(where, digest, chunks[-1][1], chunks[-1][0]) if last_in_put else self.finish(where, digest)

    def push_as_stream(self, data, digest):
        pieces = iter([data[:100], data[100:]])
        where = self.client.request("PATCH", self.begun(), (piece for piece in pieces if piece),
                                    {"Content-Type": OCTETS}).expect(202).location()
        return self.finish(where, digest)


def thirds(data):
    """The data in three parts, each with the offset of its first byte."""
    size = max(1, -(-len(data) // 3))
    return [(first, data[first:first + size]) for first in range(0, len(data), size)]


def next_page(answer):
    """Where Link leads, None without one."""
    link = answer.header("Link")
    if link is None:
        return None
    where, _, relation = link.partition(">")
    assert relation.replace(" ", "") in (";rel=\"next\"", ";rel=next"), link
    return where.removeprefix("<")

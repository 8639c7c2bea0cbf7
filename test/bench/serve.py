#!/usr/bin/env python3
"""`fnimage serve` side by side with Debian's docker-registry, in one run, with the same clients (curl, wrk, skopeo,
`fnimage copy`, and bench_http.cpp for what wrk cannot do), on one file system.

    serve.py [--rounds N] [--seconds S] [--size MIB] [--directory DIR] FNIMAGE [push|pull|image|get|head|put|blobs|start ...]

  push   a blob of 1 GiB in one stream, and 4 of 256 MiB at once; random bytes, POST and one PUT each (curl)
  pull   the same blobs, by curl, and by bench_http, of which the kernel throws away what comes: curl needs more of the
         machine for a byte than the servers do
  image  a two-platform image of 212 MB, by `fnimage copy` and by skopeo
  get    small manifests by tag and by digest, from 1, 16 and 64 connections that are kept (wrk)
  head   the same by HEAD (bench_http)
  put    small manifests, all different, under one tag of one repository, and of a repository for each connection
  blobs  blobs of 4 and of 64 KiB (wrk)
  start  from exec to the first 200 at /v2/, with an empty store and with 1,000 repositories

In each round both servers begin with an empty store; then they take turns at each piece of work, in alternating order,
after what is to be written has been written (sync). Medians count. docker-registry has its best case: the file system
driver, blob descriptors cached in memory, no Redis, log level error, no access log, no purging of uploads. It does not
fsync, ours does: "no fsync" is ours with fsync, fdatasync and sync_file_range switched off, and "until safe" what sync
takes after docker-registry has answered. What fsync costs is the disk's: one connection that puts waits for three of them
after each other. An ext4 without a journal makes files slowly for a minute after many were removed (see settle() in
assemble.py), and a loop device halves the throughput of blobs. Memory: VmHWM after all the work, VmRSS before and after it.
CPU: seconds of the server, or microseconds a request. Needs curl, wrk, skopeo, docker-registry, a C and a C++ compiler, and
no root."""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import rig

HERE = pathlib.Path(__file__).resolve().parent
PARTS = 4
CONNECTIONS = (1, 16, 64)
STARTS = 20
REPOSITORIES = 1000
OCTETS = "Content-Type: application/octet-stream"
MANIFEST = f"{rig.OCI}.manifest.v1+json"
GOALS = {  # work -> how many times as fast as docker-registry it is meant to be
    "push": 1.5, "pull": 1.5, "get": 3.0, "head": 3.0, "put": 3.0}
START_GOAL = 0.050  # seconds
MEMORY_GOAL = 0.5  # of docker-registry's
NO_SYNC = """int fsync(int f) { (void)f; return 0; }
int fdatasync(int f) { (void)f; return 0; }
int sync_file_range(int f, long a, long b, unsigned c) { (void)f; (void)a; (void)b; (void)c; return 0; }
"""


class Server:
    """One of the two on an empty directory. `name` is what tables call it."""

    def __init__(self, name, directory, command, environment=None):
        self.name, self.directory = name, directory
        self.port = rig.free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.command = [str(word).replace("HOST", self.host) for word in command(self)]
        self.environment = os.environ | (environment or {})
        self.process = None

    def start(self):
        """Seconds from exec until it answers."""
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        request = f"GET /v2/ HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode()
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as connection:
                    connection.sendall(request)
                    if connection.recv(64).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - begin
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended: {self.command}")
            time.sleep(0.0005)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory)

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field):
        """In MiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", text, re.M)[1]) / 1024

    def requests(self):
        return 0  # rig.measure asks

    def send(self, method, path, body=None, headers=()):
        """The answer's headers; anything but 2xx is an error."""
        url = path if path.startswith("http") else f"http://{self.host}{path}"
        request = urllib.request.Request(url, body, dict(field.split(": ") for field in headers), method=method)
        with urllib.request.urlopen(request) as answer:
            answer.read()
            return answer.headers

    def upload(self, repository):
        """Where a new upload goes on."""
        where = self.send("POST", f"/v2/{repository}/blobs/uploads/", b"")["Location"]
        where = where if where.startswith("http") else f"http://{self.host}{where}"
        return where + ("&" if "?" in where else "?")

    def push_blob(self, repository, data):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.send("PUT", f"{self.upload(repository)}digest={digest}", data, [OCTETS])
        return digest

    def push_manifest(self, repository, tag):
        """A small manifest: its digest."""
        self.push_blob(repository, b"{}")
        data = small_manifest("0" * 16)
        self.send("PUT", f"/v2/{repository}/manifests/{tag}", data, [f"Content-Type: {MANIFEST}"])
        return f"sha256:{hashlib.sha256(data).hexdigest()}"


def small_manifest(note):
    empty = {"mediaType": f"{rig.OCI}.config.v1+json", "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}", "size": 2}
    layers = [{**empty, "mediaType": f"{rig.OCI}.layer.v1.tar+gzip"} for _ in range(5)]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": layers, "annotations": {"org.example.note": note}}
    return json.dumps(document, separators=(",", ":")).encode()


def docker_registry(server):
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(server.directory / "data")},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": server.host},
    }
    server.directory.mkdir(parents=True, exist_ok=True)
    (server.directory / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    return ["docker-registry", "serve", server.directory / "config.yml"]


class Results:
    """Figures of each piece of work, by server: how fast (seconds, or requests a second) and how much CPU."""

    def __init__(self):
        self.rows = {}

    def add(self, kind, work, server, figure, cpu):
        self.rows.setdefault((kind, work), {}).setdefault(server, []).append((figure, cpu))

    def report(self, names):
        last = None
        for (kind, work), figures in self.rows.items():
            is_rate = kind in ("get", "head", "put", "blobs")
            if kind != last:
                unit = "requests/s, CPU us each" if is_rate else "MB/s, CPU s" if kind in ("push", "pull") else "s, CPU s"
                print(f"\n{kind:30}({unit})".ljust(56) + "".join(f"{name:>24}" for name in names) + f"{'x':>8}{'CPU x':>8}")
                last = kind
            line = f"  {work:52}"
            medians = {name: [statistics.median(column) for column in zip(*figures[name])] for name in names if name in figures}
            for name in names:
                figure = medians.get(name)
                line += f"{figure[0]:14.{0 if is_rate else 3 if figure[0] < 10 else 0}f}{figure[1]:10.{1 if is_rate else 3}f}" if figure else " " * 24
            ours, theirs = medians["fnimage"], medians["docker-registry"]
            ratio = theirs[0] / ours[0] if kind in ("image", "start") else ours[0] / theirs[0]
            line += f"{ratio:8.2f}{theirs[1] / ours[1] if ours[1] else 0:8.2f}"
            print(line + self.judgement(kind, ratio, ours[0]), flush=True)

    @staticmethod
    def judgement(kind, ratio, ours):
        if kind == "start":
            return f"   goal {START_GOAL * 1000:.0f} ms: " + verdict(ours < START_GOAL)
        return f"   goal {GOALS[kind]}: " + verdict(ratio >= GOALS[kind]) if kind in GOALS else ""


class Bench:
    def __init__(self, arguments, work):
        self.arguments, self.work, self.results = arguments, work, Results()
        self.count, self.safe, self.memory = 0, [], {}
        (work / "bench_http").parent.mkdir(exist_ok=True)
        subprocess.run(["c++", "-O2", "-std=c++20", HERE / "bench_http.cpp", "-o", work / "bench_http"], check=True)
        (work / "no_sync.c").write_text(NO_SYNC)
        subprocess.run(["cc", "-shared", "-fPIC", work / "no_sync.c", "-o", work / "no_sync.so"], check=True)
        self.whole = work / "blob"
        self.parts = [work / f"blob.{number}" for number in range(PARTS)]
        self.digests = {}

    def fresh(self, name):
        self.count += 1
        return self.work / f"{name}{self.count}"

    def servers(self, with_no_sync=False):
        def ours(server):
            return [self.arguments.fnimage.resolve(), "serve", "--store", server.directory / "store", "--addr", "HOST"]

        made = [Server("fnimage", self.fresh("ours"), ours), Server("docker-registry", self.fresh("theirs"), docker_registry)]
        if with_no_sync:
            made.append(Server("no fsync", self.fresh("ours"), ours, {"LD_PRELOAD": str(self.work / "no_sync.so")}))
        return made

    def wants(self, *cases):
        return any(case in self.arguments.cases for case in cases)

    # The work.

    def prepare(self):
        """Random bytes, in files that stay in memory for the clients."""
        size = self.arguments.size << 20
        for path, length in [(self.whole, size)] + [(part, size // PARTS) for part in self.parts]:
            digest = hashlib.sha256()
            with open(path, "wb") as file:
                for _ in range(length >> 20):
                    block = os.urandom(1 << 20)
                    file.write(block)
                    digest.update(block)
            self.digests[path] = f"sha256:{digest.hexdigest()}"
        if self.wants("image"):
            self.layouts = [self.layout(seed) for seed in (1, 2)]

    def layout(self, seed):
        layout, architectures = rig.Layout(self.fresh("layout"), seed), ("amd64", "ppc64le")
        shared = [layout.layer(size) for size in (30_000_000, 4_000_000, 20_000)]
        own = {arch: [layout.layer(n * 1_000_000) for n in (50, 25, 12, 2)] for arch in architectures}
        layout.index("latest", [layout.image(arch, own[arch] + shared) for arch in architectures])
        layout.close()
        return layout.directory

    def round(self, number):
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(server) for server in self.servers(self.wants("push", "put"))]
            time.sleep(1)
            before = {server.name: server.memory("VmRSS") for server in servers}
            if number % 2:
                servers.reverse()
            for case, work in (("push", self.push), ("pull", self.pull), ("image", self.image), ("get", self.get),
                               ("head", self.head), ("put", self.put), ("blobs", self.blobs)):
                if self.wants(case) or (case == "push" and self.wants("pull")):
                    work(servers)
            time.sleep(2)
            for server in servers:
                figures = [before[server.name], server.memory("VmRSS"), server.memory("VmHWM"), server.cpu()]
                self.memory.setdefault(server.name, []).append(figures)

    def timed(self, server, command):
        """Seconds on the wall and of the server's CPU, once nothing is left to be written."""
        os.sync()
        run = rig.measure(command, server, os.environ)
        return run.wall, run.registry

    def curl_push(self, server, path):
        where = f"{server.upload('big')}digest={self.digests[path]}"
        return f"curl -sSf -o {os.devnull} -H '{OCTETS}' -T {path} '{where}'"

    def push(self, servers):
        for work, files in ((f"{self.arguments.size} MiB, one stream", [self.whole]),
                            (f"{PARTS} x {self.arguments.size // PARTS} MiB at once", self.parts)):
            for server in servers:
                commands = [self.curl_push(server, path) for path in files]
                wall, cpu = self.timed(server, together(commands))
                self.add("push", work, server, self.arguments.size * 1.048576 / wall, cpu)
                if server.name == "docker-registry":
                    begin = time.monotonic()
                    os.sync()
                    self.safe.append((work, wall, wall + time.monotonic() - begin))

    def pull(self, servers):
        for work, files in ((f"{self.arguments.size} MiB, one stream", [self.whole]),
                            (f"{PARTS} x {self.arguments.size // PARTS} MiB at once", self.parts)):
            for server in self.both(servers):
                paths = [f"/v2/big/blobs/{self.digests[path]}" for path in files]
                for client, command in (("curl", f"curl -sSf -o {os.devnull} http://{server.host}PATH"),
                                        ("bench_http", f"{self.work / 'bench_http'} {server.port} GET PATH 1 0")):
                    wall, cpu = self.timed(server, together([command.replace("PATH", path) for path in paths]))
                    self.add("pull", f"{work}, {client}", server, self.arguments.size * 1.048576 / wall, cpu)

    def image(self, servers):
        own, other = self.layouts
        fnimage = self.arguments.fnimage.resolve()
        for work, command in (
            ("212 MB, fnimage copy", f"{fnimage} copy -q --plain-http oci:{own}:latest HOST/fn:latest"),
            ("212 MB, skopeo copy --all", f"skopeo copy -q --all --dest-tls-verify=false oci:{other}:latest docker://HOST/fn2:latest"),
        ):
            for server in self.both(servers):
                home = self.fresh("home")
                home.mkdir()
                self.add("image", work, server, *self.timed(server, f"HOME={home} " + command.replace("HOST", server.host)))

    def get(self, servers):
        digests = {server: server.push_manifest("small", "latest") for server in self.both(servers)}
        for connections in CONNECTIONS:
            for how in ("tag", "digest"):
                for server in self.both(servers):
                    reference = "latest" if how == "tag" else digests[server]
                    self.wrk("get", f"manifest by {how}, {connections} connections", server, connections,
                             f"/v2/small/manifests/{reference}")

    def head(self, servers):
        for server in self.both(servers):
            server.push_manifest("small", "latest")
        for connections in CONNECTIONS:
            for server in self.both(servers):
                self.load("head", f"manifest by tag, {connections} connections", server, connections, "HEAD",
                          "/v2/small/manifests/latest", [f"Accept: {MANIFEST}"])

    def put(self, servers):
        for connections in CONNECTIONS:
            for where in ("one repository", "a repository each"):
                if connections == 1 and where != "one repository":
                    continue
                for server in servers:
                    name = f"put{connections}/" + ("r@" if where != "one repository" else "one")
                    for number in range(connections if "@" in name else 1):
                        server.push_blob(name.replace("@", str(number)), b"{}")
                    self.load("put", f"manifests, {where}, {connections} connections", server, connections, "PUT",
                              f"/v2/{name}/manifests/latest", [f"Content-Type: {MANIFEST}"], small_manifest("@" * 16))

    def blobs(self, servers):
        for kib in (4, 64):
            data = os.urandom(kib << 10)
            for server in self.both(servers):
                digest = server.push_blob("blobs", data)
                self.wrk("blobs", f"{kib} KiB, 16 connections", server, 16, f"/v2/blobs/blobs/{digest}")

    # How it is measured.

    @staticmethod
    def both(servers):
        return [server for server in servers if server.name != "no fsync"]

    def add(self, kind, work, server, figure, cpu):
        self.results.add(kind, work, server.name, figure, cpu)

    def wrk(self, kind, work, server, connections, path):
        os.sync()
        busy = server.cpu()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{self.arguments.seconds}s", "-H", f"Accept: {MANIFEST}", f"http://{server.host}{path}"],
            check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in done or "Socket errors" in done:
            raise RuntimeError(done)
        requests = int(re.search(r"(\d+) requests in", done)[1])
        rate = float(re.search(r"Requests/sec:\s+(\S+)", done)[1])
        self.add(kind, work, server, rate, (server.cpu() - busy) / requests * 1e6)

    def load(self, kind, work, server, connections, method, path, headers, body=b""):
        os.sync()
        busy = server.cpu()
        done = subprocess.run(
            [self.work / "bench_http", str(server.port), method, path, str(connections), str(self.arguments.seconds), *headers],
            check=True, stdout=subprocess.PIPE, input=body).stdout.split()
        requests, seconds = int(done[0]), float(done[1])
        self.add(kind, work, server, requests / seconds, (server.cpu() - busy) / requests * 1e6)

    def start(self):
        for work, repositories in (("empty store", 1), (f"{REPOSITORIES} repositories", REPOSITORIES)):
            servers = self.servers()
            for server in servers:
                self.fill(server, repositories)
            for number in range(STARTS):
                for server in servers if number % 2 else reversed(servers):
                    begin = server.start()
                    self.add("start", work, server, begin, server.cpu())
                    server.stop()
            for server in servers:
                shutil.rmtree(server.directory)

    @staticmethod
    def fill(server, repositories):
        server.start()
        server.push_manifest("many/r0", "latest")
        server.stop()
        first = next(path for path in server.directory.rglob("many/r0"))
        for number in range(1, repositories):
            shutil.copytree(first, first.with_name(f"r{number}"))

    def report(self):
        names = [name for name in ("fnimage", "docker-registry", "no fsync") if name in self.memory or name != "no fsync"]
        self.results.report(names)
        for work in dict.fromkeys(work for work, _, _ in self.safe):
            answered, safe = (statistics.median(row[column] for row in self.safe if row[0] == work) for column in (1, 2))
            print(f"docker-registry, {work}: answered after {answered:.2f} s, until safe {safe:.2f} s")
        if not self.memory:
            return
        print(f"\nmemory and CPU of a round{'':15}{'at first':>12}{'at last':>12}{'peak MiB':>12}{'CPU s':>12}")
        for name, rows in self.memory.items():
            figures = [statistics.median(column) for column in zip(*rows)]
            print(f"  {name:38}" + "".join(f"{figure:12.1f}" for figure in figures))
        peaks = {name: max(row[2] for row in rows) for name, rows in self.memory.items()}
        share = peaks["fnimage"] / peaks["docker-registry"]
        print(f"  peak of all rounds: {share:.2f} of docker-registry's   goal {MEMORY_GOAL}: {verdict(share <= MEMORY_GOAL)}")


def verdict(is_met):
    return "met" if is_met else "NOT MET"


def together(commands):
    """A shell command that runs all of them at once and fails when one does."""
    if len(commands) == 1:
        return commands[0]
    begin = " ".join(f"{command} & p{number}=$!;" for number, command in enumerate(commands))
    return begin + " " + " && ".join(f"wait $p{number}" for number in range(len(commands)))


def file_system(directory):
    return subprocess.run(["stat", "-f", "-c", "%T", directory], check=True, capture_output=True, text=True).stdout.strip()


def main():
    cases = ("push", "pull", "image", "get", "head", "put", "blobs", "start")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fnimage", type=pathlib.Path)
    parser.add_argument("cases", nargs="*", default=cases)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each load of small requests")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the large blob")
    parser.add_argument("--directory", type=pathlib.Path, help="on the disk that is to be measured")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(cases):
        parser.error(f"no such case: {', '.join(unknown)}")
    if missing := [name for name in ("curl", "wrk", "skopeo", "docker-registry", "c++", "cc") if not shutil.which(name)]:
        sys.exit(f"missing: {', '.join(missing)}")
    rig.interruptible()
    with tempfile.TemporaryDirectory(prefix="fnimage-bench-", dir=arguments.directory) as work:
        bench = Bench(arguments, pathlib.Path(work))
        print(f"{os.cpu_count()} processors, {file_system(work)}; {arguments.rounds} rounds", flush=True)
        if set(arguments.cases) - {"start"}:
            bench.prepare()
            for number in range(arguments.rounds):
                bench.round(number)
                print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr, flush=True)
        if "start" in arguments.cases:
            bench.start()
        bench.report()


if __name__ == "__main__":
    main()

"""What the publishing benchmarks stand on: throw-away registries, layouts of random content, a delaying proxy, and
measured commands. Everything binds to 127.0.0.1 and lives in one temporary directory, in memory where possible."""

import asyncio
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request

OCI = "application/vnd.oci.image"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """Debian's docker-registry over plain http, empty at first; counts the requests that it answers."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.log = self.directory / "log"

    def __enter__(self):
        port = free_port()
        self.name = f"127.0.0.1:{port}"
        config = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.directory / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.name},
        }
        (self.directory / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", self.directory / "config.yml"], stdout=log, stderr=log
            )
        while True:
            try:
                urllib.request.urlopen(f"http://{self.name}/v2/").close()
                return self
            except urllib.error.URLError:
                if self.process.poll() is not None:
                    raise RuntimeError(self.log.read_text()) from None
                time.sleep(0.01)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)

    def cpu(self):
        """Seconds of CPU that it has used so far: where a registry is the limit, no client is faster."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def requests(self):
        """How many requests were answered so far."""
        return len(re.findall(r'"[A-Z]+ /v2/[^"]*HTTP/', self.log.read_text(errors="replace")))


class DelayProxy:
    """Passes TCP on with a delay in each direction, and one round trip more for each new connection: a registry
    that is `round_trip` seconds away."""

    def __init__(self, target, round_trip):
        self.host, port = target.split(":")
        self.port, self.delay = int(port), round_trip / 2

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20)
        )
        self.name = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def serve(self, reader, writer):
        await asyncio.sleep(2 * self.delay)
        try:
            there = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
            await asyncio.gather(self.relay(reader, there[1]), self.relay(there[0], writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def relay(self, reader, writer):
        def put(data):
            if writer.is_closing():
                return
            if data:
                writer.write(data)
            elif writer.can_write_eof():
                writer.write_eof()

        while data := await reader.read(1 << 18):
            self.loop.call_later(self.delay, put, data)
        self.loop.call_later(self.delay, put, b"")
        await asyncio.sleep(self.delay)


class Measured:
    """Figures of one command: seconds on the wall, CPU seconds of the client's processes and of the registry,
    requests."""

    def __init__(self, wall, cpu, registry, requests):
        self.wall, self.cpu, self.registry, self.requests = wall, cpu, registry, requests

    def times(self, factor):
        figures = (self.wall, self.cpu, self.registry, self.requests)
        return Measured(*(figure * factor for figure in figures))


def measure(command, registry, environment, cwd=None):
    """Runs a shell command to its end. Raises when it fails: a benchmark of failures says nothing."""
    before, busy = registry.requests(), registry.cpu()
    begin = time.monotonic()
    process = subprocess.Popen(
        ["sh", "-ec", command],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if status != 0:
        raise RuntimeError(f"{command}\n{output.decode(errors='replace')}")
    return Measured(
        wall,
        usage.ru_utime + usage.ru_stime,
        registry.cpu() - busy,
        registry.requests() - before,
    )


def report(title, results, ours="fnimage"):
    """Prints the medians of each command and how many times as long as ours the others take."""
    print(f"\n{title}")
    print(f"  {'':22}{'seconds':>9}{'x':>7}{'CPU s':>9}{'x':>7}{'registry':>10}{'requests':>10}")

    def median(name, figure):
        return statistics.median(getattr(run, figure) for run in results[name])

    for name in results:
        wall, cpu = median(name, "wall"), median(name, "cpu")
        print(
            f"  {name:22}{wall:9.3f}{wall / median(ours, 'wall'):7.2f}{cpu:9.3f}"
            f"{cpu / median(ours, 'cpu'):7.2f}{median(name, 'registry'):10.3f}"
            f"{median(name, 'requests'):10.0f}",
            flush=True,
        )


class Layout:
    """Writes an OCI layout with content of a seeded random generator: incompressible, equal on each run."""

    def __init__(self, directory, seed=1):
        self.directory = pathlib.Path(directory)
        (self.directory / "blobs/sha256").mkdir(parents=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.random = random.Random(seed)
        self.entries = []

    def blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(self, value, media_type):
        return self.blob(json.dumps(value, separators=(",", ":")).encode(), media_type)

    def layer(self, size, name="data"):
        """A gzip layer with one random file: (descriptor, diff_id)."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(self.random.randbytes(size)))
        tar_bytes = buffer.getvalue()
        packed = gzip.compress(tar_bytes, 1, mtime=0)
        return self.blob(packed, f"{OCI}.layer.v1.tar+gzip"), hashlib.sha256(tar_bytes).hexdigest()

    def image(self, architecture, layers):
        config = self.document(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["/data"]},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}" for _, diff in layers]},
                "history": [{"created_by": "bench"} for _ in layers],
            },
            f"{OCI}.config.v1+json",
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": config,
            "layers": [descriptor for descriptor, _ in layers],
        }
        descriptor = self.document(manifest, manifest["mediaType"])
        return {**descriptor, "platform": {"architecture": architecture, "os": "linux"}}

    def index(self, name, images):
        value = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": images}
        self.entry(name, self.document(value, value["mediaType"]))

    def entry(self, name, descriptor):
        self.entries.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}})

    def close(self):
        value = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": self.entries}
        (self.directory / "index.json").write_text(json.dumps(value))


def interruptible():
    """Lets `finally` and `with` clean up when the benchmark is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))

#!/usr/bin/env python3
"""Latency of the admission webhook (examples/controller) under load, over TLS, by wrk: requests a second, p50, p99.

Usage: webhook.py FNIMAGE PROGRAM [SECONDS]   (PROGRAM: a build of examples/controller)"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
FNIMAGE, PROGRAM = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
SECONDS = int(sys.argv[3]) if len(sys.argv) == 4 else 5
sys.argv[1:] = []
sys.path.insert(0, str(SOURCE / "test/cli"))
import lists_test  # noqa: E402  pylint: disable=wrong-import-position
import resolve_test  # noqa: E402  pylint: disable=wrong-import-position

CONNECTIONS = (1, 8, 64)
NODES = 1000
SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
source: {main: handler.py}
requires: {memory: 1Gi}
"""
SCRIPT = """wrk.method = "POST"
local file = io.open("review.json"); wrk.body = file:read("*a"); file:close()
wrk.headers["Content-Type"] = "application/json"
function response(status, headers, body) if status ~= 200 or not body:find('"patch"', 1, true) then wrk.thread:stop() end end
"""


def measure(scratch, port, connections):
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", "post.lua",
                           f"https://127.0.0.1:{port}/mutate?timeout=10s"], cwd=scratch, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise SystemExit(done)
    found = {name: re.search(pattern, done)[1] for name, pattern in
             (("p50", r"\n +50%\s+(\S+)"), ("p99", r"\n +99%\s+(\S+)"), ("rate", r"Requests/sec:\s+(\S+)"))}
    print(f"{connections:3} connections: {float(found['rate']):8.0f} requests/s   p50 {found['p50']:>8}   p99 {found['p99']:>8}", flush=True)


def main():
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="fnimage-webhook-") as directory, lists_test.registry() as registry:
        scratch = pathlib.Path(directory)
        for name in ("nodes", "functions", "project"):
            (scratch / name).mkdir()
        environment = os.environ | {"HOME": directory}
        (scratch / "project/fnimage.yaml").write_text(SPEC)
        (scratch / "project/handler.py").write_text("")
        image = f"{registry}/team/digits:latest"
        subprocess.run([FNIMAGE, "build", "-q", "--push", "--plain-http", "-t", image, "project"], cwd=scratch, env=environment, check=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=bench",
                        "-keyout", "tls.key", "-out", "tls.crt"], cwd=scratch, check=True, capture_output=True)
        nodes = [resolve_test.node(f"node-{i}", "ppc64le" if i % 3 else "amd64", "containerd://2.1.4", labels={"openwhisk-role": "invoker"})
                 for i in range(NODES)]
        (scratch / "nodes/nodes.json").write_text(resolve_test.listed(*nodes))
        (scratch / "functions/all.json").write_text(json.dumps({"images": f"{registry}/*"}))
        review = (SOURCE / "examples/controller/test/requests/openwhisk.json").read_text().replace("@IMAGE@", image)
        (scratch / "review.json").write_text(json.dumps(json.loads(review)))
        (scratch / "post.lua").write_text(SCRIPT)
        with open(scratch / "log", "wb") as log, subprocess.Popen(
                [PROGRAM, "--listen=127.0.0.1:0", "--cert=tls.crt", "--key=tls.key", "--nodes=nodes", "--functions=functions", "--plain-http"],
                cwd=scratch, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as server:
            try:
                port = server.stdout.readline().strip().rsplit(":", 1)[1]
                print(f"{NODES} nodes, one function, an OpenWhisk pod", flush=True)
                for connections in CONNECTIONS:
                    measure(scratch, port, connections)
                status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
                print("peak memory:", re.search(r"VmHWM:\s+(.*)", status)[1])
            finally:
                server.terminate()


if __name__ == "__main__":
    main()

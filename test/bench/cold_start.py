#!/usr/bin/env python3
"""From the start of an action to its first answer, beside the way that actions are served with today, on the same packages.

    cold_start.py [--rounds N] FNIMAGE [python|nodejs|exec|notebook ...]

Each runtime's function is built by fnimage with its own proxy and with a stock one (Flask on gevent's server; express for
Node.js; for notebooks Flask with nbclient, which is what papermill runs them by), on linux/amd64. Measured is the time until
/init and then /run have been answered: from the start of the process ("process": in a chroot) and from that of the container
("container": by podman). The two take turns. Needs docker-registry, skopeo, umoci, podman and root."""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import rig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import conformance  # noqa: E402
import containers  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
BUILD_FILE = """name: {name}
platforms: [linux/amd64]
base: {{debian: bookworm, suites: [updates]}}
packages: [{packages}]
runtime: {runtime}
source: {{{main}files: ["*"]}}
config: {config}
"""
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 4,
    "metadata": {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
    "cells": [
        {"cell_type": "code", "metadata": {"tags": tags}, "outputs": [], "execution_count": None, "source": source}
        for source, tags in (('name = "you"', ["parameters"]), ('result = {"text": f"Hello, {name}!"}\nprint(result["text"])', []))
    ],
}
FUNCTIONS = {  # file, text
    "python": ("handler.py", 'def main(args):\n    return {"text": f"Hello, {args[\'name\']}!"}\n'),
    "nodejs": ("handler.js", "exports.main = ({ name }) => ({ text: `Hello, ${name}!` });\n"),
    "exec": ("handler.sh", "#!/bin/sh\necho '{\"text\": \"Hello, Ada!\"}'\n"),
    "notebook": ("handler.ipynb", json.dumps(NOTEBOOK)),
}
# A home that can be written, for Jupyter's files; and where Debian's Node.js looks only when there is a /proc.
ENVIRONMENT = {"HOME": "/tmp", "NODE_PATH": "/usr/share/nodejs"}
FLASK = ["python3-flask", "python3-gevent"]
STOCK = {  # packages, program
    "python": (FLASK, ["python3", "/action/stock_proxy.py", "python"]),
    "nodejs": (["nodejs", "node-express"], ["node", "/action/stock_proxy.js"]),
    "exec": ([*FLASK, "dash"], ["python3", "/action/stock_proxy.py", "exec"]),
    "notebook": (
        [*FLASK, "python3-nbclient", "python3-ipykernel"],
        ["python3", "/action/stock_proxy.py", "notebook"],
    ),
}


def project(work, name, runtime, extra):
    """The directory of a function; `extra`: what its build file says besides."""
    directory = work / name
    directory.mkdir()
    file, text = FUNCTIONS[runtime]
    (directory / file).write_text(text)
    (directory / file).chmod(0o755)
    for proxy in HERE.glob("stock_proxy.*"):
        (directory / proxy.name).write_bytes(proxy.read_bytes())
    values = {"name": name, "packages": "", "runtime": runtime, "main": f"main: {file}, ", "config": "{}", **extra}
    lines = BUILD_FILE.format(**values) + values.get("more", "")
    (directory / "fnimage.yaml").write_text(lines)
    return directory


def projects(work, runtime):
    """Name -> directory of each way to serve the runtime's function."""
    packages, program = STOCK[runtime]
    file = FUNCTIONS[runtime][0]
    stock = {
        "runtime": "none",
        "main": "",
        "packages": ", ".join(packages),
        "config": json.dumps(
            {"entrypoint": [*program, f"/action/{file}"], "user": "1000:1000", "workdir": "/action", "env": ENVIRONMENT}
        ),
    }
    shell = {"packages": "dash"} if runtime == "exec" else {}
    ways = {"fnimage": project(work, f"{runtime}-own", runtime, shell)}
    if runtime == "notebook":
        ways["fnimage, compiled"] = project(
            work, "notebook-compiled", runtime, {"more": "notebook: {mode: compiled}\n"}
        )
    ways["stock"] = project(work, f"{runtime}-stock", runtime, stock)
    return ways


def first_answer(engine, image):
    """Seconds from the start to the answer of the first activation."""
    begin = time.monotonic()
    with engine.start(image, "amd64") as container:
        try:
            client = conformance.Client.of(container)
        except AssertionError as error:
            raise RuntimeError(f"{error}: {conformance.read(container.stderr)}") from None
        client.post("/init", {"value": {}}).expect(200)
        answer = client.post("/run", {"value": {"name": "Ada"}}).expect(200)
        seconds = time.monotonic() - begin
        assert answer["text"].strip() == "Hello, Ada!", answer
    return seconds


def measure(runtime, arguments, work, registry):
    environment = {"PATH": os.environ["PATH"], "HOME": str(work)}
    references = {}
    for way, directory in projects(work, runtime).items():
        references[way] = f"{registry.name}/{directory.name}:latest"
        command = f"{arguments.fnimage.resolve()} build -q --push --plain-http -t {references[way]} {directory}"
        rig.measure(command, registry, environment)
    print(f"\n{runtime}\n  {'':20}{'process s':>11}{'x':>7}{'container s':>13}{'x':>7}")
    medians = {way: [] for way in references}
    for kind in ("chroot", "podman"):
        with containers.engine([kind]) as engine:
            images = {way: engine.pull(reference, "amd64") for way, reference in references.items()}
            times = {way: [] for way in images}
            for number in range(arguments.rounds + 1):  # the first warms the page cache
                for way, image in images.items():
                    seconds = first_answer(engine, image)
                    times[way] += [seconds] if number else []
            for way, seconds in times.items():
                medians[way].append(statistics.median(seconds))
    for way, (process, container) in medians.items():
        own = medians["fnimage"]
        print(f"  {way:20}{process:11.3f}{process / own[0]:7.2f}{container:13.3f}{container / own[1]:7.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fnimage", type=pathlib.Path)
    parser.add_argument("runtimes", nargs="*", default=list(FUNCTIONS))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rig.interruptible()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fnimage-bench-")))
        work.chmod(0o755)
        registry = stack.enter_context(rig.Registry(work / "registry"))
        for runtime in arguments.runtimes:
            measure(runtime, arguments, work, registry)


if __name__ == "__main__":
    main()

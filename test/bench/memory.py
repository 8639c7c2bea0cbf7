#!/usr/bin/env python3
"""The memory of a build and of a push, whatever a layer holds (budget B6): a function for two platforms with one file of 4 GiB.

    memory.py [--gib N] FNIMAGE

Prints the peak of each command in MiB, and fails above the budget. Needs GNU time, docker-registry and three times the size
in $TMPDIR.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import rig

BUDGET_MIB = 96
BUILD_FILE = """
name: memory
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
layers: [{name: model, from: model.bin, to: /model.bin}]
config: {entrypoint: [/model.bin]}
"""
MIB = 1 << 20


def write_model(path, gib):
    """Half of it does not compress, half does; no two MiB are alike."""
    source = random.Random(1)
    with open(path, "wb") as file:
        for number in range(gib * 1024):
            noise = source.randbytes(MIB // 2)
            text = (b"weight %08d\n" % number) * (MIB // 2 // 16)
            file.write(noise + text)


def peak_mib(words, directory):
    """Runs a command to its end; its peak of memory. GNU time starts it: a child of this process begins with its pages."""
    peak = directory / "peak"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    subprocess.run(["time", "-f", "%M", "-o", peak, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    return int(peak.read_text().split()[-1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fnimage", type=pathlib.Path)
    parser.add_argument("--gib", type=int, default=4)
    arguments = parser.parse_args()
    rig.interruptible()
    program = arguments.fnimage.resolve()
    with tempfile.TemporaryDirectory(prefix="fnimage-bench-") as work:
        directory = pathlib.Path(work)
        project = directory / "project"
        project.mkdir()
        (project / "fnimage.yaml").write_text(BUILD_FILE)
        write_model(project / "model.bin", arguments.gib)
        peaks = {}
        with rig.Registry(directory / "registry") as registry:
            for compression in ("gzip", "zstd"):
                tag = f"{registry.name}/memory:{compression}"
                build = [program, "build", "-q", "--no-check", "--compression", compression, "-t", tag, project]
                push = [program, "push", "-q", "--plain-http", tag]
                peaks[f"build, {compression}"] = peak_mib(build, directory)
                peaks[f"push, {compression}"] = peak_mib(push, directory)
        print(f"one file of {arguments.gib} GiB, two platforms: peak of memory (budget {BUDGET_MIB} MiB)")
        for name, peak in peaks.items():
            print(f"  {name:14}{peak:7.1f} MiB")
        return 1 if max(peaks.values()) > BUDGET_MIB else 0


if __name__ == "__main__":
    sys.exit(main())

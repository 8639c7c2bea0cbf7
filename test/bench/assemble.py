#!/usr/bin/env python3
"""Images from Debian packages, side by side with mmdebstrap, for linux/amd64 and linux/ppc64le, in one run.

    assemble.py [--rounds N] FNIMAGE [function|science ...]

  function  a Python function on Debian's essential packages, its list in an empty registry (budget B1); the peer is
            mmdebstrap for each architecture (ppc64el through QEMU's binfmt handler), put together by buildah
  science   python3-numpy, -scipy, -sklearn, -pandas, -h5py, -ipykernel and -nbclient: time cold and warm, what both platforms
            have in common, and the size against mmdebstrap's of the same packages, packed by gzip -6 (amd64)

Packages are downloaded before: the peer has them in apt's own cache. "cold" begins with nothing else, "packages" with
unpacked packages, as when another function was built before, "layers" with all layers, as when nothing changed. Layers are gzip,
as the peer's are, and zstd of "cold, zstd". Two thirds of cold are liblzma's and libdeflate's: Debian 13 has faster ones than
Debian 12, and cold is a fifth shorter there. Needs root (for the peer) and mmdebstrap, buildah and qemu-user-static; without
them only fnimage is measured."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import rig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import containers  # noqa: E402

SCIENCE = [f"python3-{name}" for name in ("numpy", "scipy", "sklearn", "pandas", "h5py", "ipykernel", "nbclient")]
BUILD_FILE = """name: bench
platforms: [linux/amd64, linux/ppc64le]
base: {debian: bookworm, suites: [updates], essential: %s}
packages: [%s]
runtime: python
source: {main: handler.py}
"""
HANDLER = "def main(args):\n    return {'ok': True}\n"
RUNTIME = ("python3-minimal", "libpython3-stdlib")
BUILDAH = "buildah --root $HOME/storage --runroot $HOME/run --storage-driver vfs"
ARCHITECTURES = {"amd64": "amd64", "ppc64le": "ppc64el"}
COLD = ("packs", "control", "bytecode", "layers", "checked")
STATES = {"cold": COLD, "cold, zstd": COLD, "packages": ("layers", "checked"), "layers": ()}
OPTIONS = {"cold, zstd": "--compression zstd "}


class Bench:
    def __init__(self, arguments, work):
        self.rounds, self.work = arguments.rounds, work
        self.program = arguments.fnimage.resolve()
        self.cache = work / "cache"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(work), "XDG_CACHE_HOME": str(self.cache)}

    def project(self, name, essential, packages):
        directory = self.work / name
        directory.mkdir()
        (directory / "fnimage.yaml").write_text(BUILD_FILE % (essential, ", ".join(packages)))
        (directory / "handler.py").write_text(HANDLER)
        return directory

    def build(self, project, registry, state):
        """One build and push: what the state leaves out of the cache goes first, and the store is empty."""
        # Moved, not removed: see settle().
        gone = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        for part in STATES[state]:
            for parent in (self.cache / "fnimage", self.cache / "fnimage/debian"):
                if (parent / part).exists():
                    (parent / part).rename(gone / f"{parent.name}-{part}")
        environment = {**self.environment, "XDG_DATA_HOME": tempfile.mkdtemp(dir=self.work)}
        command = f"{self.program} build -q --push --plain-http {OPTIONS.get(state, '')}-t {registry.name}/fn:latest {project}"
        return rig.measure(command, registry, environment)

    def states(self, project, commands):
        """Each state of fnimage's cache and each peer's command in turn, the registry empty each time."""
        results = {f"fnimage, {state}": [] for state in STATES} | {name: [] for name in commands}
        with rig.Registry(self.work / "first") as registry:
            self.build(project, registry, "cold")  # downloads
        for number in range(self.rounds):
            settle()
            for state in STATES:
                with rig.Registry(self.work / f"registry{state}{number}") as registry:
                    results[f"fnimage, {state}"].append(self.build(project, registry, state))
            for name, command in commands.items():
                home = pathlib.Path(tempfile.mkdtemp(dir=self.work))
                with rig.Registry(self.work / f"registry{name}{number}") as registry:
                    environment = {**self.environment, "HOME": str(home), "TMPDIR": str(home)}
                    text = command.replace("REGISTRY", registry.name)
                    results[name].append(rig.measure(text, registry, environment))
                shutil.rmtree(home)
        return results

    def mmdebstrap(self, architecture, packages, variant):
        """A command that makes $HOME/ARCH.tar, its packages in a cache of this bench."""
        archives = self.work / f"archives-{architecture}"
        archives.mkdir(exist_ok=True)
        hook = "/var/cache/apt/archives"
        return (
            f"mmdebstrap -q --variant={variant} --architectures={architecture} --include={','.join(packages)}"
            f" --skip=download/empty --skip=essential/unlink --setup-hook='mkdir -p \"$1\"{hook}'"
            f" --setup-hook='sync-in {archives} {hook}' --customize-hook='sync-out {hook} {archives}'"
            f" bookworm $HOME/{architecture}.tar {sources(self.work)}"
        )

    def can(self, *programs):
        missing = [name for name in programs if not shutil.which(name)]
        if os.geteuid() != 0:
            missing.append("root")
        if missing:
            print(f"without peers: {', '.join(missing)} missing")
        return not missing

    def function(self):
        project = self.project("function", "true", [])
        commands = {}
        if self.can("mmdebstrap", "buildah", "qemu-ppc64le-static"):
            steps = [f'b="{BUILDAH}"; $b manifest create fn']
            for ours, debian in ARCHITECTURES.items():
                steps += [
                    self.mmdebstrap(debian, RUNTIME, "essential"),
                    "c=$($b from scratch)",
                    f"$b add -q $c $HOME/{debian}.tar /",
                    f"$b copy -q $c {project}/handler.py /action/",
                    f"$b config --arch {ours} --os linux $c",
                    "$b commit -q --manifest fn $c",
                ]
            steps.append("$b manifest push --all --tls-verify=false fn docker://REGISTRY/fn:latest")
            commands["mmdebstrap, buildah"] = " && ".join(steps)
        with contextlib.ExitStack() as stack:
            if commands:
                stack.enter_context(containers.emulation("ppc64le"))
            results = self.states(project, commands)
        rig.report("function: on essential packages, two platforms", results, "fnimage, cold")

    def science(self):
        project = self.project("science", "false", SCIENCE)
        results = self.states(project, {})
        rig.report("science: seven packages and what they need, two platforms", results, "fnimage, cold")
        with rig.Registry(self.work / "sizes") as registry:
            self.build(project, registry, "layers")
            ours = sizes(self.program, f"{registry.name}/fn:latest", self.environment)
        total, shared = sum(ours["bytes"].values()), ours["shared"]
        print(f"  compressed: {', '.join(f'{p} {n / 1e6:.1f} MB' for p, n in ours['bytes'].items())}")
        print(f"  in common: {shared / 1e6:.1f} MB, {200 * shared / total:.1f} % of each platform's")
        self.compare_sizes()

    def compare_sizes(self):
        """The same packages on all essential ones, installed by mmdebstrap: so that both have byte-code."""
        if not self.can("mmdebstrap"):
            return
        project = self.project("sizes", "true", SCIENCE)
        with rig.Registry(self.work / "sizes-registry") as registry:
            self.build(project, registry, "layers")
            mine = sizes(self.program, f"{registry.name}/fn:latest", self.environment)["bytes"]["linux/amd64"]
        command = self.mmdebstrap("amd64", (*RUNTIME, *SCIENCE), "essential")
        environment = {**self.environment, "HOME": str(self.work)}
        subprocess.run(["sh", "-ec", command], env=environment, check=True)
        packed = subprocess.run(
            ["sh", "-c", f"gzip -6 -c {self.work}/amd64.tar | wc -c"], capture_output=True, check=True
        )
        theirs = int(packed.stdout)
        print(f"  on essential packages, amd64: {mine / 1e6:.1f} MB, mmdebstrap {theirs / 1e6:.1f} MB: {mine / theirs:.2f}")


def settle():
    """When ext4 looks for a free inode it passes over each that was freed in the last minute, so that whoever makes
    files after somebody else has removed many is slow."""
    os.sync()
    time.sleep(65)


def sources(directory):
    """The host's apt sources, as mmdebstrap takes them, without security's: a mirror need not have all of its
    architectures, and the build file above does without, too."""
    places = [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
    separators = {".list": "\n", ".sources": "\n\n"}
    kept = []
    for path in places:
        if path.suffix in separators and path.is_file():
            separator = separators[path.suffix]
            parts = [part for part in path.read_text().split(separator) if "-security" not in part]
            copy = directory / f"sources-{path.name}"
            copy.write_text(separator.join(parts) + "\n")
            kept.append(str(copy))
    return " ".join(kept)


def sizes(program, reference, environment):
    """Bytes of each platform's blobs, and of those that all platforms have."""
    command = [program, "inspect", "--json", "--plain-http", reference]
    listing = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    blobs = {}
    for image in listing["images"]:
        blobs[image["platform"]] = {layer["digest"]: layer["size"] for layer in image["layers"]}
    common = set.intersection(*(set(layers) for layers in blobs.values()))
    first = next(iter(blobs.values()))
    return {
        "bytes": {platform: sum(layers.values()) for platform, layers in blobs.items()},
        "shared": sum(first[digest] for digest in common),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("fnimage", type=pathlib.Path)
    parser.add_argument("what", nargs="*", default=["function", "science"])
    arguments = parser.parse_args()
    rig.interruptible()
    with tempfile.TemporaryDirectory(prefix="fnimage-bench-") as work:
        bench = Bench(arguments, pathlib.Path(work))
        for name in arguments.what:
            getattr(bench, name)()


if __name__ == "__main__":
    main()

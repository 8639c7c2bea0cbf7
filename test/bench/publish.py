#!/usr/bin/env python3
"""Publishing, side by side with the peers that this machine has (skopeo, buildah, docker, curl; crane and oras too with
--peers DIR, see peers.sh), in one run, against docker-registry on 127.0.0.1.

    publish.py [--peers DIR] [--rounds N] FNIMAGE [start|push|list|rebuild|delayed|many ...]

  start    what each program takes to say its version
  push     a ready two-platform layout (212 MB) into an empty registry (budget B3)
  list     a list of two pushed tags (B4)
  rebuild  one line of the function changed, both platforms published from a base in the registry (B2)
  delayed  the same through 20 ms of network delay
  many     1,000 functions of two platforms (B8); peers do a sample of them, scaled up

Commands take turns in every round; medians count. The columns named x: how many times as much as fnimage needs;
registry: CPU seconds of the registry, which has the same processors."""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import tempfile

import rig

MEGA = 1_000_000
ARCHITECTURES = ("amd64", "ppc64le")
FUNCTIONS = 1000
SAMPLE = 25  # of the functions: what the peers publish
HANDLER = "def main(args):\n    return {'version': %d}\n"
BUILD_FILE = """name: fn
platforms: [linux/amd64, linux/ppc64le]
base: {image: "%s/base:latest"}
runtime: none
source: {main: handler.py}
"""
BUILDAH = "buildah --root $HOME/storage --runroot $HOME/run --storage-driver vfs"
SKOPEO = "skopeo copy -q --all --dest-tls-verify=false"


class Bench:
    def __init__(self, arguments, work):
        self.rounds, self.work = arguments.rounds, work
        self.tools = work / "bin"
        self.tools.mkdir()
        (self.tools / "fnimage").symlink_to(arguments.fnimage.resolve())
        for program in arguments.peers.iterdir() if arguments.peers else ():
            (self.tools / program.name).symlink_to(program.resolve())
        self.path = f"{self.tools}:{os.environ['PATH']}"
        self.count = 0

    def fresh(self, name):
        self.count += 1
        return self.work / f"{name}{self.count}"

    @contextlib.contextmanager
    def stage(self, delay=None):
        """An empty registry, the host name to reach it by, and a home of its own for the tool: none remembers
        what another round did."""
        home = self.fresh("home")
        home.mkdir()
        environment = {"HOME": str(home), "PATH": self.path, "TMPDIR": str(home)}
        with rig.Registry(self.fresh("registry")) as registry:
            proxy = rig.DelayProxy(registry.name, delay) if delay else contextlib.nullcontext(registry)
            with proxy as reached:
                yield registry, reached.name, environment
        shutil.rmtree(home)

    def available(self, commands):
        found = {n: c for n, c in commands.items() if shutil.which(n.split()[0], path=self.path)}
        if missing := set(commands) - set(found):
            print("not here, left out:", ", ".join(sorted(missing)))
        return found

    def copy_in(self, layout, tag, target, registry, environment):
        source = f"oci:{layout.directory}:{tag}"
        rig.measure(f"{SKOPEO} {source} docker://{registry.name}/{target}", registry, environment)

    def compare(self, title, commands, prepare=None, scale=None):
        commands = self.available(commands)
        results = {name: [] for name in commands}
        for _ in range(self.rounds):
            for name, command in commands.items():
                with self.stage() as (registry, host, environment):
                    if prepare:
                        prepare(registry, environment)
                    run = rig.measure(command.replace("REGISTRY", host), registry, environment)
                    results[name].append(run.times(scale) if scale and name != "fnimage" else run)
        rig.report(title, results)

    def start(self):
        self.compare(
            "start: of the programs themselves",
            {
                "fnimage": "fnimage --version",
                "crane": "crane version",
                "oras": "oras version",
                "skopeo": "skopeo --version",
                "docker": "docker --version",
                "buildah": "buildah --version",
                "curl": "curl --version",
            },
        )

    def push(self):
        layout = rig.Layout(self.fresh("layout"))
        shared = [layout.layer(size) for size in (30 * MEGA, 4 * MEGA, 20_000)]
        own = {arch: [layout.layer(n * MEGA) for n in (50, 25, 12, 2)] for arch in ARCHITECTURES}
        layout.index("latest", [layout.image(arch, own[arch] + shared) for arch in ARCHITECTURES])
        layout.close()
        source = layout.directory
        blobs = source / "blobs/sha256"
        put = (
            "url=$(curl -sS -o /dev/null -D - -X POST http://REGISTRY/v2/fn/blobs/uploads/ |"
            ' tr -d "\\r" | sed -n "s/^Location: //p");'
            " curl -sSf -H Content-Type:application/octet-stream"
            f' -T {blobs}/$0 "$url&digest=sha256:$0"'
        )
        self.compare(
            "push: 212 MB, two platforms, empty registry",
            {
                "fnimage": f"fnimage copy --plain-http oci:{source}:latest REGISTRY/fn:latest",
                "crane": f"crane push --insecure --index {source} REGISTRY/fn:latest",
                "oras": "oras cp --recursive --from-oci-layout --to-plain-http"
                f" {source}:latest REGISTRY/fn:latest",
                "skopeo": f"{SKOPEO} oci:{source}:latest docker://REGISTRY/fn:latest",
                "curl (blobs only)": f"ls -S {blobs} | xargs -P 8 -I% sh -c '{put}' %",
            },
        )

    def list(self):
        layout = rig.Layout(self.fresh("layout"))
        for arch in ARCHITECTURES:
            layout.entry(arch, layout.image(arch, [layout.layer(100_000)]))
        layout.close()

        def prepare(registry, environment):
            for arch in ARCHITECTURES:
                self.copy_in(layout, arch, f"fn:{arch}", registry, environment)

        name, images = "REGISTRY/fn:latest", [f"REGISTRY/fn:{arch}" for arch in ARCHITECTURES]
        add = "".join(
            f"{BUILDAH} manifest add --tls-verify=false fn docker://{image} && " for image in images
        )
        self.compare(
            "list: of two pushed tags",
            {
                "fnimage": f"fnimage manifest create --push --plain-http {name} {' '.join(images)}",
                "crane": f"crane index append --insecure -m {' -m '.join(images)} -t {name}",
                "oras": f"oras manifest index create --plain-http {name} {' '.join(ARCHITECTURES)}",
                "docker": f"docker manifest create --insecure {name} {' '.join(images)} &&"
                f" docker manifest push --insecure {name}",
                "buildah": f"{BUILDAH} manifest create fn && {add}{BUILDAH} manifest push --all"
                f" --tls-verify=false fn docker://{name}",
            },
            prepare,
        )

    def rebuild(self, delay=None):
        """Each tool publishes once, unmeasured, so that caches are as warm as it keeps them; then the handler
        changes, and the same command counts."""
        tar = 'tar -C PROJECT --transform "s,^,action/," -cf $HOME/fn.tar handler.py'
        commands = self.available(
            {
                "fnimage": "fnimage build --push -q --plain-http -t REGISTRY/fn:latest PROJECT",
                "crane": f"{tar}; for arch in amd64 ppc64le; do crane append --insecure"
                " --platform linux/$arch -b REGISTRY/base:latest -f $HOME/fn.tar"
                " -t REGISTRY/fn:latest-$arch; done; crane index append --insecure"
                " -m REGISTRY/fn:latest-amd64 -m REGISTRY/fn:latest-ppc64le -t REGISTRY/fn:latest",
                "buildah": f'b="{BUILDAH}"; $b manifest rm fn >&2 || :; $b manifest create fn;'
                " for arch in amd64 ppc64le; do c=$($b from -q --arch $arch --tls-verify=false"
                " docker://REGISTRY/base:latest); $b copy -q $c PROJECT/handler.py /action/; $b commit"
                " -q --manifest fn $c; done; $b manifest push --all --tls-verify=false fn"
                " docker://REGISTRY/fn:latest",
            }
        )
        base = rig.Layout(self.fresh("layout"))
        base.index("latest", [base.image(a, [base.layer(8 * MEGA)]) for a in ARCHITECTURES])
        base.close()
        results = {name: [] for name in commands}
        for _ in range(self.rounds):
            for name, command in commands.items():
                with self.stage(delay) as (registry, host, environment):
                    self.copy_in(base, "latest", "base:latest", registry, environment)
                    project = self.fresh("project")
                    project.mkdir()
                    (project / "fnimage.yaml").write_text(BUILD_FILE % host)
                    text = command.replace("REGISTRY", host).replace("PROJECT", str(project))
                    for version in (1, 2):
                        (project / "handler.py").write_text(HANDLER % version)
                        run = rig.measure(text, registry, environment)
                    results[name].append(run)
        where = f", {delay * 1000:.0f} ms away" if delay else ""
        rig.report(f"rebuild: one line changed, base in the registry{where}", results)

    def delayed(self):
        self.rebuild(0.020)

    def many(self):
        """All functions stand on one base of two layers and have a layer of their own for all platforms."""
        layout = rig.Layout(self.fresh("layout"))
        base = {arch: [layout.layer(2 * MEGA), layout.layer(MEGA)] for arch in ARCHITECTURES}
        for number in range(FUNCTIONS):
            own = layout.layer(2000)
            images = [layout.image(arch, base[arch] + [own]) for arch in ARCHITECTURES]
            layout.index(f"fn{number}", images)
        layout.close()
        loop = f"for i in $(seq {SAMPLE}); do"
        source = f"{layout.directory}:fn$i"

        def prepare(registry, environment):
            store = pathlib.Path(environment["HOME"]) / ".local/share/fnimage"
            store.mkdir(parents=True)
            text = (layout.directory / "index.json").read_text()
            shutil.copytree(layout.directory, store / "store", copy_function=os.link)
            (store / "store/index.json").unlink()
            full = re.sub(r'"(fn\d+)"', rf'"{registry.name}/\1:latest"', text)
            (store / "store/index.json").write_text(full)

        every = " ".join(f"REGISTRY/fn{number}:latest" for number in range(FUNCTIONS))
        self.compare(
            f"many: {FUNCTIONS} functions of two platforms (peers: {SAMPLE}, scaled)",
            {
                "fnimage": f"fnimage push -q --plain-http {every}",
                "skopeo": f"{loop} {SKOPEO} oci:{source} docker://REGISTRY/fn$i:latest; done",
                "oras": f"{loop} oras cp --recursive --from-oci-layout --to-plain-http {source}"
                " REGISTRY/fn$i:latest; done",
            },
            prepare,
            FUNCTIONS / SAMPLE,
        )


def main():
    cases = ("start", "push", "list", "rebuild", "delayed", "many")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fnimage", type=pathlib.Path)
    parser.add_argument("cases", nargs="*", default=cases)
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(cases):
        parser.error(f"no such case: {', '.join(unknown)}")
    rig.interruptible()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fnimage-bench-", dir=memory) as work:
        bench = Bench(arguments, pathlib.Path(work))
        for case in arguments.cases:
            getattr(bench, case)()


if __name__ == "__main__":
    main()

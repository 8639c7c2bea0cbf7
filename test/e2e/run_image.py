"""Runs a published function on several architectures and holds it to the action contract.

    run_image.py REGISTRY/REPO:TAG [--arch amd64,ppc64le] [--engine podman|chroot]
                 [--probe python|nodejs|exec|actionloop|notebook] [--call ARGS EXPECTED]... [--import MODULE]...

For every architecture: pulls as a node of that architecture would, checks the image's config, runs
the contract checks of conformance.py twice (code sent with /init; the image's own function),
imports the modules with the image's Python, and ends the container with SIGTERM, which must give
exit code 0. In EXPECTED, {machine} stands for what `uname -m` says there. Exit code 77 with a
reason when this machine cannot run it.
"""

import argparse
import json
import sys

import conformance
import containers
import notebook_suite
import probes


SUITES = {"notebook": notebook_suite.NotebookSuite}


def conform(engine, image, arch, checks, title, probe):
    """Starts the image, runs what `checks` makes of its Suite, and returns the failures."""
    with engine.start(image, arch) as container:
        try:
            client = conformance.Client.of(container)
            suite = SUITES.get(probe, conformance.Suite)(client, probe)
            failures = conformance.run_checks(checks(suite), title)
            code = container.stop()
            assert code == 0, f"SIGTERM gave exit code {code}"
        except AssertionError as error:
            print(f"FAIL {title}: {error}\n{conformance.read(container.stderr)}", flush=True)
            return 1
        return failures


def run_image(engine, reference, arch, calls=(), modules=(), probe="python"):
    """All checks of one image on one architecture; returns the number of failures."""
    machine = containers.MACHINES[arch]
    calls = json.loads(json.dumps(calls).replace("{machine}", machine))
    title = f"{engine.name} {arch}"
    with containers.emulation(arch):
        image = engine.pull(reference, arch)
        assert engine.architecture(image) == arch, engine.architecture(image)
        failures = conform(engine, image, arch, lambda s: s.baked(calls), title, probe)
        failures += conform(engine, image, arch, lambda s: s.probe(), title, probe)
        for module in modules:
            program = f"import os, {module}; print({module}.__version__, os.uname().machine)"
            output = engine.execute(image, arch, ["/usr/bin/python3", "-c", program])
            assert output.split()[-1] == machine, output
            print(f"ok   {title}: import {module} ({output.strip()})", flush=True)
    return failures


def main():
    parser = argparse.ArgumentParser(description="runs a published function everywhere")
    parser.add_argument("reference")
    parser.add_argument("--arch", default="amd64,ppc64le")
    parser.add_argument("--engine", default="podman,chroot")
    conformance.add_call_option(parser)
    parser.add_argument("--probe", choices=probes.PROBES, default="python")
    parser.add_argument("--import", action="append", default=[], dest="modules", metavar="MODULE")
    options = parser.parse_args()
    failures = 0
    with containers.engine(options.engine.split(",")) as engine:
        for arch in options.arch.split(","):
            failures += run_image(
                engine, options.reference, arch, options.calls, options.modules, options.probe
            )
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except containers.Skip as skip:
        print(f"skipped: {skip}")
        sys.exit(containers.SKIP_EXIT_CODE)

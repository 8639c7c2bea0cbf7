"""From a build file to running functions: fnimage builds and publishes, other tools judge.

    e2e_test.py quickstart|starters|numpy|notebooks|popular|debian13 --fnimage PROGRAM --examples DIRECTORY --cache DIRECTORY

quickstart: examples/hello-python is built and pushed; skopeo, docker, podman, umoci and buildah
read it; it is built again elsewhere, without root, under strace; it runs on both architectures.
starters: what `fnimage init` writes for exec and nodejs is built, pushed and run on both.
numpy: a function on Debian's numpy, built, pushed and run on both.
notebooks: examples/notebook-flow trains, publishes and tests a model on both.
popular: a hundred packages, in which nothing is found that cannot work.
debian13: a function on the essential packages of a release that the host's apt does not know, with
nothing of their scripts left out, on amd64.

Needs the Debian mirror; --cache keeps packages from one run to the next. What a check cannot do on
this machine is reported as skipped. Exit code 1 after a failure, else 77 when anything was skipped,
or 1 then too with FNIMAGE_NO_SKIP=1 in the environment.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import sys

import conformance
import containers
import run_image
from containers import Skip, require_tool, run

ARCHITECTURES = ("amd64", "ppc64le")
INDEX = "application/vnd.oci.image.index.v1+json"
NOBODY = 65534
MEMORY_BUDGET_KIB = 96 * 1024  # of a whole build, whatever its layers hold
# The builder's own machine's, not the image's: gpgv verifies, apt-config tells the settings and asks dpkg.
HOST_PROGRAMS = ("gpgv", "apt-config", "dpkg")

POPULAR_PACKAGES = """
apache2-utils bc binutils bridge-utils brotli busybox bzip2 ca-certificates cpio cron
cryptsetup-bin curl dnsutils dos2unix dosfstools e2fsprogs ethtool file gawk gnupg gunicorn
haproxy htop iperf3 iproute2 iputils-ping jq less lftp libreadline8 libxml2-utils logrotate lsof
lua5.4 lvm2 lz4 make man-db mdadm memcached moreutils mount mtr-tiny nano ncdu netcat-openbsd
nginx-light openssh-client openssh-server openssl parted patch patchelf perl pigz procps psmisc
pv python3-attr python3-bcrypt python3-click python3-cryptography python3-dateutil python3-flask
python3-h5py python3-lxml python3-msgpack python3-nacl python3-nbclient python3-numpy
python3-pil python3-psutil python3-psycopg2 python3-pytest python3-redis python3-requests
python3-simplejson python3-six python3-tk python3-toml python3-tornado python3-urllib3
python3-yaml python3-zmq redis-server rsync rsyslog ruby screen socat sqlite3 strace sudo
supervisor tcl tcpdump tmux traceroute tree unzip uuid-runtime vim-tiny wget whois xsltproc xxd
xz-utils zip zsh zstd
""".split()
POPULAR_BUILD_FILE = """
name: popular
platforms: [linux/amd64, linux/ppc64le]
base: {debian: bookworm, suites: [updates], essential: true}
runtime: none
config: {entrypoint: [/bin/bash]}
"""

DEBIAN13_BUILD_FILE = """
name: newer
platforms: [linux/amd64]
base: {debian: trixie, mirror: "MIRROR", suites: [], essential: true}
runtime: python
source: {main: newer.py}
"""
DEBIAN13_FUNCTION = """
import pathlib
import sys


def main(args):
    bash = pathlib.Path("/bin/bash").resolve()
    return {"python": list(sys.version_info[:2]), "bash": str(bash)}
"""

NUMPY_BUILD_FILE = """
name: arrays
platforms: [linux/amd64, linux/ppc64le]
base: {debian: bookworm, suites: [updates]}
packages: [python3-numpy]
runtime: python
source: {main: arrays.py}
config: {user: "1000:1000"}
"""
NUMPY_FUNCTION = """
import importlib.util
import os
import platform
import sys

import numpy


def main(args):
    solution = numpy.linalg.solve(numpy.array(args["a"]), numpy.array(args["b"]))
    return {"x": solution.round(6).tolist(), "machine": platform.machine(), "uncompiled": uncompiled()}


def uncompiled():
    # Modules of packages that were not loaded from byte-code which this interpreter takes without a look at the source.
    names = []
    for name, module in sys.modules.items():
        source = getattr(module, "__file__", None) or ""
        frozen = getattr(getattr(module, "__spec__", None), "origin", "") == "frozen"  # in the interpreter itself
        if frozen or not source.startswith("/usr/lib/python3") or not source.endswith(".py"):
            continue
        if os.path.islink(source):  # sitecustomize, which is configuration in /etc
            continue
        try:
            with open(module.__spec__.cached, "rb") as code:
                loaded = code.read(8) == importlib.util.MAGIC_NUMBER + bytes([1, 0, 0, 0])
        except OSError:
            loaded = False
        if not loaded:
            names.append(name)
    return names
"""


class Workplace:
    """A registry, and fnimage with a local store of its own in a temporary directory."""

    def __init__(self, options, address, directory):
        self.program = options.fnimage.resolve()
        self.examples = options.examples.resolve()
        self.address = address
        self.directory = directory
        self.environment = {
            **os.environ,
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(options.cache),
            "XDG_DATA_HOME": str(directory / "data"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "DOCKER_CONFIG": str(directory / "docker"),
        }
        self.environment.pop("SOURCE_DATE_EPOCH", None)

    def reference(self, name, tag="latest"):
        return f"{self.address}/{name}:{tag}"

    def fnimage(self, *arguments, wrapper=(), **environment):
        return run(*wrapper, self.program, *arguments, env={**self.environment, **environment})

    def publish(self, name, source, **options):
        reference = self.reference(name)
        self.fnimage("build", "--push", "--plain-http", "-t", reference, source, **options)
        return reference

    def raw(self, reference):
        """The manifest's bytes as the registry gives them."""
        command = (require_tool("skopeo"), "inspect", "--raw", "--tls-verify=false")
        return run(*command, f"docker://{reference}", env=self.environment).encode()

    def copy(self, source, destination):
        run(
            *(require_tool("skopeo"), "copy", "--quiet", "--insecure-policy", "--all"),
            *("--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *(source, destination),
            env=self.environment,
        )


def digest(text):
    return "sha256:" + hashlib.sha256(text).hexdigest()


def check_platforms(index):
    """Rule of publishing: one entry a platform, Go's names, no variant, baseline first."""
    platforms = [entry["platform"] for entry in index["manifests"]]
    expected = [{"architecture": arch, "os": "linux"} for arch in ARCHITECTURES]
    assert platforms == expected, f"platforms {platforms}"


class Quickstart:
    """The checks of hello-python, in order; the later ones use what the first one published."""

    def __init__(self, workplace):
        self.work = workplace
        self.source = workplace.examples / "hello-python"
        self.reference = workplace.reference("hello")

    def check_build_and_push(self):
        self.work.publish("hello", self.source)

    def check_skopeo_reads_the_list(self):
        index = json.loads(self.work.raw(self.reference))
        assert index["mediaType"] == INDEX, index["mediaType"]
        check_platforms(index)
        for arch in ARCHITECTURES:
            config = json.loads(
                run(
                    *("skopeo", "inspect", "--config", "--tls-verify=false"),
                    *(f"--override-arch={arch}", f"docker://{self.reference}"),
                )
            )
            assert (config["architecture"], config["os"]) == (arch, "linux"), config

    def check_docker_reads_the_list(self):
        docker = require_tool("docker", "docker.io")
        command = (docker, "manifest", "inspect", "--insecure", self.reference)
        check_platforms(json.loads(run(*command, env=self.work.environment)))

    def check_each_platform_has_a_tag(self):
        for entry in json.loads(self.work.raw(self.reference))["manifests"]:
            tag = "latest-" + entry["platform"]["architecture"]
            assert digest(self.work.raw(self.work.reference("hello", tag))) == entry["digest"], tag

    def check_skopeo_copies_to_a_layout_and_back(self):
        layout = f"oci:{self.work.directory}/copied:latest"
        back = self.work.reference("back")
        self.work.copy(f"docker://{self.reference}", layout)
        self.work.copy(layout, f"docker://{back}")
        assert self.work.raw(back) == self.work.raw(self.reference), "the list has changed"

    def check_layout_is_the_same_list(self):
        layout = self.work.directory / "layout"
        self.work.fnimage("build", "-o", f"oci:{layout}:latest", self.source)
        copied = self.work.reference("from-layout")
        self.work.copy(f"oci:{layout}:latest", f"docker://{copied}")
        assert self.work.raw(copied) == self.work.raw(self.reference), "not the same list"

    def check_umoci_accepts_the_layout(self):
        umoci, layout = require_tool("umoci"), self.work.directory / "layout"
        tags = run(umoci, "ls", "--layout", layout).split()
        assert "latest" in tags, tags
        rootless = () if os.geteuid() == 0 else ("--rootless",)
        for arch in ARCHITECTURES:  # umoci does not choose from a list: the platform's own tag
            bundle = self.work.directory / f"bundle-{arch}"
            run(umoci, "unpack", *rootless, "--image", f"{layout}:latest-{arch}", bundle)
            assert (bundle / "rootfs/usr/bin/python3").is_symlink(), f"no python3 in {bundle}"

    def check_buildah_accepts_the_layout(self):
        place = self.work.directory / "buildah"
        command = (require_tool("buildah"), f"--root={place}/root", f"--runroot={place}/run")
        policy = self.work.directory / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        try:
            run(*command, "images")
        except AssertionError as error:
            raise Skip(f"buildah does not work here: {error}") from None
        try:
            for arch in ARCHITECTURES:
                layout = f"oci:{self.work.directory}/layout:latest"
                options = (f"--arch={arch}", f"--signature-policy={policy}")
                name = run(*command, "from", *options, layout).strip().splitlines()[-1]
                seen = json.loads(run(*command, "inspect", name))["OCIv1"]["architecture"]
                assert seen == arch, seen
        finally:
            run(*command, "rm", "--all")
            run(*command, "rmi", "--all", "--force")

    def check_two_commands_make_a_list_of_single_images(self):
        target = self.work.reference("hello", "joined")
        children = [self.work.reference("hello", f"latest-{arch}") for arch in ARCHITECTURES]
        self.work.fnimage("manifest", "create", "--insecure", target, *children)
        self.work.fnimage("manifest", "push", "--insecure", target)
        joined = json.loads(self.work.raw(target))["manifests"]
        built = json.loads(self.work.raw(self.reference))["manifests"]
        assert {e["digest"] for e in joined} == {e["digest"] for e in built}, joined

    def elsewhere(self, name):
        """The example in another directory, with other times and modes of its own."""
        copy = self.work.directory / name
        shutil.copytree(self.source, copy)
        for file in copy.iterdir():
            os.utime(file, (1_234_567_890, 1_234_567_890))
        return copy

    def check_another_directory_and_time_give_the_same_list(self):
        other = self.elsewhere("elsewhere")
        fresh = {"XDG_DATA_HOME": str(self.work.directory / "data-of-another")}
        for name in ("again", "again-on-one-cpu"):
            pin = (require_tool("taskset", "util-linux"), "-c", "0") if "one" in name else ()
            reference = self.work.publish(name, other, wrapper=pin, **fresh)
            assert self.work.raw(reference) == self.work.raw(self.reference), f"{name} differs"

    def check_without_any_cache_the_list_is_the_same(self):
        fresh = {"XDG_DATA_HOME": str(self.work.directory / "data-of-a-third")}
        cache = self.work.directory / "empty-cache"
        reference = self.work.publish("uncached", self.source, XDG_CACHE_HOME=str(cache), **fresh)
        assert self.work.raw(reference) == self.work.raw(self.reference), "the list differs"

    def check_a_damaged_package_cache_mends_itself(self):
        """Every unpacked package is damaged, and no layer is there that was packed before."""
        cache = self.work.directory / "damaged-cache"
        fresh = {
            "XDG_CACHE_HOME": str(cache),
            "XDG_DATA_HOME": str(self.work.directory / "data-beside-damage"),
        }
        self.work.publish("undamaged", self.source, **fresh)
        shutil.rmtree(cache / "fnimage/layers")
        shutil.rmtree(fresh["XDG_DATA_HOME"])
        self.damage(cache / "fnimage/debian/packs")
        reference = self.work.publish("mended", self.source, **fresh)
        assert self.work.raw(reference) == self.work.raw(self.reference), "the list differs"
        shutil.rmtree(fresh["XDG_DATA_HOME"])
        reference = self.work.publish("mended-again", self.source, **fresh)
        assert self.work.raw(reference) == self.work.raw(self.reference), "a wrong layer was kept"

    @staticmethod
    def damage(directory):
        """Overwrites some bytes in the middle of every pack."""
        packs = [pack for pack in directory.glob("*.pack") if pack.stat().st_size > 8]
        assert len(packs) > 10, packs
        for pack in packs:
            with pack.open("r+b") as file:
                file.seek(pack.stat().st_size // 2)
                there = file.read(4)
                file.seek(pack.stat().st_size // 2)
                file.write(bytes(byte ^ 0xFF for byte in there))
        return packs

    def check_source_date_epoch_is_the_images_time(self):
        reference = self.work.publish("dated", self.source, SOURCE_DATE_EPOCH="1500000000")
        command = ("skopeo", "inspect", "--config", "--tls-verify=false")
        config = json.loads(run(*command, f"docker://{reference}"))
        assert config["created"] == "2017-07-14T02:40:00Z", config["created"]

    def check_build_needs_no_root_and_runs_nothing_foreign(self):
        """The build under strace, as nobody when this is root: which programs does it start?"""
        strace = require_tool("strace")
        home = self.work.directory / "unprivileged"
        home.mkdir(mode=0o777)
        home.chmod(0o777)
        self.work.directory.chmod(0o755)
        wrapper = [strace, "-ff", "-qq", "-e", "trace=execve,execveat", "-o", home / "trace"]
        source = self.elsewhere("unprivileged-source")
        source.chmod(0o755)
        if os.geteuid() == 0:
            ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            wrapper = [require_tool("setpriv", "util-linux"), *ids, *wrapper]
            try:
                run(*wrapper, self.work.program, "--help")
            except AssertionError as error:
                raise Skip(f"an unprivileged user cannot reach the program: {error}") from None
        directories = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("CACHE", "DATA")}
        self.work.publish("unprivileged", source, wrapper=wrapper, HOME=str(home), **directories)
        started = set()
        for trace in home.glob("trace.*"):  # one file a thread, so that no line is interleaved
            text = trace.read_text("utf-8", "replace")
            started |= set(re.findall(r'^execve(?:at)?\([^"\n]*"(.*?)".* = 0$', text, re.MULTILINE))
        assert str(self.work.program) in started, f"strace saw {started}"
        allowed = {str(self.work.program)} | {shutil.which(name) for name in HOST_PROGRAMS}
        # The packages' own Python for this machine compiles their sources.
        foreign = {name for name in started - allowed if not name.endswith("/python-loader")}
        assert not foreign, f"the build ran {foreign}"
        reference = self.work.reference("unprivileged")
        assert self.work.raw(reference) == self.work.raw(self.reference), "not the same list"

    def checks(self):
        return [
            self.check_build_and_push,
            startable(self.work, "hello"),
            self.check_skopeo_reads_the_list,
            self.check_docker_reads_the_list,
            self.check_each_platform_has_a_tag,
            self.check_skopeo_copies_to_a_layout_and_back,
            self.check_layout_is_the_same_list,
            self.check_umoci_accepts_the_layout,
            self.check_buildah_accepts_the_layout,
            self.check_two_commands_make_a_list_of_single_images,
            self.check_another_directory_and_time_give_the_same_list,
            self.check_without_any_cache_the_list_is_the_same,
            self.check_a_damaged_package_cache_mends_itself,
            self.check_source_date_epoch_is_the_images_time,
            self.check_build_needs_no_root_and_runs_nothing_foreign,
            *running(
                self.reference,
                [({"name": "Ada"}, {"greeting": "Hello, Ada!", "machine": "{machine}"})],
            ),
        ]


def startable(work, name, platform_count=len(ARCHITECTURES)):
    """One check: fnimage finds nothing wrong with what it built, on any platform."""

    def check_each_platform_can_start():
        text = work.fnimage("check", "--json", "--plain-http", work.reference(name))
        platforms = json.loads(text)["platforms"]
        assert len(platforms) == platform_count, text
        for one in platforms:
            assert one["findings"] == [], one
            assert one["objects"] > 10, one

    return check_each_platform_can_start


def running(reference, calls, modules=(), architectures=ARCHITECTURES, probe="python"):
    """One check an architecture: the image runs and keeps the action contract."""

    def make(arch):
        def check():
            with containers.engine() as engine:
                failures = run_image.run_image(engine, reference, arch, calls, modules, probe)
            assert failures == 0, f"{failures} checks of the action failed"

        check.__name__ = f"check_runs_on_{arch}"
        return check

    return [make(arch) for arch in architectures]


def starters_checks(work):
    """python's starter is examples/hello-python."""

    def make(runtime):
        def check_build_and_push():
            source = work.directory / runtime
            work.fnimage("init", "--runtime", runtime, source)
            file = source / "fnimage.yaml"
            file.write_text(file.read_text().replace("  # suites: [updates]", "  suites: [updates]"))
            work.publish(runtime, source)

        check_build_and_push.__name__ += f"_{runtime}"
        return check_build_and_push

    calls = {
        "exec": [({"name": "Ada"}, {"machine": "{machine}"})],
        "nodejs": [({"name": "Ada"}, {"greeting": "Hello, Ada!", "machine": "{machine}"})],
    }
    checks = [make(runtime) for runtime in calls]
    for runtime, of_runtime in calls.items():
        checks.append(startable(work, runtime))
        checks += running(work.reference(runtime), of_runtime, probe=runtime)
    return checks


def debian13_checks(work):
    def check_build_and_push():
        source = work.directory / "newer"
        source.mkdir()
        targets = run("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)").splitlines()
        mirror = dict(line.split() for line in targets)["bookworm"]
        (source / "fnimage.yaml").write_text(DEBIAN13_BUILD_FILE.replace("MIRROR", mirror))
        (source / "newer.py").write_text(DEBIAN13_FUNCTION)
        reference = work.reference("newer")
        try:
            work.fnimage("build", "--strict", "--push", "--plain-http", "-t", reference, source)
        except AssertionError as error:
            if "no Debian release trixie" in str(error):
                raise Skip("the host's mirror has no Debian 13") from None
            raise

    call = ({}, {"python": [3, 13], "bash": "/usr/bin/bash"})
    return [
        check_build_and_push,
        startable(work, "newer", 1),
        *running(work.reference("newer"), [call], architectures=["amd64"]),
    ]


def numpy_checks(work):
    def check_build_and_push():
        source = work.directory / "arrays"
        source.mkdir()
        (source / "fnimage.yaml").write_text(NUMPY_BUILD_FILE)
        (source / "arrays.py").write_text(NUMPY_FUNCTION)
        work.publish("arrays", source)

    def check_what_numpy_needs_is_missed():
        """Without its linear algebra numpy cannot be imported, on any architecture."""
        source = work.directory / "arrays-without"
        source.mkdir()
        exclude = "exclude: {libblas3: to see what happens}\n"
        (source / "fnimage.yaml").write_text(NUMPY_BUILD_FILE + exclude)
        (source / "arrays.py").write_text(NUMPY_FUNCTION)
        try:
            work.fnimage("build", source)
        except AssertionError as error:
            for word in ("linux/amd64", "linux/ppc64le", "numpy/core/", "libblas.so.3"):
                assert word in str(error), error
        else:
            raise AssertionError("an image whose numpy cannot be imported was built")

    call = ({"a": [[3, 1], [1, 2]], "b": [9, 8]}, {"x": [2.0, 3.0], "machine": "{machine}", "uncompiled": []})
    return [
        check_build_and_push,
        startable(work, "arrays"),
        check_what_numpy_needs_is_missed,
        *running(work.reference("arrays"), [call], ["numpy"]),
    ]


def popular_checks(work):
    """What Debian packages properly is not complained about: neither by build nor by check."""

    def check_build_and_push():
        assert len(POPULAR_PACKAGES) >= 100, len(POPULAR_PACKAGES)
        source = work.directory / "popular"
        source.mkdir()
        packages = f"packages: [{', '.join(POPULAR_PACKAGES)}]\n"
        (source / "fnimage.yaml").write_text(POPULAR_BUILD_FILE + packages)
        work.publish("popular", source)

    return [check_build_and_push, startable(work, "popular")]


class NotebookFlow:
    """examples/notebook-flow: one notebook trains, its model is published, another one tests it."""

    def __init__(self, work):
        self.work = work
        self.source = work.directory / "notebook-flow"
        shutil.copytree(work.examples / "notebook-flow", self.source)
        self.train, self.test = work.reference("train"), work.reference("test")
        programs = work.directory / "programs"
        programs.mkdir()
        (programs / "fnimage").symlink_to(work.program)
        self.path = f"{programs}:{os.environ['PATH']}"

    def check_build_and_push(self):
        self.work.publish("train", self.source / "train")

    def check_parameters_are_in_the_image(self):
        command = ("skopeo", "inspect", "--config", "--tls-verify=false")
        config = json.loads(run(*command, f"docker://{self.train}"))["config"]
        schema = json.loads(config["Labels"]["io.fnimage.notebook.parameters"])
        kinds = {name: one["type"] for name, one in schema["properties"].items()}
        assert kinds == {
            "regularization": "number",
            "iterations": "integer",
            "trained_on": "integer",
            "plots": "boolean",
        }, kinds

    def trigger(self, url, parameters):
        """Trains, publishes, and returns what training has given."""
        command = (sys.executable, self.source / "trigger.py", url, self.test, json.dumps(parameters))
        environment = {**self.work.environment, "PATH": self.path}
        output = run(*command, "--", "--plain-http", env=environment)
        return json.loads(re.search(r"^trained: (.*)$", output, re.MULTILINE)[1])

    def layers(self):
        """Of each platform of the test function, by name."""
        names = {}
        for entry in json.loads(self.work.raw(self.test))["manifests"]:
            reference = f"{self.test.rsplit(':', 1)[0]}@{entry['digest']}"
            command = ("skopeo", "inspect", "--config", "--tls-verify=false")
            history = json.loads(run(*command, f"docker://{reference}"))["history"]
            found = [layer["digest"] for layer in json.loads(self.work.raw(reference))["layers"]]
            names[entry["platform"]["architecture"]] = {
                one["created_by"]: digest for one, digest in zip(history, found, strict=True)
            }
        return names

    def started(self, engine, reference, arch):
        container = engine.start(engine.pull(reference, arch), arch)

        @contextlib.contextmanager
        def serving():
            with container as running_container:
                client = conformance.Client.of(running_container)
                yield client, f"http://127.0.0.1:{running_container.port}"
                assert running_container.stop() == 0, "SIGTERM does not end it well"

        return serving()

    def trains_and_tests(self, arch, parameters):
        with containers.engine() as engine, containers.emulation(arch):
            with self.started(engine, self.train, arch) as (client, url):
                trained = self.trigger(url, parameters)
                refused = client.run({"epochs": 3}).expect(200)["error"]
                assert "epochs" in refused and "iterations" in refused, refused
            assert trained["machine"] == containers.MACHINES[arch], trained
            assert trained["accuracy"] > 0.85, trained
            with self.started(engine, self.test, arch) as (client, _):
                client.init().expect(200)
                answer = client.run({}).expect(200)
                assert answer["tested"] == 597, answer
                assert {key: answer[key] for key in trained} == trained, f"{answer}, not {trained}"
                told = client.run({"model_file": "/no/such/file"}).expect(200)["error"]
                assert told["ename"] == "FileNotFoundError" and told["cell"] == 2, told

    def check_trains_and_tests_on_amd64(self):
        self.trains_and_tests("amd64", {})

    def check_retrains_and_tests_on_ppc64le(self):
        """What a POWER machine has trained replaces the model on all platforms, and nothing else."""
        before = self.layers()
        self.trains_and_tests("ppc64le", {"regularization": 0.02})
        for arch, layers in self.layers().items():
            changed = {name for name, digest in layers.items() if before[arch][name] != digest}
            assert changed == {"fnimage: model"}, changed

    def check_a_starter_is_a_notebook(self):
        source = self.work.directory / "starter"
        self.work.fnimage("init", "--runtime", "notebook", source)
        file = source / "fnimage.yaml"
        file.write_text(file.read_text().replace("  # suites: [updates]", "  suites: [updates]"))
        reference = self.work.publish("starter", source)
        with containers.engine() as engine:
            with self.started(engine, reference, "amd64") as (client, _):
                client.init().expect(200)
                answer = client.run({"name": "Ada"}).expect(200)
                assert answer == {"greeting": "Hello, Ada!", "machine": "x86_64"}, answer

    def check_memory_is_bounded(self):
        """Nothing is in the cache but the downloaded packages: all is unpacked and packed."""
        cache = self.work.directory / "cache-of-packages"
        shutil.copytree(
            pathlib.Path(self.work.environment["XDG_CACHE_HOME"]) / "fnimage/debian/debs",
            cache / "fnimage/debian/debs",
        )
        peak = self.work.directory / "peak"
        wrapper = (require_tool("time"), "-f", "%M", "-o", peak)
        for compression in ("gzip", "zstd"):
            shutil.rmtree(cache / "fnimage/layers", ignore_errors=True)
            self.work.fnimage(
                *("build", "--threads", "2", "--compression", compression),
                *("-o", f"oci:{self.work.directory}/test-{compression}", self.source / "test"),
                wrapper=wrapper,
                XDG_CACHE_HOME=str(cache),
            )
            kib = int(peak.read_text().split()[-1])
            assert kib <= MEMORY_BUDGET_KIB, f"{compression}: {kib} KiB at the peak"

    def checks(self):
        return [
            self.check_build_and_push,
            startable(self.work, "train"),
            self.check_parameters_are_in_the_image,
            self.check_trains_and_tests_on_amd64,
            startable(self.work, "test"),
            self.check_retrains_and_tests_on_ppc64le,
            self.check_a_starter_is_a_notebook,
            self.check_memory_is_bounded,
            *running(self.test, [({}, {"tested": 597})], probe="notebook"),
            # With a kernel for each activation; emulated they would take minutes.
            *running(self.train, [], probe="notebook", architectures=["amd64"]),
        ]


def perform(checks):
    """Runs the checks and returns the exit code. Nothing works on what was not built."""
    failed, skipped = [], []
    for check in checks:
        name = check.__name__.replace("check_", "").replace("_", " ")
        try:
            check()
            print(f"ok   {name}", flush=True)
        except Skip as skip:
            skipped.append(name)
            print(f"skip {name}: {skip}", flush=True)
            if check is checks[0]:
                break
        except (AssertionError, OSError, ValueError, KeyError) as error:
            failed.append(name)
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
            if check is checks[0]:
                break
    print(f"{len(checks)} checks, failed: {failed or 'none'}, skipped: {skipped or 'none'}")
    return 1 if failed else skip_exit_code() if skipped else 0


def skip_exit_code():
    """What a skip ends with: ctest's "skipped", or a failure where everything has to run."""
    if os.environ.get("FNIMAGE_NO_SKIP") == "1":
        print("FNIMAGE_NO_SKIP=1: nothing may be skipped here")
        return 1
    return containers.SKIP_EXIT_CODE


def main():
    suites = {
        "quickstart": lambda work: Quickstart(work).checks(),
        "starters": starters_checks,
        "numpy": numpy_checks,
        "notebooks": lambda work: NotebookFlow(work).checks(),
        "popular": popular_checks,
        "debian13": debian13_checks,
    }
    parser = argparse.ArgumentParser(description="fnimage end to end")
    parser.add_argument("suite", choices=suites)
    parser.add_argument("--fnimage", type=pathlib.Path, required=True)
    parser.add_argument("--examples", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(containers.registry())
        directory = stack.enter_context(containers.scratch_directory())
        return perform(suites[options.suite](Workplace(options, address, directory)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(skip_exit_code())

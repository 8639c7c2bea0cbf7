"""What the end-to-end tests need to really run images: a registry, an emulator, a container engine.

Everything is private to the test and removed when its block is left. What this machine lacks or
does not permit is raised as Skip, with the reason and what would help, never passed over.

Podman runs the images where it can, on a read-only root as the image's user, within OpenWhisk's own
limits. Where it cannot (no container privileges), a chroot does; it needs root.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import platform
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.request

SKIP_EXIT_CODE = 77
BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
BINFMT_LOCK = pathlib.Path("/run/fnimage-test-binfmt.lock")
MACHINES = {"amd64": "x86_64", "ppc64le": "ppc64le"}  # GOARCH to `uname -m`


class Skip(Exception):
    """The machine cannot do this; the text says why and what would help."""


def require_tool(name, package=None):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed: apt-get install {package or name}")
    return path


def run(*command, **options):
    """Runs a command, returns its standard output, and puts its errors into the exception."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def scratch_directory():
    """A temporary directory that goes away even if what it holds is write-protected."""
    # buildah takes a layout's path for a reference too, which has no "_" where it likes.
    path = pathlib.Path(tempfile.gettempdir()) / f"fnimage-e2e-{secrets.token_hex(8)}"
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            subprocess.run(["chmod", "-R", "u+rwX", path], check=False)
            shutil.rmtree(path)


@contextlib.contextmanager
def emulation(arch):
    """Lets the kernel run programs of `arch`; does nothing where it can already.

    What had to be mounted and registered is undone by the last test that uses it: each holds a
    shared lock, and whoever can make it exclusive is alone.
    """
    if platform.machine() == MACHINES[arch]:
        yield
        return
    name = f"qemu-{MACHINES[arch]}"
    if os.geteuid() != 0:
        if not (BINFMT / name).exists():
            raise Skip(f"{name} is not registered with binfmt_misc, which needs root")
        yield
        return
    with open(BINFMT_LOCK, "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for change in register_emulator(name):
            lock.write(change + "\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.seek(0)
                undo_registration(lock.read().split())
                lock.truncate(0)


def register_emulator(name):
    """Returns what it changed: "mount", the name of a registration, both or neither."""
    changes = []
    if (BINFMT / name).exists():
        return changes
    line = emulator_line(name)
    try:
        if not (BINFMT / "register").exists():
            run("mount", "-t", "binfmt_misc", "none", BINFMT)
            changes.append("mount")
        if not (BINFMT / name).exists():
            (BINFMT / "register").write_text(line, "latin-1")
            changes.append(name)
    except (OSError, AssertionError) as error:
        undo_registration(changes)
        raise Skip(f"{name} cannot be registered with binfmt_misc: {error}") from None
    return changes


def undo_registration(changes):
    for name in set(changes) - {"mount"}:
        if (BINFMT / name).exists():
            (BINFMT / name).write_text("-1")
    if "mount" in changes and os.path.ismount(BINFMT):
        run("umount", BINFMT)


def emulator_line(name):
    for path in (f"/usr/lib/binfmt.d/{name}.conf", f"/usr/lib/binfmt.d/{name}-static.conf"):
        with contextlib.suppress(FileNotFoundError):
            return pathlib.Path(path).read_text("latin-1").strip()
    raise Skip(f"no emulator {name}: apt-get install qemu-user-static")


@contextlib.contextmanager
def registry():
    """Debian's docker-registry on a free port of 127.0.0.1; yields `host:port`."""
    server = require_tool("docker-registry")
    with scratch_directory() as directory:
        address = f"127.0.0.1:{free_port()}"
        config = directory / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
            f"http: {{addr: '{address}'}}\n"
        )
        with open(directory / "log", "wb") as log:
            process = subprocess.Popen([server, "serve", config], stdout=log, stderr=log)
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://{address}/v2/", timeout=10).close()
                    break
                except OSError as error:
                    if process.poll() is not None:
                        text = (directory / "log").read_text("utf-8", "replace")
                        raise AssertionError(f"docker-registry did not start: {text}") from error
                    time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait()


class Container:
    """A running image: its process here, where it listens, and its two log files."""

    def __init__(self, process, port, logs, stop):
        self.process = process
        self.port = port
        self.stdout, self.stderr = logs
        self.stop_process = stop

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Ends it as the platform does, with SIGTERM, and returns the exit code."""
        self.stop_process()
        return self.process.wait()


class Podman:
    """Runs images from a registry with podman, in a storage of its own."""

    name = "podman"

    def __init__(self, directory):
        self.directory = directory
        self.policy = directory / "policy.json"
        self.policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.command = [
            require_tool("podman"),
            *(f"--{option}={directory / option}" for option in ("root", "runroot", "tmpdir")),
            "--events-backend=file",
        ]
        if os.geteuid() == 0:
            self.command.append("--cgroup-manager=cgroupfs")
        with contextlib.suppress(Skip):
            self.command.append(f"--runtime={require_tool('runc')}")
        try:
            run(*self.command, "info")
        except AssertionError as error:
            raise Skip(f"podman does not work here: {error}") from None

    def pull(self, reference, arch):
        """Returns the id of the image that a node of this architecture gets."""
        options = ("--quiet", "--tls-verify=false", f"--signature-policy={self.policy}")
        return run(*self.command, "pull", *options, f"--arch={arch}", reference).strip()

    def architecture(self, image):
        return run(*self.command, "image", "inspect", "--format={{.Architecture}}", image).strip()

    def arguments(self, environment, arch):
        return [
            *("run", "--rm", "--read-only", "--network=host", f"--platform=linux/{arch}"),
            *("--pull=never", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"),
            *(f"--env={key}={value}" for key, value in environment.items()),
        ]

    def execute(self, image, arch, command):
        """Runs a program of the image with the image's user and environment; returns its output."""
        options = [*self.arguments({}, arch), f"--entrypoint={command[0]}"]
        return run(*self.command, *options, image, *command[1:])

    @contextlib.contextmanager
    def start(self, image, arch):
        with contextlib.ExitStack() as stack:
            port = free_port()
            name = f"action-{port}"
            logs = [self.directory / f"{name}.{stream}" for stream in ("stdout", "stderr")]
            out, err = (stack.enter_context(open(log, "wb")) for log in logs)
            options = [*self.arguments({"FNIMAGE_PORT": port}, arch), f"--name={name}"]
            process = subprocess.Popen([*self.command, *options, image], stdout=out, stderr=err)
            stop = [*self.command, "stop", "--time=60", name]
            try:
                yield Container(process, port, logs, lambda: run(*stop))
            finally:
                if process.poll() is None:
                    subprocess.run(
                        [*self.command, "rm", "--force", name], capture_output=True, check=False
                    )
                process.wait()

    def close(self):
        for command in (("rm", "--all", "--force"), ("rmi", "--all", "--force")):
            subprocess.run([*self.command, *command], capture_output=True, check=False)


class Chroot:
    """Runs images unpacked into a directory. The root is not read-only here."""

    name = "chroot"

    def __init__(self, directory):
        if os.geteuid() != 0:
            raise Skip("chroot needs root")
        self.directory = directory
        require_tool("skopeo")
        require_tool("umoci")

    def pull(self, reference, arch):
        """Returns the directory of the unpacked image."""
        place = self.directory / f"{len(list(self.directory.iterdir()))}-{arch}"
        run(
            *("skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"),
            *(f"--override-arch={arch}", f"docker://{reference}", f"oci:{place}-layout:image"),
        )
        run("umoci", "unpack", "--image", f"{place}-layout:image", place)
        self.make_devices(place / "rootfs/dev")
        return place

    @staticmethod
    def make_devices(directory):
        """Those that every container runtime gives."""
        directory.mkdir(exist_ok=True)
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            with contextlib.suppress(FileExistsError):
                os.mknod(directory / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
                (directory / name).chmod(0o666)

    def architecture(self, image):
        layout = pathlib.Path(f"{image}-layout")
        (manifest,) = json.loads((layout / "index.json").read_bytes())["manifests"]
        blobs = layout / "blobs/sha256"
        config = json.loads((blobs / manifest["digest"][7:]).read_bytes())["config"]
        return json.loads((blobs / config["digest"][7:]).read_bytes())["architecture"]

    def spawn(self, image, command, environment, **streams):
        process = json.loads((image / "config.json").read_bytes())["process"]
        user = process["user"]

        def enter():
            os.chroot(image / "rootfs")
            os.chdir(process["cwd"])
            os.setgroups([])
            os.setgid(user["gid"])
            os.setuid(user["uid"])

        variables = dict(entry.split("=", 1) for entry in process["env"])
        variables.update(environment)
        command = command or process["args"]
        return subprocess.Popen(command, env=variables, preexec_fn=enter, **streams)

    def execute(self, image, arch, command):
        del arch  # the unpacked image has only the one it was pulled for
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = self.spawn(image, command, {}, **pipes)
        out, err = process.communicate()
        assert process.returncode == 0, f"{command}: exit code {process.returncode}\n{out}{err}"
        return out

    @contextlib.contextmanager
    def start(self, image, arch):
        del arch
        port = free_port()
        logs = [self.directory / f"{port}.{stream}" for stream in ("stdout", "stderr")]
        with open(logs[0], "wb") as out, open(logs[1], "wb") as err:
            process = self.spawn(image, None, {"FNIMAGE_PORT": str(port)}, stdout=out, stderr=err)
            try:
                yield Container(process, port, logs, lambda: process.send_signal(signal.SIGTERM))
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def close(self):
        pass  # all it made lies in its directory


@contextlib.contextmanager
def engine(names=("podman", "chroot")):
    """The first engine of `names` that works here."""
    reasons = []
    for kind in (Podman, Chroot):
        if kind.name not in names:
            continue
        with scratch_directory() as directory:
            try:
                chosen = kind(directory)
            except Skip as skip:
                reasons.append(str(skip))
                continue
            try:
                yield chosen
            finally:
                chosen.close()
            return
    raise Skip("; ".join(reasons))

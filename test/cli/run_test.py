#!/usr/bin/env python3
"""`fnimage run`: functions and images that are started here, called, and stopped, with nothing of them left."""
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

import command

UNPRIVILEGED = 65534
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
OTHER = "amd64" if MACHINE == "ppc64le" else "ppc64le"

PYTHON = """name: probe
platforms: [linux/%s]
base: {debian: bookworm}
runtime: python
source: {main: handler.py, files: ["lib/**"]}
layers:
  - {name: model, from: model.txt, to: /action/model.txt}
config: {env: {MODEL: /action/model.txt, GREETING: hello, OTHER: /nowhere/at/all}}
""" % MACHINE
HANDLER = """import os, subprocess, sys
from lib import helper
def main(args):
    if args.get("exit"):
        os._exit(args["exit"])
    print("to the log")
    program = subprocess.Popen(["sleep", "1000"]).pid if args.get("start") else 0
    return {"helped": helper.help(), "model": open(os.environ["MODEL"]).read(), "here": os.path.exists("model.txt"),
            "program": program, **{name: os.environ.get(name) for name in ("GREETING", "OTHER", "ADDED")}}
"""
# The answer is what the program may do; SIGTERM ends it with 0, or with STUBBORN as it would without a handler.
SERVER = r"""
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
static void stop(int signal) { (void)signal; _exit(0); }
static int attempt(const char* path, int flags) { int file = open(path, flags, 0600); return file < 0 ? errno : (close(file), 0); }
static int entries(const char* path) {
  int count = 0; DIR* directory = opendir(path); struct dirent* entry;
  while (directory && (entry = readdir(directory))) if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') ++count;
  return count;
}
int main(void) {
  if (getenv("CODE")) return atoi(getenv("CODE"));
  if (!getenv("STUBBORN")) signal(SIGTERM, stop);
  int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("FNIMAGE_PORT")))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(server, (struct sockaddr*)&address, sizeof address) || listen(server, 5)) return 1;
  for (;;) {
    int client = accept(server, 0, 0); char text[1000], answer[1200], here[200]; struct stat outside;
    if (read(client, text, sizeof text) < 0) continue;
    snprintf(text, sizeof text, "{\"uid\": %d, \"gid\": %d, \"root\": %d, \"tmp\": %d, \"null\": %d, \"processes\": %d, "
      "\"files\": %d, \"outside\": %d, \"here\": \"%s\", \"added\": \"%s\"}", (int)getuid(), (int)getgid(),
      attempt("/written", O_WRONLY | O_CREAT), attempt("/tmp/written", O_WRONLY | O_CREAT), attempt("/dev/null", O_WRONLY),
      entries("/proc"), entries("/proc/self/fd"), stat(getenv("OUTSIDE"), &outside),
      getcwd(here, sizeof here), getenv("ADDED") ? getenv("ADDED") : "");
    snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
    if (write(client, answer, strlen(answer)) < 0) return 2;
    close(client);
  }
}
"""
IMAGE = """name: cell
platforms: [linux/%s]
base: {scratch: true}
runtime: none
files:
  - {from: server, to: /bin/server, mode: 0755}
  - {from: tree, to: /srv}
config:
  entrypoint: [server]
  env: {PATH: /bin, FNIMAGE_ACTION_MAIN: /bin/server, OUTSIDE: "%s"}
  user: "1000:1001"
  workdir: /srv
"""


def runs(process):
    """Whether a process is there and not only waiting to be collected."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def ends(*processes):
    """Whether processes end that nobody here can wait for."""
    deadline = time.monotonic() + 30
    while any(map(runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(runs, processes))


class Running:
    """`fnimage run` in the background; `url` once it listens, `text` what it wrote to standard error."""

    def __init__(self, test, arguments, prefix, env):
        self.out = test.scratch / "stdout"
        self.text = ""
        directory = os.open(test.scratch, os.O_RDONLY)  # must not get to the program: it would lead out of its root
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen([*prefix, *map(str, arguments)], cwd=test.project, env=env, text=True,
                                            stdout=out, stderr=subprocess.PIPE, pass_fds=[directory])
        os.close(directory)
        self.url = None
        for line in self.process.stderr:
            self.text += line
            found = re.search(r"^running \S+ on (http://127\.0\.0\.1:\d+) \(stop with \^C\)$", line)
            if found:
                self.url = found[1]
                break
        self.reader = threading.Thread(target=self.read_on)
        self.reader.start()

    def read_on(self):
        for line in self.process.stderr:
            self.text += line

    def wait_for(self, text):
        while text not in self.text and self.process.poll() is None:
            time.sleep(0.01)

    def post(self, path, value):
        request = urllib.request.Request(self.url + path, json.dumps(value).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def call(self, value):
        self.post("/init", {})
        return self.post("/run", {"value": value})

    def end(self, *signals):
        for number in signals:
            self.process.send_signal(number)
        code = self.process.wait()
        self.reader.join()
        return code


class RunTest(command.CommandTest):
    program = None
    prefix = ()

    def setUp(self):
        super().setUp()
        self.program = command.FNIMAGE

    @contextlib.contextmanager
    def running(self, *arguments, **variables):
        running = Running(self, [self.program, "run", *arguments], self.prefix, self.environment() | variables)
        try:
            yield running
        finally:
            running.end(*[signal.SIGKILL] if running.process.poll() is None else [])
            running.process.stderr.close()
        self.assertEqual([], self.temporaries(), "nothing is left behind")

    def free(self):
        return str(command.free_port())


class DirectoryTest(RunTest):
    def setUp(self):
        super().setUp()
        self.write_spec(PYTHON)
        (self.project / "lib").mkdir()
        (self.project / "lib/helper.py").write_text("def help():\n    return 'yes'\n")
        (self.project / "model.txt").write_text("weights")
        (self.project / "handler.py").write_text(HANDLER)

    def test_python(self):
        port = self.free()
        with self.running(".", "--port", port, "--env", "ADDED=1", "--env", "GREETING=hi") as running:
            self.assertEqual(f"http://127.0.0.1:{port}", running.url, running.text)
            self.assertEqual({"helped": "yes", "model": "weights", "here": True, "program": 0, "GREETING": "hi",
                              "OTHER": "/nowhere/at/all", "ADDED": "1"}, running.call({}))
            with self.assertRaises(OSError, msg="listens on no other address"):
                socket.create_connection(("127.0.0.2", int(port))).close()
            self.assertEqual(0, running.end(signal.SIGTERM))
            self.assertIn("to the log\n", running.out.read_text())
            self.assertIn("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX", running.text)

    def test_programs_end_with_their_function(self):
        with self.running("--port", self.free()) as running:
            program = running.call({"start": True})["program"]
            self.assertTrue(runs(program))
            self.assertEqual(0, running.end(signal.SIGINT))
            self.assertFalse(runs(program))

    def test_the_second_signal_ends_what_does_not_want_to(self):
        (self.project / "handler.py").write_text("import signal, os\nsignal.signal(signal.SIGTERM, lambda *_: os.write(2, b'no\\n'))\n"
                                                 "def main(args):\n    return {'process': os.getpid()}\n")
        with self.running("--port", self.free()) as running:
            process = running.call({})["process"]
            running.process.send_signal(signal.SIGINT)
            running.wait_for("no\n")
            self.assertEqual(process, running.post("/run", {})["process"], "it has the time it wants")
            self.assertEqual(128 + signal.SIGKILL, running.end(signal.SIGINT))
            self.assertFalse(runs(process))

    def test_killed_it_takes_the_function_along_and_the_next_run_tidies_up(self):
        (self.project / "handler.py").write_text("import os\ndef main(args):\n    return {'process': os.getpid()}\n")
        running = Running(self, [self.program, "run", "--port", self.free()], (), self.environment())
        self.addCleanup(running.process.stderr.close)
        process = running.call({})["process"]
        running.end(signal.SIGKILL)
        self.assertTrue(ends(process))
        with self.running("--port", self.free()) as running:
            running.end(signal.SIGTERM)

    def test_the_exit_code_is_the_functions(self):
        with self.running("--port", self.free()) as running:
            with self.assertRaises((urllib.error.URLError, OSError)):
                running.call({"exit": 7})
            self.assertEqual(7, running.process.wait())

    def test_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.refuse(8, [f"port {port} is in use", "--port"], "run", "--port", port)
        self.assertEqual([], self.temporaries())
        self.refuse(2, ["--port"], "run", "--port", "0")
        taken = None
        with contextlib.suppress(OSError):  # who else has it serves as well
            taken = socket.create_server(("127.0.0.1", 8080))
        with self.running() as running:
            self.assertIn("port 8080 is in use: taking port ", running.text)
            self.assertNotEqual("http://127.0.0.1:8080", running.url)
            self.assertEqual("yes", running.call({})["helped"])
            self.assertEqual(0, running.end(signal.SIGTERM))
        if taken:
            taken.close()

    def test_what_is_not_installed_here(self):
        (self.project / "handler.py").write_text("import not_installed\ndef main(args):\n    return {}\n")
        with self.running("--port", self.free()) as running:
            with self.assertRaises(urllib.error.HTTPError):
                running.post("/init", {})
            self.assertEqual(0, running.end(signal.SIGTERM))
            self.assertIn("ModuleNotFoundError: No module named 'not_installed'", running.text)
            self.assertIn("'not_installed' is not installed on this machine; run the image instead: "
                          "fnimage build && fnimage run probe:latest", running.text)

    def test_without_interpreter(self):
        done = subprocess.run([self.program, "run"], cwd=self.project, env=self.environment() | {"PATH": "/nowhere"},
                              text=True, capture_output=True, check=False)
        self.assertEqual(4, done.returncode, done.stderr)
        self.assertIn("there is no python3 on this machine", done.stderr)
        self.assertIn("fnimage run probe:latest", done.stderr)

    def test_exec(self):
        self.write_spec(PYTHON.replace("runtime: python", "runtime: exec").replace("handler.py", "handler.sh"))
        script = self.project / "handler.sh"
        script.write_text("#!/bin/sh\necho log\necho \"{\\\"model\\\": \\\"$(cat model.txt)\\\", \\\"got\\\": $(cat)}\"\n")
        script.chmod(0o755)
        with self.running("--port", self.free()) as running:
            self.assertEqual({"model": "weights", "got": {"a": 1}}, running.call({"a": 1}))
            self.assertEqual(0, running.end(signal.SIGTERM))

    def test_exec_of_a_file_of_the_image(self):
        spec = PYTHON.replace("runtime: python", "runtime: exec").replace("main: handler.py", "main: /opt/solver")
        self.write_spec(spec)
        self.refuse(15, ["/opt/solver is a file of the image's", "fnimage run probe:latest"], "run", "--port", self.free())
        self.write_spec(spec + "files: [{from: 'bin/{arch}/solver', to: /opt/solver, mode: 0755}]\n")
        solver = self.project / f"bin/{MACHINE}/solver"
        solver.parent.mkdir(parents=True)
        solver.write_text("#!/bin/sh\necho '{\"solved\": true}'\n")
        with self.running("--port", self.free()) as running:
            self.assertEqual({"solved": True}, running.call({}))
            self.assertEqual(0, running.end(signal.SIGTERM))

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_nodejs(self):
        self.write_spec(PYTHON.replace("runtime: python", "runtime: nodejs").replace("handler.py", "handler.js"))
        (self.project / "handler.js").write_text("exports.main = (args) => ({got: args, pid: process.pid});\n")
        with self.running("--port", self.free()) as running:
            self.assertEqual({"a": 1}, running.call({"a": 1})["got"])
            self.assertEqual(0, running.end(signal.SIGTERM))

    def test_notebook(self):
        self.write_spec(PYTHON.replace("runtime: python", "runtime: notebook\nnotebook: {mode: compiled}")
                        .replace("handler.py", "handler.ipynb"))
        cells = [("n: int = 2", ["parameters"]), ("result = {'square': n * n}", [])]
        (self.project / "handler.ipynb").write_text(json.dumps({
            "nbformat": 4, "nbformat_minor": 4, "metadata": {},
            "cells": [{"cell_type": "code", "execution_count": None, "outputs": [], "metadata": {"tags": tags}, "source": text}
                      for text, tags in cells]}))
        with self.running("--port", self.free()) as running:
            self.assertEqual({"square": 9}, running.call({"n": 3}))
            self.assertEqual(0, running.end(signal.SIGTERM))

    def test_what_is_refused(self):
        self.refuse(2, ["NAME=VALUE"], "run", "--env", "x")
        self.refuse(2, ["is no directory"], "run", "-f", "other.yaml", "elsewhere")
        self.refuse(4, ["fnimage init"], "run", "./lib")
        self.write_spec(PYTHON.replace("runtime: python", "runtime: none"))
        self.refuse(15, ["runtime none", "fnimage run probe:latest"], "run")
        self.write_spec(PYTHON.replace("config: {", "config: {entrypoint: [/bin/true], "))
        self.refuse(15, ["a command of its own"], "run")


class ImageTest(RunTest):
    """As whoever runs the tests."""

    def setUp(self):
        super().setUp()
        if not shutil.which("cc"):
            self.skipTest("cc is not installed")
        source = self.scratch / "server.c"
        source.write_text(SERVER)
        made = subprocess.run(["cc", "-static", "-o", self.project / "server", source], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            self.skipTest(f"nothing can be linked statically: {made.stderr}")
        (self.project / "tree").mkdir()
        (self.project / "tree/data").write_text("data")
        self.outside = self.scratch / "outside"
        self.outside.write_text("of the host")
        self.write_spec(IMAGE % (MACHINE, self.outside))
        self.succeed("build", "--no-check")

    @contextlib.contextmanager
    def running(self, *arguments, **variables):
        with super().running(*arguments, **variables) as running:
            if running.url is None and "does not permit" in running.text:
                running.process.wait()
                self.skipTest(running.text)
            yield running

    def test_image(self):
        port = self.free()
        with self.running("cell:latest", "--port", port, "--env", "ADDED=more") as running:
            self.assertEqual(f"http://127.0.0.1:{port}", running.url, running.text)
            self.assertEqual({"uid": 1000, "gid": 1001, "root": 30, "tmp": 0, "null": 0, "processes": 2, "files": 6,
                              "outside": -1, "here": "/srv", "added": "more"}, running.post("/", {}))
            self.assertEqual(0, running.end(signal.SIGTERM))
        self.assertFalse(pathlib.Path("/tmp/written").exists())

    def test_a_program_that_has_no_handler_ends_too(self):
        with self.running("cell:latest", "--port", self.free(), "--env", "STUBBORN=1") as running:
            running.post("/", {})
            self.assertEqual(128 + signal.SIGTERM, running.end(signal.SIGTERM))

    def test_killed_it_leaves_no_process(self):
        with self.running("cell:latest", "--port", self.free()) as running:
            children = pathlib.Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
            inner = [pathlib.Path(f"/proc/{child}/task/{child}/children").read_text().split() for child in children]
            self.assertEqual([1], [len(programs) for programs in inner])
            running.end(signal.SIGKILL)
            self.assertTrue(ends(children[0], inner[0][0]))
            shutil.rmtree(self.home / ".cache/fnimage/run")

    def test_exit_codes_and_what_cannot_be_started(self):
        with self.running("cell:latest", "--port", self.free(), "--env", "CODE=9") as running:
            self.assertEqual(9, running.process.wait())
            running.reader.join()
            self.assertIn("ended with exit code 9 before it listened", running.text)
        self.write_spec((IMAGE % (MACHINE, self.outside)).replace("[server]", "[nothing]"))
        self.succeed("build", "--no-check", "-t", "nothing:latest")
        with self.running("nothing:latest", "--port", self.free()) as running:
            self.assertEqual(4, running.process.wait())
            self.assertIn("nothing cannot be started", running.text)

    def test_an_image_for_other_machines(self):
        self.write_spec((IMAGE % (OTHER, self.outside)))
        self.succeed("build", "--no-check", "-t", "other:latest")
        self.refuse(13, [f"linux/{MACHINE}", f"but for linux/{OTHER}", "podman run --platform"], "run", "other:latest")
        self.assertEqual([], self.temporaries())

    def test_every_place(self):
        self.succeed("build", "--no-check", "-o", "oci:layout:v1")
        self.succeed("build", "--no-check", "-o", "oci-archive:a.tar:v1")
        for place in ("oci:layout:v1", "oci-archive:a.tar:v1"):
            with self.running(place, "--port", self.free()) as running:
                self.assertEqual(1000, running.post("/", {})["uid"])
                self.assertEqual(0, running.end(signal.SIGTERM))
        self.refuse(4, ["missing"], "run", "missing:latest")


class UnprivilegedImageTest(ImageTest):
    """The same as a user without rights, by user namespaces."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("the other tests run without rights already")
        super().setUp()
        self.program = self.scratch / "fnimage"  # the build tree may be closed to others
        shutil.copy(command.FNIMAGE, self.program)
        self.prefix = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]

    def give_away(self):
        for path in (self.scratch, *self.scratch.rglob("*")):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)

    @contextlib.contextmanager
    def running(self, *arguments, **variables):
        self.give_away()
        with super().running(*arguments, **variables) as running:
            yield running

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_where_namespaces_are_not_permitted(self):
        self.prefix += ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone", "-e", "inject=clone:error=EPERM"]
        self.give_away()
        with super(ImageTest, self).running("cell:latest", "--port", self.free()) as running:
            self.assertEqual(15, running.process.wait(), running.text)
            running.reader.join()
            for text in ("does not permit", "user.max_user_namespaces", "as root", "podman run"):
                self.assertIn(text, running.text)


if __name__ == "__main__":
    command.main()

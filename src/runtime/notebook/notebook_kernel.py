"""Notebooks in Jupyter kernels, one fresh kernel for each activation.

The kernel of the next activation is started when there is nothing else to do, and stands by. It
talks over sockets in a directory of its own, which goes when the kernel does. Everything that
Jupyter and IPython write goes to a temporary directory too, as the root may be read-only and the
user without a home.
"""

import asyncio
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from queue import Empty

import zmq.asyncio
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_path
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import from_dict

import notebook_cells
import notebook_parameters
import notebook_results
import notebook_run
from action_proxy import ActionError, ApplicationError, report

if importlib.util.find_spec("ipykernel") is None:
    raise ImportError("No module named 'ipykernel'")

START_SECONDS = 60  # until a kernel answers
STOP_SECONDS = 2  # for a kernel to end by itself: buffers are flushed, atexit functions called
INTERRUPT_SECONDS = 0.5  # for a cell to end when its time is up
POLL_SECONDS = 0.005  # between looks whether a process has ended
MAX_SOCKET_PATH = 100  # Linux: 107 characters, the last of them Jupyter's
MAX_LOG = 1 << 16  # of what a kernel says besides its output
SCRAP = "application/scrapbook.scrap."
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# How a kernel is started, for its speed: without a debugger, and it is gone once every atexit
# function has been called (the one registered first is the last) instead of tearing down the
# interpreter.
LAUNCH = """
import atexit, os, runpy, sys
status = [1]
atexit.register(lambda: os._exit(status[0]))
sys.modules["debugpy"] = None
runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
status[0] = 0
"""
MODULE = "fnimage_results"  # what notebook_results.py is called in a kernel
SETUP = f"""
def _fnimage():
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location({MODULE!r}, {notebook_results.__file__!r})
    sys.modules[{MODULE!r}] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[{MODULE!r}])
    if sys.modules.get("debugpy", sys) is None:
        del sys.modules["debugpy"]
_fnimage()
del _fnimage
"""
HELPER = f"__import__('sys').modules[{MODULE!r}]"


class Specs(KernelSpecManager):
    """Finds kernels by their files alone. Asking ipykernel for that of this interpreter and IPython
    for its directory would import both here, which takes as long as everything else."""

    def __init__(self):
        super().__init__(kernel_dirs=jupyter_path("kernels"))

    def get_kernel_spec(self, kernel_name):
        directory = self.find_kernel_specs().get(kernel_name.lower())
        if directory is None:
            return super().get_kernel_spec(kernel_name)
        spec = self.kernel_spec_class.from_resource_dir(directory)
        if spec.argv[1:3] == ["-m", "ipykernel_launcher"]:
            # No file for the history, which would be locked and flushed; nothing about debuggers.
            history = "--HistoryManager.hist_file=:memory:"
            spec.argv[1:3] = ["-c", LAUNCH]
            spec.argv += [history, "--IPKernelApp.log_level=ERROR"]
        return spec


class Place:
    """Where kernels of this process live: their files and their environment."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="notebook-")
        self.made = 0

    def new_directory(self):
        self.made += 1
        path = os.path.join(self.root, str(self.made))
        os.mkdir(path)
        return path

    def environment(self):
        environment = dict(os.environ)
        home = environment.get("HOME", "")
        if not (os.path.isdir(home) and os.access(home, os.W_OK)):
            environment["HOME"] = self.root  # matplotlib, among others, writes there
        for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            environment.setdefault(name, os.path.join(self.root, name.lower()))
        # Else the debugger that comes with ipykernel warns of itself at each start.
        environment.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        return environment

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Client(NotebookClient):
    """Passes on what cells print, as they print it."""

    def process_message(self, msg, cell, cell_index):
        content = msg["content"]
        if msg["msg_type"] == "stream":
            write(sys.stderr if content["name"] == "stderr" else sys.stdout, content["text"])
        elif msg["msg_type"] == "display_data" and not scraps_of(content):
            text = content["data"].get("text/plain")
            write(sys.stdout, f"{text}\n" if text else "")
        return super().process_message(msg, cell, cell_index)


def write(stream, text):
    stream.write(text)
    stream.flush()


def scraps_of(output):
    """{name: value} of what an output glues."""
    found = {}
    for kind, payload in output.get("data", {}).items():
        if kind.startswith(SCRAP) and kind.endswith("+json"):
            name = notebook_cells.section(output.get("metadata"), "scrapbook").get("name")
            if isinstance(payload, dict) and "data" in payload:
                name, payload = name or payload.get("name"), payload["data"]
            if isinstance(name, str):
                found[name] = payload
    return found


class Kernel:
    """One kernel process and the connection to it."""

    def __init__(self, place, context, specs, name, directory):
        self.place = place
        self.context = context
        self.directory = place.new_directory()
        self.manager = AsyncKernelManager(
            kernel_name=name, context=context, kernel_spec_manager=specs
        )
        self.manager.connection_file = os.path.join(self.directory, "kernel.json")
        address = os.path.join(self.directory, "socket")
        if len(address) < MAX_SOCKET_PATH:
            self.manager.transport, self.manager.ip = "ipc", address
        self.work_directory = directory
        self.client = None
        self.process = None
        self.is_ready = False
        self.setup = None

    async def start(self):
        """Returns at once; the kernel needs some time until it is ready."""
        with open(self.log_path(), "wb") as log:
            await self.manager.start_kernel(
                cwd=self.work_directory,
                env=self.place.environment(),
                stdout=log,
                stderr=log,
            )
        self.process = self.manager.provisioner.process
        self.client = self.manager.client(context=self.context)
        self.client.start_channels(stdin=False, hb=False)
        self.setup = self.client.execute(SETUP, silent=True, store_history=False)

    def log_path(self):
        """For what the process says outside of cells, as when it crashes."""
        return os.path.join(self.directory, "log")

    async def ready(self):
        if self.is_ready:  # once, but it may have died since
            await self.reply(self.client.kernel_info())
            return
        await self.reply(self.setup)
        # What a socket publishes before it knows its subscriber is lost, so ask until it knows.
        while True:
            asked = self.client.kernel_info()
            await self.reply(asked)
            if await self.publishes(asked):
                break
        self.is_ready = True

    async def publishes(self, request):
        try:
            while True:
                message = await self.client.iopub_channel.get_msg(timeout=0.1)
                if message["parent_header"].get("msg_id") == request:
                    return True
        except Empty:
            return False

    async def reply(self, request):
        while True:
            try:
                message = await self.client.shell_channel.get_msg(timeout=0.2)
            except Empty:
                if self.has_ended():
                    raise DeadKernelError("Kernel died") from None
                continue
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    async def evaluate(self, expression):
        """Has the kernel evaluate it, which leaves no trace in its history. Returns the data of its
        value by media type."""
        request = self.client.execute("", silent=True, user_expressions={"": expression})
        content = (await self.reply(request)).get("user_expressions", {}).get("", {})
        if content.get("status") != "ok":
            raise ActionError(502, f"the kernel cannot be asked: {content.get('evalue')}")
        return content["data"]

    def has_ended(self):
        """Without reaping it, so that its process group still is its own."""
        if self.process.returncode is not None:
            return True
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    async def stop(self, seconds):
        """Ends the kernel, and what it started in its process group; it may take so long to do it
        by itself."""
        if self.process is not None:
            if seconds and not self.has_ended():
                self.client.shutdown()
            end = time.monotonic() + seconds
            while not self.has_ended() and time.monotonic() < end:
                await asyncio.sleep(POLL_SECONDS)
            try:
                os.killpg(self.manager.provisioner.pgid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            await self.manager.provisioner.wait()
        if self.client is not None:
            self.client.stop_channels()
        await self.manager.cleanup_resources()
        self.tell_log()
        shutil.rmtree(self.directory, ignore_errors=True)

    def tell_log(self):
        with open(self.log_path(), "rb") as log:
            log.seek(max(0, os.path.getsize(self.log_path()) - MAX_LOG))
            text = log.read().decode("utf-8", "backslashreplace").strip()
        if text:
            report(text)

    def ending(self):
        """How the process ended."""
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return "signal 9, as when memory runs out"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Document:
    """The notebook in the making: nbformat 4, without the outputs that came with it."""

    def __init__(self, notebook, values):
        is_new = notebook.document["nbformat"] == 4
        minor = notebook.document.get("nbformat_minor") if is_new else 4
        self.has_ids = isinstance(minor, int) and minor >= 5
        self.steps = []  # (Cell, or None for the parameters; index of its node) in their order
        self.nodes = []
        for cell in notebook.cells:
            if "injected-parameters" in cell.tags:
                continue
            self.add(cell, self.node_of(cell))
            if cell is notebook.parameters_cell and values:
                self.add(None, self.injected(values))
        self.json = from_dict(
            {
                "cells": self.nodes,
                "metadata": notebook_cells.section(notebook.document, "metadata"),
                "nbformat": 4,
                "nbformat_minor": minor if isinstance(minor, int) else 4,
            }
        )
        self.nodes = self.json.cells

    def add(self, cell, node):
        if cell is None or cell.runs:
            self.steps.append((cell, len(self.nodes)))
        self.nodes.append(node)

    @staticmethod
    def node_of(cell):
        kind = cell.content.get("cell_type")
        node = {
            "cell_type": kind if kind in ("code", "raw") else "markdown",
            "metadata": notebook_cells.section(cell.content, "metadata"),
            "source": cell.source,
        }
        node.update((k, cell.content[k]) for k in ("id", "attachments") if k in cell.content)
        if cell.is_code:
            node.update(outputs=[], execution_count=None)
        return node

    def injected(self, values):
        lines = [f"{name} = {notebook_parameters.literal(v)}" for name, v in values.items()]
        node = {
            "cell_type": "code",
            "metadata": {"tags": ["injected-parameters"]},
            "source": "\n".join(["# Parameters", *lines]),
            "outputs": [],
            "execution_count": None,
        }
        if self.has_ids:
            node["id"] = "injected-parameters"
        return node

    def scraps(self):
        found = {}
        for node in self.nodes:
            for output in node.get("outputs", ()):
                found.update(scraps_of(output))
        return found


class Activation:
    """One run of all cells in a kernel."""

    def __init__(self, kernel, notebook, values):
        self.kernel = kernel
        self.notebook = notebook
        self.document = Document(notebook, values)
        left = notebook_run.seconds_left()
        self.started = time.monotonic()
        self.end = None if left is None else self.started + left
        self.patience = STOP_SECONDS  # when the kernel is ended
        self.cell = None
        self.count = 0
        self.reply = {}
        self.client = Client(
            self.document.json,
            km=kernel.manager,
            record_timing=False,
            on_cell_executed=self.executed,
        )
        self.client.kc = kernel.client

    def left(self):
        return None if self.end is None else max(self.end - time.monotonic(), 0.001)

    def executed(self, cell, cell_index, execute_reply):
        self.reply = execute_reply["content"]

    async def run(self):
        try:
            environment = {k: v for k, v in os.environ.items() if k.startswith("__OW_")}
            await self.ask(f"enter({notebook_parameters.literal(environment)})")
            await self.run_cells()
            outcome = await self.outcome()
        except asyncio.TimeoutError:
            raise self.time_is_up() from None
        except DeadKernelError:
            raise self.died() from None
        return notebook_run.result_of(outcome, self.document.scraps())

    async def ask(self, expression):
        asked = self.kernel.evaluate(f"{HELPER}.{expression}")
        return await asyncio.wait_for(asked, self.left())

    async def run_cells(self):
        for cell, index in self.document.steps:
            if cell is not None:
                self.cell = cell
                self.count += 1
            if await self.run_cell(index):
                return

    async def run_cell(self, index):
        """Whether the notebook ends here."""
        self.reply = {}
        node = self.document.nodes[index]
        running = asyncio.ensure_future(self.client.async_execute_cell(node, index))
        if not (await asyncio.wait({running}, timeout=self.left()))[0]:
            await self.interrupt(running)
            raise asyncio.TimeoutError
        try:
            running.result()
        except CellExecutionError:
            if self.leaves():
                return True
            raise self.failure() from None
        return self.leaves()

    async def interrupt(self, running):
        """Lets a cell clean up, but not for long."""
        await self.kernel.manager.interrupt_kernel()
        await asyncio.wait({running}, timeout=INTERRUPT_SECONDS)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def leaves(self):
        text = self.reply.get("evalue")
        return self.reply.get("ename") == "SystemExit" and text in ("", "0", "None", "False")

    def failure(self):
        ename, evalue = (str(self.reply.get(key)) for key in ("ename", "evalue"))
        return notebook_run.cell_failed(self.cell, self.count, ename, evalue, self.traceback())

    def traceback(self):
        text = "\n".join(self.reply.get("traceback", ()))
        return ESCAPES.sub("", text).splitlines()

    async def outcome(self):
        ended_well = self.cell is self.notebook.last_cell and self.reply.get("status") == "ok"
        count = self.reply.get("execution_count") if ended_well else None
        data = await self.ask(f"leave({count!r})")
        return data[notebook_results.Carried.MEDIA_TYPE]

    def time_is_up(self):
        self.patience = 0
        if self.cell is None:
            return ApplicationError("the time limit ended the notebook before its first cell")
        seconds = self.end - self.started
        return notebook_run.time_is_up(self.cell, self.count, seconds, self.traceback())

    def died(self):
        self.patience = 0
        where = f"while it ran cell {self.cell.index}" if self.cell else "before the first cell"
        return ActionError(502, f"the kernel ended {where}: {self.kernel.ending()}")


class Runner:
    def __init__(self, notebook):
        self.notebook = notebook
        self.specs = Specs()
        self.name = kernel_name(self.specs, notebook)
        self.place = Place()
        self.context = zmq.asyncio.Context()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.kernel = None
        try:
            self.loop.run_until_complete(self.take(START_SECONDS))
        except BaseException:
            self.close()
            raise

    def run(self, values):
        return self.loop.run_until_complete(self.activation(values))

    def prepare(self):
        if self.kernel is None:
            reap_orphans()
            self.loop.run_until_complete(self.start())

    def close(self):
        self.loop.run_until_complete(self.drop(0))
        self.loop.close()
        self.context.term()
        self.place.remove()

    async def start(self):
        directory = self.notebook.directory
        kernel = Kernel(self.place, self.context, self.specs, self.name, directory)
        try:
            await kernel.start()
        except BaseException:
            await kernel.stop(0)
            raise
        self.kernel = kernel

    async def take(self, seconds):
        """Waits for the kernel that stands by, or for another one where that has ended."""
        stood_by = self.kernel is not None
        if not stood_by:
            await self.start()
        try:
            await asyncio.wait_for(self.kernel.ready(), seconds)
        except asyncio.TimeoutError:
            raise ActionError(502, f"the kernel does not answer within {seconds} s") from None
        except DeadKernelError:
            if not stood_by:
                raise ActionError(502, f"the kernel ended early: {self.kernel.ending()}") from None
            await self.drop(0)
            await self.take(seconds)

    async def drop(self, seconds):
        kernel, self.kernel = self.kernel, None
        if kernel is not None:
            await kernel.stop(seconds)

    async def activation(self, values):
        seconds = 0
        try:
            left = notebook_run.seconds_left()
            await self.take(START_SECONDS if left is None else min(left, START_SECONDS))
            activation = Activation(self.kernel, self.notebook, values)
            try:
                return await activation.run()
            finally:
                seconds = activation.patience
                activation.client.set_widgets_metadata()
                save(activation.document, self.notebook.name)
        finally:
            await self.drop(seconds)


def kernel_name(specs, notebook):
    """The notebook's own kernel where it is installed."""
    metadata = notebook_cells.section(notebook.document, "metadata")
    for name in (notebook_cells.section(metadata, "kernelspec").get("name"), "python3"):
        try:
            if isinstance(name, str) and specs.get_kernel_spec(name).language == "python":
                return name
        except NoSuchKernel:
            pass
    raise ActionError(502, "no Jupyter kernel for Python is installed: python3-ipykernel has one")


def reap_orphans():
    """As the container's first process this one inherits what kernels leave behind."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def save(document, name):
    """Writes the executed notebook, where a place for it is given."""
    directory = os.environ.get("FNIMAGE_NOTEBOOK_OUTPUT")
    if not directory:
        return
    # The id comes from outside and must not lead out of the directory.
    identity = re.sub(r"[^0-9A-Za-z_-]", "", os.environ.get("__OW_ACTIVATION_ID", ""))[:64]
    name = f"{os.path.splitext(name)[0]}-{identity or time.time_ns()}.ipynb"
    path, unfinished = (os.path.join(directory, start + name) for start in ("", "."))
    try:
        with open(unfinished, "w", encoding="utf-8", errors="backslashreplace") as file:
            json.dump(document.json, file, indent=1, ensure_ascii=False)
        os.replace(unfinished, path)
    except (OSError, ValueError) as error:
        report(f"the executed notebook cannot be written to {path}: {error}")

"""Notebooks without Jupyter: the cells are compiled once and run in this process.

Modules stay imported from one activation to the next, and what a notebook changes in them stays
changed; its own names do not.
"""

import __future__
import gc
import linecache
import os
import signal
import sys
import time
import traceback

import _ast as ast  # see notebook_cells.py

import notebook_cells
import notebook_results
import notebook_run
from action_proxy import ActionError

ADVICE = "only kernel mode has it"
IS_COROUTINE = 0x80  # inspect.CO_COROUTINE
REPEAT_SECONDS = 1.0  # the alarm comes again, as the first may end in a cell's `except`


class TimeLimit(BaseException):
    """Ends a cell; no `except Exception` holds it up."""


def display(*values, **_options):
    for value in values:
        print(repr(value))


def is_harmless_magic(line):
    """It only says where plots are shown."""
    return line.split()[:1] == ["%matplotlib"]


class Code:
    """A cell, compiled; `value` is the expression that it ends with, if that is asked for."""

    def __init__(self, cell):
        self.cell = cell
        self.body = None
        self.value = None


class Compiler:
    """Compiles the cells of a notebook, in their order."""

    def __init__(self, notebook):
        self.notebook = notebook
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def code(self, cell):
        code = Code(cell)
        try:
            tree = notebook_cells.parse(self.notebook, cell, is_harmless_magic, ADVICE)
            if cell is self.notebook.last_cell and ends_in_value(tree, cell.source):
                expression = ast.Expression(tree.body.pop().value)
                code.value = self.compile(expression, cell, "eval")
            code.body = self.compile(tree, cell, "exec")
        except ActionError:
            if "raises-exception" not in cell.tags:
                raise
        return code

    def compile(self, tree, cell, mode):
        name = self.notebook.file_name(cell)
        linecache.cache[name] = (len(cell.source), None, cell.source.splitlines(True), name)
        try:
            code = compile(tree, name, mode, self.flags, dont_inherit=True)
        except SyntaxError as error:
            place = self.notebook.place(cell, error.lineno or 1)
            raise ActionError(502, f"{place}: {error.msg}") from None
        except notebook_cells.NOT_COMPILED as error:
            raise ActionError(502, f"{self.notebook.place(cell, 1)}: {error}") from None
        # As in a kernel, what one cell says of __future__ holds for those after it.
        self.flags |= code.co_flags & __future__.annotations.compiler_flag
        return code


def ends_in_value(tree, source):
    """It ends in an expression, and no ";" after it says that its value is of no interest."""
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return False
    end = tree.body[-1].value
    rest = source.split("\n")[end.end_lineno - 1].encode("utf-8")[end.end_col_offset :]
    return not rest.lstrip(b") \t").startswith(b";")


class Activation:
    """One run of all cells."""

    def __init__(self, codes, notebook, values):
        self.codes = codes
        self.notebook = notebook
        self.values = values
        self.module = type(sys)("__main__")
        self.names = vars(self.module)
        self.names["display"] = display
        self.loop = None
        self.cell = None  # that is running; the alarm counts only then
        self.count = 0
        self.last = []
        self.started = time.monotonic()

    def alarm(self, _signal, _frame):
        if self.cell is not None:
            raise TimeLimit

    def run(self):
        main, alarm = sys.modules["__main__"], signal.signal(signal.SIGALRM, self.alarm)
        sys.modules["__main__"] = self.module  # what pickles the notebook's classes looks there
        try:
            left = notebook_run.seconds_left()
            if left is not None:
                signal.setitimer(signal.ITIMER_REAL, left, REPEAT_SECONDS)
            return self.limited()
        finally:
            self.cell = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
            sys.modules["__main__"] = main
            self.close_loop()

    def limited(self):
        try:
            self.run_cells()
            return notebook_results.outcome(self.names, self.last)
        except TimeLimit as error:
            cell, self.cell = self.cell, None
            seconds = time.monotonic() - self.started
            frames = traceback.extract_tb(error.__traceback__)
            lines = traceback.format_list([at for at in frames if at.filename != __file__])
            lines = "".join(["Traceback (most recent call last):\n", *lines]).splitlines()
            raise notebook_run.time_is_up(cell, self.count, seconds, lines) from None

    def run_cells(self):
        for code in self.codes:
            if code.cell.runs:
                self.cell = code.cell
                self.count += 1
                if self.run_cell(code):
                    return
            if code.cell is self.notebook.parameters_cell:
                self.names.update(self.values)

    def run_cell(self, code):
        """Whether the notebook ends here."""
        try:
            if code.body is not None:
                self.execute(code.body)
            if code.value is not None:
                self.last = [self.execute(code.value)]
        except TimeLimit:
            raise
        except BaseException as error:
            if isinstance(error, SystemExit) and notebook_run.ends_well(error.code):
                return True
            if "raises-exception" not in code.cell.tags:
                raise self.failure(code.cell, error) from None
        return False

    def execute(self, code):
        value = eval(code, self.names)
        return self.awaited(value) if code.co_flags & IS_COROUTINE else value

    def awaited(self, coroutine):
        import asyncio  # here, since few notebooks need it and it takes long to import

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(coroutine)

    def close_loop(self):
        if self.loop is None:
            return
        import asyncio

        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        try:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def failure(self, cell, error):
        ename = type(error).__name__
        try:
            evalue = str(error)
        except Exception:
            evalue = f"<{ename} whose text cannot be had>"
        return notebook_run.cell_failed(cell, self.count, ename, evalue, self.traceback_of(error))

    def traceback_of(self, error):
        names = {self.notebook.file_name(code.cell) for code in self.codes}
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename not in names:
            frames = frames.tb_next
        frames = frames or error.__traceback__
        return "".join(traceback.format_exception(type(error), error, frames)).splitlines()


class Runner:
    def __init__(self, notebook):
        self.notebook = notebook
        compiler = Compiler(notebook)
        self.codes = [compiler.code(c) if c.runs else Code(c) for c in notebook.code_cells]
        if notebook.directory not in sys.path:
            sys.path.insert(0, notebook.directory)
        os.environ.setdefault("MPLBACKEND", "agg")
        if not os.access(os.path.expanduser("~"), os.W_OK):
            temporary = os.environ.get("TMPDIR") or "/tmp"
            os.environ.setdefault("MPLCONFIGDIR", os.path.join(temporary, "matplotlib"))

    def run(self, values):
        try:
            os.chdir(self.notebook.directory)
        except OSError:
            pass  # a notebook that opens no file beside it does not need it
        return notebook_run.result_of(Activation(self.codes, self.notebook, values).run())

    def prepare(self):
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot:
            pyplot.close("all")  # pyplot holds on to figures that nobody closed
        gc.collect()  # a notebook's functions and names hold each other

    def close(self):
        pass

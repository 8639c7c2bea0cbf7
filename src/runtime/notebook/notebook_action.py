"""The notebook runtime: serves a Jupyter notebook (action_proxy.py has the contract).

The arguments of an activation become the notebook's parameters (notebook_parameters.py), its code
cells run from the first to the last, and what they leave behind is the result
(notebook_results.py). Environment:

FNIMAGE_NOTEBOOK_MODE    kernel    (default) Each activation has a Jupyter kernel of its own. Needs
                                   nbclient and ipykernel.
                         compiled  The cells are compiled once and run in this process, each
                                   activation in a fresh namespace. Needs the standard library only
                                   and knows no IPython syntax.
FNIMAGE_NOTEBOOK_OUTPUT  kernel mode: a directory for the executed notebooks (default: none)

Cells tagged skip-execution are skipped, and so are those tagged injected-parameters, which another
tool left behind; in those tagged raises-exception an error is no failure. sys.exit() ends the run,
with success where the code is None or 0. An error in a cell is answered as an application error
{"cell": its place among all cells, counted from 0, "exec_count": its place among the code cells
that ran, counted from 1, "ename": ..., "evalue": ..., "traceback": [lines]}.
"""

import os
import time

import action_proxy
import notebook_cells
import notebook_parameters
from action_proxy import ActionError

# Imported before serve(), which ends imports from here; but what only the other mode needs takes
# long to import, or is not in the image at all.
MODE = os.environ.get("FNIMAGE_NOTEBOOK_MODE") or "kernel"
MISSING = None
try:
    if MODE == "kernel":
        from notebook_kernel import Runner
    elif MODE == "compiled":
        from notebook_compiled import Runner
except ImportError as error:
    MISSING = error

REPLY_SECONDS = 0.001  # for the thread that answers; it needs the interpreter's lock


class NotebookAction(action_proxy.Action):
    def __init__(self):
        super().__init__()
        self.runner = None

    def load(self, code, binary, name):
        if MODE not in ("kernel", "compiled"):
            raise ActionError(502, f"FNIMAGE_NOTEBOOK_MODE is neither kernel nor compiled: {MODE}")
        if MISSING:
            raise ActionError(502, f"kernel mode needs nbclient and ipykernel: {MISSING}")
        path = self.main_file
        if code and binary:
            path = action_proxy.unpack_zip(code, "main.ipynb")
        elif code:
            path = action_proxy.store_text(code, "main.ipynb")
        notebook = notebook_cells.read(path)
        parameters = notebook_parameters.of_notebook(notebook)
        runner = self.runner = Runner(notebook)
        return lambda arguments: runner.run(notebook_parameters.check(arguments, parameters))

    def prepare(self):
        if self.runner:
            time.sleep(REPLY_SECONDS)
            try:
                self.runner.prepare()
            except Exception:
                pass  # the next activation does it then, and says what is wrong

    def close(self):
        if self.runner:
            self.runner.close()


if __name__ == "__main__":
    served = NotebookAction()
    try:
        action_proxy.serve(served)
    finally:
        served.close()

"""What both modes say about an activation: its time limit, and what went wrong in a cell."""

import json
import os
import time

import notebook_results
from action_proxy import ApplicationError, report

MARGIN = 1.0  # seconds before the deadline in which the answer is to get out
MAX_TEXT = 10_000  # characters of an error's text
MAX_LINES = 200  # of a traceback


def seconds_left():
    """For the cells of this activation; None when there is no limit.

    A deadline that has passed counts as none: an answer too late does not harm, and the platform's
    clock may not be this machine's."""
    try:
        left = int(os.environ.get("__OW_DEADLINE", "")) / 1000 - time.time()
    except ValueError:
        return None
    return left - min(MARGIN, left / 10) if left > 0 else None


def cell_failed(cell, count, ename, evalue, lines):
    """The error for a cell; `lines`: its traceback, which the log gets as well."""
    report("\n".join(lines))
    if len(lines) > MAX_LINES:
        lines = lines[: MAX_LINES // 2] + ["..."] + lines[-MAX_LINES // 2 :]
    error = {"cell": cell.index, "exec_count": count, "ename": ename, "evalue": evalue[:MAX_TEXT]}
    return ApplicationError({**error, "traceback": [line[:MAX_TEXT] for line in lines]})


def time_is_up(cell, count, seconds, lines=()):
    text = f"the time limit ended cell {cell.index} after {seconds:.1f} seconds"
    return cell_failed(cell, count, "TimeLimit", text, [*lines, f"TimeLimit: {text}"])


def ends_well(code):
    return code is None or code == 0


def result_of(outcome, glued=None):
    """The value to answer, from notebook_results.outcome()."""
    if "error" in outcome:
        raise ApplicationError(outcome["error"])
    if "text" in outcome:
        return json.loads(outcome["text"])
    if "note" in outcome and not glued:
        report(outcome["note"])
    try:
        return json.loads(notebook_results.encode(glued or {}, "what was glued"))
    except ValueError as error:
        raise ApplicationError(str(error)) from None

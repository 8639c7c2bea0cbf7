"""Reads notebooks of nbformat 3 and 4, and the Python of their cells.

A cell's index is its place among all cells of the file, counted from 0.
"""

import json
import os
import re

# The C part of `ast` has all that is needed; importing the rest takes longer than reading a
# notebook.
from _ast import PyCF_ALLOW_TOP_LEVEL_AWAIT, PyCF_ONLY_AST

from action_proxy import ActionError

FLAGS = PyCF_ONLY_AST | PyCF_ALLOW_TOP_LEVEL_AWAIT
NOT_COMPILED = (ValueError, RecursionError, MemoryError, OverflowError)  # NUL, depth and the like
IPYTHON = re.compile(r"\s*[%!?]|.*\?\s*$|[\w\s,.]+=\s*[%!]")


class Cell:
    """`content`: the cell as it is in the file; `runs`: it is code that is to be executed."""

    def __init__(self, index, content, source):
        self.index = index
        self.content = content
        self.source = source
        self.tags = tags_of(content)
        self.is_code = content.get("cell_type") == "code"
        skipped = "skip-execution" in self.tags or "injected-parameters" in self.tags
        self.runs = self.is_code and bool(source.strip()) and not skipped


class Notebook:
    def __init__(self, path, document, cells):
        self.directory, self.name = os.path.split(os.path.abspath(path))
        self.document = document
        self.code_cells = [cell for cell in cells if cell.is_code]
        self.cells = cells
        tagged = (cell for cell in self.code_cells if "parameters" in cell.tags)
        self.parameters_cell = next(tagged, None)
        self.last_cell = next((cell for cell in reversed(cells) if cell.runs), None)

    def file_name(self, cell):
        """What tracebacks call the cell."""
        return f"{self.name}[{cell.index}]"

    def place(self, cell, line):
        return f"{self.name}, cell {cell.index}, line {line}"


def malformed(path, what):
    return ActionError(502, f"{os.path.basename(path)} is not a notebook that can be run: {what}")


def section(value, key):
    """The object at `key`; empty when there is no such thing."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def tags_of(content):
    tags = section(content, "metadata").get("tags")
    return tags if isinstance(tags, list) else []


def text_of(source):
    """The text of a cell, which may be in lines; None for what is neither."""
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    return source if isinstance(source, str) else None


def read(path):
    """The notebook in a file; ActionError when it cannot be served."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise ActionError(502, f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise malformed(path, f"no valid JSON: {error}") from None
    if not isinstance(document, dict) or document.get("nbformat") not in (3, 4):
        raise malformed(path, "it is not of nbformat 3 or 4")
    check_language(path, section(document, "metadata"))
    return Notebook(path, document, list(cells_of(path, document)))


def check_language(path, metadata):
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        language = section(metadata, key).get(name)
        if language is not None and not str(language).lower().startswith("python"):
            raise malformed(path, f"its language is {language}, not Python")


def cells_of(path, document):
    sheet, key = document, "source"
    if document["nbformat"] == 3:
        sheets = document.get("worksheets")
        sheet, key = sheets[0] if isinstance(sheets, list) and sheets else None, "input"
    contents = sheet.get("cells") if isinstance(sheet, dict) else None
    if not isinstance(contents, list):
        raise malformed(path, "it has no list of cells")
    for index, content in enumerate(contents):
        if not isinstance(content, dict):
            raise malformed(path, f"cell {index} is not an object")
        is_code = content.get("cell_type") == "code"
        source = text_of(content.get(key if is_code else "source"))
        if source is None:
            raise malformed(path, f"cell {index} has no text")
        yield Cell(index, content, source)


def parse(notebook, cell, droppable, advice):
    """The syntax tree of a cell. A line that is no Python and for which `droppable` holds counts as
    `pass`; for other IPython syntax the error ends in `advice`."""
    lines = cell.source.split("\n")
    while True:
        try:
            name = notebook.file_name(cell)
            return compile("\n".join(lines), name, "exec", FLAGS, dont_inherit=True)
        except SyntaxError as error:
            number = min(max(error.lineno or 1, 1), len(lines))
            line = lines[number - 1]
            if not droppable(line.strip()):
                raise unusable(notebook, cell, number, error, advice) from None
            lines[number - 1] = line[: len(line) - len(line.lstrip())] + "pass"
        except NOT_COMPILED as error:
            text = str(error) or type(error).__name__
            raise ActionError(502, f"{notebook.place(cell, 1)}: {text}") from None


def unusable(notebook, cell, number, error, advice):
    # After a magic the tokenizer may stumble further down, over what is not Python either.
    lines = cell.source.split("\n")
    for at in (number, *range(1, number)):
        if IPYTHON.match(lines[at - 1]):
            text = lines[at - 1].strip()
            return ActionError(502, f"{notebook.place(cell, at)}: {text!r} is IPython; {advice}")
    return ActionError(502, f"{notebook.place(cell, number)}: {error.msg}")

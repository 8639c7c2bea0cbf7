"""The parameters of a notebook: which there are, and what they accept.

They are declared by the first code cell tagged `parameters`; without one there are none. Of its
top-level statements those count that have the shape

    NAME = value                 (one target: `a = b = 1` and `a, b = 1, 2` declare nothing)
    NAME: annotation = value

where NAME does not begin with "_". Other statements are executed and declare nothing. A line that
is IPython syntax as a whole (begins with %, ! or ?) counts as `pass`. A NAME declared twice is as
it is declared last, in the place of the first.

The kind of a parameter is one of boolean, integer, number, string, array, object and any. It comes
from the annotation, where there is one:

    bool boolean, int integer, float number, str string, list List array, dict Dict object

`typing.List` and `typing.Dict` are as List and Dict, and those four names may have a subscript
(`list[int]`). Every other annotation, be it a string or Optional[...], means any.

Without annotation it comes from the value, where that is a literal:

    True False boolean; integers and floats, with at most one sign, number; strings, also several
    side by side, string; lists and tuples (with or without parentheses) of literals array;
    dictionaries of literals object; None any

Everything else means any: calls, names, arithmetic, complex numbers, bytes, f-strings, sets,
comprehensions, `*` and `**` inside of a display. Parentheses around a value, or a literal in it, do
not matter.

What a kind accepts is JSON: an integer is a number without fraction and exponent, a number is any
number, and neither is true or false. null is accepted by any, and by an annotated kind whose value
is None (`x: int = None`), which is then called "integer or null".
"""

import _ast as ast  # see notebook_cells.py

import notebook_cells
from action_proxy import ApplicationError

ANNOTATIONS = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
    "list": "array",
    "List": "array",
    "dict": "object",
    "Dict": "object",
}
GENERIC = ("list", "List", "dict", "Dict")
TYPES = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "array": list,
    "object": dict,
}
ADVICE = "parameters are declared in plain Python"
INFINITE = float("inf")
MAX_DEPTH = 100  # of lists and objects in each other: Python has a limit for literals


def of_notebook(notebook):
    """[(name, kind)] of what the notebook declares."""
    cell = notebook.parameters_cell
    if cell is None:
        return []
    return declared(notebook_cells.parse(notebook, cell, is_ipython_line, ADVICE))


def of_source(source):
    """[(name, kind)] of what a parameters cell with this text declares."""
    content = {"cell_type": "code", "metadata": {"tags": ["parameters"]}}
    cell = notebook_cells.Cell(0, content, source)
    return of_notebook(notebook_cells.Notebook("notebook", {}, [cell]))


def is_ipython_line(line):
    return line.startswith(("%", "!", "?"))


def declared(tree):
    found = {}
    for statement in tree.body:
        target = target_of(statement)
        if isinstance(target, ast.Name) and not target.id.startswith("_"):
            found[target.id] = kind_of(statement)
    return list(found.items())


def target_of(statement):
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0]
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return statement.target
    return None


def kind_of(statement):
    if isinstance(statement, ast.Assign):
        return kind_of_literal(statement.value) or "any"
    kind = kind_of_annotation(statement.annotation)
    value = statement.value
    if kind != "any" and isinstance(value, ast.Constant) and value.value is None:
        return f"{kind} or null"
    return kind


def kind_of_annotation(node):
    generic = False
    if isinstance(node, ast.Subscript):
        node, generic = node.value, True
    if isinstance(node, ast.Attribute):
        if not isinstance(node.value, ast.Name) or node.value.id != "typing":
            return "any"
        name = node.attr if node.attr in ("List", "Dict") else None
    else:
        name = node.id if isinstance(node, ast.Name) else None
    return "any" if generic and name not in GENERIC else ANNOTATIONS.get(name, "any")


def kind_of_literal(node):
    """The kind of a literal, "any" for None; None for what is no literal."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        is_number = isinstance(node.operand, ast.Constant)
        return "number" if is_number and kind_of_literal(node.operand) == "number" else None
    if isinstance(node, ast.Constant):
        return kind_of_constant(node.value)
    if isinstance(node, (ast.List, ast.Tuple)):
        return "array" if all(map(kind_of_literal, node.elts)) else None
    if isinstance(node, ast.Dict):
        return "object" if all(map(kind_of_literal, node.keys + node.values)) else None
    return None


def kind_of_constant(value):
    if value is None:
        return "any"
    kinds = {bool: "boolean", int: "number", float: "number", str: "string"}
    return kinds.get(type(value))


def check(arguments, parameters):
    """The values for the parameters; ApplicationError says what is wrong with the arguments.

    Arguments beginning with "__ow_" are what the platform adds to a web action's, and no values."""
    if not isinstance(arguments, dict):
        raise ApplicationError("the arguments of a notebook are a JSON object, not an array")
    values = {k: v for k, v in arguments.items() if not k.startswith("__ow_")}
    kinds = dict(parameters)
    unknown = [name for name in values if name not in kinds]
    if unknown:
        raise ApplicationError(about_unknown(unknown, list(kinds)))
    wrong = [about_kind(k, kinds[k], v) for k, v in values.items() if not accepts(kinds[k], v)]
    if wrong:
        raise ApplicationError("; ".join(wrong))
    for name, value in values.items():
        if depth_exceeds(value, MAX_DEPTH):
            raise ApplicationError(f"parameter {name} nests deeper than {MAX_DEPTH} levels")
    return values


def accepts(kind, value):
    if kind == "any":
        return True
    kind, _, null = kind.partition(" or ")
    if value is None:
        return bool(null)
    return isinstance(value, TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")


def about_unknown(unknown, names):
    import difflib  # only here: importing it takes longer than most errors are worth

    told = []
    for name in unknown:
        near = difflib.get_close_matches(name, names, 1)
        told.append(name + (f" (did you mean {near[0]}?)" if near else ""))
    there = "it has " + ", ".join(names) if names else "it has none"
    return f"the notebook has no parameter {', '.join(told)}; {there}"


def about_kind(name, kind, value):
    is_kind = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}
    found = is_kind.get(type(value), "array" if isinstance(value, list) else "object")
    return f"parameter {name} must be {kind}, not {found}"


def depth_exceeds(value, limit):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return limit < 0 or any(depth_exceeds(v, limit - 1) for v in inner)


def literal(value):
    """Python source for a JSON value: on one line, and nothing but that value whatever it holds."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, float) and not abs(value) < INFINITE:
        # No names: the notebook may have given them another meaning.
        return "1e999" if value > 0 else "-1e999" if value < 0 else "(1e999 - 1e999)"
    return repr(value)

"""The result of a notebook, as JSON. The first of these that there is:

1. the variable `result`;
2. the value of the expression that the last code cell ends with, unless it is None, has no JSON
   form, or is followed by ";";
3. what was glued (scrapbook's display data), as {name: value} (kernel mode);
4. {}.

NumPy's and pandas' objects count as what their to_dict(), tolist() or item() gives. A value that
is neither object nor array becomes {"result": value}.

This file is also loaded by kernels, where nothing beside it can be imported.
"""

import json

MAX_SIZE = 1_048_576  # what OpenWhisk takes of a result
CONVERSIONS = ("to_dict", "tolist", "item")
INFINITE = float("inf")


class NotJson(Exception):
    """`path`: where in the value, the innermost first."""

    def __init__(self, reason):
        super().__init__(reason)
        self.path = []


def plain(value):
    """The value in JSON's own types."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not abs(value) < INFINITE:
            raise NotJson(f"it is {float(value)}")
        return value
    if isinstance(value, dict):
        return {key_of(key): plain_inside(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_inside(item, index) for index, item in enumerate(value)]
    return plain(converted(value))


def plain_inside(value, key):
    try:
        return plain(value)
    except NotJson as error:
        error.path.append(key)
        raise


def converted(value):
    for name in CONVERSIONS:
        conversion = getattr(type(value), name, None)
        if callable(conversion):
            other = conversion(value)
            if type(other) is not type(value):  # as of numpy.longdouble
                return other
    raise NotJson(f"it is of type {type(value).__name__}")


def key_of(key):
    """JSON's keys are strings; json.dumps() writes these others as such."""
    if isinstance(key, (str, int, float)) or key is None:
        return key
    try:
        key = converted(key)
    except NotJson:
        pass
    if not isinstance(key, (str, int, float)):
        raise NotJson(f"it has a key of type {type(key).__name__}")
    return key


def encode(value, name):
    """The JSON text of an action's result. ValueError says what is wrong with it; `name`: what the
    notebook calls it."""
    try:
        value = plain(value)
        value = value if isinstance(value, (dict, list)) else {"result": value}
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except NotJson as error:
        path = "".join(f"[{key!r}]" for key in reversed(error.path))
        raise ValueError(f"{name}{path} has no JSON form: {error}") from None
    except (RecursionError, ValueError) as error:  # a float as key may be infinite
        raise ValueError(f"{name} has no JSON form: {error}") from None
    text = text.encode("utf-8", "backslashreplace")  # lone surrogates are legal as escapes only
    if len(text) > MAX_SIZE:
        raise TooLarge(
            f"{name} takes {len(text)} bytes as JSON, and a result at most {MAX_SIZE}: "
            "store it elsewhere and return its place"
        )
    return text.decode("utf-8")


class TooLarge(ValueError):
    pass


def outcome(namespace, last):
    """What to answer; `last`: a list with the value of the last expression, if there is one.

    {"text": JSON}, {"error": text} when there is a result that cannot be answered, else {}; with
    "note" when the last expression is no result."""
    name = "result" if "result" in namespace else "the last expression"
    values = [namespace["result"]] if "result" in namespace else last
    if not values or (values is last and last[0] is None):
        return {}
    try:
        return {"text": encode(values[0], name)}
    except Exception as error:  # also of the conversions, which are foreign code
        is_result = values is not last or isinstance(error, TooLarge)
        if not isinstance(error, ValueError):
            error = f"{name} has no JSON form: {type(error).__name__}: {error}"
        return {"error" if is_result else "note": str(error)}


# In a kernel


class Carried:
    """Travels as one private media type, since a text of it would be shortened and quoted."""

    MEDIA_TYPE = "application/vnd.fnimage.outcome"

    def __init__(self, content):
        self.content = content

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {self.MEDIA_TYPE: self.content}


def enter(environment):
    """Before the first cell: the activation's environment, and exit() as in compiled mode."""
    import os
    import sys

    from IPython import get_ipython

    for key in [key for key in os.environ if key.startswith("__OW_") and key not in environment]:
        del os.environ[key]
    os.environ.update(environment)
    get_ipython().user_ns.update(exit=sys.exit, quit=sys.exit)  # theirs end the kernel


def leave(count):
    """After the last cell; `count`: its number in the kernel's history, or None."""
    from IPython import get_ipython

    shell = get_ipython()
    values = shell.history_manager.output_hist
    return Carried(outcome(shell.user_ns, [values[count]] if count in values else []))

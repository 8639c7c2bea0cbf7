"""Functions that the contract checks send with /init, one for each way to write an action.

A probe does what the value's "op" says, and gives back any other value as it is.
"""

import dataclasses
import json
import typing

OPERATIONS = '''
def operate(args, initial):
    operation = args.get("op") if isinstance(args, dict) else "echo"
    if operation == "env":
        return dict(os.environ)
    if operation == "init_env":
        return initial
    if operation == "print":
        print("to stdout", args["text"])
        print("to stderr", args["text"], file=sys.stderr)
        return {}
    if operation == "raise":
        raise ValueError("thrown on purpose")
    if operation == "exit":
        sys.exit(3)
    if operation == "return":
        return args["what"]
    if operation == "nan":
        return {"x": float("nan")}
    if operation == "unserialisable":
        return {"x": object()}
    if operation == "big":
        return {"text": "x" * args["size"]}
    return args


def of_init():
    return {k: v for k, v in os.environ.items() if k.startswith(("PROBE_", "__OW_"))}
'''

PYTHON = f"""
import os
import sys
{OPERATIONS}

AT_INIT = of_init()


def main(args):
    result = operate(args, AT_INIT)
    if result == {{}}:
        sys.stdout.write("no newline, no flush")
    return result
"""

NODEJS = """
const initial = {};
for (const key of Object.keys(process.env)) {
  if (key.startsWith("PROBE_") || key.startsWith("__OW_")) {
    initial[key] = process.env[key];
  }
}

function main(args) {
  switch (args.op) {
    case "env":
      return { ...process.env };
    case "init_env":
      return initial;
    case "print":
      console.log("to stdout", args.text);
      console.error("to stderr", args.text);
      process.stdout.write("no newline");
      return {};
    case "raise":
      throw new TypeError("thrown on purpose");
    case "exit":
      process.exit(3);
      break;
    case "return":
      return args.what;
    case "nan":
      return { x: 1n };
    case "unserialisable": {
      const loop = {};
      loop.loop = loop;
      return loop;
    }
    case "big":
      return { text: "x".repeat(args.size) };
    default:
      return args;
  }
}
"""

EXECUTABLE = f"""#!/usr/bin/env python3
import json
import os
import sys
{OPERATIONS}

text = sys.stdin.buffer.read()
assert len(sys.argv) == 1 or sys.argv[1].encode() == text, "argument and standard input differ"
print(json.dumps(operate(json.loads(text), of_init())))
"""

LINE_BY_LINE = f"""#!/usr/bin/env python3
import json
import os
import sys
{OPERATIONS}

INITIAL = of_init()
results = os.fdopen(3, "wb")
for line in sys.stdin.buffer:
    request = json.loads(line)
    value = request.pop("value")
    for key in [key for key in os.environ if key.startswith("__OW_")]:
        del os.environ[key]
    os.environ.update({{k: v for k, v in INITIAL.items() if k.startswith("__OW_")}})
    os.environ.update({{"__OW_" + key.upper(): text for key, text in request.items()}})
    result = operate(value, INITIAL)
    sys.stdout.flush()
    results.write(json.dumps(result).encode() + b"\\n")
    results.flush()
"""


def code_cell(source, *tags):
    """A cell of a notebook, as in the file."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": list(tags)},
        "outputs": [],
        "source": source,
    }


def notebook(*cells, **metadata):
    """The text of a notebook; a cell is its source or what code_cell() makes."""
    cells = [code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells})


# What the checks send; a notebook takes nothing that it does not declare.
NOTEBOOK_PARAMETERS = (
    "op what text size string numbers flags nested winter escape astral lone".split()
)
NOTEBOOK = notebook(
    f"import os\nimport sys\n{OPERATIONS}\nINITIAL = of_init()\n",
    code_cell("\n".join(f"{name} = None" for name in NOTEBOOK_PARAMETERS), "parameters"),
    f"""
given = {{name: globals()[name] for name in {NOTEBOOK_PARAMETERS}}}
result = operate({{k: v for k, v in given.items() if v is not None}}, INITIAL)
""",
)


@dataclasses.dataclass(frozen=True)
class Probe:
    code: str
    broken: typing.Tuple[str, ...]  # code with which /init must fail
    raised: typing.Optional[str] = "thrown on purpose"  # what an answer says of it; None: not tried
    has_unserialisable: bool = True


PROBES = {
    "python": Probe(PYTHON, ("def main(args) return", "x = 1", "import no_such_module")),
    "nodejs": Probe(NODEJS, ("function main(", "let x = 1", "require('no-such-module')")),
    "exec": Probe(EXECUTABLE, (), raised="exit code 1"),
    # What ends the program ends the action.
    "actionloop": Probe(
        LINE_BY_LINE,
        ("no program", "#!/no/such/interpreter\n", "#!/bin/sh\nexit 3\n"),
        raised=None,
        has_unserialisable=False,
    ),
    "notebook": Probe(
        NOTEBOOK,
        ("no notebook", "[]", '{"nbformat": 4}', notebook("1", kernelspec={"language": "R"})),
    ),
}

"""The python runtime: serves `def main(args)` of a source file (action_proxy.py has the contract).

Environment: FNIMAGE_ACTION_FUNCTION, the function's name where /init names none (default main).
"""

import importlib.util
import os
import sys

import action_proxy
from action_proxy import ActionError


def load_function(path, name):
    """Runs the source file as a module and returns its function. Siblings are importable."""
    directory = os.path.dirname(os.path.abspath(path))
    if directory not in sys.path:
        sys.path.insert(0, directory)
    # The file's own name keeps `import handler` and pickles right, unless it would hide a module.
    stem = os.path.splitext(os.path.basename(path))[0]
    taken = stem in sys.modules or stem in getattr(sys, "stdlib_module_names", ())
    module_name = "main__" if taken or not stem.isidentifier() else stem
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise ActionError(502, f"{path} is not a Python source file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
        function = getattr(module, name, None)
        if not callable(function):
            raise ActionError(502, f"{os.path.basename(path)} has no function named {name}")
    except BaseException:
        del sys.modules[module_name]
        raise
    return function


class PythonAction(action_proxy.Action):
    def load(self, code, binary, name):
        if code:
            path = (
                action_proxy.unpack_zip(code, "__main__.py")
                if binary
                else action_proxy.store_text(code, "main__.py")
            )
            return load_function(path, name)
        # The platform fills in "main" when nobody chose a name: then the image's own choice holds.
        chosen = os.environ.get("FNIMAGE_ACTION_FUNCTION") or "main"
        return load_function(self.main_file, chosen if name == "main" else name)


if __name__ == "__main__":
    action_proxy.serve(PythonAction())

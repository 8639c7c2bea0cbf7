#!/usr/bin/env python3
"""Fails when an include points up the module order, or when a module uses what is not its own.

Rules (the architecture in one place):
  * a module may include the public headers of the modules listed under it in ALLOWED, and nothing else of the project;
  * private headers (next to the sources) are included with quotes and only from within their own module;
  * public headers include only the standard library, fnimage headers, tl/expected and nlohmann/json_fwd;
  * a third-party library is included only by the modules listed in LIBRARIES;
  * no `using namespace` in a header.
"""
import pathlib
import re
import sys

MODULES = {  # module -> directory
    "base": "src/base",
    "manifest": "manifest",
    "registry": "registry",
    "node": "src/node",
    "require": "src/require",
    "resolve": "src/resolve",
    "place": "src/place",
    "action": "src/action",
    "layer": "src/layer",
    "archive": "src/archive",
    "elf": "src/elf",
    "notebook": "src/notebook",
    "source": "src/source",
    "runtime": "src/runtime",
    "check": "src/check",
    "sbom": "src/sbom",
    "build": "src/build",
    "run": "src/run",
    "report": "src/report",
    "capi": "src/capi",
    "cli": "src/cli",
}
ALLOWED = {
    "base": set(),
    "manifest": {"base"},
    "registry": {"base", "manifest"},
    "node": {"base", "manifest"},
    "require": {"base", "manifest", "node"},
    "resolve": {"base", "manifest", "registry", "node", "require"},
    "place": {"base", "manifest", "registry", "node", "require", "resolve"},
    "action": {"base", "registry"},
    "layer": {"base", "manifest"},
    "archive": {"base", "manifest", "registry", "layer"},
    "elf": {"base"},
    "notebook": {"base"},
    "source": {"base", "manifest", "registry", "layer", "elf"},
    "runtime": {"base", "manifest", "layer"},
    "check": {"base", "manifest", "registry", "node", "require", "layer", "elf", "notebook"},
    "sbom": {"base", "manifest", "registry", "layer", "source", "check"},
    "build": {
        "base", "manifest", "registry", "node", "require", "layer", "archive", "elf", "notebook", "source",
        "runtime", "check", "sbom"
    },
    "run": {"base", "manifest", "registry", "layer", "runtime", "check", "build"},
    "report": {"base", "manifest", "registry", "node", "require", "resolve", "layer", "source", "sbom", "build"},
    "capi": {
        "base", "manifest", "registry", "node", "require", "resolve", "place", "layer", "archive", "sbom", "build",
        "report"
    },
    "cli": {
        "base", "manifest", "registry", "node", "require", "resolve", "place", "action", "layer", "archive", "source",
        "runtime", "check", "sbom", "build", "run", "report"
    },
}
LIBRARIES = {  # first part of an include path -> modules that may use it; libraries not named here are free to all
    "curl": {"registry"},
    "openssl": {"manifest", "source"},
    "archive.h": {"layer"},
    "archive_entry.h": {"layer"},
    "zstd.h": {"layer"},
    "libdeflate.h": {"layer"},
    "yaml-cpp": {"build", "node"},
    "CLI": {"cli"},
    "boost": set(),
}
PUBLIC_EXTERNAL = {"tl/expected.hpp", "nlohmann/json_fwd.hpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
STANDARD = re.compile(r"^[a-z_]+$")


def check_line(module, public, text):
    """The fault of one source line, or None."""
    if public and re.match(r"^\s*using\s+namespace\b", text):
        return "`using namespace` in a header"
    found = INCLUDE.match(text)
    if not found:
        return None
    quote, target = found.groups()
    first, _, rest = target.partition("/")
    if quote == '"' and first != "fnimage":
        return "a path that leaves the module" if ".." in target else None
    if first == "fnimage":
        other = rest.partition("/")[0]
        if other != module and other not in ALLOWED[module]:
            return f"{module} must not know {other}"
        return None
    if module not in LIBRARIES.get(first, {module}):
        return f"{first} belongs to {', '.join(sorted(LIBRARIES[first])) or 'no module'}"
    if public and not STANDARD.match(target) and target not in PUBLIC_EXTERNAL:
        return f"a public header must not include <{target}>"
    return None


def faults(root):
    for module, directory in MODULES.items():
        base = root / directory
        for path in sorted(base.rglob("*.[ch]pp")):
            header = path.suffix == ".hpp"
            public = "include/fnimage" in path.as_posix()
            for number, text in enumerate(path.read_text().splitlines(), 1):
                fault = check_line(module, public, text)
                if not fault and header and re.match(r"^\s*using\s+namespace\b", text):
                    fault = "`using namespace` in a header"
                if fault:
                    yield f"{path.relative_to(root)}:{number}: {fault}"


def main():
    root = pathlib.Path(sys.argv[1])
    missing = [d for d in MODULES.values() if not (root / d).is_dir()]
    found = [f"{d}: no such module directory" for d in missing] + list(faults(root))
    print("\n".join(found) or "includes follow the module order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Compiles Python sources to byte-code (PEP 552, unchecked hash): compile.py INPUT OUTPUT

INPUT is a sequence of "SIZE PATH\n" lines, each followed by SIZE bytes of source. OUTPUT becomes a tar archive of the
.pyc files, under the paths where the import system looks for them. What does not compile (templates, sources of other
versions) is left out, as py3compile does. The same input gives the same bytes: nothing here depends on time, place or
hash seed, and no module is imported that the interpreter has not loaded before.
"""
import importlib.util
import sys
from importlib._bootstrap_external import _code_to_hash_pyc

BLOCK = 512


def sources(stream):
    for line in stream:
        size, path = line.rstrip(b"\n").split(b" ", 1)
        yield path, stream.read(int(size))


def header(name, size, kind):
    fields = (name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"%011o\0" % 0
              + b" " * 8 + kind + b"\0" * 100 + b"ustar  \0").ljust(BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def padded(data):
    return data + b"\0" * (-len(data) % BLOCK)


def cache_path(path):
    directory, slash, name = path.rpartition(b"/")
    stem = name[:-len(b".py")]
    return b"%s%s__pycache__/%s.%s.pyc" % (directory, slash, stem, sys.implementation.cache_tag.encode())


def compiled(path, source):
    try:
        code = compile(source, "/" + path.decode("utf-8", "surrogateescape"), "exec", dont_inherit=True, optimize=0)
        return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    except Exception as error:
        print(path, type(error).__name__, error)
        return None


def main():
    with open(sys.argv[1], "rb") as stream, open(sys.argv[2], "wb") as archive:
        for path, source in sources(stream):
            code = compiled(path, source)
            if code is None:
                continue
            name = cache_path(path)
            if len(name) > 100:
                archive.write(header(b"././@LongLink", len(name) + 1, b"L") + padded(name + b"\0"))
            archive.write(header(name, len(code), b"0") + padded(code))
        archive.write(b"\0" * (2 * BLOCK))


main()

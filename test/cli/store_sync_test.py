#!/usr/bin/env python3
"""A power cut at any moment of a copy into an OCI layout leaves the old or the new state (reliability F28): each file is
written under a temporary name, synced, renamed and its directory synced, and index.json comes after everything that it
names. strace tells in which order the system was asked to do it."""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import unittest

import command
import stores_test

CALLS = "openat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,close,copy_file_range,sendfile"
WRITES = {"write", "pwrite64", "writev", "copy_file_range", "sendfile"}
LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
OUTPUT = re.compile(r"^\d+<[^>]*>, [^<]*?(\d+)<([^>]*)>")  # of copy_file_range


def joined(text):
    """The lines of a trace; a call that others interrupted is where it ended."""
    begun = {}
    for line in text.splitlines():
        thread = line.split()[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>").rstrip()
        elif " resumed>" in line and thread in begun:
            yield begun.pop(thread) + line.split(" resumed>", 1)[1]
        else:
            yield line


def calls(text):
    """(call, what it was done to, to where) of every call that did something, in the order of their ends."""
    for line in joined(text):
        found = LINE.match(line)
        if not found or int(found[3]) < 0:
            continue
        name, arguments = found[1], found[2]
        if name in ("rename", "renameat", "renameat2", "link", "linkat"):
            old, new = re.findall(r'"([^"]*)"', arguments)[:2]
            yield name[:6].rstrip("a") if name.startswith("rename") else "link", old, new
        elif name in WRITES:
            target = OUTPUT.match(arguments) if name == "copy_file_range" else DESCRIPTOR.match(arguments)
            if target:
                yield "write", target[2], None
        elif name in ("fsync", "fdatasync"):
            yield "sync", DESCRIPTOR.match(arguments)[2], None


class StoreSync(stores_test.StoresTest):
    def traced(self, *arguments):
        trace = self.scratch / "trace"
        prefix = ["strace", "-f", "-qq", "-y", "-s", "16", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", trace]
        try:
            done = self.run_command(*arguments, prefix=prefix)
        except FileNotFoundError:
            self.skipTest("strace is not installed: apt-get install strace")
        if done.returncode != 0 and "ptrace" in done.stderr:
            self.skipTest(f"strace does not work here: {done.stderr}")
        self.assertEqual(0, done.returncode, done.stderr)
        return list(calls(trace.read_text(errors="replace")))

    def absolute(self, path):
        return os.path.realpath(self.project / path)

    def check_order(self, done, layout):
        """Every file got its name after its bytes were safe, and its name is safe. Returns when, by final path."""
        safe = {}
        for at, (call, old, new) in enumerate(done):
            if call not in ("rename", "link") or not self.absolute(new).startswith(layout):
                continue
            source, target = self.absolute(old), self.absolute(new)
            before, after = done[:at], done[at + 1:]
            if call == "rename":
                self.assertTrue(os.path.basename(source).startswith(".tmp-"), source)
                self.assertIn(("write", source, None), before, f"{target}: written under its own name")
                written = max(i for i, step in enumerate(before) if step == ("write", source, None))
                self.assertIn(("sync", source, None), before[written:], f"{target} is not synced before it is renamed")
            else:
                self.assertIn(("sync", source, None), before, f"{target} is not synced before it is linked")
            self.assertFalse([step for step in after if step[:2] == ("write", target)], f"{target} is changed in place")
            directory = ("sync", os.path.dirname(target), None)
            self.assertIn(directory, after, f"the name of {target} is not synced")
            safe[target] = at + 1 + after.index(directory)
            if target.endswith("/index.json"):
                self.assertIn(directory, after, "the name of index.json is not synced")
        return safe

    def needed(self, layout, digest):
        """Paths of all that an image of the layout consists of."""
        path = f"{layout}/blobs/{digest.replace(':', '/')}"
        document = json.loads(pathlib.Path(path).read_text())
        found = {path}
        for child in document.get("manifests", []):
            found |= self.needed(layout, child["digest"])
        parts = document.get("layers", []) + ([document["config"]] if "config" in document else [])
        return found | {f"{layout}/blobs/{part['digest'].replace(':', '/')}" for part in parts}

    def check_copy(self, source):
        self.check(self.absolute("layout"), "oci:layout:v1", "copy", "--plain-http", source, "oci:layout:v1")

    def check(self, layout, name, *words):
        """The command makes the layout, with an image of that name in it. Returns what it has asked the system for."""
        done = self.traced(*words)
        safe = self.check_order(done, layout)
        digest = self.digest(name)
        parts = self.needed(layout, digest)
        self.assertGreaterEqual(len(parts), 6, "a list, two images, two configs, a layer")
        last = max(at for at, (call, _, new) in enumerate(done)
                   if call == "rename" and self.absolute(new) == f"{layout}/index.json")
        # The tag is given with the last index.json: whatever it was written for must be safe before its bytes are.
        temporary = self.absolute(done[last][1])
        begun = done.index(("write", temporary, None))
        for part in parts:
            self.assertIn(part, safe, "a blob that was not given its name by a rename or link")
            self.assertLess(safe[part], begun, f"index.json is written before {part} is safe")
            with open(part, "rb") as blob:
                self.assertEqual(os.path.basename(part), hashlib.sha256(blob.read()).hexdigest())
        # The directories themselves: a crash must not take them away from under what is synced in them.
        for directory in (layout, f"{layout}/blobs", os.path.dirname(layout)):
            self.assertIn(("sync", directory, None), done[:begun], f"{directory} is not synced")
        return done

    def test_copy_from_an_archive(self):
        self.build("-o", "oci-archive:a.tar:v1")
        self.check_copy("oci-archive:a.tar:v1")

    def test_copy_from_the_store(self):
        self.build("-t", "probe:v1")
        self.check_copy("probe:v1")

    def test_build_into_the_store(self):
        """Which gives the layer cache's files a second name: that cache does not sync."""
        store = self.absolute(self.home / ".local/share/fnimage/store")
        done = self.check(store, "probe:v1", "build", "-t", "probe:v1")
        links = [new for call, _, new in done if call == "link" and self.absolute(new).startswith(store)]
        self.assertTrue(links)

    @stores_test.needs("docker-registry")
    def test_copy_from_a_registry(self):
        with self.registry() as address:
            self.build("--push", "--plain-http", "-t", f"{address}/probe:v1")
            self.check_copy(f"docker://{address}/probe:v1")


if __name__ == "__main__":
    command.main()

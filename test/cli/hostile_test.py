#!/usr/bin/env python3
"""Images as an attacker makes them, through the whole command: nothing outside the output is touched (A14), readers agree
on what a layer holds (A15), bombs stop in little memory (A16), no program and no account of an image is used (A19)."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import unittest

import command

ZEROS = 10 << 30


def tar_of(entries, marks):
    """A tar of entries as breakouts.json has them: names and links as they stand."""
    def filled(text):
        for mark, value in marks.items():
            text = text.replace(mark, value)
        return text

    out = io.BytesIO()
    kinds = {"dir": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}
    for kind, name, *more in entries:
        header = tarfile.TarInfo(filled(name))
        header.type = kinds[kind]
        text = filled(more[0]) if more else ""
        content = text.encode() if kind == "file" else b""
        header.linkname = "" if kind == "file" else text
        header.size = len(content)
        out.write(header.tobuf(tarfile.GNU_FORMAT))
        out.write(content + bytes(-len(content) % 512))
    return out.getvalue() + bytes(1024)


class Layout:
    """An OCI layout written by hand."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        (self.directory / "blobs/sha256").mkdir(parents=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def image(self, *layers):
        """An image of tars, or of (compressed bytes, diff_id) pairs."""
        packed, diff_ids = [], []
        for layer in layers:
            data, diff_id = layer if isinstance(layer, tuple) else (
                gzip.compress(layer, 1, mtime=0), "sha256:" + hashlib.sha256(layer).hexdigest())
            packed.append(self.blob(data, "application/vnd.oci.image.layer.v1.tar+gzip"))
            diff_ids.append(diff_id)
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/app"], "User": "app"},
                             "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
        manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                               "config": self.blob(config, "application/vnd.oci.image.config.v1+json"),
                               "layers": packed}).encode()
        entry = self.blob(manifest, "application/vnd.oci.image.manifest.v1+json")
        entry["platform"] = {"architecture": "amd64", "os": "linux"}
        entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        (self.directory / "index.json").write_text(json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}))


def snapshot(directory):
    """Inode, mode, owner, links and content of everything below."""
    seen = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        seen[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_nlink, hashlib.sha256(content).hexdigest())
    return seen


class HostileTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        # What stands beside the command: the project is its working directory.
        self.outside = self.project
        (self.outside / "sentinel").write_text("untouched")
        (self.outside / "sentinel").chmod(0o400)
        (self.outside / "etc").mkdir()
        (self.outside / "etc/passwd").write_text("root:of the host\n")
        (self.outside / "d").mkdir()
        (self.outside / "d/x").write_text("untouched too")
        self.marks = {"@cwd@": str(self.outside), "@sentinel@": str(self.outside / "sentinel")}

    def layout(self, *layers):
        directory = self.scratch / f"image{len(list(self.scratch.iterdir()))}"
        Layout(directory).image(*layers)
        return directory

    def peak(self, *arguments):
        """Runs the command; exit code, errors and peak memory in MiB. GNU time starts it, since a child of this process
        would inherit this one's own peak."""
        figure = self.scratch / "peak"
        done = self.run_command(*arguments, prefix=["/usr/bin/time", "-q", "-f", "%M", "-o", str(figure)])
        return done.returncode, done.stderr, int(figure.read_text()) // 1024


class Breakouts(HostileTest):
    def test_nothing_outside_is_touched(self):
        cases = json.loads((command.SOURCE / "test/support/breakouts.json").read_text())
        self.assertGreater(len(cases), 40)
        before = snapshot(self.outside)
        for case in cases:
            with self.subTest(case["name"]):
                image = self.layout(tar_of(case["base"], self.marks), tar_of(case["attack"], self.marks))
                source = f"oci:{image}:latest"
                kept = snapshot(image)
                checked = self.run_command("check", source)
                self.assertIn(checked.returncode, (0, 3, 13), checked.stderr)
                if case.get("refused"):
                    self.assertNotEqual(0, checked.returncode)
                listed = self.run_command("sbom", source)
                self.assertEqual(3 if case.get("refused") else 0, listed.returncode, listed.stderr)
                self.assertNotIn("untouched", checked.stdout + checked.stderr + listed.stdout)
                self.succeed("inspect", source)
                target = self.scratch / "copy" / case["name"]
                target.parent.mkdir(exist_ok=True)
                self.succeed("copy", source, f"oci:{target}:latest")
                self.assertEqual({"blobs", "index.json", "oci-layout"},
                                 {path.name for path in target.iterdir() if not path.name.startswith(".")})
                self.assertEqual(kept, snapshot(image))
                self.assertEqual(before, snapshot(self.outside))
                shutil.rmtree(image)
        self.assertEqual({"home", "project", "copy"}, {path.name for path in self.scratch.iterdir()})

    def test_archives_of_images_stay_within_too(self):
        # A docker-archive whose members lead elsewhere.
        before = snapshot(self.outside)
        for target in ("../../sentinel", str(self.outside / "sentinel"), "sentinel"):
            archive = self.scratch / "image.tar"
            archive.write_bytes(tar_of([["file", "manifest.json", '[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]'],
                                        ["symlink", "c.json", target], ["symlink", "l.tar", target]], self.marks))
            done = self.run_command("copy", f"docker-archive:{archive}", f"oci:{self.scratch / 'out'}:latest")
            self.assertNotEqual(0, done.returncode)
            self.assertNotIn("untouched", done.stdout + done.stderr)
        self.assertEqual(before, snapshot(self.outside))


@unittest.skipUnless(os.path.exists("/usr/bin/time"), "GNU time is not installed")
class Bombs(HostileTest):
    def test_a_layer(self):
        image = self.layout((zstd(header_of_zeros()), "sha256:" + "0" * 64))
        code, errors, memory = self.peak("check", f"oci:{image}:latest")
        self.assertEqual(3, code, errors)
        self.assertIn("times when decompressed", errors)
        self.assertLess(memory, 300)
        packs = sum(path.stat().st_size for path in self.home.rglob("*") if path.is_file())
        self.assertLess(packs, 1 << 20)


def header_of_zeros():
    header = tarfile.TarInfo("zeros")
    header.size = ZEROS
    return header.tobuf(tarfile.GNU_FORMAT)


def zstd(head):
    """A zstd frame by hand (RFC 8878): the head as a raw block, then blocks of one byte that is repeated 128 Ki times."""
    frame = bytes.fromhex("28b52ffd00") + bytes([(17 - 10) << 3])

    def block(kind, size, payload, last=False):
        return (int(last) | kind << 1 | size << 3).to_bytes(3, "little") + payload

    return (frame + block(0, len(head), head) + block(1, 128 << 10, b"\0") * (ZEROS >> 17) + block(0, 0, b"", True))


class Accounts(HostileTest):
    def test_programs_and_accounts_of_an_image_are_not_used(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        trojan = "#!/bin/sh\ntouch " + str(self.outside / "taken") + "\n"
        entries = [["dir", "etc"], ["dir", "usr"], ["dir", "usr/bin"],
                   *[["file", f"usr/bin/{name}", trojan] for name in ("xz", "gzip", "zstd", "tar", "ldd", "python3", "gpgv")],
                   ["file", "etc/nsswitch.conf", "passwd: evil files\ngroup: evil files\n"],
                   ["file", "usr/lib/libnss_evil.so.2", "no library"], ["file", "app", trojan]]
        image = self.layout(tar_of(entries, self.marks))
        log = self.scratch / "trace"
        for name in ("check", "sbom"):
            done = self.run_command(name, f"oci:{image}:latest",
                                    prefix=["strace", "-f", "-qq", "-e", "trace=execve,execveat,openat,chroot", "-o", str(log)])
            self.assertIn(done.returncode, (0, 3, 13), done.stderr)
            trace = log.read_text()
            self.assertEqual([str(command.FNIMAGE)], re.findall(r'execve\w*\("([^"]+)"', trace))
            self.assertNotIn("chroot(", trace)
            self.assertNotRegex(trace, r"libnss_(?!files)|/etc/(passwd|group|nsswitch\.conf)\"")
        self.assertFalse((self.outside / "taken").exists())

    def test_accounts_without_end(self):
        # containerd read such a group file whole (CVE-2026-47262).
        line = "user{0}:x:{0}:\n"
        accounts = "".join(line.format(number) for number in range(3_000_000))
        image = self.layout(tar_of([["dir", "etc"], ["file", "etc/group", accounts], ["file", "etc/passwd", accounts],
                                    ["file", "app", "#!/bin/sh\n"]], self.marks))
        code, errors, memory = self.peak("check", f"oci:{image}:latest")
        self.assertIn(code, (0, 3, 13), errors)
        self.assertLess(memory, 200)


if __name__ == "__main__":
    command.main()

#!/usr/bin/env python3
"""`fnimage build` runs no foreign code and needs no root: traced while an unprivileged user builds a Debian image for two
architectures, it starts no program but gpgv (which verifies signatures), apt-config (which tells the mirror's settings) and,
unless byte-code is turned off, the packages' Python for this machine (which compiles theirs)."""
import os
import re
import shutil
import subprocess
import unittest

import command

ALLOWED = {"fnimage", "gpgv", "apt-config", "dpkg"}  # apt-config asks dpkg for the host's architecture
SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {debian: bookworm, suites: [updates], bytecode: %s}
packages: [python3-minimal]
runtime: none
source: {main: handler.py}
"""
UNPRIVILEGED = 65534


class Sandbox(command.CommandTest):
    def setUp(self):
        super().setUp()
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")

    def demoted(self):
        """Arguments that let a command run as nobody when the test itself runs as root."""
        if os.geteuid() != 0:
            return []
        for path in (self.scratch, *self.scratch.rglob("*")):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
        return ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]

    def traced(self, bytecode):
        """What a build did, as strace tells it, and the names of the programs that it started."""
        self.write_spec(SPEC % bytecode)
        log = self.scratch / "trace"
        tool = self.scratch / "fnimage"  # the build tree may be closed to others
        shutil.copy(command.FNIMAGE, tool)
        prefix = [*self.demoted(), "strace", "-f", "-qq", "-e", "trace=execve,execveat,setuid,setgid,mount,chroot,unshare,setns",
                  "-e", "signal=none", "-o", str(log)]
        done = subprocess.run([*prefix, tool, "build"], cwd=self.project, env=self.environment(), text=True,
                              capture_output=True, check=False)
        if done.returncode == 8:
            self.skipTest(f"the package mirror cannot be reached: {done.stderr}")
        self.assertEqual(0, done.returncode, done.stderr)
        trace = log.read_text()
        return trace, {os.path.basename(path) for path in re.findall(r'execve\w*\("([^"]+)".*= 0$', trace, re.M)}

    def test_no_foreign_code_and_no_root(self):
        trace, started = self.traced("true")
        self.assertEqual({"python-loader"}, started - ALLOWED)
        self.assertNotRegex(trace, r"(setuid|setgid|mount|chroot|unshare|setns)\(")

    def test_nothing_of_the_packages_is_run_without_bytecode(self):
        _, started = self.traced("false")
        self.assertIn("fnimage", started)
        self.assertEqual(set(), started - ALLOWED)


if __name__ == "__main__":
    command.main()

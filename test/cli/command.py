"""Running the fnimage command in tests: a scratch home, its own cache and store, and nothing of the user's."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

FNIMAGE = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
SOURCE = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None

SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
source: {main: handler.py}
"""


def free_port():
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class CommandTest(unittest.TestCase):
    """Each test has a project directory with a valid build file, and a home of its own."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fnimage-cli-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.home = self.scratch / "home"
        self.project = self.scratch / "project"
        self.home.mkdir()
        self.project.mkdir()
        (self.project / "handler.py").write_text("def main(args):\n    return {}\n")
        self.write_spec(SPEC)

    def write_spec(self, text):
        (self.project / "fnimage.yaml").write_text(text)

    def environment(self):
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith(("XDG_", "DOCKER_", "SOURCE_DATE_EPOCH", "FNIMAGE_"))}
        return kept | {"HOME": str(self.home), "NO_COLOR": "1"}

    def run_command(self, *arguments, prefix=(), **options):
        return subprocess.run([*prefix, FNIMAGE, *map(str, arguments)], cwd=self.project, text=True,
                              env=self.environment(), capture_output=True, check=False, **options)

    def succeed(self, *arguments, **options):
        done = self.run_command(*arguments, **options)
        self.assertEqual(0, done.returncode, done.stderr)
        return done

    def refuse(self, code, fragments, *arguments, **options):
        """The command must end with this exit code, and its message must hold each fragment."""
        done = self.run_command(*arguments, **options)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)
        return done

    def stored_tags(self):
        index = self.home / ".local/share/fnimage/store/index.json"
        if not index.exists():
            return []
        return [entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
                for entry in json.loads(index.read_text())["manifests"]]

    def temporaries(self):
        """Temporary files that a command left behind anywhere in its home."""
        return [path for path in self.home.rglob(".tmp-*")]


def main():
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
"""What goes wrong on the command line ends in a message that names the cause and a way out, an exit code by class, and nothing
half-written. Faults of packages and mirrors are in the unit tests of src/source, those of registries in the ones of registry/."""
import http.server
import json
import os
import shutil
import subprocess
import threading
import unittest

import command


class BuildFile(command.CommandTest):
    def test_unknown_key_names_line_column_and_nearest_key(self):
        self.write_spec(command.SPEC + "pakages: [python3]\n")
        self.refuse(3, ["fnimage.yaml:6:1", "pakages", "packages"], "build")

    def test_missing_build_file_says_how_to_make_one(self):
        (self.project / "fnimage.yaml").unlink()
        self.refuse(4, ["fnimage.yaml", "fnimage init"], "build")

    def test_missing_source_file(self):
        (self.project / "handler.py").unlink()
        self.refuse(4, ["handler.py"], "build")

    def test_misspelled_architecture_is_never_built(self):
        self.refuse(2, ["linux/pcc64le", "did you mean ppc64le?"], "build", "--platform", "linux/pcc64le")
        self.write_spec(command.SPEC.replace("linux/ppc64le", "linux/pcc64le"))
        self.refuse(3, ["fnimage.yaml:2:26", "did you mean ppc64le?"], "build")
        self.assertEqual([], self.stored_tags())

    def test_schema_is_handed_out(self):
        schema = json.loads(self.succeed("init", "--schema").stdout)
        self.assertIn("platforms", schema["properties"])

    def test_debian_name_of_an_architecture_is_corrected(self):
        self.write_spec(command.SPEC.replace("linux/ppc64le", "linux/ppc64el"))
        self.refuse(3, ["ppc64el", "ppc64le"], "build")

    def test_platform_twice(self):
        self.write_spec(command.SPEC.replace("linux/ppc64le", "linux/x86_64"))
        self.refuse(3, ["linux/amd64"], "build")

    def test_nothing_is_stored_after_a_failure(self):
        self.write_spec(command.SPEC.replace("handler.py", "absent.py"))
        self.run_command("build")
        self.assertEqual([], self.stored_tags())
        self.assertEqual([], self.temporaries())


class CommandLine(command.CommandTest):
    def test_unknown_command(self):
        self.refuse(2, ["bild", "build"], "bild")

    def test_bad_reference(self):
        self.refuse(2, ["Hello"], "build", "-t", "127.0.0.1:1/Hello:latest")

    def test_unknown_platform_option(self):
        self.refuse(2, ["ppc64el", "ppc64le"], "build", "--platform", "linux/ppc64el")

    def test_push_of_something_never_built(self):
        self.refuse(4, ["127.0.0.1:1/absent:latest"], "push", "--plain-http", "127.0.0.1:1/absent:latest")

    def test_errors_as_json(self):
        done = self.run_command("push", "--json", "--plain-http", "127.0.0.1:1/absent:latest")
        self.assertEqual("not_found", json.loads(done.stdout)["error"]["code"])


class Base(command.CommandTest):
    def test_base_image_without_the_platform_names_those_it_has(self):
        self.succeed("build", "--platform", "linux/amd64", "-t", "lower:latest")
        self.write_spec(command.SPEC.replace("{scratch: true}", "{image: lower:latest}"))
        self.refuse(13, ["linux/ppc64le", "linux/amd64"], "build")


class Registry(command.CommandTest):
    def test_nobody_listens(self):
        reference = f"127.0.0.1:{command.free_port()}/probe:latest"
        self.refuse(8, [reference.split("/")[0]], "build", "--push", "--plain-http", "-t", reference)

    def test_http_registry_asked_by_https_names_the_option(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        reference = f"127.0.0.1:{server.server_address[1]}/probe:latest"
        self.refuse(9, ["--plain-http"], "build", "--push", "-t", reference)


class FullDisk(command.CommandTest):
    """A store on a file system of 1 MiB: what does not fit leaves nothing behind, and works once there is room."""

    def setUp(self):
        super().setUp()
        (self.project / "model.bin").write_bytes(os.urandom(3 << 20))
        self.write_spec(command.SPEC + "layers: [{name: model, from: model.bin, to: /model.bin}]\n")

    def test_full_disk(self):
        unshare = shutil.which("unshare")
        works = unshare and subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode == 0
        if not works:
            self.skipTest("no user namespaces here: cannot make a small file system")
        script = ('mount -t tmpfs -o size=1m none "$HOME" || exit 99; "$0" build; code=$?; '
                  'find "$HOME" -name ".tmp-*" | sed s/^/LEFT:/ >&2; '
                  'mount -o remount,size=64m "$HOME" && "$0" build >&2 || exit 98; exit $code')
        done = subprocess.run([unshare, "-rm", "sh", "-c", script, command.FNIMAGE], cwd=self.project,
                              env=self.environment(), capture_output=True, text=True, check=False)
        self.assertEqual(14, done.returncode, done.stderr)
        self.assertIn("No space left", done.stderr)
        self.assertNotIn("LEFT:", done.stderr)


if __name__ == "__main__":
    command.main()

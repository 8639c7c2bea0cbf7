"""The same life of an image on every registry that is here: Debian's docker-registry, and in $FNIMAGE_PEERS (see
test/bench/peers.sh) a newer one and `crane registry serve`. All over http on 127.0.0.1."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import command

PEERS = pathlib.Path(os.environ.get("FNIMAGE_PEERS", "/nonexistent"))


def docker_registry(program, address, directory):
    config = directory / "config.json"
    config.write_text(json.dumps({"version": 0.1, "http": {"addr": address}, "storage": {
        "filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}}}))
    return [program, "serve", config]


def crane_registry(program, address, directory):
    return [program, "registry", "serve", "--address", address, "--disk", directory]


REGISTRIES = {
    "docker-registry": (shutil.which("docker-registry"), docker_registry),
    "newer docker-registry": (PEERS / "docker-registry", docker_registry),
    "crane": (PEERS / "crane", crane_registry),
}


@contextlib.contextmanager
def serving(program, arguments):
    with tempfile.TemporaryDirectory(prefix="fnimage-registry-") as name:
        directory, address = pathlib.Path(name), f"127.0.0.1:{command.free_port()}"
        with open(directory / "log", "wb") as log, subprocess.Popen(
                arguments(program, address, directory), stdout=log, stderr=log) as server:
            try:
                while True:
                    with contextlib.suppress(urllib.error.URLError):
                        urllib.request.urlopen(f"http://{address}/v2/").close()
                        break
                    if server.poll() is not None:
                        raise AssertionError((directory / "log").read_text())
                    time.sleep(0.02)
                yield address
            finally:
                server.terminate()


class RegistriesTest(command.CommandTest):
    def plain(self, name, *arguments):
        return self.succeed(*name.split(), "--plain-http", *arguments)

    def live(self, address):
        with open("/dev/urandom", "rb") as noise:
            (self.project / "model.bin").write_bytes(noise.read(3 << 20))
        self.write_spec(command.SPEC + "layers: [{name: model, from: model.bin, to: /model}]\n")
        image = f"{address}/team/action"
        built = json.loads(self.plain("build", "--push", "--json", "-t", f"{image}:latest").stdout)
        digest = built["list"]["digest"]
        self.plain("build", "--push", "-t", f"{image}:again")  # all is there already
        for tag in ("latest", "again"):
            self.assertEqual(digest, self.plain("digest", f"{image}:{tag}").stdout.strip().rpartition("@")[2])
        shown = self.plain("inspect", f"{image}:latest").stdout
        for platform in ("linux/amd64", "linux/ppc64le"):
            self.assertIn(platform, shown)
        self.plain("copy", f"{image}:latest", f"{address}/other/copied:v1")
        self.plain("manifest create", "--push", f"{image}:joined", f"{image}:latest-amd64", f"{image}:latest-ppc64le")
        tags = self.plain("tags", image).stdout.split()
        self.assertLessEqual({"latest", "again", "joined", "latest-amd64", "latest-ppc64le"}, set(tags))
        shutil.rmtree(self.home)
        self.home.mkdir()
        self.plain("pull", f"{address}/other/copied:v1")
        for path in (self.home / ".local/share/fnimage/store/blobs/sha256").iterdir():
            self.assertGreater(path.stat().st_size, 0)
        layout = f"oci:{self.scratch}/layout:v1"
        self.plain("copy", f"{address}/other/copied:v1", layout)
        self.assertEqual(digest, self.succeed("digest", layout).stdout.strip().rpartition("@")[2])
        self.refuse(4, ["no-such-tag"], "inspect", "--plain-http", f"{image}:no-such-tag")


def add_test(name, program, arguments):
    def test(self):
        if not program or not os.access(program, os.X_OK):
            self.skipTest(f"{name} is not here: test/bench/peers.sh DIR crane docker-registry, and FNIMAGE_PEERS=DIR")
        with serving(program, arguments) as address:
            self.live(address)

    setattr(RegistriesTest, "test_" + name.replace(" ", "_").replace("-", "_"), test)


for registry, (where, how) in REGISTRIES.items():
    add_test(registry, where, how)


if __name__ == "__main__":
    command.main()

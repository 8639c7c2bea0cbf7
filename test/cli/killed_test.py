"""Builds that are killed at any moment: the store holds no torn blob then, and the next run removes what was left
behind and gives what an undisturbed one gives."""
import hashlib
import json
import random
import shutil
import subprocess
import time
import unittest

import command

KILLS = 15
STEPS = 12  # system calls of one kind, at each of which one build is killed
SPEC = """name: probe
platforms: [linux/amd64, linux/ppc64le]
base: {scratch: true}
runtime: none
source: {main: handler.py}
layers:
  - {name: model, from: model.bin, to: /action/model.bin}
files:
  - {from: "data-{arch}.bin", to: /action/data.bin}
"""


class KilledBuildTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.write_spec(SPEC)
        noise = random.Random(1)
        for name in ("model", "data-amd64", "data-ppc64le"):
            (self.project / f"{name}.bin").write_bytes(noise.randbytes(3 << 20))
        start = time.monotonic()
        self.expected = self.build()
        self.duration = time.monotonic() - start
        self.forget()

    def build(self):
        return json.loads(self.succeed("build", "--json").stdout)["list"]["digest"]

    def forget(self):
        shutil.rmtree(self.home)
        self.home.mkdir()

    def blobs(self):
        for place in (".local/share/fnimage/store/blobs", ".cache/fnimage/layers/blobs"):
            yield from (path for path in (self.home / place).rglob("*") if path.is_file())

    def check_what_is_left(self):
        """What a reader can see is whole, and the tag is there with all that it needs or not at all."""
        for path in self.blobs():
            if not path.name.startswith(".tmp-"):
                self.assertEqual(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        if self.stored_tags():
            self.succeed("inspect", "probe:latest")

    def check_next_run(self):
        self.assertEqual(self.expected, self.build())
        self.assertEqual([], self.temporaries())
        self.check_what_is_left()

    def test_killed_at_spread_moments(self):
        killed = 0
        for number in range(KILLS):
            with self.subTest(number=number):
                with subprocess.Popen([command.FNIMAGE, "build"], cwd=self.project, env=self.environment(),
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as build:
                    time.sleep(self.duration * number / KILLS)
                    build.kill()
                killed += build.returncode == -9
                self.check_what_is_left()
                self.check_next_run()
            self.forget()
        self.assertGreater(killed, 0, "every build was over before it was killed")

    def test_killed_at_every_step_to_disk(self):
        for call in ("rename", "link", "fsync"):
            for step in range(1, STEPS):
                prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                          "-e", f"inject={call}:signal=KILL:when={step}"]
                try:
                    done = self.run_command("build", prefix=prefix)
                except FileNotFoundError:
                    self.skipTest("strace is not installed: apt-get install strace")
                if done.returncode > 0:
                    self.skipTest(f"strace does not work here: {done.stderr}")
                with self.subTest(call=call, step=step):
                    self.check_what_is_left()
                    self.check_next_run()
                self.forget()
                if done.returncode == 0:
                    self.assertGreater(step, 1, f"no {call} was seen")
                    break


if __name__ == "__main__":
    command.main()

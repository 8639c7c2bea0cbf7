#!/usr/bin/env python3
"""A layer of a published function is replaced where it is: on all platforms, with nothing else sent, and back again."""
import re
import unittest

import command
import stores_test

SPEC = command.SPEC + """layers:
  - {name: model, from: model.bin, to: /action/model.bin}
config: {labels: {owner: ada}}
annotations: {org.example.team: a}
"""


class LayersTest(stores_test.StoresTest):
    def setUp(self):
        super().setUp()
        self.write_spec(SPEC)
        (self.project / "model.bin").write_text("weights")
        (self.project / "new.bin").write_text("better weights")

    def images(self, reference, *options):
        """The configs and layers of each platform."""
        found = self.json("inspect", reference, *options)
        return [(image["platform"], image["config"], [layer["digest"] for layer in image["layers"]])
                for image in found["images"]]

    def test_a_published_function_gets_a_new_model(self):
        with self.registry(access_log=self.scratch / "access.log") as address:
            name = f"{address}/probe"
            self.succeed("build", "--push", "--plain-http", "-t", f"{name}:v1")
            before = self.digest("--plain-http", f"{name}:v1")
            # Another machine: no cache, no store, no build file.
            (self.project / "fnimage.yaml").unlink()
            self.home = self.scratch / "elsewhere"
            self.home.mkdir()
            (self.scratch / "access.log").write_text("")
            done = self.json("layer", "replace", "--plain-http", "--name", "model", "--from", "new.bin", f"{name}:v1")
            after = self.digest("--plain-http", f"{name}:v1")
            self.assertEqual((after, before), (done["list"]["digest"], done["previous"]))
            self.assertNotEqual(after, before)
            self.assertEqual(1, len({one["layer"]["digest"] for one in done["platforms"]}), "one blob for all")
            for one in done["platforms"]:
                arch = one["platform"].split("/")[1]
                self.assertEqual(one["manifest"]["digest"], self.digest("--plain-http", f"{name}:v1-{arch}"))
            # The list and two manifests, a layer and two configs: one request that writes for each.
            log = (self.scratch / "access.log").read_text()
            self.assertEqual(3, len(re.findall(r'"PUT /v2/probe/manifests/', log)), log)
            self.assertLessEqual(len(re.findall(r'"POST /v2/probe/blobs/uploads/', log)), 3, log)
            # With the new content in the project, a build gives the same image.
            self.write_spec(SPEC)
            (self.project / "model.bin").write_text("better weights")
            self.succeed("build", "-t", "rebuilt")
            self.assertEqual(after, self.digest("rebuilt"))
            self.succeed("check", "--plain-http", "--json", f"{name}:v1")
            back = f"{name}@{before}"
            self.succeed("tag", "--plain-http", back, "v1")
            self.assertEqual(before, self.digest("--plain-http", f"{name}:v1"))

    def test_local_store_and_layouts(self):
        self.build("-t", "probe:v1")
        before = self.digest("probe:v1")
        done = self.succeed("layer", "replace", "--name", "model", "--from", "new.bin", "-t", "probe:v2", "probe:v1")
        self.assertIn(f"(was {before})", done.stdout)
        self.assertEqual(before, self.digest("probe:v1"))
        self.assertNotEqual(before, self.digest("probe:v2"))
        same = self.succeed("layer", "replace", "--name", "model", "--from", "new.bin", "probe:v2")
        self.assertIn("unchanged", same.stdout)
        self.build("-o", "oci:layout:v1")
        replaced = self.json("layer", "replace", "--name", "model", "--from", "new.bin", "oci:layout:v1")
        self.assertEqual(self.digest("probe:v2"), replaced["list"]["digest"])
        self.assertEqual(self.digest("oci:layout:v1"), replaced["list"]["digest"])

    def test_a_rehearsal_writes_nothing(self):
        with self.registry() as address:
            name = f"{address}/probe:v1"
            self.succeed("build", "--push", "--plain-http", "-t", name)
            before = self.digest("--plain-http", name)
            planned = self.succeed("layer", "replace", "--dry-run", "--plain-http", "--name", "model", "--from", "new.bin",
                                   name).stdout
            self.assertIn("manifests/v1", planned)
            self.assertEqual(before, self.digest("--plain-http", name))

    def test_what_is_refused(self):
        self.build("-t", "probe:v1")
        self.build("-o", "oci-archive:a.tar:v1")
        replace = ("layer", "replace", "--from", "new.bin")
        self.refuse(4, ["no layer 'modle'", "model"], *replace, "--name", "modle", "probe:v1")
        self.refuse(2, ["--to"], *replace, "--name", "source", "probe:v1")
        self.refuse(2, ["begin it with '/'"], *replace, "--name", "model", "--to", "x", "probe:v1")
        self.refuse(15, ["cannot be changed"], *replace, "--name", "model", "oci-archive:a.tar:v1")
        self.refuse(4, ["missing.bin"], "layer", "replace", "--name", "model", "--from", "missing.bin", "probe:v1")


if __name__ == "__main__":
    command.main()

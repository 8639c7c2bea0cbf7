"""What a function requires of its node: from the build file into the list, and with the list wherever it goes."""
import json
import shutil
import unittest

import command
import lists_test

REQUIRES = """
requires:
  cpu: 4
  memory: 8Gi
  gpu: {vendor: nvidia, memory: 16Gi}
  cpu-level: {amd64: v3}
  cpu-features: {ppc64le: [MMA]}
  near: {warehouse: dwh-1}
variants: [gpu, avx512]
"""
AMD64 = {"cpu": "4", "cpu-level": "v3", "gpu": {"count": 1, "memory": "16Gi", "vendor": "nvidia"}, "memory": "8Gi",
         "near": {"warehouse": "dwh-1"}}
POWER = {"cpu": "4", "cpu-features": ["MMA"], "gpu": {"count": 1, "memory": "16Gi", "vendor": "nvidia"},
         "memory": "8Gi", "near": {"warehouse": "dwh-1"}}


def needs_of(index):
    return {entry["platform"]["architecture"]: json.loads(entry["annotations"]["io.fnimage.requires"])
            for entry in index["manifests"]}


class DemandingTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.write_spec(command.SPEC + REQUIRES)

    def raw(self, name, *more):
        return json.loads(self.succeed("inspect", "--raw", *more, name).stdout)


class RequiresTest(DemandingTest):
    def test_is_written_for_each_platform(self):
        self.succeed("build", "-q", "-t", "action:latest", ".")
        index = self.raw("action:latest")
        self.assertEqual({"amd64": AMD64, "ppc64le": POWER}, needs_of(index))
        self.assertEqual("gpu,avx512", index["annotations"]["io.fnimage.variants"])
        tree = self.succeed("inspect", "action:latest").stdout
        self.assertIn("├── requires  4 cpu, 8Gi, 1 nvidia gpu ≥16Gi, level v3, warehouse=dwh-1\n", tree)
        self.assertIn("requires  4 cpu, 8Gi, 1 nvidia gpu ≥16Gi, MMA, warehouse=dwh-1\n", tree)
        self.assertIn("io.fnimage.variants: gpu,avx512", tree)
        described = json.loads(self.succeed("inspect", "--json", "action:latest").stdout)
        self.assertEqual([AMD64, POWER], [json.loads(image["annotations"]["io.fnimage.requires"])
                                          for image in described["images"]])

    def test_goes_with_the_list(self):
        self.succeed("build", "-q", "-t", "action:latest", ".")
        self.succeed("copy", "action:latest", "oci:copied:one")
        self.assertEqual({"amd64": AMD64, "ppc64le": POWER}, needs_of(self.raw("oci:copied:one")))
        for arch, needs in (("amd64", AMD64), ("ppc64le", POWER)):
            image = next(entry["digest"] for entry in self.raw("action:latest")["manifests"]
                         if entry["platform"]["architecture"] == arch)
            self.succeed("manifest", "create", f"action:only-{arch}", f"action@{image}")
            self.assertEqual({arch: needs}, needs_of(self.raw(f"action:only-{arch}")))
        self.succeed("manifest", "add", "action:only-amd64", "action:only-ppc64le")
        self.succeed("manifest", "annotate", "action:only-amd64", "amd64", "--annotation", "site=x")
        self.assertEqual({"amd64": AMD64, "ppc64le": POWER}, needs_of(self.raw("action:only-amd64")))

    def test_faults_name_the_line(self):
        self.write_spec(command.SPEC + REQUIRES.replace("16Gi}", "16Gi, modle: A100}"))
        self.refuse(3, ["fnimage.yaml:", "unknown key 'modle'", "known keys: vendor, count, memory, compute"], "build",
                    "-q", "-t", "action:latest", ".")

    def test_docker_format_says_that_it_cannot_say_it(self):
        done = self.succeed("build", "--format", "docker", "-t", "action:latest", ".")
        self.assertIn("what the function requires and what its variants are does not travel with it", done.stderr)
        self.assertNotIn("requires", self.succeed("inspect", "action:latest").stdout)

    def test_a_need_that_cannot_be_read_is_shown(self):
        self.succeed("build", "-q", "-t", "action:latest", ".")
        self.succeed("manifest", "annotate", "action:latest", "amd64", "--annotation",
                     'io.fnimage.requires={"fpga":1}')
        self.assertIn("requires  what cannot be read: requires: io.fnimage.requires: fpga is not known",
                      self.succeed("inspect", "action:latest").stdout)


@unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
class RequiresOnARegistryTest(DemandingTest):
    def test_comes_through_a_registry(self):
        with lists_test.registry() as address:
            name = f"{address}/team/action:latest"
            self.succeed("build", "-q", "--push", "--plain-http", "-t", name, ".")
            expected = {"amd64": AMD64, "ppc64le": POWER}
            self.assertEqual(expected, needs_of(self.raw(name, "--plain-http")))
            # Lists made of the platforms' own tags, as with docker's commands.
            again = f"{address}/team/action:again"
            self.succeed("manifest", "create", "--push", "--plain-http", again, f"{name}-amd64", f"{name}-ppc64le")
            self.assertEqual(expected, needs_of(self.raw(again, "--plain-http")))
            added = f"{address}/team/action:added"
            for arch in ("amd64", "ppc64le"):
                self.succeed("build", "-q", "--platform", arch, "-t", added, ".")
                self.succeed("push", "-q", "--add", "--plain-http", added)
            self.assertEqual(expected, needs_of(self.raw(added, "--plain-http")))
            self.succeed("layer", "replace", "--plain-http", name, "--name", "source", "--from", "handler.py",
                         "--to", "/action/handler.py")
            self.assertEqual(expected, needs_of(self.raw(name, "--plain-http")))
            self.succeed("pull", "-q", "--plain-http", name)
            self.succeed("copy", "-q", "--plain-http", name, "oci:pulled:one")
            self.assertEqual(expected, needs_of(self.raw("oci:pulled:one")))
            self.assertEqual("gpu,avx512", self.raw("oci:pulled:one")["annotations"]["io.fnimage.variants"])


if __name__ == "__main__":
    command.main()

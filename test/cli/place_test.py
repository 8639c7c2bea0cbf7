"""fnimage place: where pods of a list may run, in all formats, for a list of the local store."""
import json
import shutil
import unittest

import command
import lists_test
import resolve_test

POWER_SPEC = (command.SPEC.replace("[linux/amd64, linux/ppc64le]", "[linux/ppc64le]") +
              "requires: {cpu-features: {ppc64le: [MMA]}}\n")


class PlaceTest(command.CommandTest):
    """The list probe:latest of the local store has an image for amd64 and one for ppc64le."""

    def setUp(self):
        super().setUp()
        self.succeed("build", "-q", "-t", "probe:latest", ".")

    def place(self, *arguments):
        return self.succeed("place", *arguments, "probe:latest").stdout

    def placed(self, *arguments):
        return json.loads(self.place("--json", *arguments))

    def test_openwhisk(self):
        text = self.place("--format", "openwhisk")
        self.assertIn("user-pod-node-affinity.enabled to false", text)
        self.assertIn("#   linux/ppc64le  sha256:", text)
        spec = self.placed("--format", "openwhisk")["spec"]
        self.assertEqual({"kubernetes.io/os": "linux"}, spec["nodeSelector"])
        terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        self.assertEqual([[{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "ppc64le"]},
                           {"key": "openwhisk-role", "operator": "In", "values": ["invoker"]}]],
                         [term["matchExpressions"] for term in terms])
        one = self.placed("--format", "openwhisk", "--platform", "ppc64le")["spec"]
        self.assertNotIn("affinity", one)
        self.assertEqual("ppc64le", one["nodeSelector"]["kubernetes.io/arch"])

    def test_all_formats(self):
        digest = json.loads(self.succeed("digest", "--json", "probe:latest").stdout)["digest"]
        asked = ("affinity", "json-patch", "openwhisk", "invoker-tags", "knative", "openfaas", "pod")
        made = self.placed("--format", ",".join(asked))
        self.assertEqual(sorted(asked), sorted(made))
        self.assertEqual(f"probe@{digest}", made["pod"]["spec"]["containers"][0]["image"])
        self.assertEqual("probe", made["knative"]["metadata"]["name"])
        self.assertEqual("/spec/affinity", made["json-patch"][0]["path"])
        self.assertEqual(["amd64-or-ppc64le"], made["invoker-tags"]["annotations"]["invoker-resources"])
        self.assertEqual(["Function", "Profile"], [item["kind"] for item in made["openfaas"]["items"]])
        for name in asked:
            self.assertTrue(self.place("--format", name))
        self.assertIn("local store", self.succeed("place", "--format", "pod", "probe:latest").stderr)
        everything = self.placed()
        self.assertEqual(["linux/amd64", "linux/ppc64le"], [one["platform"] for one in everything["platforms"]])
        self.assertEqual(digest, everything["digest"])

    def test_what_cannot_be_said_is_refused(self):
        self.refuse(15, ["kubernetes.io/arch In amd64, ppc64le", "--format affinity"],
                    "place", "--format", "selector", "probe:latest")
        selector = self.placed("--format", "selector", "--platform", "amd64")
        self.assertEqual({"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}, selector["nodeSelector"])
        self.refuse(15, ["no compatibility to state"], "place", "--format", "nfd", "probe:latest")
        self.refuse(13, ["linux/s390x"], "place", "--platform", "s390x", "probe:latest")
        self.refuse(2, ["no format"], "place", "--format", "rubbish", "probe:latest")
        self.refuse(2, ["runtime"], "place", "--runtime", "rubbish", "probe:latest")
        self.refuse(2, ["--attach"], "place", "--attach", "--format", "pod", "probe:latest")
        self.refuse(2, ["--pod"], "place", "--pod", "pod.json", "probe:latest")
        self.refuse(4, ["none:1"], "place", "none:1")

    def test_a_pod_that_has_an_affinity_of_its_own(self):
        pod = {"kind": "Pod", "spec": {"nodeSelector": {"kubernetes.io/arch": "ppc64le"}, "affinity": {},
                                       "tolerations": [], "containers": [{"name": "x"}]}}
        done = self.succeed("place", "--json", "--format", "json-patch", "--pod", "-", "probe:latest",
                            input=json.dumps(pod))
        paths = [operation["path"] for operation in json.loads(done.stdout)]
        self.assertEqual(["/spec/affinity/nodeAffinity", "/spec/tolerations/-", "/spec/tolerations/-"], paths)
        pod["spec"]["nodeSelector"]["kubernetes.io/arch"] = "s390x"
        self.refuse(2, ["leave none of the nodes"], "place", "--format", "json-patch", "--pod", "-", "probe:latest",
                    input=json.dumps(pod))
        self.refuse(3, ["standard input"], "place", "--format", "json-patch", "--pod", "-", "probe:latest", input="{")

    def test_the_cluster_s_runtimes(self):
        (self.project / "nodes.json").write_text(resolve_test.listed(*resolve_test.CLUSTER))
        self.assertEqual(2, len(self.placed("--node", "nodes.json")["platforms"]))
        self.refuse(2, ["--runtime"], "place", "--node", "nodes.json", "--runtime", "cri-o", "probe:latest")

    def test_compatibility_is_attached(self):
        self.write_spec(POWER_SPEC)
        self.succeed("build", "-q", "-t", "power:1", ".")
        text = self.succeed("place", "--format", "nfd", "power:1").stdout
        self.assertIn("version: v1alpha1", text)
        self.assertIn("MMA", text)
        self.check_attached("power:1")

    @unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
    def test_compatibility_is_attached_in_a_registry(self):
        self.write_spec(POWER_SPEC)
        with lists_test.registry() as address:
            name = f"{address}/power:1"
            self.succeed("build", "-q", "--push", "--plain-http", "-t", name, ".")
            self.check_attached(name, "--plain-http")

    def check_attached(self, name, *options):
        attach = ("place", "--json", *options, "--format", "nfd", "--attach", name)
        at = self.environment() | {"SOURCE_DATE_EPOCH": "1700000000"}
        first, again = (json.loads(self.run_at(at, *attach))["attached"] for _ in range(2))
        self.assertEqual([False, True], [first[0]["existed"], again[0]["existed"]])
        self.assertEqual(first[0]["digest"], again[0]["digest"])
        shown = self.succeed("inspect", *options, "--referrers", name).stdout
        self.assertIn("application/vnd.nfd.image-compatibility.v1alpha1", shown)
        self.assertIn(first[0]["digest"][:19], shown)

    def run_at(self, environment, *arguments):
        kept, self.environment = self.environment, lambda: environment
        try:
            return self.succeed(*arguments).stdout
        finally:
            self.environment = kept


if __name__ == "__main__":
    command.main()

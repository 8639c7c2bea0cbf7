"""fnimage resolve: what each node of a mixed cluster takes of a list, for nodes as kubectl writes them."""
import hashlib
import json
import platform
import shutil
import unittest

import command
import lists_test


def node(name, arch, runtime, **more):
    """A Node as `kubectl get node -o json` writes it, somewhat shortened."""
    labels = {"beta.kubernetes.io/arch": arch, "kubernetes.io/arch": arch, "kubernetes.io/os": "linux",
              "kubernetes.io/hostname": name, "node-role.kubernetes.io/worker": ""} | more.get("labels", {})
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"annotations": {"node.alpha.kubernetes.io/ttl": "0"},
                         "creationTimestamp": "2026-03-02T09:14:11Z", "labels": labels, "name": name,
                         "resourceVersion": "1824", "uid": "0d8d6c4e-5b7f-4c36-9a55-2b4de1d4a9f1"},
            "spec": {"podCIDR": "10.244.2.0/24", "podCIDRs": ["10.244.2.0/24"]},
            "status": {"addresses": [{"address": "192.168.7.12", "type": "InternalIP"}],
                       "allocatable": {"cpu": "15500m", "ephemeral-storage": "94992122Ki", "memory": "64559460Ki",
                                       "hugepages-2Mi": "0", "pods": "250"},
                       "capacity": {"cpu": "16", "ephemeral-storage": "103079215104", "memory": "65583460Ki",
                                    "hugepages-2Mi": "0", "pods": "250"},
                       "conditions": [{"lastHeartbeatTime": "2026-11-26T07:00:00Z", "message": "kubelet is ready",
                                       "reason": "KubeletReady", "status": "True", "type": "Ready"}],
                       "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                       "images": [{"names": ["registry.k8s.io/pause:3.10"], "sizeBytes": 320368}],
                       "nodeInfo": {"architecture": arch, "bootID": "7a", "containerRuntimeVersion": runtime,
                                    "kernelVersion": "6.1.0-40", "kubeProxyVersion": "", "kubeletVersion": "v1.33.4",
                                    "machineID": "9b", "operatingSystem": "linux", "osImage": "Debian GNU/Linux 12",
                                    "swap": {"capacity": 0}, "systemUUID": "4c"}}}


def listed(*nodes):
    return json.dumps({"apiVersion": "v1", "items": list(nodes), "kind": "List", "metadata": {"resourceVersion": ""}})


CLUSTER = (node("power-1", "ppc64le", "cri-o://1.30.2"), node("old-1", "amd64", "containerd://1.7.24~ds1"),
           node("new-1", "amd64", "containerd://2.1.4"), node("newest-1", "amd64", "containerd://2.3.0"))

YAML_NODE = """apiVersion: v1
kind: Node
metadata:
  annotations:
    node.alpha.kubernetes.io/ttl: "0"
  creationTimestamp: "2026-03-02T09:14:11Z"
  labels:
    feature.node.kubernetes.io/cpu-cpuid.X86_64_V2: "true"
    feature.node.kubernetes.io/cpu-cpuid.X86_64_V3: "true"
    kubernetes.io/arch: amd64
    kubernetes.io/os: linux
    node-role.kubernetes.io/worker: ""
  name: avx-1
spec:
  taints:
  - effect: NoSchedule
    key: dedicated
    value: analytics
status:
  allocatable:
    cpu: 3920m
    memory: 2.5Gi
  capacity:
    cpu: "4"
    memory: 3Gi
    nvidia.com/gpu: "1"
  conditions:
  - lastHeartbeatTime: "2026-11-26T07:00:00Z"
    status: "True"
    type: Ready
  nodeInfo:
    architecture: amd64
    containerRuntimeVersion: docker://27.5.1
    operatingSystem: linux
"""
YAML_POWER = """---
apiVersion: v1
kind: Node
metadata: {name: power-2, labels: {kubernetes.io/arch: ppc64le, kubernetes.io/os: linux}}
status: {nodeInfo: {containerRuntimeVersion: "cri-o://1.33.0"}}
"""


def own_architecture():
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class ProbeTest(command.CommandTest):
    """The list probe:latest of the local store has an image for amd64 and one for ppc64le."""

    def setUp(self):
        super().setUp()
        self.succeed("build", "-q", "-t", "probe:latest", ".")
        shown = json.loads(self.succeed("inspect", "--json", "probe:latest").stdout)
        self.images = {image["platform"]: image for image in shown["images"]}

    def write(self, name, text):
        (self.project / name).write_text(text)
        return name

    def digest(self, architecture):
        return self.images[f"linux/{architecture}"]["digest"]

    def answers(self, *arguments, code=0, **options):
        """The nodes' answers, in their order."""
        done = self.run_command("resolve", "--json", *arguments, **options)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)["nodes"]

    def put_list(self, name, *entries):
        """A layout of one list whose entries are the built images under other platforms."""
        layout = self.scratch / name
        self.succeed("copy", "-q", "probe:latest", f"oci:{layout}:latest")
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
        for image, said in entries:
            shown = self.images[f"linux/{image}"]
            entry = {key: shown[key] for key in ("mediaType", "digest", "size")}
            index["manifests"].append(entry | ({"platform": said} if said else {}))
        return self.put_index(layout, index)

    def put_index(self, layout, index):
        data = json.dumps(index).encode()
        digest = hashlib.sha256(data).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(data)
        (layout / "index.json").write_text(json.dumps({
            "schemaVersion": 2, "manifests": [{"mediaType": index["mediaType"], "digest": f"sha256:{digest}",
                                               "size": len(data),
                                               "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}))
        return f"oci:{layout}:latest"


class VariantsTest(ProbeTest):
    """probe:latest has the variants gpu, of amd64 only, and none, which is missing."""

    def setUp(self):
        super().setUp()
        self.write_spec(command.SPEC + "variants: [gpu, none]\n")
        self.write("gpu.yaml", command.SPEC.replace(", linux/ppc64le", "") +
                   "config: {env: {VARIANT: gpu}}\nrequires: {gpu: {vendor: nvidia, memory: 16Gi}, memory: 4Gi}\n")
        self.succeed("build", "-q", "-f", "gpu.yaml", "-t", "probe:latest-gpu", ".")
        self.succeed("build", "-q", "-t", "probe:latest", ".")

    def test_nodes_take_the_variant_that_they_have_the_hardware_for(self):
        labels = {"nvidia.com/gpu.memory": "40960", "nvidia.com/gpu.present": "true"}
        big, small = (node(name, "amd64", "containerd://2.1.4", labels=labels) for name in ("big", "small"))
        big["status"]["allocatable"]["nvidia.com/gpu"] = "2"
        power = node("power", "ppc64le", "cri-o://1.33.0")
        self.write("nodes.json", listed(big, small, power))
        answers = self.answers("--node", "nodes.json", "probe:latest")
        self.assertEqual(["gpu", None, None], [answer["variant"] for answer in answers])
        gpu, = self.answers("--platform", "amd64", "--no-variants", "probe:latest-gpu")
        self.assertEqual(gpu["taken"]["digest"], answers[0]["taken"]["digest"])
        self.assertEqual({"gpu": {"count": 1, "memory": "16Gi", "vendor": "nvidia"}, "memory": "4Gi"},
                         answers[0]["requires"])
        self.assertEqual([], answers[0]["passedVariants"])
        passed = {one["variant"]: one["reason"] for one in answers[1]["passedVariants"]}
        self.assertIn("the node has no nvidia.com/gpu (1 needed)", passed["gpu"])
        self.assertIn("there is no probe:latest-none", passed["none"])
        self.assertIn("nothing for linux/ppc64le in the list", answers[2]["passedVariants"][0]["reason"])
        self.assertIn("variant none: there is no probe:latest-none", answers[2]["notes"])
        table = self.succeed("resolve", "--node", "nodes.json", "probe:latest").stdout
        self.assertRegex(table, r"(?m)^NODE .* VARIANT$")
        self.assertRegex(table, r"(?m)^big .* gpu$")
        self.assertRegex(table, r"(?m)^power .* -$")
        self.assertIn("small: variant gpu passed over: the node has no nvidia.com/gpu", table)

    def test_plain_runtimes_see_no_variants(self):
        gpu = ("--label", "nvidia.com/gpu.memory=40960", "--memory", "64Gi", "--resource", "nvidia.com/gpu=2")
        with_them, = self.answers("--platform", "amd64", *gpu, "probe:latest")
        without, = self.answers("--platform", "amd64", *gpu, "--no-variants", "probe:latest")
        self.assertEqual(("gpu", None), (with_them["variant"], without["variant"]))
        self.assertNotEqual(with_them["taken"]["digest"], without["taken"]["digest"])
        self.assertEqual([], without["notes"])
        text = self.succeed("resolve", "--platform", "amd64", *gpu, "probe:latest").stdout
        self.assertIn("variant gpu: taken\n", text)
        self.assertIn("requires 4Gi, 1 nvidia gpu ≥16Gi", text)

    def test_nodes_by_hand(self):
        def variant(*more):
            return self.answers("--platform", "amd64", *more, "probe:latest")[0]["variant"]

        self.assertIsNone(variant())
        enough = ("--label", "nvidia.com/gpu.memory=16384", "--resource", "nvidia.com/gpu=1")
        self.assertEqual("gpu", variant(*enough, "--memory", "4Gi"))
        self.assertIsNone(variant(*enough, "--memory", "3Gi"))
        self.assertIsNone(variant(*enough))
        self.assertIsNone(variant(*enough, "--memory", "4Gi", "--label", "nvidia.com/gpu.memory=8192"))
        for faulty in (("--label", "a b=c"), ("--label", "key"), ("--label", "key=a b"), ("--resource", "x=many"),
                       ("--memory", "lots"), ("--cpu", "-1")):
            with self.subTest(faulty):
                self.refuse(2, [faulty[0]], "resolve", "--platform", "amd64", *faulty, "probe:latest")
        self.refuse(2, ["--platform"], "resolve", "--memory", "4Gi", "probe:latest")

    def test_nodes_that_lack_what_the_list_requires_get_nothing(self):
        answer, = self.answers("--platform", "amd64", "--memory", "8Gi", "probe:latest-gpu", code=13)
        self.assertIsNone(answer["taken"])
        self.assertIn("the node has no nvidia.com/gpu (1 needed)", answer["reason"])
        done = self.refuse(13, ["lack what the image requires"], "resolve", "--platform", "amd64", "--memory", "8Gi",
                           "probe:latest-gpu")
        self.assertIn("=> none: the node has no nvidia.com/gpu", done.stdout)
        # A node of which nothing is known is not refused.
        unsure, = self.answers("--platform", "amd64", "probe:latest-gpu")
        self.assertTrue(unsure["taken"])
        self.assertIn("the node does not say its memory (4Gi needed)", unsure["notes"])

    def test_levels_of_processors_by_hand(self):
        self.write_spec(command.SPEC + "requires: {cpu-level: {amd64: v3}}\n")
        self.succeed("build", "-q", "-t", "probe:v3", ".")
        for platform_, code in (("amd64/v3", 0), ("amd64/v4", 0), ("amd64/v2", 13), ("amd64", 13)):
            with self.subTest(platform_):
                self.answers("--platform", "linux/" + platform_, "--cpu", "4", "probe:v3", code=code)

    def test_needs_that_cannot_be_read_are_not_passed_over(self):
        self.succeed("manifest", "annotate", "probe:latest-gpu", "amd64", "--annotation",
                     'io.fnimage.requires={"fpga":1}')
        answer, = self.answers("--platform", "amd64", "probe:latest-gpu", code=13)
        self.assertIn("its requirements are not understood", answer["reason"])
        base, = self.answers("--platform", "amd64", "probe:latest")
        self.assertIn("its requirements are not understood", base["passedVariants"][0]["reason"])

    def test_what_is_asked_for_by_digest_has_no_variants(self):
        digest = json.loads(self.succeed("resolve", "--json", "--platform", "amd64", "probe:latest").stdout)["digest"]
        answer, = self.answers("--platform", "amd64", f"probe@{digest}")
        self.assertIn("which only its tag leads to", "".join(answer["notes"]))
        self.assertEqual([], answer["passedVariants"])


class ResolveTest(ProbeTest):
    """What nodes take of probe:latest, and of lists like it."""

    def takes(self, *arguments, **options):
        return [answer["taken"] and answer["taken"]["digest"] for answer in self.answers(*arguments, **options)]

    def test_a_mixed_cluster(self):
        self.write("nodes.json", listed(*CLUSTER))
        amd64, ppc64le = self.digest("amd64"), self.digest("ppc64le")
        answers = self.answers("--node", "nodes.json", "probe:latest")
        self.assertEqual([ppc64le, amd64, amd64, amd64], [answer["taken"]["digest"] for answer in answers])
        self.assertEqual(["power-1", "old-1", "new-1", "newest-1"], [answer["node"] for answer in answers])
        self.assertEqual(["CRI-O 1.30", "containerd 1.7", "containerd 2.1", "containerd 2.3"],
                         [answer["runtime"] for answer in answers])
        image = self.images["linux/ppc64le"]
        self.assertEqual(image["config"]["size"] + sum(layer["size"] for layer in image["layers"]),
                         answers[0]["pullSize"])
        table = self.succeed("resolve", "--node", "nodes.json", "probe:latest").stdout
        line = next(line for line in table.splitlines() if line.startswith("power-1"))
        self.assertEqual(["power-1", "linux/ppc64le", "CRI-O", "1.30", ppc64le[:19]], line.split()[:5])
        self.assertEqual("-", line.split()[-1])

    def test_yaml_and_standard_input(self):
        self.write("nodes.yaml", YAML_NODE + YAML_POWER)
        answers = self.answers("--node", "nodes.yaml", "--node", "-", "probe:latest", input=listed(CLUSTER[0]))
        self.assertEqual([("avx-1", "v3"), ("power-2", ""), ("power-1", "")],
                         [(answer["node"], answer["cpuVariant"]) for answer in answers])
        self.assertEqual([self.digest("amd64"), self.digest("ppc64le"), self.digest("ppc64le")],
                         [answer["taken"]["digest"] for answer in answers])

    def test_one_node_is_told_about_every_entry(self):
        self.write("node.json", json.dumps(CLUSTER[0]))
        text = self.succeed("resolve", "--node", "node.json", "probe:latest").stdout
        amd64, ppc64le = self.digest("amd64"), self.digest("ppc64le")
        self.assertRegex(text, rf"(?m)^  {amd64[:19]}  linux/amd64 +passed over: \S")
        self.assertRegex(text, rf"(?m)^  {ppc64le[:19]}  linux/ppc64le +taken$")
        self.assertIn(f"=> {ppc64le}, ", text)

    def test_this_machine_and_platforms(self):
        self.assertEqual([self.digest("ppc64le"), self.digest("amd64")],
                         self.takes("--platform", "ppc64le", "--platform", "linux/amd64", "probe:latest"))
        here = self.answers("probe:latest", code=0 if own_architecture() in ("amd64", "ppc64le") else 13)
        self.assertEqual(f"linux/{own_architecture()}", here[0]["platform"])
        self.assertTrue(here[0]["runtime"].startswith("containerd"))

    def test_what_nobody_takes_is_an_error(self):
        self.write("nodes.json", listed(CLUSTER[0], node("z-1", "s390x", "containerd://2.1.0")))
        done = self.refuse(13, ["no image for z-1"], "resolve", "--node", "nodes.json", "probe:latest")
        self.assertIn("z-1: none: nothing for linux/s390x", done.stdout)
        answers = self.answers("--node", "nodes.json", "probe:latest", code=13)
        self.assertEqual([self.digest("ppc64le"), None],
                         [answer["taken"] and answer["taken"]["digest"] for answer in answers])
        self.assertIn("nothing for linux/s390x", answers[1]["reason"])

    def test_the_odd_lists(self):
        """The matrix of what runtimes make of names that are not quite right."""
        linux = {"os": "linux"}
        runtimes = ("containerd:1.7", "containerd:2.2", "containerd:2.3", "cri-o", "docker:27", "crane")
        cases = {
            "plain": ("amd64", linux | {"architecture": "amd64"}, "YYYYYY"),
            "v1": ("amd64", linux | {"architecture": "amd64", "variant": "v1"}, "YYYNYY"),
            "v3": ("amd64", linux | {"architecture": "amd64", "variant": "v3"}, "NNNNYY"),
            "x86_64": ("amd64", linux | {"architecture": "x86_64"}, "YYYNYN"),
            "features": ("amd64", linux | {"architecture": "amd64", "os.features": ["x"]}, "YYNYYY"),
            "power9": ("ppc64le", linux | {"architecture": "ppc64le", "variant": "power9"}, "NNNNN"),
            "ppc64el": ("ppc64le", linux | {"architecture": "ppc64el"}, "NNNNNN"),
            "statement": ("amd64", {"os": "unknown", "architecture": "unknown"}, "NNNNNN"),
        }
        for name, (image, said, expected) in cases.items():
            with self.subTest(name):
                reference = self.put_list(name, (image, said))
                machine = "linux/amd64/v3" if image == "amd64" else "linux/ppc64le"
                asked = [word for runtime in runtimes[:len(expected)] for word in ("--runtime", runtime)]
                taken = self.takes("--platform", machine, *asked, reference, code=13 if "N" in expected else 0)
                self.assertEqual(expected, "".join("Y" if digest else "N" for digest in taken))

    def test_two_entries_of_a_platform_are_both_pulled_by_newer_containerd(self):
        power = {"os": "linux", "architecture": "ppc64le"}
        reference = self.put_list("twice", ("ppc64le", power), ("amd64", power))
        old, new = self.answers("--platform", "ppc64le", "--runtime", "containerd:2.0", "--runtime", "containerd:2.1",
                                reference)
        self.assertEqual([True, False], [entry["pulled"] for entry in old["entries"]])
        self.assertEqual([True, True], [entry["pulled"] for entry in new["entries"]])
        self.assertGreater(new["pullSize"], old["pullSize"])
        text = self.succeed("resolve", "--platform", "ppc64le", "--runtime", "containerd:2.1", reference).stdout
        self.assertIn("pulled too", text)

    def test_all_runtimes(self):
        answers = self.answers("--platform", "ppc64le", "--all-runtimes", "probe:latest")
        names = [answer["runtime"] for answer in answers]
        self.assertGreater(len(names), 5)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({self.digest("ppc64le")}, {answer["taken"]["digest"] for answer in answers})

    def test_a_single_image(self):
        self.succeed("copy", "-q", "--platform", "ppc64le", "probe:latest", "probe-power:1")
        right, wrong = self.answers("--platform", "ppc64le", "--platform", "amd64", "probe-power:1")
        self.assertNotIn("entries", right)
        self.assertEqual(["it is no list: pulled whatever platform the node has"], right["notes"])
        self.assertIn("exec format error", wrong["notes"][1])

    def test_what_nodes_have_is_not_pulled(self):
        self.write("model.bin", "weights" * 100)
        self.write_spec(command.SPEC + "layers: [{name: model, from: model.bin, to: /action/model.bin}]\n")
        self.succeed("build", "-q", "-t", "probe:1", ".")
        self.write("handler.py", "def main(args):\n    return {'x': 1}\n")
        self.succeed("build", "-q", "-t", "probe:2", ".")
        whole, = self.answers("--platform", "ppc64le", "probe:2")
        part, = self.answers("--platform", "ppc64le", "--have", "probe:1", "probe:2")
        self.assertLess(part["pullSize"], whole["pullSize"])
        nothing, = self.answers("--platform", "ppc64le", "--have", self.digest("ppc64le"), "probe:latest")
        self.assertEqual(0, nothing["pullSize"])
        self.refuse(4, ["none:1"], "resolve", "--have", "none:1", "probe:2")

    def test_archives_and_layouts(self):
        self.succeed("copy", "-q", "probe:latest", "oci-archive:probe.tar:latest")
        self.succeed("copy", "-q", "probe:latest", "oci:layout:latest")
        for reference in ("oci-archive:probe.tar:latest", "oci:layout:latest"):
            self.assertEqual([self.digest("ppc64le")], self.takes("--platform", "ppc64le", reference))

    def test_faults_of_node_files_are_named(self):
        broken = json.loads(json.dumps(CLUSTER[0]))
        broken["status"]["nodeInfo"]["architecture"] = 7
        self.write("broken.json", listed(CLUSTER[1], broken))
        self.refuse(3, ["broken.json: node power-1: status.nodeInfo.architecture is not text"],
                    "resolve", "--node", "broken.json", "probe:latest")
        self.write("bomb.yaml", "a: &a [x, x]\nb: &b [*a, *a]\n")
        self.refuse(3, ["bomb.yaml:1:4", "anchors"], "resolve", "--node", "bomb.yaml", "probe:latest")
        self.write("pods.json", '{"kind": "List", "items": [{"kind": "Pod"}]}')
        self.refuse(3, ["is a Pod, not a Node"], "resolve", "--node", "pods.json", "probe:latest")
        self.refuse(4, ["nowhere.json"], "resolve", "--node", "nowhere.json", "probe:latest")
        self.refuse(2, ["runtime"], "resolve", "--runtime", "rubbish", "probe:latest")
        self.refuse(2, ["--platform"], "resolve", "--node", "bomb.yaml", "--platform", "amd64", "probe:latest")
        self.refuse(2, ["--all-runtimes"], "resolve", "--runtime", "crane", "--all-runtimes", "probe:latest")

    @unittest.skipUnless(shutil.which("docker-registry"), "docker-registry is not installed")
    def test_the_tags_of_platforms_on_a_registry(self):
        with lists_test.registry() as address:
            name = f"{address}/team/action:latest"
            self.succeed("copy", "-q", "--plain-http", "probe:latest", name)
            asked = ("--plain-http", "--platform", "ppc64le", name)
            self.assertIsNone(self.answers(*asked)[0]["tag"])
            self.succeed("tag", "--plain-http", f"{address}/team/action@{self.digest('ppc64le')}", "latest-ppc64le")
            self.assertEqual("latest-ppc64le", self.answers(*asked)[0]["tag"])
            self.assertIn("tag latest-ppc64le", self.succeed("resolve", *asked).stdout)
            self.succeed("tag", "--plain-http", f"{address}/team/action@{self.digest('amd64')}", "latest-ppc64le")
            self.assertIsNone(self.answers(*asked)[0]["tag"])


if __name__ == "__main__":
    command.main()
